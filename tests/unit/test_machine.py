"""What containers and batch jobs leave a process, read from folders that look like theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.runtime.machine import (
    DRIVER_BYTES,
    WORKER_BYTES,
    local_workers,
    usable_cores,
    usable_memory,
)

GIB = 1 << 30
BELOW = "sys/fs/cgroup"


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / BELOW / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture(autouse=True)
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 << 20}.get)


def test_without_limits_the_machine_counts(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", {"cpu.max": "max 100000", "memory.max": "max"})
    assert (usable_cores(root), usable_memory(root)) == (16, 64 * GIB)
    assert (usable_cores(tmp_path / "none"), usable_memory(tmp_path / "none")) == (16, 64 * GIB)


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        # Version 2 in a container of its own, and below a slice whose parent is tighter.
        ("0::/\n", {"cpu.max": "350000 100000", "memory.max": str(6 * GIB)}),
        (
            "0::/job/step\n",
            {
                "job/cpu.max": "350000 100000",
                "job/step/cpu.max": "max 100000",
                "job/memory.max": str(6 * GIB),
                "job/step/memory.max": str(9 * GIB),
            },
        ),
        # Version 1: folders by controller; -1 and a huge number mean none.
        (
            "4:memory:/job\n3:cpu,cpuacct:/job\n",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "350000",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "memory/job/memory.limit_in_bytes": str(6 * GIB),
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
        ),
        # The path is the host's and not there inside: what is mounted on top counts.
        ("0::/host/docker/abc\n", {"cpu.max": "350000 100000", "memory.max": str(6 * GIB)}),
    ],
)
def test_limits_of_both_versions_count(groups: str, files: dict[str, str], tmp_path: Path) -> None:
    root = machine(tmp_path, groups, files)
    assert usable_cores(root) == 3
    assert usable_memory(root) == 6 * GIB
    count, limit = local_workers(root=root)
    assert count == 2, "three cores, but memory for two"
    assert count * limit + DRIVER_BYTES <= 6 * GIB
    assert limit >= WORKER_BYTES


def test_a_share_of_one_core_is_one_worker(tmp_path: Path) -> None:
    files = {"cpu.max": "20000 100000", "memory.max": str(GIB)}
    assert usable_cores(machine(tmp_path, "0::/\n", files)) == 1
    assert local_workers(root=tmp_path) == (1, WORKER_BYTES // 4)


def test_workers_that_were_asked_for_share_the_memory(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", {"memory.max": str(9 * GIB)})
    assert local_workers(8, root) == (8, GIB)
