"""Files and folders that are either whole or not there."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.runtime.machine import process_began

_UNSAFE = re.compile(r"[$`\"\\|&;<>*?!{}]|://|/vsi", re.IGNORECASE)

# Eight digits of the machine's name: the name itself may hold dots, and is nobody's business.
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_MARK = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}(\.|$)")
_DAY_S = 86_400.0


def is_safe_path(text: str) -> bool:
    """Tell whether a path holds nothing that a shell, make or GDAL would interpret."""
    return (
        0 < len(text) <= 4096
        and text.isprintable()
        and _UNSAFE.search(text) is None
        and not text.lower().startswith(("vsi", "~", "-"))
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path, *, here: bool = False) -> Iterator[Path]:
    """Give a name beside ``path`` to write to, and move it there once it is written and on disk.

    On an error nothing is left behind and what stood at ``path`` stays as it was. In a workspace on
    object storage the bucket gets it first.

    Parameters
    ----------
    path : pathlib.Path
        Where the file is to stand; its folder is made.
    here : bool, optional
        Whether it is for this machine alone, or has another way into the bucket.

    Yields
    ------
    pathlib.Path
        A name in the same folder with the same suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    beside = aside(path)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        if not here:
            mirror().put(beside, path)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def aside(path: Path) -> Path:
    """Return a name beside ``path`` for one attempt at it, which :func:`sweep` knows."""
    # Same suffix, since drivers look at it; the process's own name, since tasks may run twice.
    return path.with_name(f".{path.stem}.{_mark()}{path.suffix}")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill, and move it there at the end.

    An older folder at ``path`` is replaced. On an error nothing is left behind.

    Parameters
    ----------
    path : pathlib.Path
        Where the folder is to stand.

    Yields
    ------
    pathlib.Path
        An empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    beside = path.with_name(f".{path.name}.{_mark()}")
    beside.mkdir()
    try:
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        put_in_place(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(path: Path) -> None:
    """Take away what killed processes left beside a path.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder as given to :func:`whole_file` or :func:`whole_folder`. What a process of
        this machine began that is gone, or anybody more than a day ago, is deleted.
    """
    with contextlib.suppress(OSError):
        for left in path.parent.glob(f".{glob.escape(path.stem)}.*"):
            found = _MARK.search(left.name)
            if found is None or not _is_dead(found["host"], int(found["pid"]), left):
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _mark() -> str:
    """Return a name of one attempt, which says whose it is."""
    return f"{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _is_dead(host: str, pid: int, left: Path) -> bool:
    if time.time() - left.stat().st_mtime > _DAY_S:
        return True
    if host != _HOST:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # of another user, whose processes may be hidden
        return False
    return process_began(pid) is None


def put_in_place(new: Path, path: Path) -> None:
    """Let a folder take a path in one moment: who opens it finds the old or the new, never a mix.

    In a workspace on object storage the bucket gets it first, file by file.

    Linux exchanges the two names in one step; what stood at ``path`` is then deleted. On a file
    system that cannot, the old folder steps aside first, and a process that is killed in between
    leaves it there for :func:`restore`.

    Parameters
    ----------
    new : pathlib.Path
        The folder, in the same folder as ``path``; its files are on disk.
    path : pathlib.Path
        Where it is to stand.
    """
    mirror().put_folder(new, path)
    if not path.exists():
        new.rename(path)
    elif _exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = _aside(path)
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        try:
            new.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def restore(path: Path) -> None:
    """Bring a folder back that stepped aside for another which never came.

    Parameters
    ----------
    path : pathlib.Path
        Where it stood.
    """
    if _aside(path).exists() and not path.exists():
        _aside(path).rename(path)


def mirror() -> ModuleType:
    """Return :mod:`pipeline.runtime.mirror`, which itself writes whole files."""
    from pipeline.runtime import mirror

    return mirror


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2, Linux 3.15); False where that cannot be done."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def write_json(path: Path, value: Any, *, here: bool = False) -> None:
    """Write a value as indented JSON, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    value : object
        What JSON can hold; NaN and infinity are refused.
    here : bool, optional
        As for :func:`whole_file`.
    """
    with whole_file(path, here=here) as beside:
        beside.write_bytes(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return a value as indented JSON, as files hold it."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    object
        What it holds.
    """
    return json.loads(path.read_text(encoding="utf-8"))
