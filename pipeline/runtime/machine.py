"""How much of a machine this process may use, and which other processes are at work there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

# The driver (its scheduler, the tables of a region) wants its share beside the workers.
DRIVER_BYTES = 1 << 30
# What a worker needs for a block of many scenes; fewer workers start where there is less.
WORKER_BYTES = 2 << 30


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of processor cores that this process may keep busy.

    Parameters
    ----------
    root : pathlib.Path, optional
        Where ``proc`` and ``sys`` are; tests put a folder of their own here.

    Returns
    -------
    int
        The least of what affinity and the control groups (version 1 and 2) leave; at least 1.
    """
    found = [float(len(os.sched_getaffinity(0)))]
    for folder in _groups("cpu", root):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:
            quota = _text(folder / "cpu.cfs_quota_us")
            period = _text(folder / "cpu.cfs_period_us")
        # "max" and -1 mean no limit.
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            found.append(int(quota) / int(period))
    return max(1, int(min(found)))


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process and its workers may fill together.

    Parameters
    ----------
    root : pathlib.Path, optional
        Where ``proc`` and ``sys`` are; tests put a folder of their own here.

    Returns
    -------
    int
        The least of what the machine has and the control groups (version 1 and 2) leave.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _groups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(folder / name)
            if limit.isdigit():
                found.append(int(limit))
    return min(found)


def local_workers(count: int = 0, root: Path = Path("/")) -> tuple[int, int]:
    """Size a local cluster to the machine.

    Parameters
    ----------
    count : int, optional
        Workers asked for; 0: one per core, and no more than memory allows.
    root : pathlib.Path, optional
        As for :func:`usable_cores`.

    Returns
    -------
    workers : int
        How many to start.
    limit : int
        Bytes of memory of each.
    """
    room = max(usable_memory(root) - DRIVER_BYTES, WORKER_BYTES // 4)
    workers = count or max(1, min(usable_cores(root), room // WORKER_BYTES))
    return workers, room // workers


def process_began(pid: int) -> float | None:
    """Return when a process of this machine began, which tells it from others of its number.

    Parameters
    ----------
    pid : int
        Its number.

    Returns
    -------
    float or None
        Seconds since 1970; None: it is gone, or dead and only not yet taken leave of by the process
        that started it, which in a container may never happen.
    """
    try:
        process = psutil.Process(pid)
        began = process.create_time()
        return None if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else began
    except (psutil.NoSuchProcess, ValueError):
        return None


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the groups that limit this process, from its own to the outermost."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, place = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        # Version 1 mounts each controller by its name, version 2 all at one place.
        top = mounts / names if names else mounts
        inside = top / place.lstrip("/")
        # In a container the path may be the host's: what is mounted at the top counts then.
        for folder in (inside, *inside.parents):
            yield folder
            if folder == top:
                break


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
