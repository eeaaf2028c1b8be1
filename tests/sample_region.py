"""A region with predictions and a known truth, for tests that draw samples from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from imagery import make_context
from sample_model import sample_bank
from test_train import ABOUT, table

from models.registry import load_model
from models.statement import Statement
from pipeline.predict import Predicted
from pipeline.runtime.atomic import sha256_of
from pipeline.training.register import register_models
from pipeline.workflow.context import Context
from pipeline.workflow.ledger import Entry

BANK = sample_bank(patches=(3,), count=3)
THRESHOLDS = {"possible": 0.2, "likely": 0.6}


def make_world(folder: Path, **keys: Any) -> tuple[Context, Predicted, pd.Series]:
    """Surroundings, predictions of the demo's 4800 cells, and which of them hold a mine.

    The scores are honest: of the cells of score p a share of p are mines.
    """
    context = make_context(folder, region="demo", disclosure="restricted", **keys)
    region = context.region
    cell = np.sort(np.concatenate([region.cells(block) for block in region.blocks]))
    rng = np.random.default_rng(8)
    score = rng.beta(0.12, 2.2, len(cell)).astype(np.float32)
    mine = pd.Series(rng.random(len(cell)) < score, index=cell)
    score[rng.random(len(cell)) < 0.03] = np.nan
    cells = pd.DataFrame(
        {
            "cell": cell,
            "probability": score,
            "first_image": "2021-12-06",
            "last_image": "2022-02-24",
            "in_training": rng.random(len(cell)) < 0.02,
        }
    )
    path = folder / "predictions.parquet"
    cells.to_parquet(path)
    registry = folder / "work" / "models"
    register_models(table(), BANK, replace(ABOUT, simulated=True), registry, kinds=["ridge"])
    model = load_model(registry / "here-ridge")
    model = replace(model, manifest=replace(model.manifest, thresholds=THRESHOLDS))
    predicted = Predicted(
        scenes=SimpleNamespace(simulated=True),  # type: ignore[arg-type]
        model=model,
        why=Statement(),
        entry=Entry("demo", str(path), sha256_of(path)),
        composites=[],
        features=[],
    )
    return context, predicted, mine
