"""How much memory one run takes beyond its inputs and its ready filters."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path


def peak_of_numpy(run: Callable[[], object]) -> float:
    """MiB of arrays that the first call of a kernel has at once, its thread's scratch included."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return round((tracemalloc.get_traced_memory()[1] - before) / 2**20, 3)
    finally:
        tracemalloc.stop()


def peak_in_a_child(case: str, peer: str, settings: tuple[int, ...]) -> float | None:
    """MiB by which a peer's run, as it was tuned, raises its process's resident memory at most.

    A run of a small image comes before, for what libraries keep. None where the system does not
    tell (not Linux).
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    here = Path(__file__).parent
    told = subprocess.run(
        [sys.executable, str(here / "run.py"), "--peak", case, peer, *map(str, settings)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(told.stdout.split()[-1])


def peak_of_process(run: Callable[[], object]) -> float:
    """MiB by which a run raises this process's resident memory at most."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return round((_status("VmHWM") - before) / 1024, 1)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise KeyError(key)
