"""One run of a region at a time on object storage: a lease, which its holder renews.

The lock is an object, written on conditions only, so that one of two takers gets it. A holder that
dies renews it no longer, and after ``LEASE_S`` by the store's clock anybody may take it; at once,
if it was a process of the same machine that is seen to be gone. A holder that finds another in its
place stops.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import ObjectStoreError, RunLockedError
from pipeline.runtime.machine import process_began
from pipeline.runtime.objects import PATIENCE_S, Bucket, Found

LEASE_S = 60.0
RENEW_S = 15.0
AGAIN_S = 20.0
# The end of a run does not wait for a store that is gone: the lease runs out by itself.
_LAST_PATIENCE_S = 10.0
_held: list[Lease] = []


class Lease:
    """A lock that this process holds.

    Parameters
    ----------
    store : Bucket
        Where.
    key : str
        The lock's object.
    about : dict
        Who holds it: ``host``, ``pid``, ``since``, ``command``.

    Attributes
    ----------
    lost : RunLockedError or None
        Set once another has taken it.
    noticed : bool
        Whether the run is ending for that.
    """

    def __init__(self, store: Bucket, key: str, about: dict[str, Any]) -> None:
        # Of its own, for its own patience.
        self.store, self.key = Bucket(store.name), key
        process = psutil.Process()
        self._about = about | {"machine": _machine(), "began": process.create_time()}
        self._tag = ""
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.lost: RunLockedError | None = None
        self.noticed = False

    def take(self) -> None:
        """Get it, and renew it from now on; ``RunLockedError``: somebody else has it."""
        now = self.store.get(self.key)
        for _ in range(3):
            if now is not None and (who := _holder(now)):
                raise refusal(who, f"s3://{self.store.name}/{self.key}")
            told = (
                self.store.create(self.key, self._text())
                if now is None
                else self.store.swap(self.key, self._text(), now.etag)
            )
            if told is not None:
                self._tag = told
                self._thread.start()
                return
            now = self.store.get(self.key)
        raise RunLockedError(
            "several runs want to begin at once",
            where=f"s3://{self.store.name}/{self.key}",
            next_step="start one of them again",
        )

    def renew(self, patience_s: float = RENEW_S) -> None:
        """Write it anew; ``RunLockedError``: it is another's by now."""
        with self._guard:
            self.store.patience_s = patience_s
            if self.lost is not None:
                raise self.lost
            told = self.store.swap(self.key, self._text(), self._tag)
            if told is None:
                now = self.store.get(self.key)
                where = f"s3://{self.store.name}/{self.key}"
                what = "the lock was lost to another run"
                self.lost = refusal(_holder(now) if now else {}, where, what)
                raise self.lost
            self._tag = told

    def end(self) -> None:
        """Give it back, if it still is this process's."""
        self._ended.set()
        with contextlib.suppress(ObjectStoreError), self._guard:
            self.store.patience_s = _LAST_PATIENCE_S
            if self.lost is None:
                self.store.swap(
                    self.key, json.dumps({"free": uuid.uuid4().hex}).encode(), self._tag
                )

    def _text(self) -> bytes:
        return json.dumps(self._about | {"written": uuid.uuid4().hex}).encode()

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                self.renew()
            except RunLockedError:
                # A signal that comes just before the main thread begins to wait is heard after it.
                while not self._ended.is_set() and not self.noticed:
                    _interrupt()
                    self._ended.wait(AGAIN_S)
                return
            except ObjectStoreError:
                continue  # if it has run out meanwhile, the next answer says whose it is


@contextmanager
def held(store: Bucket, key: str, about: dict[str, Any]) -> Iterator[Lease]:
    """Hold the lock of a region on object storage.

    Parameters
    ----------
    store : Bucket
        Where.
    key : str
        The lock's object.
    about : dict
        What those who are refused are told.

    Yields
    ------
    Lease
        It is renewed until the end.

    Raises
    ------
    RunLockedError
        If another has it; or later, if another has taken it after this process had not renewed it
        for ``LEASE_S``.
    """
    lease = Lease(store, key, about)
    lease.take()
    _held.append(lease)
    try:
        yield lease
    except KeyboardInterrupt:
        lease.noticed = True
        if lease.lost is not None:
            raise lease.lost from None
        raise
    finally:
        _held.remove(lease)
        lease.end()


def confirm() -> None:
    """See that the leases of this process are still its own: asked before a run is published."""
    for lease in _held:
        lease.renew(PATIENCE_S)


def lost() -> RunLockedError | None:
    """Return why this process must stop, if it must; asked when it does."""
    for lease in _held:
        if lease.lost is not None:
            lease.noticed = True
            return lease.lost
    return None


def holder(store: Bucket, key: str) -> dict[str, Any] | None:
    """Say who holds a lock on object storage; None: nobody does."""
    found = store.get(key)
    return (_holder(found) or None) if found is not None else None


def _holder(found: Found) -> dict[str, Any]:
    """Return who holds a lock that is alive; empty: nobody."""
    try:
        who = json.loads(found.data)
    except ValueError:
        return {}
    if not isinstance(who, dict) or "pid" not in who or found.age_s > LEASE_S:
        return {}
    if who.get("machine") == _machine():
        try:
            began = process_began(int(who["pid"]))
        except (ValueError, TypeError):
            return {}
        if began is None or began != who.get("began"):
            return {}
    return who


def refusal(
    who: dict[str, Any], where: str, what: str = "another run is at work here"
) -> RunLockedError:
    """Say who holds a lock.

    Parameters
    ----------
    who : dict
        ``command``, ``pid``, ``host`` and ``since``, as far as they are known.
    where : str
        The lock.
    what : str, optional
        What its holder is to whoever is refused.

    Returns
    -------
    RunLockedError
        To be raised.
    """
    return RunLockedError(
        f"{what}: {who.get('command', 'unknown')}, process {who.get('pid', '?')} on "
        f"{who.get('host', '?')} since {who.get('since', '?')}",
        where=where,
        next_step="wait for it (asm-atlas status), or end that process: the lock goes with it, in "
        f"a bucket {LEASE_S:.0f} s after",
    )


def _machine() -> str:
    """Return what tells one machine, and one container on it, from others while it is up."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    space = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    return hashlib.sha256(f"{boot}{space}{socket.gethostname()}".encode()).hexdigest()[:16]


def _interrupt() -> None:
    """Interrupt the main thread as a batch system does, which ``session`` takes for Ctrl-C."""
    usual = signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN)
    number = signal.SIGINT if usual else signal.SIGTERM
    signal.pthread_kill(threading.main_thread().ident or 0, number)
