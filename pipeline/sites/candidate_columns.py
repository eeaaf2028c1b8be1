"""The columns of the candidates: one entry each, computed from the cells of their clusters.

A new column is an entry of ``COLUMNS`` and its row in ``data/DISCLOSURE.md``, which says who may
see it and what the map calls it; without a row it stays in the restricted edition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from pipeline.geo import grid
from pipeline.geo.distance import cell_area_km2
from pipeline.sites.ranking import FACTORS
from pipeline.words.catalogue import languages


@dataclass(frozen=True)
class Clusters:
    """What the columns are computed from.

    Parameters
    ----------
    cells : pandas.core.groupby.DataFrameGroupBy
        The cells by cluster, in the order of the clusters' numbers.
    strongest : pandas.DataFrame
        Of each cluster the cell of the highest score, by its number.
    known_sites : pandas.Series
        Of each cluster how many sites, located only roughly, it may be.
    """

    cells: Any
    strongest: pd.DataFrame
    known_sites: pd.Series[int]


@dataclass(frozen=True)
class CandidateColumn:
    """A column of the candidates.

    Parameters
    ----------
    dtype : str or None
        Of its values; None: as the model gives it.
    of : callable, optional
        Given the clusters: a value of each. None: the ranking gives it.
    """

    dtype: Any
    of: Callable[[Clusters], Any] | None = None


def _strongest(name: str, default: object = np.nan) -> Callable[[Clusters], Any]:
    """Take a column from the strongest cell; the default where the model does not say it."""
    return lambda clusters: clusters.strongest.get(name, default)


COLUMNS = {
    # Clusters are numbered by their smallest cell, so the north-westernmost comes first.
    "candidate": CandidateColumn("int64", lambda all: np.arange(1, len(all.strongest) + 1)),
    "kind": CandidateColumn("str", _strongest("kind")),
    "rank": CandidateColumn("int64"),
    "priority": CandidateColumn("float64"),
    **dict.fromkeys(FACTORS, CandidateColumn("float64")),
    "probability": CandidateColumn("float64", _strongest("probability")),
    "low": CandidateColumn("float64", _strongest("low")),
    "high": CandidateColumn("float64", _strongest("high")),
    "labels": CandidateColumn("str", _strongest("labels", "")),
    "dissimilarity": CandidateColumn(None, _strongest("dissimilarity")),
    "dispute": CandidateColumn(None, _strongest("dispute")),
    "applicable": CandidateColumn("bool", _strongest("applicable", True)),
    "mean_probability": CandidateColumn("float64", lambda all: all.cells["probability"].mean()),
    "likely_share": CandidateColumn("float64", lambda all: all.cells["likely"].mean()),
    "trained_share": CandidateColumn("float64", lambda all: all.cells["in_training"].mean()),
    "cell": CandidateColumn("int64", _strongest("cell")),
    "cells": CandidateColumn("int64", lambda all: all.cells.size()),
    "area_km2": CandidateColumn("float64", lambda all: all.cells["area_km2"].sum()),
    "part_of": CandidateColumn("int64", _strongest("part_of")),
    "nearest_site_km": CandidateColumn("float64", lambda all: all.cells["nearest_site_km"].min()),
    "known_sites": CandidateColumn("int64", lambda all: all.known_sites),
    "clear_observations": CandidateColumn(
        "float64", lambda all: all.cells["clear_observations"].mean()
    ),
    **{f"reasons_{lang}": CandidateColumn("str") for lang in languages()},
}


def describe_clusters(cells: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each cluster, in their order, without what the ranking gives.

    Parameters
    ----------
    cells : pandas.DataFrame
        Of all clusters: ``cluster``, ``kind``, ``part_of``, ``likely`` and the map's own columns.
    sites : pandas.DataFrame
        Pairs ``cluster``, ``site``: which sites, located only roughly, each may be.

    Returns
    -------
    pandas.DataFrame
        Of ``COLUMNS``.
    """
    cells = cells.assign(area_km2=cell_area_km2(cells["cell"].to_numpy(np.int64)))
    ordered = cells.sort_values(["probability", "cell"], ascending=[False, True], kind="stable")
    strongest = ordered.drop_duplicates("cluster").set_index("cluster").sort_index()
    known = sites.groupby("cluster")["site"].nunique().reindex(strongest.index, fill_value=0)
    clusters = Clusters(cells.groupby("cluster", sort=True), strongest, known)
    return pd.DataFrame(
        {
            name: pd.Series(column.of(clusters), index=strongest.index, dtype=column.dtype)
            for name, column in COLUMNS.items()
            if column.of is not None
        }
    ).reset_index(drop=True)


def no_candidates() -> gpd.GeoDataFrame:
    """Return the table of a map without candidates."""
    empty = {name: pd.Series(dtype=column.dtype or "float64") for name, column in COLUMNS.items()}
    return gpd.GeoDataFrame(empty, geometry=gpd.GeoSeries([], crs=grid.CRS))
