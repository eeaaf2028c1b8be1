"""Tables of visits as text, from CSV, GeoPackage or GeoJSON, before anything is believed."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from pipeline.errors import InputFileError, VisitsError
from pipeline.geo.geopackage import layer_names, read_table, table_names
from pipeline.geo.input_files import check_file
from pipeline.geo.vector_files import read_vector

SUFFIXES = (".csv", ".gpkg", ".geojson", ".json")
# What a GeoPackage of visits may call its table; otherwise its first layer is taken.
TABLE = "visits"
MAX_ROWS = 200_000
MAX_COLUMNS = 400
MAX_TEXT = 10_000


def read_as_text(path: Path) -> pd.DataFrame:
    """Read a table with every value as text.

    Parameters
    ----------
    path : pathlib.Path
        A UTF-8 CSV file with a header; a GeoPackage with a table or layer called ``visits``, or
        whose first layer holds them; or GeoJSON. Places of features become ``longitude`` and
        ``latitude`` (EPSG:4326) where the table has no such columns.

    Returns
    -------
    pandas.DataFrame
        Texts, ``NaN`` where the file has nothing; index 0..n-1.

    Raises
    ------
    VisitsError
        If the file is no table, or a larger one than anybody's visits.
    InputFileError
        If the file is not there, is too large or is of another kind.
    """
    check_file(path, SUFFIXES)
    where = str(path)
    table = _read_csv(path, where) if path.suffix.lower() == ".csv" else _read_features(path)
    if len(table.columns) > MAX_COLUMNS:
        raise VisitsError(f"more than {MAX_COLUMNS} columns", where=where)
    if len(table) > MAX_ROWS:
        raise VisitsError(f"more than {MAX_ROWS:,} visits", where=where)
    for column in table.columns:
        long = (table[column].str.len() > MAX_TEXT).fillna(False).to_numpy(bool)
        if long.any():
            raise VisitsError(
                f"{column} may not be longer than {MAX_TEXT:,} characters",
                where=f"{where}, {describe_row(int(long.argmax()))}, column {column}",
                next_step="correct or remove these rows",
            )
    return table


def describe_row(row: int) -> str:
    """Say which row of a table of visits is meant.

    Parameters
    ----------
    row : int
        From 0.

    Returns
    -------
    str
        The header is line 1; a cell with a line break inside moves those after it.
    """
    return f"visit {row + 1:,} (about line {row + 2:,})"


def are_visits(path: Path, mapping: str = "") -> bool:
    """Say whether a file of labels is a table of visits, rather than polygons.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    mapping : str, optional
        The configured mapping of a table's columns: with one, it is.

    Returns
    -------
    bool
        Whether it is a CSV file, a GeoPackage with a table or layer ``visits``, or has a mapping.
    """
    if mapping or path.suffix.lower() != ".gpkg":
        return bool(mapping) or path.suffix.lower() == ".csv"
    return path.is_file() and TABLE in [*table_names(path), *layer_names(path)]


def _read_csv(path: Path, where: str) -> pd.DataFrame:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise VisitsError(
            f"the file is not UTF-8 (byte {error.start})",
            where=where,
            next_step="save it as CSV with the encoding UTF-8",
        ) from None
    except OSError as error:
        raise InputFileError(
            f"the file cannot be read: {error.strerror}",
            where=where,
            next_step="check that you may read it",
        ) from None
    try:
        header = next(csv.reader(io.StringIO(content)), [])
        if not content.strip():
            raise VisitsError("the file is empty", where=where)
        _refuse_semicolons(header, where)
        if len(header) > MAX_COLUMNS:
            raise VisitsError(f"more than {MAX_COLUMNS} columns", where=where)
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise VisitsError(f"columns stand there twice: {escape_names(twice)}", where=where)
        return pd.read_csv(
            io.StringIO(content),
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            index_col=False,
            nrows=MAX_ROWS + 1,
        )
    except (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        pd.errors.EmptyDataError,
        csv.Error,
        ValueError,
    ) as error:
        reason = str(error).splitlines()[0][:200]
        raise VisitsError(f"the file is no table of visits: {reason}", where=where) from None


def _refuse_semicolons(header: list[str], where: str) -> None:
    """Say what a table is that a spreadsheet saved where the comma is in decimal numbers."""
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) < 3 and sum(cell.count(sign) for cell in header) >= 3:
            raise VisitsError(
                f"the columns are separated by {name}, not by commas",
                where=f"{where}, line 1",
                next_step="save it as CSV with the separator comma, decimal point and UTF-8 (in "
                "LibreOffice: Save As, Text CSV, Edit filter settings)",
            )


def escape_names(names: list[str]) -> str:
    """Write names from outside so that they cannot act: escaped, each cut, the first ten."""
    return ", ".join(ascii(name)[:80] for name in names[:10])


def _read_features(path: Path) -> pd.DataFrame:
    layers = layer_names(path)
    if path.suffix.lower() == ".gpkg" and TABLE not in layers and TABLE in table_names(path):
        return _as_text(read_table(path, TABLE))
    found = read_vector(path, TABLE if TABLE in layers else "", every=True)
    return _as_text(_with_places(found))


def _with_places(found: gpd.GeoDataFrame) -> pd.DataFrame:
    table = pd.DataFrame(found.drop(columns=found.geometry.name))
    if {"longitude", "latitude"} <= set(table.columns) or not len(found):
        return table
    points = found.geometry.representative_point()
    places = {"longitude": points.x.round(8), "latitude": points.y.round(8)}
    return table.assign(**places)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {str(name): table[name].map(_text).astype("str") for name in table.columns},
        index=range(len(table)),
    )


def _text(value: Any) -> str | float:
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return float("nan")
    if isinstance(value, bool):
        return str(int(value))
    # A column with gaps comes back as floating point: 50.0 was 50.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if text else float("nan")
