"""Blocks of two seasons -> the change of every cell's score, stored block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.change import Rows, compare_times
from models.model import Model
from pipeline.errors import StoreCorruptError
from pipeline.geo import grid
from pipeline.runtime.mirror import fetched_folder
from pipeline.training.model_choice import load_named
from pipeline.workflow import ledger
from pipeline.workflow.blocks import BlockStage, run_blocks
from pipeline.workflow.cells import read_cells
from pipeline.workflow.context import Context

# Raise it when the same features give another difference.
VERSION = 1
COLUMNS = ("cell", "change", "change_low", "change_high")


@dataclass(frozen=True)
class _Pair:
    """One block at both times, with those around it for a model that looks there."""

    unit: str
    first: dict[str, ledger.Entry]
    second: dict[str, ledger.Entry]


@dataclass(frozen=True)
class Differencing(BlockStage[_Pair]):
    """The stage of ``monitor`` that compares a block with itself at another time.

    Parameters
    ----------
    workspace, model, model_sha256 : str
        Where a worker finds the model.
    min_observed : float
        Cells of which less was observed are not compared.
    """

    workspace: str
    model: str
    model_sha256: str
    min_observed: float
    verb = "monitor"
    store = "changes"
    suffix = ".parquet"

    def unit(self, item: _Pair) -> str:
        """Return the name of the block."""
        return item.unit

    def follows(self, item: _Pair) -> bool:
        """Return whether this run made any of the features."""
        return not all(
            entry.reused for time in (item.first, item.second) for entry in time.values()
        )

    def inputs(self, item: _Pair) -> dict[str, Any]:
        """Return what the result depends on."""
        return {
            "stage": "changes",
            "version": VERSION,
            "block": item.unit,
            "first": {name: entry.sha256 for name, entry in item.first.items()},
            "second": {name: entry.sha256 for name, entry in item.second.items()},
            "model": self.model_sha256,
            "min_observed": self.min_observed,
        }

    def write(self, path: Path, item: _Pair) -> dict[str, Any]:
        """Compare the two times and write the differences."""
        model = _load(self.workspace, self.model, self.model_sha256)
        about = model.manifest
        cells = grid.Block.from_name(item.unit).cells().reshape(-1)
        times = []
        for around in (item.first, item.second):
            table = read_cells(around[item.unit], around, model.bank, about.neighbourhood)
            assert np.array_equal(table.cell, cells)
            table.features[table.observed < self.min_observed] = np.nan
            times.append(Rows(table.features, table.quarters if about.quarters else None))
        found = compare_times(model, times[0], times[1], model.bank.hash)
        frame = pd.DataFrame(
            dict(zip(COLUMNS, (cells, found.change, found.low, found.high), strict=True))
        )
        frame.to_parquet(path, index=False)
        return {"compared": int(frame["change"].notna().sum())}


def difference_blocks(
    context: Context, first: Sequence[ledger.Entry], second: Sequence[ledger.Entry], model: Model
) -> list[ledger.Entry]:
    """Compare the stored features of two seasons, block by block, on the workers.

    Parameters
    ----------
    context : Context
        Where the store is and who works.
    first, second : sequence of ledger.Entry
        Features of the blocks, as ``featurize`` stored them.
    model : Model
        Of the registry, for the same bank.

    Returns
    -------
    list of ledger.Entry
        One for each block of the region that both seasons have imagery of; ``read_differences``
        reads them.

    Raises
    ------
    StoreCorruptError
        If a worker finds another model under the same name.
    """
    config = context.config
    home, least = str(config.workspace.home), config.model.min_observed
    stage = Differencing(home, model.name, model.sha256, least)
    pairs = _pairs(context, first, second, model.manifest.neighbourhood)
    return run_blocks(context, stage, list(pairs))


def read_differences(entries: Sequence[ledger.Entry]) -> pd.DataFrame:
    """Read stored differences.

    Parameters
    ----------
    entries : sequence of ledger.Entry
        Of ``difference_blocks``.

    Returns
    -------
    pandas.DataFrame
        ``cell`` int64, and float32 in logits ``change`` (second season less first; NaN where one
        was not observed), ``change_low`` and ``change_high`` (nine in ten draws of the training
        places give a change between these).
    """
    parts = [pd.read_parquet(ledger.file_of(entry)) for entry in entries]
    empty = pd.DataFrame({name: np.empty(0, np.float32) for name in COLUMNS})
    return pd.concat(parts or [empty.astype({"cell": np.int64})], ignore_index=True)


def _pairs(
    context: Context,
    first: Sequence[ledger.Entry],
    second: Sequence[ledger.Entry],
    around: int,
) -> Iterator[_Pair]:
    earlier, later = ({entry.unit: entry for entry in part} for part in (first, second))
    for block in context.region.blocks:
        if block.name not in earlier or block.name not in later:
            continue
        names = [block.name]
        if around != 1:
            names = sorted(near.name for near in block.neighbourhood())
        yield _Pair(
            block.name,
            {name: earlier[name] for name in names if name in earlier},
            {name: later[name] for name in names if name in later},
        )


@lru_cache(maxsize=2)
def _load(workspace: str, name: str, sha256: str) -> Model:
    fetched_folder(Path(workspace) / "models" / name)
    model = load_named(Path(workspace), name)
    if model.sha256 != sha256:
        raise StoreCorruptError(
            f"the model {name} has changed since this command started",
            next_step="run it again, on workers that see the same registry",
        )
    return model
