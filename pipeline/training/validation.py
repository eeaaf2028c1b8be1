"""Which ways of holding rows out a training table allows, and what they say of its ridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.folds import checkerboard, random_folds, region_folds
from models.refit import Refits
from models.validation import HoldOut, validate
from models.validation_words import (
    COUNTRIES,
    RANDOM,
    REGIONS,
    TRAINED,
    gap_words,
    left_out_words,
    size_words,
    validation_rows,
)
from pipeline.geo import grid
from pipeline.geo.regions import countries_of
from pipeline.runtime.console import aligned, console, say
from pipeline.training.dataset import TrainingTable

# So far no pixel is shared, and hardly a pit; and so far hardly a river.
BUFFERS_KM = (5.0, 50.0)
# Sides of the squares of growing checkerboards, degrees.
SIDES = (0.1, 0.5, 2.0, 8.0)


def validate_table(table: TrainingTable, penalty: float, seed: int) -> list[dict[str, Any]]:
    """Judge the ridge of a table by every way of holding out that its rows allow.

    Parameters
    ----------
    table : TrainingTable
        Rows.
    penalty : float
        Of the ridge, as its fit found it.
    seed : int
        Of the random folds.

    Returns
    -------
    list of dict
        As ``models.validation.validate`` gives them.
    """
    lon, lat = places_of(table)
    refits = Refits(table.features, table.label, table.weight, penalty, table.quarters)
    ways = list(hold_outs(table, lon, lat, seed))
    return validate(refits, table.label, ways, lon, lat, table.sizes)


def places_of(table: TrainingTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centre of each row's cell.

    Parameters
    ----------
    table : TrainingTable
        Rows.

    Returns
    -------
    lon, lat : numpy.ndarray of float64, shape (n,)
        Degrees; NaN for a row without a place.
    """
    lon, lat = np.full((2, len(table.cell)), np.nan)
    placed = table.cell >= 0
    lon[placed], lat[placed] = grid.cell_centres(table.cell[placed])
    return lon, lat


def hold_outs(
    table: TrainingTable, lon: NDArray[np.float64], lat: NDArray[np.float64], seed: int
) -> Iterator[HoldOut]:
    """Yield the ways of holding out, from the most flattering on.

    Parameters
    ----------
    table : TrainingTable
        Rows.
    lon, lat : numpy.ndarray of float64, shape (n,)
        Degrees; NaN for a row without a place.
    seed : int
        Of the random folds.

    Yields
    ------
    HoldOut
        With the reason where it cannot be done.
    """
    extra = "; unlabelled rows count as no mine" if table.unlabelled.any() else ""
    loose = int(np.isnan(lon).sum())
    kept = f"; {loose} rows without a place stay in training and are not judged" if loose else ""
    yield HoldOut(
        RANDOM, f"single rows dealt out to 5 folds at random{extra}",
        random_folds(table.label, 5, seed),
    )  # fmt: skip
    yield HoldOut(TRAINED, f"the spatial folds of the training{extra}", table.fold)
    for buffer in BUFFERS_KM:
        yield HoldOut(
            f"{TRAINED}, {buffer:g} km apart",
            f"the same, rows within {buffer:g} km of a held-out one left out of training{extra}",
            table.fold,
            buffer,
        )
    yield _regions(table, lon, lat, extra)
    yield _countries(lon, lat, kept + extra)
    for side in SIDES:
        yield HoldOut(
            f"checkerboard of {side:g} degrees",
            f"black squares of {side:g} degrees judged by white ones and reversed (Rolf et al. "
            f"2021){kept}{extra}",
            checkerboard(lon, lat, side),
        )


def _regions(
    table: TrainingTable, lon: NDArray[np.float64], lat: NDArray[np.float64], extra: str
) -> HoldOut:
    how = "clusters (k-means) of the 1-degree squares that hold mines, each with the rows nearest"
    how += "; rows without a place in runs of neighbours" if np.isnan(lon).any() else ""
    try:
        folds = region_folds(lon, lat, table.label) if table.region is None else table.region
    except TrainingError as error:
        return HoldOut(REGIONS, how, why_not=str(error))
    return HoldOut(REGIONS, how + extra, folds)


def _countries(lon: NDArray[np.float64], lat: NDArray[np.float64], extra: str) -> HoldOut:
    name = countries_of(lon, lat)
    known = np.unique(name[name != ""])
    how = "countries by the packaged outlines, rows of none as rows without a place" + extra
    if len(known) < 2:
        said = f"all rows with a place lie in {known[0]}" if len(known) else "no row lies in one"
        return HoldOut(COUNTRIES, how, why_not=said)
    folds = np.where(name == "", -1, np.searchsorted(known, name)).astype(np.int16)
    return HoldOut(COUNTRIES, f"{', '.join(known)}; {how}", folds)


def show_validation(rows: list[dict[str, Any]]) -> None:
    """Print the table: the gap first.

    Parameters
    ----------
    rows : list of dict
        As ``validate_table`` gives them.
    """
    say("validate", gap_words(rows) or "random rows could not be held out")
    lines = aligned(validation_rows(rows)) + left_out_words(rows) + size_words(rows)
    console.print("\n".join(f"           {line}" for line in lines), markup=False)
