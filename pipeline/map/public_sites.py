"""Known sites that the public product does not name, and its candidates as if it knew none of them.

A cluster that only such a site explains must be a candidate like any other: that it is missing from
the list would tell of the site.
"""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.map.files.symbology import score_breaks
from pipeline.map.provenance import RunInfo
from pipeline.sites.candidates import Search, find_candidates, reach_of
from pipeline.sites.column_mapping import load_mapping
from pipeline.sites.join import Joined
from pipeline.sites.ranking import RANDOM


def sites_held_back(
    sites: gpd.GeoDataFrame | None, config: Config, last_day: str
) -> NDArray[np.bool_]:
    """Mark the sites that the public product must not name.

    Parameters
    ----------
    sites : geopandas.GeoDataFrame or None
        As joined.
    config : Config
        Says which table they are from.
    last_day : str
        ISO date of the last day that the product may show.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        All sites of a table that nobody has published (its mapping does not say where); of
        others those whose visit is, or could be, younger than the day. ``YYYY-01-01`` often means
        that only the year is known, so it counts as the year's last day; a visit without any date
        counts as young.
    """
    if sites is None:
        return np.zeros(0, bool)
    if not is_published(config):
        return np.ones(len(sites), bool)
    empty = pd.Series(None, index=sites.index, dtype=object)
    dates = pd.to_datetime(sites.get("visit_date", empty), errors="coerce", format="ISO8601")
    years = pd.to_numeric(sites.get("visit_year", empty), errors="coerce")
    years = years.fillna(dates.dt.year.astype(float))
    year_end = years.map(lambda year: "9999" if pd.isna(year) else f"{int(year):04d}-12-31")
    text = dates.dt.strftime("%Y-%m-%d")
    vague = dates.isna() | ((dates.dt.month == 1) & (dates.dt.day == 1))
    return np.asarray(text.mask(vague, year_end).astype(str) > last_day, dtype=bool)


def is_published(config: Config) -> bool:
    """Tell whether the table of visits may be taken for one that everybody can read already.

    Parameters
    ----------
    config : Config
        ``labels_mapping`` names the form of another table.

    Returns
    -------
    bool
        True for IPIS's own form, in which its open data come; for another form what its mapping
        says.
    """
    mapping = config.labels.mapping
    return not mapping or bool(load_mapping(mapping).published)


def public_candidates(joined: Joined, held: NDArray[np.bool_], run: RunInfo) -> gpd.GeoDataFrame:
    """Return the candidates as who knows the other sites alone would find them.

    Parameters
    ----------
    joined : Joined
        The run.
    held : numpy.ndarray of bool, shape (n,)
        Sites that are not named.
    run : RunInfo
        Its model's thresholds and its seed.

    Returns
    -------
    geopandas.GeoDataFrame
        With as many places drawn at random as before, now among whole squares of 0.01 degree: the
        product shows these, and a square that also holds a likely cell is not one that the
        map does not suspect. Sites beyond the region's border explain no cluster here, since this
        product does not know them.
    """
    given = joined.candidates
    drawn = int((given["kind"] == RANDOM).sum()) if "kind" in given else 0
    if not (held.any() or drawn):
        return given
    likely = score_breaks(run.model.thresholds)[3]
    search = Search(likely, random=drawn, seed=run.config.run.seed, squares=True)
    reach = None if joined.sites is None else reach_of(joined.sites[~held])
    anew = find_candidates(joined.cells, reach, search)
    if held.any():
        return anew
    places = anew[anew["kind"] == RANDOM]
    found = given[given["kind"] != RANDOM]
    last = int(found["candidate"].max()) if len(found) else 0
    places = places.assign(candidate=last + np.arange(1, len(places) + 1))
    both: Any = pd.concat([found, places], ignore_index=True)
    return gpd.GeoDataFrame(both, geometry="geometry", crs=given.crs)
