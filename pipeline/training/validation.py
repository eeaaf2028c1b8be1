"""Which ways of holding rows out a training table allows, and what they say of its ridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.folds import checkerboard, random_folds, region_folds
from models.refit import Refits
from models.statement import Statement
from models.validation import HoldOut, validate
from models.validation_words import gap_words, left_out_words, size_words, validation_rows
from pipeline.geo import grid
from pipeline.geo.regions import countries_of
from pipeline.runtime.console import aligned, console, say
from pipeline.training.dataset import TrainingTable
from pipeline.words.statements import statement

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
    extra = statement("unlabelled") if table.unlabelled.any() else Statement()
    loose = int(np.isnan(lon).sum())
    kept = statement("rows_kept", rows=loose) if loose else Statement()
    kept += extra
    yield HoldOut(
        statement("way_random"),
        statement("random_folds", folds=5) + extra,
        random_folds(table.label, 5, seed),
    )
    yield HoldOut(
        statement("way_trained"),
        statement("training_folds") + extra,
        table.fold,
    )
    for buffer in BUFFERS_KM:
        yield HoldOut(
            statement("way_apart", km=buffer),
            statement("apart", km=buffer) + extra,
            table.fold,
            buffer,
        )
    yield _regions(table, lon, lat, extra)
    yield _countries(lon, lat, kept)
    for side in SIDES:
        yield HoldOut(
            statement("way_checkers", side=side),
            statement("checkers", side=side) + kept,
            checkerboard(lon, lat, side),
        )


def _regions(
    table: TrainingTable, lon: NDArray[np.float64], lat: NDArray[np.float64], extra: Statement
) -> HoldOut:
    name, how = statement("way_regions"), statement("clusters")
    how += statement("rows_in_runs") if np.isnan(lon).any() else Statement()
    try:
        folds = region_folds(lon, lat, table.label) if table.region is None else table.region
    except TrainingError as error:
        return HoldOut(name, how, why_not=error.statement)
    return HoldOut(name, how + extra, folds)


def _countries(lon: NDArray[np.float64], lat: NDArray[np.float64], extra: Statement) -> HoldOut:
    country = countries_of(lon, lat)
    known = np.unique(country[country != ""])
    name, how = statement("way_countries"), statement("countries") + extra
    if len(known) < 2:
        why = statement("one_country", country=known[0]) if len(known) else statement("no_country")
        return HoldOut(name, how, why_not=why)
    folds = np.where(country == "", -1, np.searchsorted(known, country)).astype(np.int16)
    return HoldOut(name, statement("as_given", text=", ".join(known)) + how, folds)


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
