"""One run of a region at a time: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.runtime.lease import held, refusal
from pipeline.runtime.lease import holder as lease_holder
from pipeline.runtime.mirror import remote_of

# Who only looks whether the lock is held has it for a moment.
_PATIENCE_S = 1.0
# What a file system says that knows no locks (Lustre mounted without ``flock``, some FUSE).
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def only_run(path: Path, command: str) -> Iterator[bool]:
    """Hold the lock of a region.

    The file stays; what counts is the lock on it (flock), which ends with the process, however that
    ends, and is not handed on to the workers that it starts. A workspace on object storage has a
    lease besides (:mod:`pipeline.runtime.lease`), for other machines.

    Parameters
    ----------
    path : pathlib.Path
        The lock's file; its folder is made.
    command : str
        What the run does, for those who are refused.

    Yields
    ------
    bool
        False where the file system knows no locks: then nobody is refused.

    Raises
    ------
    RunLockedError
        If another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        locked = _take(descriptor, path)
        about = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "command": command,
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)
        remote = remote_of(path, blocks=True)
        lease = contextlib.nullcontext() if remote is None else held(*remote, about)
        try:
            with lease:
                yield locked or remote is not None
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> dict[str, Any] | None:
    """Say who holds a lock.

    Parameters
    ----------
    path : pathlib.Path
        The lock's file.

    Returns
    -------
    dict or None
        ``host``, ``pid``, ``since`` and ``command``, as far as they are known; None: nobody does.
    """
    remote = remote_of(path, blocks=True)
    if remote is not None:
        return lease_holder(*remote)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _about(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int, path: Path) -> bool:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(0.05)
                continue
            raise refusal(_about(descriptor), str(path)) from None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise


def _about(descriptor: int) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(os.pread(descriptor, 4096, 0))
        if isinstance(found, dict):
            return found
    return {}
