"""Draw a stratified random sample of a region's cells to be labelled by eye.

What is drawn depends on the stored predictions, the size and the number of the draw alone. The file
for the labeller is blind: it holds neither scores nor strata of its cells. Those stay in the
workspace, under the sample's name, where ``asm-atlas area`` looks them up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.allocation import LEAST, allocate
from pipeline.classes import CALLED, CANNOT_TELL, UNLIKELY, can_tell, classify
from pipeline.errors import (
    ConfigError,
    DisclosureError,
    InputFileError,
    StageMissingError,
    StoreCorruptError,
)
from pipeline.evaluation.sample_file import write_sample
from pipeline.geo.distance import cell_area_km2
from pipeline.map.editions import RESTRICTED
from pipeline.predict import Predicted, read_predictions
from pipeline.run import predict_region
from pipeline.runtime.commits import Record
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_file
from pipeline.runtime.journal import journal
from pipeline.runtime.mirror import fetched
from pipeline.workflow import ledger
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context

VERSION = 2
SIZE = 300
# The map's classes, the lowest split once more so that near misses are looked at; then the cells
# that the model learned from, where its score proves nothing, and those that it cannot judge.
TRAINED = ("trained_called", "trained_rest")
# Grey on the map for being unlike the training data: the imagery shows them, and people can label.
UNLIKE = "unlike"
STRATA = (*CALLED, "near_miss", UNLIKELY, *TRAINED, UNLIKE, CANNOT_TELL)
# Of the labels in a stratum: a score of nearly nothing may be wrong more often than it says.
_LEAST_SHARE = 0.005


@dataclass(frozen=True)
class Drawn:
    """A stored sample and the population that it was drawn from.

    Parameters
    ----------
    id : str
        Its name: the hash of everything that it depends on.
    cells : pandas.DataFrame
        One row a cell of the region: ``cell`` (int64), ``stratum`` (one of ``STRATA``), ``number``
        (int32, 0: not drawn) and ``area_km2`` (float64).
    facts : dict
        What it was drawn from: region, model, thresholds, dates of the imagery, whether simulated.
    """

    id: str
    cells: pd.DataFrame
    facts: dict[str, Any]


def sample_region(
    context: Context,
    out: Path | None = None,
    size: int = SIZE,
    draw: int = 1,
    cannot_tell: bool = False,
) -> Path:
    """Draw a sample from a region's stored predictions and write the file to label.

    Parameters
    ----------
    context : Context
        Configuration and region.
    out : pathlib.Path, optional
        GeoPackage to write, new; default: ``sample.gpkg`` in the region's processed folder.
    size : int
        Cells to label.
    draw : int
        Another number gives another sample.
    cannot_tell : bool
        Whether cells that could not be predicted are sampled too. Without it their area stays
        outside the estimate.

    Returns
    -------
    pathlib.Path
        The GeoPackage.

    Raises
    ------
    DisclosureError
        If the restricted product is not asked for: the file holds exact places.
    InputFileError
        If the file is there already, since it may hold labels.
    ConfigError
        If the size is too small for the strata.
    StageMissingError
        If nothing was predicted yet.
    """
    home = context.config.workspace.processed / context.region.name
    path = out or home / "sample.gpkg"
    _check_request(context, path, draw)
    predicted = predict_region(context, only="sample")
    drawn = draw_sample(context, predicted, size, draw, cannot_tell)
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    with whole_file(path) as beside:
        project = write_sample(
            beside,
            drawn.cells,
            strata_table(drawn),
            about_sample(drawn, created),
            context.config.map.language,
            path.name,
        )
    with whole_file(path.with_suffix(".qgz")) as beside:
        beside.write_bytes(project)
    journal.worked = True
    counts = strata_table(drawn).query("drawn > 0")
    words = ", ".join(
        f"{count} {name}" for name, count in zip(counts["stratum"], counts["drawn"], strict=True)
    )
    mark = "SIMULATED, " if drawn.facts["simulated"] else ""
    say("sample", f"{path}: {int(counts['drawn'].sum())} cells to label ({mark}RESTRICTED)")
    say("", f"sample {drawn.id}: {words}; then asm-atlas area {path}")
    return path


def draw_sample(
    context: Context, predicted: Predicted, size: int, draw: int, cannot_tell: bool
) -> Drawn:
    """Draw a sample and store it with its population; the same again gives the same.

    Parameters
    ----------
    context : Context
        Where the store is, and the region.
    predicted : Predicted
        The region's predictions and their model.
    size : int
        Cells to label.
    draw : int
        Number of the draw.
    cannot_tell : bool
        Whether cells that could not be predicted are sampled too.

    Returns
    -------
    Drawn
        As stored.

    Raises
    ------
    ConfigError
        If the size is too small for the strata.
    """
    thresholds = predicted.model.manifest.thresholds
    inputs = {
        "stage": "samples",
        "version": VERSION,
        "region": context.region.name,
        "predictions": predicted.entry.sha256,
        "thresholds": thresholds,
        "size": size,
        "draw": draw,
        "cannot_tell": cannot_tell,
    }
    cells = read_predictions(predicted.entry.path)

    def write(path: Path) -> dict[str, Any]:
        frame = draw_cells(cells, thresholds, size, draw, cannot_tell)
        frame.to_parquet(path, index=False)
        return {
            "title": context.region.title,
            "model": predicted.model.name,
            "model_sha256": predicted.model.sha256,
            "simulated": predicted.scenes.simulated,
            "first_image": cells["first_image"].dropna().min(),
            "last_image": cells["last_image"].dropna().max(),
        }

    store = context.store("samples")
    ledger.make(store, context.region.name, inputs, ".parquet", write)
    return load_drawn(store, context.region.name, ledger.key_of(inputs))


def draw_cells(
    cells: pd.DataFrame,
    thresholds: Mapping[str, float],
    size: int,
    draw: int = 1,
    cannot_tell: bool = False,
) -> pd.DataFrame:
    """Put cells into strata and draw some of each at random.

    Parameters
    ----------
    cells : pandas.DataFrame
        Predictions: ``cell``, ``probability``, ``dissimilarity`` and ``in_training``.
    thresholds : mapping
        The model's.
    size : int
        Cells to draw.
    draw : int
        Seed.
    cannot_tell : bool
        Whether to draw from cells of which the map cannot tell.

    Returns
    -------
    pandas.DataFrame
        ``cell, stratum, number, area_km2``, as in ``Drawn``. The numbers are in random order, so
        that the first cells that are labelled are a random sample themselves.

    Raises
    ------
    ConfigError
        If the size is too small for the strata.
    """
    stratum = strata_of(cells, thresholds)
    groups = [np.flatnonzero(stratum == name) for name in STRATA]
    open_to = [name != CANNOT_TELL or cannot_tell for name in STRATA]
    counts = np.array([len(rows) if ok else 0 for rows, ok in zip(groups, open_to, strict=True)])
    least = int(np.minimum(counts, LEAST).sum())
    if size < least:
        raise ConfigError(
            f"a sample of {size} cells is too small: each stratum takes {LEAST} or all it has",
            next_step=f"ask for at least {least} (--size, or SIZE=...)",
        )
    told = can_tell(cells["probability"], cells.get("dissimilarity"))
    promised = np.where(told, cells["probability"], np.nan)
    share = [_expected_share(promised[rows]) for rows in groups]
    deviation = np.sqrt(np.multiply(share, np.subtract(1, share)))
    rng = np.random.default_rng(draw)
    chosen = [
        rng.choice(rows, count, replace=False)
        for rows, count in zip(groups, allocate(counts, deviation, size), strict=True)
    ]
    number = np.zeros(len(cells), np.int32)
    rows = rng.permutation(np.concatenate(chosen))
    number[rows] = np.arange(1, len(rows) + 1)
    ids = cells["cell"].to_numpy(np.int64)
    return pd.DataFrame(
        {"cell": ids, "stratum": stratum, "number": number, "area_km2": cell_area_km2(ids)}
    )


def strata_of(cells: pd.DataFrame, thresholds: Mapping[str, float]) -> NDArray[np.object_]:
    """Name the stratum of each cell of a table of predictions."""
    probability = cells["probability"].to_numpy(np.float32)
    stratum = classify(probability, thresholds, cells.get("dissimilarity")).astype(object)
    near = (stratum == "unlikely") & (probability >= np.float32(thresholds["possible"] / 2))
    stratum[near] = "near_miss"
    stratum[(stratum == CANNOT_TELL) & ~np.isnan(probability)] = UNLIKE
    trained = cells["in_training"].to_numpy(bool) & (stratum != CANNOT_TELL)
    called = np.isin(stratum, CALLED)
    stratum[trained] = np.where(called, *TRAINED)[trained]
    return stratum


def _expected_share(probability: NDArray[np.float64]) -> float:
    """Share of mines that a stratum's calibrated scores promise; a half where there is no score."""
    if not len(probability) or np.isnan(probability).any():
        return 0.5
    return float(np.clip(probability.mean(), _LEAST_SHARE, 1 - _LEAST_SHARE))


def load_drawn(store: Path, region: str, sample: str) -> Drawn:
    """Load a stored sample.

    Parameters
    ----------
    store : pathlib.Path
        The store of samples.
    region : str
        Name of its region.
    sample : str
        Its name, 16 hexadecimal digits.

    Returns
    -------
    Drawn
        Checked against its entry.

    Raises
    ------
    StageMissingError
        If this workspace holds no such sample.
    StoreCorruptError
        If it is not what was stored.
    """
    record = fetched(store / region / f"{sample}.json")
    if not record.is_file():
        raise StageMissingError(
            f"this workspace has not drawn the sample {sample} of {region}",
            where=str(record),
            next_step="use the WORKSPACE that it was drawn in; its strata are kept there",
        )
    inputs = Record.read(record).inputs or {}
    entry = ledger.find(store, region, inputs, ".parquet")
    if entry is None or ledger.key_of(inputs) != sample:
        raise StoreCorruptError(
            "the stored sample is not the one that was drawn",
            where=str(record),
            next_step="draw it again: asm-atlas sample, with the same size and draw",
        )
    return Drawn(sample, pd.read_parquet(entry.path), (entry.facts or {}) | inputs)


def strata_table(drawn: Drawn) -> pd.DataFrame:
    """Count the strata of a sample.

    Parameters
    ----------
    drawn : Drawn
        The sample.

    Returns
    -------
    pandas.DataFrame
        ``stratum, cells, area_km2, drawn``, in the order of ``STRATA``; those that have cells.
    """
    groups = drawn.cells.groupby("stratum")
    table = pd.DataFrame(
        {
            "cells": groups.size(),
            "area_km2": groups["area_km2"].sum().round(3),
            "drawn": groups["number"].agg(lambda number: int((number > 0).sum())),
        }
    )
    table = table.reindex([name for name in STRATA if name in table.index])
    return table.rename_axis("stratum").reset_index()


def _check_request(context: Context, path: Path, draw: int) -> None:
    if context.config.map.disclosure != RESTRICTED:
        raise DisclosureError(
            "a sample to label holds exact places: it is a restricted product",
            where=str(path),
            next_step=make_command(
                "sample", context.config.with_keys(disclosure=RESTRICTED), context.region
            ),
        )
    if path.suffix.lower() != ".gpkg":
        raise InputFileError(
            "a sample is written as a .gpkg file", where=str(path), next_step="--out sample.gpkg"
        )
    if path.exists():
        raise InputFileError(
            "the file is there already, and may hold labels",
            where=str(path),
            next_step="choose another --out, or move it away",
        )
    if draw < 0:
        raise ConfigError(f"draw must be 0 or more, not {draw}")


def about_sample(drawn: Drawn, created: str) -> dict[str, str]:
    """Return what the file says of itself: what was drawn, from what and when."""
    facts = drawn.facts
    return {
        "sample": drawn.id,
        "region": facts["region"],
        "title": facts["title"],
        "model": facts["model"],
        "predictions": facts["predictions"],
        "draw": str(facts["draw"]),
        "size": str(facts["size"]),
        "first_image": str(facts["first_image"]),
        "last_image": str(facts["last_image"]),
        "created": created,
        "disclosure": RESTRICTED,
        "simulated": "yes" if facts["simulated"] else "no",
    }
