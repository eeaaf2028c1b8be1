"""Files of this machine that are either whole or not there."""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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
def local_file(path: Path, first: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """Yield a temporary name next to ``path``, and rename it to ``path`` once it is on disk.

    On an error nothing is left behind and what was at ``path`` stays as it was.

    Parameters
    ----------
    path : pathlib.Path
        Where the file belongs; its folder is made.
    first : callable, optional
        Called with the finished file just before the rename.

    Yields
    ------
    pathlib.Path
        A name in the same folder with the same suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    part = aside(path)
    try:
        yield part
        flush(part)
        if first is not None:
            first(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """See that a file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def aside(path: Path) -> Path:
    """Return a name beside ``path`` for one attempt at it, which :func:`sweep` knows."""
    # Same suffix, since drivers look at it; the process's own name, since tasks may run twice.
    return path.with_name(f".{path.stem}.{mark()}{path.suffix}")


def sweep(path: Path) -> None:
    """Take away what killed processes left beside a path.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder that is written whole (:mod:`pipeline.runtime.files`). What was begun by a
        process of this machine that is gone, or by anybody more than a day ago, is deleted.
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


def mark() -> str:
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


def restore(path: Path) -> None:
    """Bring a folder back that stepped aside for another which never came.

    Parameters
    ----------
    path : pathlib.Path
        Where it stood.
    """
    if stepped_aside(path).exists() and not path.exists():
        stepped_aside(path).rename(path)


def stepped_aside(path: Path) -> Path:
    """Return the name of a folder that makes room for another."""
    return path.with_name(f".{path.name}.old")


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2, Linux 3.15); False where that cannot be done."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


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
