"""Squares from cells: geometry on the grid, and the merging of four cells into one square.

Coordinates are longitude and latitude in degrees, EPSG:4326, rounded to the grid's own decimals so
that neighbours share their corners exactly.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from models.sphere import PointIndex
from pipeline.classes import CANNOT_TELL, WEAKEST_FIRST
from pipeline.geo import grid

# What a square has from its strongest cell.
_OF_THE_STRONGEST = (
    "class",
    "probability",
    "low",
    "high",
    "dissimilarity",
    "dispute",
    "applicable",
)
_GEOD = Geod(ellps="WGS84")


def square_bounds(cells: ArrayLike, square: float) -> NDArray[np.float64]:
    """West, south, east, north of squares of 0.005 or 0.01 degree, shape (4, n), rounded."""
    fine = square < 0.0075
    edges = grid.cell_bounds(cells) if fine else grid.coarse_cell_bounds(cells)
    return np.round(np.stack(edges), 3 if fine else 2)


def squares(cells: pd.DataFrame, square: float) -> gpd.GeoDataFrame:
    """Give each row of a table of cells its square."""
    west, south, east, north = square_bounds(cells["cell"], square)
    geometry = shapely.box(west, south, east, north)
    return gpd.GeoDataFrame(cells, geometry=geometry, crs=grid.CRS)


def coarse_cells(
    cells: pd.DataFrame, sites: gpd.GeoDataFrame | None, young: gpd.GeoDataFrame
) -> pd.DataFrame:
    """Merge the 0.005-degree cells into 0.01-degree squares.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row a cell, as ``join`` stores them.
    sites : geopandas.GeoDataFrame, optional
        The sites that may be published, EPSG:4326.
    young : geopandas.GeoDataFrame
        Those that are held back; they leave the cells' counts too.

    Returns
    -------
    pandas.DataFrame
        One row a square, ordered by ``cell``. Class, probability and what the model says of how
        sure it is are those of its strongest cell (NaN if all cannot tell), counts of looks the
        lowest, shares the mean.
    """
    codes = pd.Categorical(cells["class"], categories=list(WEAKEST_FIRST)).codes
    table = cells.assign(cell=grid.coarse_cell_of(cells["cell"]), **{"class": codes})
    if len(young):
        own = grid.cell_of(young.geometry.x, young.geometry.y)
        counted = pd.Series(own).value_counts()
        held = cells["cell"].map(counted).fillna(0)
        table["sites"] = np.maximum(cells["sites"] - held, 0).astype(np.int16)
    how = {
        **dict.fromkeys(_OF_THE_STRONGEST, "last"),
        "observed": "mean",
        "clear_observations": "min",
        "first_image": "min",
        "last_image": "max",
        "scenes": "min",
        "in_training": "any",
        "sites": "sum",
    }
    for name in ("first_image", "last_image"):
        if name in table:
            table[name] = pd.to_datetime(table[name], errors="coerce").astype("datetime64[s]")
    table = table.sort_values(["class", "probability"], na_position="first", kind="stable")
    merged = table.groupby("cell", sort=True).agg(
        {name: rule for name, rule in how.items() if name in table}
    )
    merged["class"] = np.asarray(WEAKEST_FIRST, dtype=object)[merged["class"]]
    for name in ("first_image", "last_image"):
        if name in merged:
            days = np.datetime_as_string(merged[name].to_numpy("datetime64[D]"))
            merged[name] = pd.Series(days, index=merged.index).mask(merged[name].isna(), None)
    merged = merged.reset_index()
    west, south, east, north = square_bounds(merged["cell"], 0.01)
    # From what this product shows of the sites: their rounded places.
    places = shapely.get_coordinates([] if sites is None else round_points(sites, 2).geometry)
    km = PointIndex(*places.T).nearest((west + east) / 2, (south + north) / 2)[1]
    merged["nearest_site_km"] = np.round(km, 1).astype(np.float32)
    return merged


def round_points(points: gpd.GeoDataFrame, decimals: int) -> gpd.GeoDataFrame:
    """Round the coordinates of points, degrees."""
    geometry = shapely.points(
        np.round(points.geometry.x, decimals), np.round(points.geometry.y, decimals)
    )
    return points.set_geometry(gpd.GeoSeries(geometry, index=points.index, crs=grid.CRS))


def coarse_candidates(candidates: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Replace each polygon by the 0.01-degree squares that it shares area with."""
    shapes, counts, areas = [], [], []
    for polygon in candidates.geometry:
        boxes = _squares_under(polygon)
        shape = shapely.union_all(boxes)
        shapes.append(_multi(shape))
        counts.append(len(boxes))
        areas.append(abs(_GEOD.geometry_area_perimeter(shape)[0]) / 1e6)
    changed = {"cells": counts, "area_km2": np.round(areas, 2)}
    if "nearest_site_km" in candidates:
        changed["nearest_site_km"] = candidates["nearest_site_km"].astype(float).round(1)
    geometry = gpd.GeoSeries(shapes, index=candidates.index, crs=grid.CRS)
    return candidates.assign(**changed).set_geometry(geometry)


def _squares_under(polygon: BaseGeometry) -> NDArray[np.object_]:
    west, south, east, north = polygon.bounds
    cols = np.arange(np.floor(round(west * 100, 6)), np.ceil(round(east * 100, 6)))
    rows = np.arange(np.floor(round(south * 100, 6)), np.ceil(round(north * 100, 6)))
    x, y = (part.ravel() for part in np.meshgrid(cols, rows))
    # A ten-millionth of a degree inside, so that touching an edge is not sharing area.
    inner = shapely.box(x / 100 + 1e-7, y / 100 + 1e-7, (x + 1) / 100 - 1e-7, (y + 1) / 100 - 1e-7)
    shapely.prepare(polygon)
    hit = shapely.intersects(polygon, inner)
    x, y = x[hit], y[hit]
    boxes: NDArray[np.object_] = shapely.box(
        np.round(x / 100, 2), np.round(y / 100, 2), np.round((x + 1) / 100, 2),
        np.round((y + 1) / 100, 2),
    )  # fmt: skip
    return boxes


def _multi(shape: BaseGeometry) -> BaseGeometry:
    return shapely.MultiPolygon(list(shapely.get_parts(shape)))


def with_coordinates(candidates: gpd.GeoDataFrame, decimals: int) -> gpd.GeoDataFrame:
    """Add longitude and latitude, rounded: of the strongest cell, if more than two decimals show.

    To two decimals it is a point inside of the shape, which says no more than the shape does.
    """
    if decimals > 2:
        x, y = grid.cell_centres(candidates["cell"].to_numpy(np.int64))
    else:
        inside = candidates.geometry.representative_point()
        x, y = inside.x.to_numpy(), inside.y.to_numpy()
    return candidates.assign(
        longitude=np.round(x, decimals), latitude=np.round(y, decimals)
    ).set_geometry(candidates.geometry.map(_multi))


def coverage_strips(cells: pd.DataFrame, square: float) -> gpd.GeoDataFrame:
    """Join neighbours of one row that were seen equally often into strips.

    Returns
    -------
    geopandas.GeoDataFrame
        ``clear_observations`` (whole dates), ``cannot_tell``, ``cells`` (squares joined), geometry.
    """
    table = cells.sort_values("cell")
    number = table["cell"].to_numpy()
    unknown = (table["class"] == CANNOT_TELL).to_numpy()
    looks = table["clear_observations"].to_numpy(float)
    looks = np.floor(np.nan_to_num(looks)).astype(np.int32)
    row = number // round(360 / square)
    fresh = np.ones(len(table), bool)
    fresh[1:] = (
        (np.diff(number) != 1) | (np.diff(row) != 0) | (np.diff(looks) != 0)
        | (unknown[1:] != unknown[:-1])
    )  # fmt: skip
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(table)) - 1
    west, _, _, north = square_bounds(number[first], square)
    _, south, east, _ = square_bounds(number[last], square)
    strips = {
        "clear_observations": looks[first],
        "cannot_tell": unknown[first],
        "cells": (last - first + 1).astype(np.int32),
    }
    geometry = shapely.box(west, south, east, north)
    return gpd.GeoDataFrame(strips, geometry=geometry, crs=grid.CRS)
