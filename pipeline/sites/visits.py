"""Visits to artisanal mining sites, in the form of IPIS's open data for eastern DRC.

One row is one visit, not one site: a site (``pcode``) is visited again and again, some rows are
status records that nobody made on the spot, and null means "not recorded", never 0. Every original
column is kept; only those that the pipeline computes with get a type.
"""

from __future__ import annotations

import difflib
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import Config
from pipeline.errors import VisitsError
from pipeline.sites.answer_codes import add_codes
from pipeline.sites.column_mapping import apply_mapping, is_mapped, load_mapping
from pipeline.sites.service import DownloadLimits, fetch_saved
from pipeline.sites.text_values import read_answers, read_dates, read_numbers
from pipeline.sites.text_values import refuse as refuse_rows
from pipeline.sites.visit_tables import describe_row, escape_names, read_as_text

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
# How many people there were, or how often something happened; the last two only in other forms.
COUNTS = ("workers_numb", "accident_dead", "accident_injured")
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
# A plain fix, or one carried over from an earlier IPIS visit. "GPS (village)" is a village's fix.
_FIX = re.compile(r"gps\s*(\(\s*ipis\s+\d{4}\s*\))?")


def read_visits(path: str | Path, mapping: str | Path = "") -> pd.DataFrame:
    """Read and check a table of visits.

    Parameters
    ----------
    path : str or pathlib.Path
        A CSV file (UTF-8, commas, a header), GeoPackage or GeoJSON file in the IPIS form.
    mapping : str or pathlib.Path, optional
        What the columns of another form are here (``pipeline.sites.column_mapping``): a file, or
        the name of a packaged one; empty: the columns are those of IPIS's table of the DRC.

    Returns
    -------
    pandas.DataFrame
        One row a visit, in the file's order, index 0..n-1, every column of the file:
        ``visit_date`` as datetime64, ``longitude`` and ``latitude`` as float64 degrees
        (EPSG:4326), answers of 1, 0 or null as nullable Int8, counts as nullable Float64,
        everything else as text. Null is ``pandas.NA`` (``NaN`` in text columns). After them the
        normalised answers, see :func:`pipeline.sites.answer_codes.add_codes`.

    Raises
    ------
    VisitsError
        If a column is missing or a value cannot be used; it names the column and the line.
    InputFileError
        If the file is not there, is too large or is of another kind.
    DeclarationError
        If the mapping is not in its form.
    """
    path = Path(path)
    where = str(path)
    table = read_as_text(path)
    if mapping:
        table = apply_mapping(table, load_mapping(mapping), where)
    _check_columns(table, where)

    def refuse(
        column: str, bad: Any, rule: str, step: str = "correct or remove these rows"
    ) -> None:
        refuse_rows(
            VisitsError, table[column], bad, f"{column} {rule}",
            lambda row: f"{where}, {describe_row(row)}, column {column}", "visits", step,
        )  # fmt: skip

    for column, limit in (("longitude", 180), ("latitude", 90)):
        degrees, bad = read_numbers(table[column])
        refuse(column, bad, "must be a number")
        # Written so that a missing coordinate fails as well.
        within = np.abs(degrees) <= limit
        refuse(column, ~within, f"must be degrees within -{limit}..{limit} (EPSG:4326)")
        table[column] = degrees.astype(np.float64)
    refuse("pcode", table["pcode"].isna(), "may not be empty")
    dates, _ = read_dates(table["visit_date"])
    refuse(
        "visit_date",
        ~dates.dt.year.between(1900, 2100),
        "must be a date of the form YYYY-MM-DD",
        "write YYYY-MM-DD, or say the form in a LABELS_MAPPING= file ([dates], docs/sites.md)",
    )
    table["visit_date"] = dates
    for column in table.columns:
        if column in _YES_NO or _YES_NO_GROUP.fullmatch(column):
            answers, bad = read_answers(table[column])
            refuse(column, bad, "must be 1, 0 or empty, or yes or no in words")
            table[column] = answers.astype("Int8")
    for column in COUNTS:
        if column in table:
            numbers, bad = read_numbers(table[column])
            refuse(column, bad, "must be a number")
            refuse(column, (numbers < 0) | (numbers > 1e6), "must be a count")
            table[column] = numbers.astype("Float64")
    return add_codes(table)


def visits_file(config: Config) -> Path:
    """Return the table of visits that an address gives, or the copy saved of it.

    Parameters
    ----------
    config : Config
        ``labels`` is an address.

    Returns
    -------
    pathlib.Path
        A file that ``read_visits`` reads.

    Raises
    ------
    ServiceError
        If the service gives no table of visits and there is no copy.
    """
    limits = DownloadLimits(config.reading.timeout, config.reading.seconds)
    # A form that has no coordinates of its own is asked for with its points.
    suffix = ".geojson" if config.labels.mapping else ".csv"
    check = partial(read_visits, mapping=config.labels.mapping)
    return fetch_saved(config.labels.file, config.workspace.raw / "services", suffix, check, limits)


def latest_on_site(visits: pd.DataFrame) -> pd.DataFrame:
    """Return the latest visit that was made on the spot, one row a site.

    Rows whose ``visit_onsite`` is 0 or null are left out. So are those of others
    (:func:`recorded_by_others`).

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
        (int), ``precision`` and ``radius_m`` (see :func:`location_precision`); one row a ``pcode``.
    """
    seen = latest_on_site(visits)
    rest = _latest(visits[~visits["pcode"].isin(seen["pcode"])])
    sites = pd.concat([seen.assign(on_site=True), rest.assign(on_site=False)])
    sites = sites.sort_values("pcode", kind="stable").reset_index(drop=True)
    located = location_precision(sites["location_origin"])
    return sites.assign(
        on_site=sites["on_site"].astype(bool),
        visit_year=sites["visit_date"].dt.year.astype("int64"),
        precision=located["precision"],
        radius_m=located["radius_m"],
    )


def recorded_by_others(visits: pd.DataFrame) -> pd.Series[bool]:
    """Say which rows are records of others, which IPIS's own table holds beside its visits.

    Parameters
    ----------
    visits : pandas.DataFrame
        As from :func:`read_visits`.

    Returns
    -------
    pandas.Series of bool
        Where ``project`` does not begin with "IPIS". In a table that came through a mapping, and in
        which no row does, that tells nothing: it is its user's own, and no row is of others.
    """
    own = visits["project"].fillna("").astype(str).str.startswith("IPIS")
    if is_mapped(visits) and not own.any():
        own[:] = True
    return ~own


def location_precision(location_origin: pd.Series[Any]) -> pd.DataFrame:
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
    return on_site & ~recorded_by_others(visits)


def _latest(visits: pd.DataFrame) -> pd.DataFrame:
    ordered = visits.sort_values(["pcode", "visit_date"], kind="stable")
    return ordered.drop_duplicates("pcode", keep="last").reset_index(drop=True)


def _check_columns(table: pd.DataFrame, where: str) -> None:
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        present = {name.strip().lower(): name for name in table.columns}
        near = {
            name: [present[key] for key in difflib.get_close_matches(name, present, n=1)]
            for name in missing
        }
        hints = [f"{found[0]!r} instead of {name!r}" for name, found in near.items() if found]
        many = "s" * (len(missing) > 1)
        raise VisitsError(
            f"the table of visits lacks the column{many} {escape_names(missing)}",
            where=where,
            next_step=("it has " + ", ".join(hints) + "; " if hints else "")
            + "rename or add the columns, or say what they are called here with LABELS_MAPPING= "
            "(docs/sites.md); the IPIS form needs " + ", ".join(REQUIRED),
        )
    if table.empty:
        raise VisitsError("the table of visits has no row", where=where)
