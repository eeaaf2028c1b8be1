"""How sites and map agree, both ways: what share of the sites is found, and what has no site.

Recall by size, mineral, province, age of the visit and precision of the place, each with the number
of sites that it rests on; and the likely squares by their distance to the nearest known site. A
table of visits is not exhaustive, so a likely square without a site is unlabelled, not wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.geo import grid
from pipeline.geo.distance import CellIndex
from pipeline.sites.visits import PRECISION_RADIUS_M

COLUMNS = (
    "dimension", "group", "total", "told", "matched", "in_training", "recall", "low", "high",
    "chance",
)  # fmt: skip
# A site is matched within the radius of its location and so much more, kilometres.
TOLERANCE_KM = 1.0
# Places that the share in reach is counted over; its error is then below half a per cent.
_PLACES = 20_000
# The public product leaves out groups of fewer sites, since they speak of single ones.
FEWEST_PUBLIC = 10
# Groups by what the public may not know of a single site: a sum over few sites tells it.
_RESTRICTED = ("workers", "precision")
_WORKERS = ((0, 0, "0"), (1, 49, "1-49"), (50, 499, "50-499"), (500, math.inf, "500+"))
_AGES = ((0, 2, "0-2"), (2, 5, "2-5"), (5, 10, "5-10"))
_KM = ((0, 1, "0-1"), (1, 5, "1-5"), (5, math.inf, "5+"))
_NOT_TOLD = ("cannot_tell", "not_mapped")
_Z = 1.959964
# Signs rather than words: the map has several languages.
UNKNOWN = "–"


def chance_recall(cells: pd.DataFrame) -> dict[str, float]:
    """Return what share of a map a place would match on if it lay anywhere.

    Parameters
    ----------
    cells : pandas.DataFrame
        ``cell`` and ``class`` of the 0.005-degree cells.

    Returns
    -------
    dict of str to float
        For each precision of a place: share of the cells whose centre lies as near to a likely,
        possible or industrial cell as a match asks for.
    """
    ids = cells["cell"].to_numpy(np.int64)
    called = ids[cells["class"].isin(["likely", "possible", "industrial"]).to_numpy()]
    some = np.sort(ids)[:: max(1, len(ids) // _PLACES)]
    km = CellIndex(called).nearest(*grid.cell_centres(some))[1]
    return {
        name: float(np.mean(km <= metres / 1000 + TOLERANCE_KM))
        for name, metres in PRECISION_RADIUS_M.items()
    }


def match_table(
    sites: pd.DataFrame | None,
    cells: pd.DataFrame,
    newest: str,
    public: bool = False,
    chance: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Lay out what is matched and what is not.

    Parameters
    ----------
    sites : pandas.DataFrame or None
        Known sites with ``matched``, and whatever of ``workers_numb``, ``mineral``, ``province``,
        ``visit_date``, ``precision``, ``cell_class`` and ``in_training`` there is.
    cells : pandas.DataFrame
        Cells or squares with ``class`` and ``nearest_site_km``.
    newest : str
        ISO date of the newest image, from which the age of a visit is counted.
    public : bool, optional
        Whether groups of fewer than ``FEWEST_PUBLIC`` sites are left out, and all by size and by
        precision.
    chance : mapping, optional
        Of ``chance_recall``.

    Returns
    -------
    pandas.DataFrame
        ``COLUMNS``: ``total`` sites (or likely squares), ``told``: where the map can tell,
        ``matched`` of these, ``in_training``: sites whose cell the model was trained on, ``recall``
        (matched of told) with its 95 % interval (Wilson 1927), ``chance``: the recall that places
        known as well as these would have anywhere on the map. The groups of a dimension sum to all
        the sites, in the restricted product.
    """
    rows: list[dict[str, Any]] = []
    if sites is not None and len(sites):
        groups = {"all": pd.Series("", index=sites.index), **_groups(sites, newest)}
        for dimension, labels in groups.items():
            if public and dimension in _RESTRICTED:
                continue
            for group, index in sites.groupby(labels, sort=True).groups.items():
                if not public or len(index) >= FEWEST_PUBLIC:
                    rows.append(_recall(dimension, str(group), sites.loc[index], chance or {}))
    likely = cells[cells["class"] == "likely"]
    if "nearest_site_km" in likely and sites is not None:
        labels = _bands(likely["nearest_site_km"].astype(float), _KM, UNKNOWN)
        for group, count in labels.value_counts().sort_index().items():
            rows.append({"dimension": "likely_squares", "group": str(group), "total": int(count)})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    counts = ("total", "told", "matched", "in_training")
    return table.astype(dict.fromkeys(counts, "Int64") | dict.fromkeys(COLUMNS[-4:], "float64"))


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    Parameters
    ----------
    hits : int
        Of the count.
    count : int
        How many there are.

    Returns
    -------
    low, high : float
        NaN if the count is 0.
    """
    if count == 0:
        return math.nan, math.nan
    share, z2 = hits / count, _Z**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def visit_age(dates: pd.Series[Any], newest: str) -> pd.Series[Any]:
    """Return the years from each visit to the newest image; below 0: the visit came after it.

    Parameters
    ----------
    dates : pandas.Series of datetime64
        Of the visits; null: not known.
    newest : str
        ISO date of the newest image.

    Returns
    -------
    pandas.Series of float64
        Years of 365.25 days, two decimals.
    """
    days = (pd.Timestamp(newest[:10]) - pd.to_datetime(dates)).dt.days
    years: pd.Series[Any] = (days / 365.25).round(2)
    return years


def _groups(sites: pd.DataFrame, newest: str) -> dict[str, pd.Series[Any]]:
    found: dict[str, pd.Series[Any]] = {}
    if "workers_numb" in sites:
        workers = pd.to_numeric(sites["workers_numb"], errors="coerce").astype(float)
        found["workers"] = _bands(workers, _WORKERS, UNKNOWN)
    for name in ("mineral", "province", "precision"):
        if name in sites:
            found[name] = sites[name].fillna(UNKNOWN).astype(str)
    if "visit_date" in sites and newest:
        # A visit dated on the first of January is known by its year only; the band is as wide.
        ages = visit_age(sites["visit_date"], newest)
        found["visit_age"] = _bands(ages, _AGES, "10+").mask(ages < 0, "< 0")
        found["visit_age"] = found["visit_age"].mask(ages.isna(), UNKNOWN)
    return found


def _bands(values: pd.Series[Any], bands: tuple[tuple[float, float, str], ...], rest: str) -> Any:
    """Name the first band that holds each value, edges included."""
    conditions = [(values >= low) & (values <= high) for low, high, _ in bands]
    names = np.select(conditions, [name for *_, name in bands], default=rest)
    return pd.Series(names, index=values.index)


def _recall(
    dimension: str, group: str, sites: pd.DataFrame, chance: Mapping[str, float]
) -> dict[str, Any]:
    told = np.ones(len(sites), bool)
    if "cell_class" in sites:
        # A site that matches a neighbouring cell was found, wherever its own cell could not tell.
        matched = sites["matched"].fillna(False).to_numpy(bool)
        told = ~sites["cell_class"].isin(_NOT_TOLD).to_numpy() | matched
    hits = int(sites["matched"].fillna(False).to_numpy(bool)[told].sum())
    count = int(told.sum())
    low, high = wilson(hits, count)
    trained = int(sites["in_training"].fillna(False).sum()) if "in_training" in sites else None
    by_chance = math.nan
    if chance and "precision" in sites:
        by_chance = float(sites["precision"].map(dict(chance)).mean())
    return {
        "dimension": dimension, "group": group, "total": len(sites), "told": count,
        "matched": hits, "in_training": trained, "recall": hits / count if count else math.nan,
        "low": low, "high": high, "chance": by_chance,
    }  # fmt: skip
