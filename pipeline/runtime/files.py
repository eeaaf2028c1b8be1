"""Files and folders of a workspace that are either whole or not there.

In a workspace on object storage the bucket gets them first.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from pipeline.runtime import mirror
from pipeline.runtime.atomic import (
    exchange,
    flush,
    json_bytes,
    local_file,
    mark,
    restore,
    stepped_aside,
    sweep,
)


def whole_file(path: Path) -> AbstractContextManager[Path]:
    """Yield a temporary name next to ``path``, and rename it to ``path`` once it is on disk.

    On an error nothing is left behind and what was at ``path`` stays as it was.

    Parameters
    ----------
    path : pathlib.Path
        Where the file belongs; its folder is made.

    Returns
    -------
    context manager of pathlib.Path
        A name in the same folder with the same suffix.
    """
    return local_file(path, first=lambda part: mirror.put(part, path))


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
    restore(path)
    sweep(path)
    beside = path.with_name(f".{path.name}.{mark()}")
    beside.mkdir()
    try:
        yield beside
        for part in (*beside.rglob("*"), beside):
            flush(part)
        put_in_place(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def put_in_place(new: Path, path: Path) -> None:
    """Let a folder take a path in one moment: who opens it finds the old or the new, never a mix.

    Linux exchanges the two names in one step; what was at ``path`` is then deleted. On a file
    system that cannot, the old folder steps aside first, and a process that is killed in between
    leaves it there for ``pipeline.runtime.atomic.restore``.

    Parameters
    ----------
    new : pathlib.Path
        The folder, in the same folder as ``path``; its files are on disk.
    path : pathlib.Path
        Where it belongs.
    """
    mirror.put_folder(new, path)
    if not path.exists():
        new.rename(path)
    elif exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = stepped_aside(path)
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        try:
            new.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    flush(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    value : object
        What JSON can hold; NaN and infinity are refused.
    """
    with whole_file(path) as part:
        part.write_bytes(json_bytes(value))
