"""Two seasons of the demo with one worker and with two: what the second is worth on real work.

Both seasons are composited, featurized and compared (``monitor``): 24 blocks, after 6 of the
training ground. Half as many would take so little that imports and the last block count. Each run
has a workspace of its own with the same imagery; the times are those of the journal, from a stage's
first line to its last block, so that the start of the workers is in them. One worker and two take
turns, since one round tells 0.05 more or less than the next; the median is judged.

``python tests/benchmarks/workers.py`` writes ``data/processed/bench/workers.json``; nothing else
should be at work on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from pipeline.cli.status import read_run

COUNTS = (1, 2)
LEAST_GAIN = 1.8
SEASONS = ("--from", "2021-12..2022-02", "--to", "2023-12..2024-02")


def atlas(workspace: Path, *arguments: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ASM_ATLAS_")}
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments, "--workspace", str(workspace)],
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def seconds(workspace: Path) -> dict[str, float]:
    """Seconds of the stages of a run, those of its training ground among them."""
    found: dict[str, float] = {}
    (journal,) = (workspace / "interim" / "runs").glob("*.jsonl")
    with journal.open(encoding="utf-8") as file:
        for state in read_run(file).stages:
            took = (state.last - state.begun).total_seconds()
            found[state.stage] = round(found.get(state.stage, 0.0) + took, 2)
    return found


def measured(source: Path, parent: Path, count: int) -> dict[str, float]:
    """Seconds of each stage with so many workers, in a workspace that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        workspace = Path(name)
        shutil.copytree(source / "raw", workspace / "raw")
        atlas(workspace, "monitor", "demo", *SEASONS, "--workers", str(count))
        return seconds(workspace)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=ROOT / "data/processed/bench/workers.json")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        atlas(source, "demo")
        for _ in range(given.rounds):
            rounds.append({count: measured(source, Path(name), count) for count in COUNTS})
            print(rounds[-1], flush=True)
    gains = [sum(took[1].values()) / sum(took[2].values()) for took in rounds]
    gain = statistics.median(gains)
    found = {
        "seconds": rounds,
        "gains": [round(one, 3) for one in gains],
        "gain": round(gain, 3),
        "least": LEAST_GAIN,
        "load_at_the_end": os.getloadavg()[0],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0 if gain >= LEAST_GAIN else 1


if __name__ == "__main__":
    raise SystemExit(main())
