"""The journal of a run on object storage, which knows no appending: numbered pieces of it.

Every ``EVERY_S`` the newest piece is put anew, until it is ``PIECE_BYTES`` long; then the next one
begins. So a machine that is lost takes the last ``EVERY_S`` of the journal along, never a block:
the truth about blocks is in their entries.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ObjectStoreError
from pipeline.runtime.mirror import Remote, remote_of
from pipeline.runtime.objects import Bucket

EVERY_S = 10.0
PIECE_BYTES = 1 << 20


@contextmanager
def shared(own: Path) -> Iterator[None]:
    """Put a journal into the bucket while it is written.

    Parameters
    ----------
    own : pathlib.Path
        The journal on this machine; in an ordinary folder nothing is done.

    Yields
    ------
    None
        While it goes on.
    """
    remote = remote_of(own, blocks=True)
    if remote is None:
        yield
        return
    pieces = _Pieces(own, remote)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(EVERY_S):
            with contextlib.suppress(ObjectStoreError):  # the next time has it all
                pieces.put()

    pieces.begin()
    pieces.store.patience_s = EVERY_S
    thread = threading.Thread(target=keep, name="journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=EVERY_S)
        with contextlib.suppress(ObjectStoreError):
            pieces.put()


def lines(own: Path) -> Iterator[str]:
    """Return the lines of a region's last journal.

    Parameters
    ----------
    own : pathlib.Path
        The journal; on object storage the bucket's is read, by whichever machine it was written.

    Yields
    ------
    str
        Its lines; one that was cut short is one of them.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    remote = remote_of(own, blocks=True)
    if remote is None:
        with own.open(encoding="utf-8", errors="replace") as file:
            yield from file
        return
    there = list(remote.bucket.listed(f"{remote.key}/"))
    if not there:
        raise FileNotFoundError(own)
    run = min(there, key=lambda one: one.age_s).key.rpartition("-")[0]
    keys = [one.key for one in there if one.key.startswith(f"{run}-")]
    found = dict(remote.bucket.get_many(keys))
    text = b"".join(found[key].data for key in keys if key in found)
    yield from text.decode("utf-8", "replace").splitlines()


class _Pieces:
    """What has been put of one journal."""

    def __init__(self, own: Path, remote: Remote) -> None:
        self.store = Bucket(remote.bucket.name)
        self._own, self._home = own, f"{remote.key}/"
        self._run = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"
        self._number = self._start = self._size = 0
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Put the first piece, and delete those of the run before."""
        old = [one.key for one in self.store.listed(self._home)]
        self.put()
        self.store.delete(old)

    def put(self) -> None:
        """Put what is new."""
        with self._guard, self._own.open("rb") as file:
            file.seek(self._start)
            text = file.read()
            if len(text) == self._size and self._number + self._size:
                return
            self.store.put(f"{self._home}{self._run}-{self._number:06d}.jsonl", text)
            self._size = len(text)
            if len(text) >= PIECE_BYTES:
                self._start, self._number, self._size = self._start + len(text), self._number + 1, 0
