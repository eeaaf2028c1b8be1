"""A continent's blocks without their pixels: what each costs, and whose memory grows with them.

240,000 blocks go through the same calls as real ones (``Workers.map``, the journal) on a local
cluster; their work is a task that gives a ledger's entry back at once. The driver, which holds the
scheduler too, is watched from outside.

``python tests/benchmarks/scale.py`` writes ``data/processed/bench/scale.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import psutil

from pipeline.cli.status import status_lines
from pipeline.config import Config
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.runtime.cluster import workers
from pipeline.runtime.journal import journal
from pipeline.workflow import ledger
from pipeline.workflow.context import Context
from pipeline.workflow.session import journal_file

AFTER = 10_000
MOST_MS = 2.0
MOST_GROWTH = 0.2


def stand_in(block: grid.Block) -> ledger.Entry:
    """Do what a stored block's task does, without its pixels and files."""
    inputs = {"stage": "stand-in", "block": block.name}
    key = ledger.key_of(inputs)
    return ledger.Entry(block.name, f"{block.name}/{key}.tif", key * 4, {"clear_share": 1.0})


def blocks(count: int) -> Iterator[grid.Block]:
    """Blocks row by row, as those of a continent."""
    for number in range(count):
        yield grid.Block(600 + number // 700, 1600 + number % 700)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--blocks", type=int, default=240_000)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--out", type=Path, default=ROOT / "data/processed/bench/scale.json")
    given = options.parse_args()
    driver = psutil.Process()
    memory: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as name:
        config = Config().with_keys(region="demo", workspace=name)
        region = resolve_region("demo")
        with (
            workers("local", given.workers) as pool,
            journal.opened(journal_file(config, region.name)),
        ):
            context = Context(config, region, pool)
            list(pool.map(stand_in, blocks(50)))  # the workers start
            begun = time.perf_counter()
            used = driver.cpu_times()
            journal.stage("composite", region.name, context.season, given.blocks, 0)
            for number, (_, entry) in enumerate(pool.map(stand_in, blocks(given.blocks)), 1):
                journal.block("composite", entry.unit, entry.seconds, entry.error)
                if number % 2_000 == 0:
                    memory.append((number, driver.memory_info().rss / 2**20))
                if number % 20_000 == 0:
                    print(f"{number} blocks, {memory[-1][1]:.0f} MiB", flush=True)
            seconds = time.perf_counter() - begun
            busy = driver.cpu_times()
        asked = time.perf_counter()
        lines = status_lines(config, region)
        status_seconds = time.perf_counter() - asked
    print("\n".join(lines))
    late = [mib for number, mib in memory if number >= min(AFTER, given.blocks)]
    growth = max(late) / late[0] - 1
    ms = 1000 * seconds / given.blocks
    found = {
        "blocks": given.blocks,
        "workers": given.workers,
        "milliseconds_a_block": round(ms, 3),
        "processor_milliseconds_a_block": round(
            1000 * (busy.user + busy.system - used.user - used.system) / given.blocks, 3
        ),
        "driver_and_scheduler_mib_at_10000": round(late[0], 1),
        "driver_and_scheduler_mib_at_the_end": round(late[-1], 1),
        "growth_from_10000": round(growth, 4),
        "status_seconds": round(status_seconds, 2),
        "most_milliseconds": MOST_MS,
        "most_growth": MOST_GROWTH,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0 if ms < MOST_MS and growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    raise SystemExit(main())
