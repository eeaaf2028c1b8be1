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
from pipeline.composite import raise_failed
from pipeline.errors import AsmAtlasError, StoreCorruptError
from pipeline.geo import grid
from pipeline.runtime.console import bar, say
from pipeline.runtime.mirror import fetched_folder
from pipeline.runtime.survey import survey
from pipeline.training.model_choice import load_named
from pipeline.workflow import ledger
from pipeline.workflow.cells import CellTable, read_features, read_with_context
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
class _How:
    """What is asked of every pair, and where the model is found by a worker."""

    workspace: str
    model: str
    model_sha256: str
    min_observed: float

    def inputs(self, pair: _Pair) -> dict[str, Any]:
        """Return what the result depends on."""
        return {
            "stage": "changes",
            "version": VERSION,
            "block": pair.unit,
            "first": {name: entry.sha256 for name, entry in pair.first.items()},
            "second": {name: entry.sha256 for name, entry in pair.second.items()},
            "model": self.model_sha256,
            "min_observed": self.min_observed,
        }


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
    store = context.store("changes")
    config = context.config
    how = _How(str(config.home), model.name, model.sha256, config.min_observed)
    pairs = list(_pairs(context, first, second, model.context))
    known = survey(store, (one.unit for one in pairs))
    results = {
        one.unit: ledger.find(store, one.unit, how.inputs(one), ".parquet", known) for one in pairs
    }
    missing = [one for one in pairs if results[one.unit] is None]
    done = context.workers.map(_task, missing, how, str(store))
    for pair, entry in bar(done, "monitor", len(missing)):
        if isinstance(entry, AsmAtlasError):
            entry = ledger.fail(store, pair.unit, how.inputs(pair), ".parquet", entry)
        results[pair.unit] = entry
    entries = [entry for entry in results.values() if entry is not None]
    raise_failed(entries, "monitor")
    reused = sum(entry.reused for entry in entries)
    say("monitor", f"{len(entries)} blocks: {len(entries) - reused} compared, {reused} reused")
    return entries


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


def _task(pair: _Pair, how: _How, store: str) -> ledger.Entry:
    return ledger.build(
        Path(store),
        pair.unit,
        how.inputs(pair),
        ".parquet",
        lambda path: _write(path, pair, how),
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


def _write(path: Path, pair: _Pair, how: _How) -> dict[str, Any]:
    model = _load(how.workspace, how.model, how.model_sha256)
    cells = grid.Block.from_name(pair.unit).cells().reshape(-1)
    times = []
    for around in (pair.first, pair.second):
        table = _read(pair.unit, around, model)
        assert np.array_equal(table.cell, cells)
        table.features[table.observed < how.min_observed] = np.nan
        times.append(Rows(table.features, table.quarters if model.quarters else None))
    found = compare_times(model, times[0], times[1], model.bank.hash)
    frame = pd.DataFrame(
        dict(zip(COLUMNS, (cells, found.change, found.low, found.high), strict=True))
    )
    frame.to_parquet(path, index=False)
    return {"compared": int(frame["change"].notna().sum())}


def _read(unit: str, around: dict[str, ledger.Entry], model: Model) -> CellTable:
    if model.context == 1:
        return read_features([around[unit]], model.bank)
    return read_with_context(around[unit], around, model.bank)
