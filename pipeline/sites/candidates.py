"""Candidates: clusters of likely mining that no known site explains, ranked, with the reasons.

Cells that touch, corners included, and are at least possible make a cluster; it counts if one of
its cells is likely. A cluster in reach of a site whose place is known by GPS is that site, not a
candidate. A site whose place is only known to some kilometres cannot be told to be this cluster
rather than its neighbour: the cluster stays, marked by ``known_sites``, and ranks after the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline import grid
from pipeline.sites.nearest import Cells, cell_area_km2

COLUMNS = (
    "candidate",
    "rank",
    "probability",
    "mean_probability",
    "cells",
    "area_km2",
    "nearest_site_km",
    "known_sites",
    "clear_observations",
    "reasons",
)
# East, south-west, south, south-east; the other four are these, seen from the other side.
_HALF_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True)
class Reach:
    """Known sites and how far each may truly lie from where the table puts it.

    Parameters
    ----------
    lon, lat : numpy.ndarray of float64, shape (n,)
        Degrees, EPSG:4326.
    radius_km : numpy.ndarray of float64, shape (n,)
        Radius of the location plus the tolerance of the join.
    exact : numpy.ndarray of bool, shape (n,)
        Whether the place was fixed by GPS.
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    radius_km: NDArray[np.float64]
    exact: NDArray[np.bool_]


def find_candidates(cells: pd.DataFrame, reach: Reach | None) -> gpd.GeoDataFrame:
    """Cluster the cells and rank the clusters that no known site explains.

    Parameters
    ----------
    cells : pandas.DataFrame
        Columns ``cell``, ``probability``, ``class``, ``clear_observations``, ``in_training`` and
        ``nearest_site_km``, one row a cell.
    reach : Reach or None
        The known sites, also those beyond the region; None: no table was given.

    Returns
    -------
    geopandas.GeoDataFrame
        ``COLUMNS`` and polygons in EPSG:4326; ``candidate`` numbers them from the north-west,
        ``rank`` is 1 for the highest probability, then the larger area; ordered by rank.
    """
    part = cells[cells["class"].isin(["likely", "possible"])].sort_values("cell")
    ids = part["cell"].to_numpy(np.int64)
    part = part.assign(cluster=clusters(ids), area=cell_area_km2(ids))
    likely = part.loc[part["class"] == "likely", "cluster"].unique()
    part = part[part["cluster"].isin(likely)]
    exact, vague = _sites_of(part, reach)
    part = part[~part["cluster"].isin(exact["cluster"])]
    if part.empty:
        return _none()
    groups = part.groupby("cluster", sort=True)
    found = pd.DataFrame(
        {
            "probability": groups["probability"].max().astype(float),
            "mean_probability": groups["probability"].mean().astype(float),
            "cells": groups.size(),
            "likely": (part["class"] == "likely").groupby(part["cluster"]).sum(),
            "trained": groups["in_training"].sum(),
            "area_km2": groups["area"].sum(),
            "nearest_site_km": groups["nearest_site_km"].min().astype(float),
            "clear_observations": groups["clear_observations"].mean().astype(float),
        }
    )
    sites = vague.groupby("cluster")["site"].nunique()
    found["known_sites"] = sites.reindex(found.index).fillna(0).astype("int64")
    order = pd.DataFrame(
        {
            "marked": found["known_sites"] > 0,
            "probability": -found["probability"],
            "area": -found["area_km2"],
        }
    ).sort_values(["marked", "probability", "area"], kind="stable")
    found["rank"] = pd.Series(np.arange(1, len(order) + 1), index=order.index)
    # Clusters are numbered by their smallest cell, so the north-westernmost comes first.
    found["candidate"] = np.arange(1, len(found) + 1)
    found["reasons"] = [_reasons(row, reach is not None) for row in found.to_dict("records")]
    squares = shapely.box(*grid.cell_bounds(part["cell"].to_numpy(np.int64)))
    outlines = [shapely.union_all(squares[rows]) for _, rows in sorted(groups.indices.items())]
    frame = gpd.GeoDataFrame(found[list(COLUMNS)], geometry=outlines, crs=grid.CRS)
    return frame.sort_values("rank").reset_index(drop=True)


def clusters(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each cell the number of its 8-connected cluster.

    Parameters
    ----------
    cells : numpy.ndarray of int64, shape (n,)
        Cell identifiers, ascending, each once.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Cluster of each cell, 0.. in the order of their smallest cell. The antimeridian is an edge.
    """
    if cells.size == 0:
        return np.empty(0, np.int64)
    cols = cells % grid.CELL_COLUMNS
    pairs = []
    for down, right in _HALF_NEIGHBOURS:
        beside = cells + down * grid.CELL_COLUMNS + right
        at = np.minimum(np.searchsorted(cells, beside), cells.size - 1)
        inside = (cols + right >= 0) & (cols + right < grid.CELL_COLUMNS)
        pairs.append(np.stack([np.flatnonzero(hit := (cells[at] == beside) & inside), at[hit]]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(first.size, bool), (first, second)), shape=(cells.size,) * 2)
    labels = connected_components(graph, directed=False)[1]
    _, start, inverse = np.unique(labels, return_index=True, return_inverse=True)
    numbers: NDArray[np.int64] = np.argsort(np.argsort(start))[inverse].astype(np.int64)
    return numbers


def _sites_of(part: pd.DataFrame, reach: Reach | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs (cluster, site) in reach: of sites known by GPS, and of the others."""
    if reach is None or part.empty:
        pairs = pd.DataFrame(
            {"cluster": pd.Series(dtype="int64"), "site": pd.Series(dtype="int64")}
        )
        return pairs, pairs
    squares = Cells(part["cell"].to_numpy(np.int64))
    sites, cells = squares.within(reach.lon, reach.lat, reach.radius_km)
    pairs = pd.DataFrame({"cluster": part["cluster"].to_numpy()[cells], "site": sites})
    exact = reach.exact[sites]
    return pairs[exact], pairs[~exact]


def _reasons(row: dict[Any, Any], compared: bool) -> str:
    share = f"{int(row['likely'])} of {int(row['cells'])} cells likely"
    words = [f"highest score {row['probability']:.2f}", share, f"{row['area_km2']:.1f} km2"]
    if not compared:
        words.append("not compared with any table of sites")
    elif row["known_sites"]:
        words.append(f"may be one of {int(row['known_sites'])} known sites located only roughly")
    elif np.isfinite(row["nearest_site_km"]):
        words.append(f"no known site nearer than {row['nearest_site_km']:.1f} km")
    else:
        words.append("the table knows no site")
    if np.isfinite(row["clear_observations"]):
        words.append(f"{row['clear_observations']:.1f} clear observations")
    if row["trained"]:
        words.append(f"{int(row['trained'])} cells were used to train the model")
    return "; ".join(words)


def _none() -> gpd.GeoDataFrame:
    kinds = {
        "candidate": "int64",
        "rank": "int64",
        "cells": "int64",
        "known_sites": "int64",
        "reasons": "str",
    }
    empty = {name: pd.Series(dtype=kinds.get(name, "float64")) for name in COLUMNS}
    return gpd.GeoDataFrame(empty, geometry=gpd.GeoSeries([], crs=grid.CRS))
