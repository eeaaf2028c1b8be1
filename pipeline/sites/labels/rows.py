"""The one form that every source of labels fills: a row for each cell and season."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from models.statement import Statement
from pipeline.geo import grid
from pipeline.geo.overlap import MIN_AREA_HA
from pipeline.geo.seasons import season_windows
from pipeline.words.statements import statement

if TYPE_CHECKING:
    from pipeline.config import LabelSettings
    from pipeline.geo.regions import Region

MINE, NOT, UNLABELLED = 1, 0, -1
COLUMNS = ("cell", "label", "source", "date", "shift", "weight", "what", "size")
# What a row counts for among those of its own class. Somebody looked at an inspected place and said
# no; background is free of known mines only because none is known. Four is our judgement.
CHECKED, PLAIN = 4.0, 1.0
_NOWHERE = np.empty((0, 3))


@dataclass(frozen=True)
class Labels:
    """What all sources together say about the cells of a region.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row a cell and season: ``cell`` (int64), ``label`` (int8: 1 mine, 0 not, -1 unlabelled),
        ``source`` (who says so), ``date`` (ISO, or a year, or empty), ``shift`` (years from the
        configured season to the row's), ``weight`` (among rows of its class), ``what`` ("visit",
        "polygon", "inspection", "look-alike" or "background") and ``size`` (of a mine: hectares
        drawn in the cell, or workers counted at the visit; NaN where nobody says).
    places : numpy.ndarray of float64, shape (n, 3)
        Longitude, latitude and radius in metres of every mine known as a point.
    left_out : dict of str to int
        What gave no row, by the reason's code among the statements of the catalogue of words.
    shapes : numpy.ndarray of shapely polygons, shape (m,)
        Every mine known by its outline, EPSG:4326.
    touched : numpy.ndarray of int64, shape (k,)
        Cells that are neither: of the region, but no row and no background.
    searched : numpy.ndarray of shapely polygons, shape (s,)
        Ground on which every mine is said to be known.
    about : tuple of Statement
        The sources.
    samples : tuple of str
        Identities of the samples for area estimates that have become labels.
    credits : tuple of str
        Whom to credit, and the licences, in words.
    """

    rows: pd.DataFrame
    places: NDArray[np.float64]
    left_out: dict[str, int]
    shapes: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    touched: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    searched: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    about: tuple[Statement, ...] = ()
    samples: tuple[str, ...] = ()
    credits: tuple[str, ...] = ()

    @property
    def positives(self) -> pd.DataFrame:
        """The rows that are mines."""
        return self.rows[self.rows["label"] == MINE]

    def blocks(self, shift: int) -> list[grid.Block]:
        """Blocks that hold a row of one season."""
        cells = self.rows.loc[self.rows["shift"] == shift, "cell"]
        return sorted({grid.block_of_cell(cell) for cell in cells})

    def with_rows(self, rows: pd.DataFrame) -> Labels:
        """Return the same with other rows, one for each cell and season."""
        return replace(self, rows=one_row_per_cell(rows))


def not_stated(path: Path, settings: LabelSettings) -> str:
    """Say that nobody has said whose labels these are."""
    return f"{path.name}: not stated"


@dataclass(frozen=True)
class LabelKind:
    """A kind of labels: where its file is named, how it is read, whom to credit.

    Parameters
    ----------
    file : callable
        Given the settings of labels and the file that LABELS names (or None): the file that holds
        such labels, or None.
    read : callable
        Given the file, region, configured season and settings: its ``Labels``.
    credit : callable, optional
        Given the file and the settings: whom to credit, and the licence; empty: nobody.
    """

    file: Callable[[LabelSettings, Path | None], Path | None]
    read: Callable[[Path, Region, str, LabelSettings], Labels]
    credit: Callable[[Path, LabelSettings], str] = not_stated


def make_rows(
    cells: ArrayLike,
    label: ArrayLike,
    what: str | Sequence[str],
    source: str | Sequence[str],
    date: str | Sequence[str] = "",
    shift: ArrayLike = 0,
    weight: ArrayLike = PLAIN,
    size: ArrayLike = np.nan,
) -> pd.DataFrame:
    """Return rows in the one form; what is given once holds for all of them.

    Parameters
    ----------
    cells : array_like of int, shape (n,)
        Cells of the grid.
    label : array_like of int
        1 mine, 0 not, -1 unlabelled.
    what, source, date : str or sequence of str
        As ``Labels.rows`` has them.
    shift : array_like of int
        Years.
    weight : array_like of float
        Positive.
    size : array_like of float
        As ``Labels.rows`` has it.

    Returns
    -------
    pandas.DataFrame
        Of the columns ``COLUMNS``.
    """
    values = {
        "cell": np.asarray(cells, np.int64),
        "label": label,
        "source": source,
        "date": date,
        "shift": shift,
        "weight": weight,
        "what": what,
        "size": size,
    }
    kinds = {"label": np.int8, "shift": np.int64, "weight": np.float64, "size": np.float64}
    return pd.DataFrame(values, columns=COLUMNS).astype(kinds)


def one_row_per_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep one row for each cell and season: of several the latest dated, then a mine.

    Parameters
    ----------
    rows : pandas.DataFrame
        In the one form; a row that says more stands before one that says less.

    Returns
    -------
    pandas.DataFrame
        The rows kept, in their order, index 0..n-1.
    """
    known = rows["label"] != UNLABELLED
    ordered = rows.assign(_known=known).sort_values(
        ["_known", "date", "label"], ascending=False, kind="stable"
    )
    kept = ordered.drop_duplicates(["cell", "shift"]).index
    return rows.loc[np.sort(kept)].reset_index(drop=True)


def combine(parts: Sequence[Labels]) -> Labels:
    """Return what several sources say together.

    Parameters
    ----------
    parts : sequence of Labels
        One a source.

    Returns
    -------
    Labels
        Their rows, one for each cell and season, and all they know of places.
    """
    left: dict[str, int] = {}
    for part in parts:
        for reason, count in part.left_out.items():
            left[reason] = left.get(reason, 0) + count
    return Labels(
        one_row_per_cell(pd.concat([part.rows for part in parts], ignore_index=True)),
        np.concatenate([_NOWHERE, *(part.places for part in parts)]),
        left,
        np.concatenate([part.shapes for part in parts]),
        np.unique(np.concatenate([part.touched for part in parts])),
        np.concatenate([part.searched for part in parts]),
        tuple(told for part in parts for told in part.about),
        tuple(sample for part in parts for sample in part.samples),
        tuple(credit for part in parts for credit in part.credits),
    )


def reasons(left_out: Mapping[str, int], visit_years: int = 0) -> list[Statement]:
    """Say what gave no row.

    Parameters
    ----------
    left_out : mapping of str to int
        As ``Labels.left_out`` has it.
    visit_years : int, optional
        Years that a label may lie from the imagery.

    Returns
    -------
    list of Statement
        One a reason, with its count.
    """
    limits: dict[str, dict[str, float]] = {
        "barely_touched": {"ha": MIN_AREA_HA},
        "dated_far": {"years": visit_years},
    }
    return [
        statement(code, count=count, **limits.get(code, {})) for code, count in left_out.items()
    ]


def shift_for_date(text: str, season: str) -> int:
    """Return by how many years a season must move to lie nearest to a date.

    Parameters
    ----------
    text : str
        ISO date, or a year, of which its middle counts; empty: no date.
    season : str
        ``YYYY-MM..YYYY-MM``; empty: none.

    Returns
    -------
    int
        Years; 0 without a date or a season.
    """
    if not text or not season:
        return 0
    day = date.fromisoformat(text if len(text) > 4 else f"{text}-07-01")
    begin, end = (date.fromisoformat(bound) for bound in season_windows(season)[-1])
    middle = begin + (end - begin) / 2
    return round((day - middle).days / 365.25)


def shift_season(season: str, years: int) -> str:
    """Move a season by whole years."""
    if not season:
        return season
    return re.sub(r"\d{4}(?=-)", lambda year: f"{int(year[0]) + years:04d}", season)
