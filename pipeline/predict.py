"""Apply a model to the features of a region: one probability for each cell, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.model import Model, Predictions
from models.statement import Statement
from pipeline.classes import can_tell
from pipeline.composite import EPOCH
from pipeline.errors import NoClearPixelError
from pipeline.geo import grid
from pipeline.imagery.blend import NODATA
from pipeline.runtime.console import say
from pipeline.scenes import SceneList
from pipeline.workflow import ledger
from pipeline.workflow.cells import CellTable, read_cells
from pipeline.workflow.context import Context

VERSION = 3


@dataclass(frozen=True)
class Predicted:
    """A region's stored predictions and what they were made from.

    Parameters
    ----------
    scenes : SceneList
        The imagery.
    model : Model
        What was applied.
    why : Statement
        Why this model, in words.
    entry : ledger.Entry
        The stored table; ``read_predictions`` reads it.
    composites, features : list of ledger.Entry
        What they were computed from; for a model that looks there, of the blocks around too.
    """

    scenes: SceneList
    model: Model
    why: Statement
    entry: ledger.Entry
    composites: list[ledger.Entry]
    features: list[ledger.Entry]


def predict_cells(
    context: Context, features: Sequence[ledger.Entry], model: Model, blocks: Sequence[grid.Block]
) -> ledger.Entry:
    """Predict every cell of the region and store the table.

    Parameters
    ----------
    context : Context
        Where the store is.
    features : sequence of ledger.Entry
        Stored features of the blocks that have scenes, and of those around the region for a model
        that looks at the cells around each.
    model : Model
        Of the same bank.
    blocks : sequence of grid.Block
        All blocks of the region: cells without imagery are rows too.

    Returns
    -------
    ledger.Entry
        The stored table; ``read_predictions`` reads it.

    Raises
    ------
    NoClearPixelError
        If no cell could be predicted.
    """
    inputs = {
        "stage": "predictions",
        "version": VERSION,
        "region": context.region.geometry.wkt,
        "features": [entry.sha256 for entry in features],
        "model": model.sha256,
        "min_observed": context.config.model.min_observed,
        "prevalence": context.config.model.prevalence,
    }
    entry = ledger.make(
        context.store("predictions"),
        context.region.name,
        inputs,
        ".parquet",
        lambda path: _write(path, context, features, model, blocks),
    )
    facts = entry.facts or {}
    say(
        "predict",
        f"{facts['cells']} cells: {facts['predicted']} predicted with {model.name}, "
        f"{facts['cells'] - facts['predicted']} not observed, {facts['outside']} outside the "
        f"model's area ({facts['unlike']} of them unlike anything it was trained on)"
        + (" (reused)" if entry.reused else ""),
    )
    return entry


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read stored predictions.

    Returns
    -------
    pandas.DataFrame
        One row a cell: ``cell`` int64; ``probability`` float32, NaN where it cannot be told, its
        interval ``low`` to ``high``, ``labels`` (``mine``, ``not``, ``both``, ``neither`` or
        empty), ``dissimilarity`` and ``dispute`` float32 (1 at the model's thresholds) and
        ``applicable`` bool, see ``models.model.Predictions``; ``observed`` float32, share of
        windows; ``clear_observations`` float32; ``first_image`` and ``last_image`` ISO dates or
        None; ``scenes`` int16; ``in_training`` bool.
    """
    return pd.read_parquet(path)


def _write(
    path: Path,
    context: Context,
    features: Sequence[ledger.Entry],
    model: Model,
    blocks: Sequence[grid.Block],
) -> dict[str, Any]:
    by_block = {entry.unit: entry for entry in features}
    parts = []
    for block in blocks:
        wanted = context.region.cells(block)
        if not len(wanted):
            continue
        entry = by_block.get(block.name)
        if entry is None:
            parts.append(_unobserved(wanted))
            continue
        # One block at a time: memory does not grow with the region.
        cells = read_cells(entry, by_block, model.bank, model.manifest.neighbourhood)
        cells = cells.select(np.isin(cells.cell, wanted))
        cells.features[cells.observed < context.config.model.min_observed] = np.nan
        found = model.predict(
            cells.features,
            model.bank.hash,
            cells.quarters if model.manifest.quarters else None,
            context.config.model.prevalence or None,
        )
        parts.append(_table(cells, found, np.isin(cells.cell, model.cells)))
    table = pd.concat(parts, ignore_index=True).sort_values("cell", ignore_index=True)
    predicted = int(table["probability"].notna().sum())
    if predicted == 0:
        raise NoClearPixelError(
            f"not one cell of {context.region.name} was observed well enough to predict",
            next_step="choose a longer SEASON, or a smaller MIN_OBSERVED",
        )
    table.to_parquet(path, index=False)
    seen = table["probability"].notna()
    return {
        "cells": len(table),
        "predicted": predicted,
        "unlike": int((seen & ~can_tell(table["probability"], table["dissimilarity"])).sum()),
        "outside": int((seen & ~table["applicable"]).sum()),
    }


def _table(
    cells: CellTable, found: Predictions | None, in_training: NDArray[np.bool_]
) -> pd.DataFrame:
    if found is None:
        none = np.full(len(cells.cell), np.nan, np.float32)
        found = Predictions(none, none, none, np.full(len(none), ""), none, none)
    return pd.DataFrame(
        {
            "cell": cells.cell,
            "probability": found.probability,
            "low": found.low,
            "high": found.high,
            "labels": found.labels,
            "dissimilarity": found.dissimilarity,
            "dispute": found.dispute,
            "applicable": found.applicable,
            "observed": cells.observed,
            "clear_observations": cells.clear,
            "first_image": _dates(cells.first_day),
            "last_image": _dates(cells.last_day),
            "scenes": cells.scenes,
            "in_training": in_training,
        }
    )


def _unobserved(cells: NDArray[np.int64]) -> pd.DataFrame:
    none = np.zeros(len(cells), np.float32)
    days = np.full(len(cells), NODATA, np.int32)
    table = CellTable(
        cell=cells,
        features=none[:, None],
        quarters=none[:, None, None],
        observed=none,
        clear=none,
        first_day=days,
        last_day=days,
        scenes=np.zeros(len(cells), np.int16),
        shares=none[:, None],
    )
    return _table(table, None, np.zeros(len(cells), bool))


def _dates(days: NDArray[np.int32]) -> NDArray[np.object_]:
    values, index = np.unique(days, return_inverse=True)
    texts = [None if day == NODATA else (EPOCH + timedelta(int(day))).isoformat() for day in values]
    return np.array(texts, object)[index]
