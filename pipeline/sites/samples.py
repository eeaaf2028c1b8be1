"""A sample that comes back labelled: read as somebody else's file, every fault named.

Nothing is repaired and nothing is dropped: a label that cannot be used is an error that says which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.errors import InputFileError, SampleError
from pipeline.geo import grid
from pipeline.geo.geopackage import read_table
from pipeline.geo.vector_files import read_vector

LAYER, STRATA_TABLE, ABOUT_TABLE = "sample", "strata", "about"
MINE, NO_MINE, CANNOT_TELL = "mine", "no mine", "cannot tell"
LABELS = (MINE, NO_MINE, CANNOT_TELL)
# What the labeller fills in, with the types that QGIS makes its form from.
TO_FILL = {
    "label": "TEXT(16)",
    "share": "DOUBLE",
    "source": "TEXT(254)",
    "date": "DATE",
    "labeller": "TEXT(80)",
    "note": "TEXT(1000)",
}
# A ten-thousandth of a cell's side; what a reprojection and back may move a corner by.
_TOLERANCE_DEGREES = 5e-7
_SHOWN = 3


@dataclass(frozen=True)
class LabelledSample:
    """What a labelled file holds.

    Parameters
    ----------
    id : str
        Name of the sample, 16 hexadecimal digits.
    region : str
        Name of its region.
    about : dict of str to str
        Everything that the file says of itself.
    cells : pandas.DataFrame
        One row a cell: ``number``, ``cell`` (int64), ``label`` (one of ``LABELS``, empty: not
        labelled), ``share`` (float64, NaN: not said; 0 where there is no mine), ``source``,
        ``date`` (ISO), ``labeller`` and ``note`` (text, empty: not said).
    strata : pandas.DataFrame
        ``stratum, cells, area_km2, drawn`` as the file has them.
    """

    id: str
    region: str
    about: dict[str, str]
    cells: pd.DataFrame
    strata: pd.DataFrame


def read_sample(path: str | Path) -> LabelledSample:
    """Read a labelled sample and check it against itself.

    Parameters
    ----------
    path : str or pathlib.Path
        A GeoPackage of ``asm-atlas sample``.

    Returns
    -------
    LabelledSample
        Every row of the file.

    Raises
    ------
    InputFileError
        If it is no GeoPackage with a sample's tables, or is still open in QGIS.
    SampleError
        If columns are missing, a cell is there twice, a square was moved, or a label or share
        cannot be used; all faults at once, each with the first cells concerned.
    """
    path = Path(path)
    beside = path.with_name(path.name + "-wal")
    if beside.is_file() and beside.stat().st_size:
        raise InputFileError(
            "the file is open in another program, and what was typed last is not in it yet",
            where=str(beside),
            next_step="save the layer and close it in QGIS",
        )
    table = read_table(path, ABOUT_TABLE)
    if not {"item", "value"} <= set(table.columns):
        raise SampleError("the table about lacks item or value", where=str(path))
    about = {str(k): str(v) for k, v in zip(table["item"], table["value"], strict=True)}
    name, region = about.get("sample", ""), about.get("region", "")
    if not (re.fullmatch(r"[0-9a-f]{16}", name) and re.fullmatch(r"[a-z0-9-]{1,64}", region)):
        raise SampleError(
            "the table about does not say which sample this is",
            where=str(path),
            next_step="label the file that asm-atlas sample wrote",
        )
    found = read_vector(path, LAYER)
    missing = [column for column in ("number", "cell", *TO_FILL) if column not in found]
    if missing:
        raise SampleError(f"the layer {LAYER} lacks {', '.join(missing)}", where=str(path))
    cells, faults = _checked(found)
    raise_faults(faults, path)
    strata = read_table(path, STRATA_TABLE)
    return LabelledSample(name, region, about, cells, strata.drop(columns="fid", errors="ignore"))


def raise_faults(faults: Iterable[str], path: Path) -> None:
    """Raise one error that names every fault; nothing where there is none.

    Raises
    ------
    SampleError
        If there are faults.
    """
    texts = list(faults)
    if texts:
        raise SampleError(
            f"the labelled sample cannot be used: {'; '.join(texts)}",
            where=str(path),
            next_step="correct it in QGIS, or draw and label a new one",
        )


def name_some(numbers: Iterable[object]) -> str:
    """Name the first few of many."""
    values = list(numbers)
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(str(value)[:40] for value in values[:_SHOWN]) + more


def _checked(found: gpd.GeoDataFrame) -> tuple[pd.DataFrame, list[str]]:
    faults: list[str] = []

    def refuse(rows: NDArray[np.bool_], words: str) -> None:
        if rows.any():
            faults.append(f"{words} ({name_some(found['number'][rows])})")

    number, cell = (_integers(found[name]) for name in ("number", "cell"))
    known = (cell >= 0) & (cell < grid.CELL_ROWS * grid.CELL_COLUMNS)
    refuse(~known | (number < 1), "rows whose number or cell is not one")
    refuse(known & pd.Series(cell).duplicated().to_numpy(), "cells that are there twice")
    refuse(known & ~_unmoved(found, np.where(known, cell, 0)), "squares that were moved or redrawn")
    label = _text(found["label"])
    share = pd.to_numeric(found["share"], errors="coerce").to_numpy(np.float64)
    said = _text(found["share"]) != ""
    refuse(~np.isin(label, ("", *LABELS)), f"labels that are none of {', '.join(LABELS)}")
    refuse(said & ~((share >= 0) & (share <= 1)), "shares that are not within 0 to 1")
    # A share alone says whether there is a mine.
    label = np.where((label == "") & (share > 0), MINE, label)
    label = np.where((label == "") & (share == 0), NO_MINE, label)
    refuse((label == MINE) & (share == 0), "mines of which no share is mined")
    refuse(np.isin(label, (NO_MINE, CANNOT_TELL)) & (share > 0), "shares where there is no mine")
    date = _text(found["date"])
    refuse((date != "") & ~_dates(date), "dates that are not of the form YYYY-MM-DD")
    cells = pd.DataFrame(
        {
            "number": number,
            "cell": cell,
            "label": label.astype(str),
            "share": np.where(label == NO_MINE, 0.0, share),
            "source": _text(found["source"]),
            "date": date,
            "labeller": _text(found["labeller"]),
            "note": _text(found["note"]),
        }
    )
    return cells.sort_values("number", ignore_index=True), faults


def _integers(values: pd.Series) -> NDArray[np.int64]:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2**53)
    return np.where(whole, numbers, -1).astype(np.int64)


def _text(values: pd.Series) -> NDArray[np.str_]:
    return np.array(["" if pd.isna(v) else str(v).strip() for v in values], dtype=str)


def _dates(values: NDArray[np.str_]) -> NDArray[np.bool_]:
    return np.asarray(pd.to_datetime(values, format="%Y-%m-%d", errors="coerce").notna())


def _unmoved(found: gpd.GeoDataFrame, cell: NDArray[np.int64]) -> NDArray[np.bool_]:
    shapes = found.geometry.to_numpy()
    away = shapely.hausdorff_distance(shapes, shapely.box(*grid.cell_bounds(cell)))
    # QGIS may have made a multipolygon of one part of it.
    return np.asarray((shapely.get_dimensions(shapes) == 2) & (away <= _TOLERANCE_DEGREES), bool)
