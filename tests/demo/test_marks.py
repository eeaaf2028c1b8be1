"""The demo from end to end against its marks, beside a forest on each cell's band statistics.

Slow: the landscape is written, composited, featurized and mapped for every seed of ``DEMO_SEEDS``;
the default was not tuned on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from pipeline import composite
from pipeline.evaluation.evaluate import evaluate_region
from pipeline.geo import grid
from pipeline.scenes import load_scenes
from pipeline.sites.truth import read_truth
from pipeline.train import dataset_region
from pipeline.training.dataset import read_dataset
from pipeline.workflow.context import Context

SEEDS = [int(seed) for seed in os.environ.get("DEMO_SEEDS", "20261").split(",")]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_demo_reaches_its_marks(seed: int, landscape: Callable[[int], Context]) -> None:
    # The truth lies out of the pipeline's reach before it starts.
    context = landscape(seed)
    truth = Path(context.config.workspace.path) / "truth" / "truth.gpkg"
    result = evaluate_region(context, str(truth), None)
    baseline = band_forest(context, truth)
    auc = result.scores["auc"]
    recall = result.mines["2 ha or more"]["false_5_percent"]
    print(
        f"\nseed {seed}: AUC {auc:.3f}, band forest {baseline:.3f}, recall from 2 ha {recall:.2f}"
    )
    assert auc >= 0.93
    assert auc >= baseline + 0.03
    assert recall >= 0.8
    kinds = result.lookalikes["kinds"]
    assert {"sandbar", "farm_pond", "industrial_pit"} <= set(kinds)


def band_forest(context: Context, truth: Path) -> float:
    """AUC on the held-out part of a forest on band means and deviations, same labels and cells."""
    training = context.at("demo-train")
    dataset_region(training, only=True)
    stored = sorted(training.store("dataset").glob("demo-train/*.parquet"))
    table = read_dataset(stored[-1])
    cells, statistics = band_statistics(context)
    place = {cell: row for row, cell in enumerate(cells)}
    rows = [place[cell] for cell in table.cell.tolist()]
    forest = RandomForestClassifier(300, min_samples_leaf=2, random_state=0, n_jobs=2)
    forest.fit(statistics[rows], table.label)
    held = context.at("demo-heldout").region
    wanted = np.concatenate([held.cells(block) for block in held.blocks])
    labels = read_truth(truth, wanted)
    known = labels.cells.set_index("cell")["positive_ha"].reindex(wanted).fillna(0).to_numpy()
    clear = (known == 0) | (known >= labels.unit_ha)
    scores = forest.predict_proba(statistics[[place[cell] for cell in wanted.tolist()]])[:, 1]
    return float(roc_auc_score(known[clear] > 0, scores[clear]))


def band_statistics(context: Context) -> tuple[list[int], NDArray[Any]]:
    """Mean and standard deviation of every band in every cell."""
    entries = composite.composite_blocks(context, load_scenes(context), context.region.blocks)
    cells, rows = [], []
    for entry in entries:
        block = grid.Block.from_name(entry.unit)
        pixels = composite.read_composite(entry.path)["reflectance"].to_numpy()
        side, px = grid.CELLS_PER_BLOCK, grid.CELL_PX
        inner = pixels[:, : grid.BLOCK_PX, : grid.BLOCK_PX].reshape(-1, side, px, side, px)
        inner = inner.transpose(1, 3, 0, 2, 4).reshape(side * side, len(pixels), px * px)
        cells += block.cells().reshape(-1).tolist()
        rows.append(np.concatenate([np.nanmean(inner, axis=2), np.nanstd(inner, axis=2)], axis=1))
    return cells, np.nan_to_num(np.concatenate(rows))
