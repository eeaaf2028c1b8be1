"""A workspace on object storage, as a folder on each machine.

All code works with paths below that folder, the mirror. The name of the mirror says what it is a
mirror of (``s3+bucket+prefix``), so that a path alone tells every worker, on whatever machine,
which object it stands for. What is written is put into the bucket first and takes its place in the
folder then: what a mirror holds, the bucket has. Names that begin with a dot are half-written and
stay on the machine, and so do the places in ``_OF_THE_MACHINE``.

All this does nothing for a path in an ordinary folder. Blocks have their own way to the bucket
(``pipeline.runtime.commits``), and so have locks and journals.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import ConfigError
from pipeline.runtime.atomic import local_file
from pipeline.runtime.lease import confirm
from pipeline.runtime.objects import Bucket, bucket
from pipeline.runtime.probe import probe

_URL = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)/?"
)
_NAME = re.compile(r"s3\+[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\+[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")
# What other machines have no use for: imagery made anew, scripts with settings.
_OF_THE_MACHINE = ("raw/demo", "interim/submit", "interim/runs")
# What users put there, and what every verb may look at.
_EVERYBODYS = ("models", "layers", "raw/services")
_FILES = ("removals.csv",)
# A file that another process of this machine has written a moment ago may be newer than a listing.
_YOUNG_S = 3600
_FIRST_PATIENCE_S = 15  # nobody waits long for an endpoint that was never there


class Remote(NamedTuple):
    """What a path in a mirror stands for: ``bucket`` and ``key``."""

    bucket: Bucket
    key: str


def root_of(url: str, folder: str = "") -> Path:
    """Return the mirror of a workspace.

    Parameters
    ----------
    url : str
        ``s3://bucket`` or ``s3://bucket/prefix``.
    folder : str
        Folder that is to hold it; empty: ``asm-atlas`` in the user's cache.

    Returns
    -------
    pathlib.Path
        Absolute; it need not be there.

    Raises
    ------
    ConfigError
        If it is no such address; it is not repeated, since it may hold somebody's key.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(
            "workspace must be a folder or s3://bucket/prefix, of letters, digits, '.', '_', '=' "
            "and '-'",
            next_step="keys belong into AWS's own settings (AWS_PROFILE), never into the address",
        )
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(folder) if folder else Path(cache) / "asm-atlas"
    return home.absolute() / f"s3+{found[1]}{found[2].replace('/', '+')}"


def is_mirror(path: Path) -> bool:
    """Tell whether a path lies in a mirror."""
    return any(map(_names_a_mirror, path.parts))


def _names_a_mirror(part: str) -> bool:
    return part.startswith("s3+") and _NAME.fullmatch(part) is not None


def remote_of(path: Path, *, blocks: bool = False) -> Remote | None:
    """Return the object that a path stands for.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder.
    blocks : bool
        Whether places that are of the machine count too: locks, journals.

    Returns
    -------
    Remote or None
        None: it stands for itself alone.
    """
    parts = path.parts
    place = next((at for at, part in enumerate(parts) if _names_a_mirror(part)), None)
    if place is None:
        return None
    below = parts[place + 1 :]
    key = "/".join(below)
    mine = any(key == one or key.startswith(f"{one}/") for one in _OF_THE_MACHINE)
    if any(one.startswith(".") for one in below) or (mine and not blocks):
        return None
    _, name, *prefix = parts[place].split("+")
    return Remote(bucket(name), "/".join([*prefix, *below]))


def put(file: Path, path: Path) -> None:
    """Put a file into the bucket that is about to take its place at ``path``."""
    remote = remote_of(path)
    if remote is not None:
        remote.bucket.upload(file, remote.key)


def put_folder(folder: Path, path: Path) -> None:
    """Put a folder into the bucket that is about to take its place at ``path``.

    Manifests go last: a folder without one does not count. What the bucket had there and the folder
    has not is deleted.
    """
    remote = remote_of(path)
    if remote is None:
        return
    files = sorted(
        (one for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".")),
        key=lambda one: (one.name == "manifest.json", one),
    )
    keys = [f"{remote.key}/{one.relative_to(folder).as_posix()}" for one in files]
    for file, key in zip(files, keys, strict=True):
        remote.bucket.upload(file, key)
    known = set(keys)
    old = [one.key for one in remote.bucket.listed(f"{remote.key}/") if one.key not in known]
    remote.bucket.delete(old)


def removed(path: Path) -> None:
    """Delete the object of a file that was deleted."""
    remote = remote_of(path)
    if remote is not None:
        remote.bucket.delete([remote.key])


def fetched(path: Path) -> Path:
    """Bring a file here as the bucket has it now, if it has it.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    pathlib.Path
        The same path; no file is there if there is no object.
    """
    remote = remote_of(path)
    if remote is None:
        return path
    found = remote.bucket.get(remote.key)
    if found is None:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_bytes() != found.data:
        with local_file(path) as beside:
            beside.write_bytes(found.data)
    return path


def fetched_folder(path: Path, pattern: str = "*") -> Path:
    """Make a folder here what the bucket has below it.

    Parameters
    ----------
    path : pathlib.Path
        The folder.
    pattern : str
        Of the names of its files, as of ``Path.match``; others stay as they are.

    Returns
    -------
    pathlib.Path
        The same path.
    """
    remote = remote_of(path)
    if remote is None:
        return path
    there = {}
    for one in remote.bucket.listed(f"{remote.key}/"):
        name = one.key[len(remote.key) + 1 :]
        if _is_plain(name) and Path(name).match(pattern):
            there[path / name] = one
    # A manifest says that the others are there: it comes last.
    for file in sorted(there, key=lambda file: (file.name == "manifest.json", file)):
        if tag_of(file) != there[file].etag.strip('"'):
            _download(remote.bucket, there[file].key, file)
    here = (one for one in path.rglob(pattern) if one.is_file() and not one.is_symlink())
    _drop(one for one in here if one not in there and not one.name.startswith("."))
    return path


def point(link: Path, name: str) -> None:
    """Let ``latest`` in the bucket name a run, by one write."""
    remote = remote_of(link)
    if remote is not None:
        confirm()  # a run that has lost its lock publishes nothing
        remote.bucket.put(remote.key, name.encode())


def fetched_run(url: str, folder: str = "") -> Path:
    """Bring a published run here by its address, such as ``s3://bucket/x/processed/demo/latest``.

    Returns
    -------
    pathlib.Path
        Its folder.
    """
    path = root_of(url, folder)
    remote = remote_of(path)
    named = remote.bucket.get(remote.key) if remote is not None else None
    if named is not None:
        parent, name = url.rstrip("/").rpartition("/")[0], named.data.decode()
        path = root_of(f"{parent}/{name}", folder)
    return fetched_folder(path)


@cache
def opened(root: Path) -> None:
    """Look at a workspace before its first use: what it can, and what users have put there.

    Parameters
    ----------
    root : pathlib.Path
        Of a mirror; else nothing is done.

    Raises
    ------
    ObjectStoreError
        If there is no bucket or no answer, if it is refused, or if conditions are not kept.
    """
    remote = remote_of(root)
    if remote is None:
        return
    store, usual = remote.bucket, remote.bucket.patience_s
    store.patience_s = min(usual, _FIRST_PATIENCE_S)
    try:
        if not (root / ".probed").is_file():
            probe(store, f"{remote.key}/" if remote.key else "")
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            (root / ".probed").touch()
        for name in _EVERYBODYS:
            fetched_folder(root / name)
        for name in _FILES:
            fetched(root / name)
    finally:
        store.patience_s = usual


def _download(store: Bucket, key: str, path: Path) -> None:
    """Read an object into a file, if it still is there."""
    with contextlib.suppress(FileNotFoundError), local_file(path) as beside:
        if not store.download(key, beside):
            raise FileNotFoundError(key)


def tag_of(path: Path) -> str:
    """Return the tag that an object of a file's content mostly has; empty: there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return ""


def _is_plain(name: str) -> bool:
    """Tell whether a key can be a path below a folder: a bucket may hold anything."""
    parts = name.split("/")
    return all(part and not part.startswith(".") and "\\" not in part for part in parts)


def _drop(paths: Iterable[Path]) -> None:
    """Delete files that the bucket has no longer, but not those of a moment ago."""
    for path in list(paths):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _YOUNG_S:
                path.unlink()
