"""Seconds and memory of publishing a quarter of a million cells, in a process of its own.

    python tests/benchmarks/publishing.py [public|restricted] [ROWS COLUMNS]

The landscape is that of the tests, invented; the figures are in docs/benchmarks.md.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).parents[1]))

from sample_map import THRESHOLDS, make_joined, make_run

from pipeline.map.folder import publish
from pipeline.sites.candidates import Search, find_candidates


def main(disclosure: str = "public", rows: str = "500", columns: str = "500") -> None:
    """Publish once, and say how long it took and what it needed."""
    joined = make_joined(north=4.0, rows=int(rows), cols=int(columns))
    cells = _spotted(joined.cells, int(rows), int(columns))
    started = time.perf_counter()
    candidates = find_candidates(cells, None, Search(THRESHOLDS["likely"], random=20))
    made = time.perf_counter() - started
    joined = replace(joined, cells=cells, candidates=candidates)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    folder = Path(tempfile.mkdtemp())
    started = time.perf_counter()
    counts = publish(joined, make_run(disclosure=disclosure), folder / "map")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    size = sum(path.stat().st_size for path in (folder / "map").iterdir()) / 2**20
    print(
        f"{disclosure}: {len(joined.cells):,} cells, {counts['cells']:,} squares, "
        f"{counts['candidates']:,} candidates: {seconds:.1f} s, peak {peak:.0f} MiB "
        f"({before:.0f} MiB before), {size:.0f} MiB written; the candidates took {made:.1f} s"
    )
    shutil.rmtree(folder)


def _spotted(cells: pd.DataFrame, rows: int, columns: int) -> pd.DataFrame:
    """Spots all over the map, as no real map has them: thousands of candidates."""
    rough = gaussian_filter(np.random.default_rng(1).standard_normal((rows, columns)), 1.2)
    rank = rough.argsort(axis=None).argsort() / rough.size
    score = np.interp(rank, [0, 0.92, 0.97, 1], [0, *THRESHOLDS.values(), 1]).astype(np.float32)
    kinds = np.array(["unlikely", "possible", "likely"])
    named = kinds[np.digitize(score, np.float32(list(THRESHOLDS.values())))]
    return cells.assign(probability=score, **{"class": named})


if __name__ == "__main__":
    main(*sys.argv[1:])
