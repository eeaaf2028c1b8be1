"""Visits to artisanal mining sites, in the form of IPIS's open data for eastern DRC.

One row is one visit, not one site: a site (``pcode``) is visited again and again, some rows are
status records that nobody made on the spot, and null means "not recorded", never 0. Every original
column is kept; only those that the pipeline computes with get a type.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import InputFileError, VisitsError
from pipeline.sites.vectors import check_file

REQUIRED = (
    "pcode",
    "name",
    "project",
    "visit_date",
    "visit_onsite",
    "longitude",
    "latitude",
    "location_origin",
    "mineral1",
)
MAX_ROWS = 200_000
MAX_COLUMNS = 400
MAX_TEXT = 10_000
# Radii within which the place may truly lie. They are our judgement, not IPIS's: a handheld fix is
# good to some 20 m, but it is taken where the visitors stood, at the edge of the workings or in the
# camp. An approximate one is a village, a sketch or an old map; one entry says "4 km du site".
PRECISION_RADIUS_M = {"gps": 250.0, "approximate": 5_000.0}

# Answers that are 1, 0 or null, beside those about each of three armed groups.
_YES_NO = (
    "visit_onsite",
    "is_3t_mine",
    "is_gold_mine",
    "mercury",
    "presence",
    "interference",
    "childunder15",
    "women",
)
_YES_NO_GROUP = re.compile(
    r"(taxation|commerce_taxation|entrance_taxation|monopoly|buying_minerals|digging"
    r"|forced_labour|pillaging)_armed_group\d"
)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)([T Z].*)?")
# A plain fix, or one carried over from an earlier IPIS visit. "GPS (village)" is a village's fix.
_FIX = re.compile(r"gps\s*(\(\s*ipis\s+\d{4}\s*\))?")


def read_visits(path: str | Path) -> pd.DataFrame:
    """Read and check a table of visits.

    Parameters
    ----------
    path : str or pathlib.Path
        A UTF-8 CSV file in the IPIS form, comma-separated, with a header.

    Returns
    -------
    pandas.DataFrame
        One row a visit, in the file's order, index 0..n-1, every column of the file:
        ``visit_date`` as datetime64, ``longitude`` and ``latitude`` as float64 degrees
        (EPSG:4326), answers of 1, 0 or null as nullable Int8, ``workers_numb`` as nullable
        Float64, everything else as text. Null is ``pandas.NA`` (``NaN`` in text columns).

    Raises
    ------
    VisitsError
        If a column is missing or a value cannot be used; it names the column and the line.
    InputFileError
        If the file is not there, is too large or is no CSV file.
    """
    path = Path(path)
    check_file(path, (".csv",))
    where = str(path)
    table = _read_text(path, where)
    _check_columns(table, where)
    for column in ("longitude", "latitude"):
        limit = 180 if column == "longitude" else 90
        degrees = _numbers(table, column, where).to_numpy(np.float64)
        # Written so that a missing coordinate fails as well.
        _refuse(
            table,
            column,
            ~(np.abs(degrees) <= limit),
            where,
            f"must be degrees within -{limit}..{limit} (EPSG:4326)",
        )
        table[column] = degrees
    _refuse(table, "pcode", table["pcode"].isna(), where, "may not be empty")
    table["visit_date"] = _dates(table, where)
    for column in table.columns:
        if column in _YES_NO or _YES_NO_GROUP.fullmatch(column):
            numbers = _numbers(table, column, where)
            _refuse(
                table,
                column,
                numbers.notna() & ~numbers.isin([0, 1]),
                where,
                "must be 1, 0 or empty",
            )
            table[column] = numbers.astype("Int8")
    if "workers_numb" in table:
        numbers = _numbers(table, "workers_numb", where)
        _refuse(table, "workers_numb", (numbers < 0) | (numbers > 1e6), where, "must be a count")
        table["workers_numb"] = numbers.astype("Float64")
    return table


def latest_on_site(visits: pd.DataFrame) -> pd.DataFrame:
    """Return the latest visit that IPIS itself made on the spot, one row a site.

    Status records and rows from others (``project`` not starting with "IPIS") are left out, and so
    are rows whose ``visit_onsite`` is 0 or null.

    Parameters
    ----------
    visits : pandas.DataFrame
        As from :func:`read_visits`.

    Returns
    -------
    pandas.DataFrame
        The same columns, one row a ``pcode``, ordered by it; of two visits on one day the later
        row of the table. Index 0..n-1.
    """
    return _latest(visits[_made_on_site(visits)])


def all_sites(visits: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each site that the table knows, visited on the spot or not.

    A site without an on-site IPIS visit stands with its latest record: it is a known place, but
    its answers are second-hand.

    Parameters
    ----------
    visits : pandas.DataFrame
        As from :func:`read_visits`.

    Returns
    -------
    pandas.DataFrame
        The same columns and ``on_site`` (bool: the row is an on-site IPIS visit), ``visit_year``
        (int), ``precision`` and ``radius_m`` (see :func:`precision`); one row a ``pcode``.
    """
    seen = latest_on_site(visits)
    rest = _latest(visits[~visits["pcode"].isin(seen["pcode"])])
    sites = pd.concat([seen.assign(on_site=True), rest.assign(on_site=False)])
    sites = sites.sort_values("pcode", kind="stable").reset_index(drop=True)
    located = precision(sites["location_origin"])
    return sites.assign(
        on_site=sites["on_site"].astype(bool),
        visit_year=sites["visit_date"].dt.year.astype("int64"),
        precision=located["precision"],
        radius_m=located["radius_m"],
    )


def precision(location_origin: pd.Series[Any]) -> pd.DataFrame:
    """Say how well each place is known.

    Parameters
    ----------
    location_origin : pandas.Series of str
        IPIS's free text, such as "GPS", "GPS (village)" or "Approximation"; null: not recorded.

    Returns
    -------
    pandas.DataFrame
        ``precision``: "gps" for a fix at the site, otherwise "approximate"; ``radius_m``: metres
        within which the site is taken to lie (``PRECISION_RADIUS_M``). Same index.
    """
    text = location_origin.fillna("").astype(str).str.strip().str.lower()
    kinds = np.where(
        text.map(lambda origin: _FIX.fullmatch(origin) is not None), "gps", "approximate"
    )
    return pd.DataFrame(
        {"precision": kinds, "radius_m": [PRECISION_RADIUS_M[kind] for kind in kinds]},
        index=location_origin.index,
    )


def _made_on_site(visits: pd.DataFrame) -> pd.Series[bool]:
    # Both answers may be null, and a null says neither yes nor no.
    on_site = (visits["visit_onsite"] == 1).fillna(False).astype(bool)
    return on_site & visits["project"].fillna("").astype(str).str.startswith("IPIS")


def _latest(visits: pd.DataFrame) -> pd.DataFrame:
    ordered = visits.sort_values(["pcode", "visit_date"], kind="stable")
    return ordered.drop_duplicates("pcode", keep="last").reset_index(drop=True)


def _read_text(path: Path, where: str) -> pd.DataFrame:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise VisitsError(
            f"the file is not UTF-8 (byte {error.start})",
            where=where,
            next_step="save it as CSV with the encoding UTF-8",
        ) from None
    except OSError as error:
        raise InputFileError(f"the file cannot be read: {error.strerror}", where=where) from None
    try:
        header = next(csv.reader(io.StringIO(content)), [])
        if len(header) > MAX_COLUMNS:
            raise VisitsError(f"more than {MAX_COLUMNS} columns", where=where)
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise VisitsError(f"columns stand there twice: {_listed(twice)}", where=where)
        table = pd.read_csv(
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
    if len(table) > MAX_ROWS:
        raise VisitsError(f"more than {MAX_ROWS:,} visits", where=where)
    for column in table.columns:
        _refuse(
            table,
            column,
            table[column].str.len() > MAX_TEXT,
            where,
            f"may not be longer than {MAX_TEXT:,} characters",
        )
    return table


def _check_columns(table: pd.DataFrame, where: str) -> None:
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        present = {name.strip().lower(): name for name in table.columns}
        near = {
            name: [present[key] for key in difflib.get_close_matches(name, present, n=1)]
            for name in missing
        }
        hints = [f"{found[0]!r} instead of {name!r}" for name, found in near.items() if found]
        raise VisitsError(
            f"the table of visits lacks the column{'s' * (len(missing) > 1)} {_listed(missing)}",
            where=where,
            next_step=("it has " + ", ".join(hints) + "; " if hints else "")
            + "rename or add the columns; the IPIS form needs "
            + ", ".join(REQUIRED),
        )
    if table.empty:
        raise VisitsError("the table of visits has no row", where=where)


def _listed(names: list[str]) -> str:
    return ", ".join(ascii(name)[:80] for name in names[:10])


def _numbers(table: pd.DataFrame, column: str, where: str) -> pd.Series[float]:
    numbers = pd.to_numeric(table[column], errors="coerce")
    _refuse(table, column, table[column].notna() & numbers.isna(), where, "must be a number")
    return numbers


def _dates(table: pd.DataFrame, where: str) -> pd.Series[pd.Timestamp]:
    matches = table["visit_date"].str.strip().str.extract(_DATE)[0]
    dates = pd.to_datetime(matches, format="%Y-%m-%d", errors="coerce")
    plausible = dates.dt.year.between(1900, 2100)
    _refuse(table, "visit_date", ~plausible, where, "must be a date of the form YYYY-MM-DD")
    return dates


def _refuse(table: pd.DataFrame, column: str, bad: Any, where: str, rule: str) -> None:
    rows = np.flatnonzero(np.asarray(pd.array(bad, dtype="boolean").fillna(False), bool))
    if rows.size:
        # The header is line 1; a cell with a line break inside moves those after it.
        value = ascii(table[column].iloc[rows[0]])[:80]
        raise VisitsError(
            f"{column} {rule}: {rows.size:,} visits, the first with {value}",
            where=f"{where}, visit {rows[0] + 1:,} (about line {rows[0] + 2:,}), column {column}",
            next_step="correct or remove these rows",
        )
