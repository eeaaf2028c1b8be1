"""A region from catalogue to features, against IDinsight/mosaiks: ``make bench-region``.

    python tests/benchmarks/region.py PYTHON [--rounds 3] [--region bbox:5.8,2.1,6.0,2.3]

PYTHON is that of an environment with mosaiks 1.0.2, pystac 1.11 and torch. Both read the same
files of one date of the demo's landscape, write 1,024 columns of the same points (the cells'
centres, 550 m around each) with two worker processes of one thread, and start from nothing: the
time is that of the whole process. Ours uses torchgeo's recipe, which is the other's:
``relu(z - 1)`` and ``relu(1 - z)`` of 512 Gaussian filters of 3 x 3 px.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from timing import spread

from pipeline.demo import make_demo
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region

OUT = ROOT / "data" / "processed" / "bench" / "region.json"
DATE = "2022-01-20"
ALONE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("python", type=Path)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--region", default="bbox:5.8,2.1,6.0,2.3")
    options.add_argument("--out", type=Path, default=OUT)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        make_demo(folder / "demo", 1)
        _one_date(folder)
        region = resolve_region(given.region)
        cells = np.concatenate([region.cells(block) for block in region.blocks])
        lon, lat = grid.cell_centres(cells)
        pd.DataFrame({"lon": lon, "lat": lat}).to_csv(folder / "points.csv", index=False)
        print(f"{len(cells)} points in {len(region.blocks)} blocks, {DATE}", flush=True)

        def ours() -> float:
            return _ours(folder, given.region, len(cells))

        seconds = {"ours, not counted: it compiles the kernel": [ours()], "ours": [], "mosaiks": []}
        for _ in range(given.rounds):
            # One on either side of the other, whose run is long: the machine is not always as fast.
            before, theirs = ours(), _theirs(folder, given.python, len(cells))
            seconds["ours"].append((before + ours()) / 2)
            seconds["mosaiks"].append(theirs)
            print({name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
        ratios = np.divide(seconds["mosaiks"], seconds["ours"])
    record = {
        "points": len(cells), "blocks": len(region.blocks), "columns": 1024, "date": DATE,
        "seconds": seconds, "times_faster": spread(ratios), "rounds": given.rounds,
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["times_faster"]), given.out)


def _one_date(folder: Path) -> None:
    """Lay the scenes of the date into a catalogue of their own."""
    items = []
    for path in sorted((folder / "demo").glob("*/*/*.json")):
        item = json.loads(path.read_text())
        if not item["properties"]["datetime"].startswith(DATE):
            continue
        name = path.parent.name
        shutil.copytree(path.parent, folder / "one" / name)
        for asset in item["assets"].values():
            asset["href"] = f"./{name}/{Path(asset['href']).name}"
        items.append(item | {"links": []})
        # The peer reads each item by itself, and would look for the collection that it links to.
        alone = json.loads(path.read_text()) | {"links": []}
        (folder / "one" / name / path.name).write_text(json.dumps(alone))
    text = json.dumps({"type": "FeatureCollection", "features": items})
    (folder / "one" / "items.json").write_text(text)


def _run(words: list[str], **more: str) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=os.environ | ALONE | more
    )
    if done.returncode:
        raise SystemExit(f"{words[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def _ours(folder: Path, region: str, count: int) -> float:
    work = folder / "work"
    table = folder / "ours.parquet"
    command = "import sys; from pipeline.cli.main import main; sys.exit(main())"
    taken, _ = _run(
        [
            sys.executable, "-c", command, "features", "export", region,
            "--workspace", str(work), "--source", str(folder / "one"),
            "--recipe", "torchgeo", "--patches", "3",
            # Every pixel, cloud or not: the other does not look for clouds.
            "--scl-unclear", "0",
            "--filters", "512", "--workers", "2", "--grid", "0.005", "--out", str(table),
        ],
        PYTHONPATH=str(ROOT),
    )  # fmt: skip
    made = pq.read_metadata(table)
    # lon, lat and what is told beside the columns.
    if made.num_rows != count or made.num_columns < 1024:
        raise SystemExit(f"ours has {made.num_rows} rows of {made.num_columns} columns")
    shutil.rmtree(work)
    return taken


def _theirs(folder: Path, python: Path, count: int) -> float:
    table = folder / "theirs.parquet"
    script = Path(__file__).with_name("region_peer.py")
    words = [str(python), str(script), str(folder / "one"), str(folder / "points.csv"), str(table)]
    taken, said = _run(words)
    made = pq.read_metadata(table)
    if made.num_rows != count or made.num_columns != 1024 or "observed 1.0" not in said:
        raise SystemExit(f"mosaiks has {made.num_rows} rows of {made.num_columns} columns; {said}")
    return taken


if __name__ == "__main__":
    main()
