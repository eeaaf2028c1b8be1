"""Squares from cells, and all that a public product shows on its squares alone.

Coordinates are longitude and latitude in degrees, EPSG:4326, rounded to the grid's own decimals so
that neighbours share their corners exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
from pipeline.sites.layers.joins import COUNT, blocks_of
from pipeline.sites.layers.kinds import GEOMETRIES
from pipeline.sites.layers.layer import KnownLayer

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
_PER_DEGREE = round(1 / grid.PUBLIC_DEGREES)
_BLOCK_DEGREES = grid.CELLS_PER_BLOCK * grid.CELL_DEGREES


def square_bounds(cells: ArrayLike, square: float) -> NDArray[np.float64]:
    """West, south, east, north of squares of so many degrees, shape (4, n), rounded."""
    edges = np.stack(grid.coarse_cell_bounds(cells, round(square / grid.CELL_DEGREES)))
    return edges.round(grid.decimals_of(square))


def squares(cells: pd.DataFrame, square: float) -> gpd.GeoDataFrame:
    """Give each row of a table of cells its square."""
    west, south, east, north = square_bounds(cells["cell"], square)
    geometry = shapely.box(west, south, east, north)
    return gpd.GeoDataFrame(cells, geometry=geometry, crs=grid.CRS)


def coarse_cells(
    cells: pd.DataFrame, sites: gpd.GeoDataFrame | None, young: gpd.GeoDataFrame
) -> pd.DataFrame:
    """Merge the cells into the public squares.

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
    table = table.sort_values(["class", "probability"], na_position="first", kind="stable")
    merged = table.groupby("cell", sort=True).agg(
        {name: rule for name, rule in how.items() if name in table}
    )
    merged["class"] = np.asarray(WEAKEST_FIRST, dtype=object)[merged["class"]]
    merged = merged.reset_index()
    west, south, east, north = square_bounds(merged["cell"], grid.PUBLIC_DEGREES)
    # From what this product shows of the sites: their rounded places.
    places = shapely.get_coordinates([] if sites is None else round_points(sites).geometry)
    km = PointIndex(*places.T).nearest((west + east) / 2, (south + north) / 2)[1]
    merged["nearest_site_km"] = np.round(km, 1).astype(np.float32)
    return merged


def on_squares(degrees: ArrayLike) -> NDArray[np.float64]:
    """Put coordinates on the nearest edges of the public squares."""
    return np.asarray(np.rint(np.asarray(degrees, float) * _PER_DEGREE) / _PER_DEGREE, float)


def round_points(points: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Put points on the nearest corners of the public squares."""
    geometry = shapely.transform(points.geometry.to_numpy(), on_squares)
    return points.set_geometry(gpd.GeoSeries(geometry, index=points.index, crs=grid.CRS))


def round_shapes(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Put shapes on the corners of the public squares; what vanishes there becomes empty.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        EPSG:4326.

    Returns
    -------
    numpy.ndarray of shapely geometries, shape (n,)
        Valid ones.
    """
    # The snapped coordinates are multiples up to their last bits.
    snapped = shapely.set_precision(shapes, grid.PUBLIC_DEGREES)
    return np.asarray(shapely.transform(snapped, on_squares), object)


def coarse_candidates(candidates: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Replace each polygon by the public squares that it shares area with."""
    shapes, counts, areas = [], [], []
    for polygon in candidates.geometry:
        boxes = _squares_under(polygon)
        shape = shapely.union_all(boxes)
        shapes.append(multi_polygon(shape))
        counts.append(len(boxes))
        areas.append(abs(_GEOD.geometry_area_perimeter(shape)[0]) / 1e6)
    changed = {"cells": counts, "area_km2": np.round(areas, 2)}
    if "nearest_site_km" in candidates:
        changed["nearest_site_km"] = candidates["nearest_site_km"].astype(float).round(1)
    geometry = gpd.GeoSeries(shapes, index=candidates.index, crs=grid.CRS)
    return candidates.assign(**changed).set_geometry(geometry)


def _squares_under(polygon: BaseGeometry) -> NDArray[np.object_]:
    west, south, east, north = np.round(np.array(polygon.bounds) * _PER_DEGREE, 6)
    cols = np.arange(np.floor(west), np.ceil(east))
    rows = np.arange(np.floor(south), np.ceil(north))
    x, y = (part.ravel() for part in np.meshgrid(cols, rows))
    edges = np.stack([x, y, x + 1, y + 1]) / _PER_DEGREE
    # A ten-millionth of a degree inside, so that touching an edge is not sharing area.
    inner = shapely.box(*(edges + np.array([[1], [1], [-1], [-1]]) * 1e-7))
    shapely.prepare(polygon)
    left, bottom, right, top = edges[:, shapely.intersects(polygon, inner)]
    return np.asarray(shapely.box(left, bottom, right, top), object)


def multi_polygon(shape: BaseGeometry) -> shapely.MultiPolygon:
    """Return the polygons of a shape as one; lines and points of it are left out."""
    parts = shapely.get_parts(shape)
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


def with_coordinates(candidates: gpd.GeoDataFrame, public: bool) -> gpd.GeoDataFrame:
    """Add longitude and latitude: of the strongest cell, to four decimals.

    In public they are those of the corner of a square next to a point inside of the shape, which
    say no more than the shape does.
    """
    if public:
        inside = candidates.geometry.representative_point()
        x, y = on_squares(inside.x), on_squares(inside.y)
    else:
        x, y = np.round(grid.cell_centres(candidates["cell"].to_numpy(np.int64)), 4)
    shapes = candidates.geometry.map(multi_polygon)
    return candidates.assign(longitude=x, latitude=y).set_geometry(shapes)


def coarse_layers(layers: Sequence[KnownLayer], last_day: str) -> list[KnownLayer]:
    """Return the layers as the public product may know them.

    Parameters
    ----------
    layers : sequence of KnownLayer
        As read.
    last_day : str
        ISO date; what is younger is left out, and what has no date too, where the layer has dates.

    Returns
    -------
    list of KnownLayer
        ``rounded``: outlines and points on the public squares' corners, with public columns;
        ``counts``: blocks of 0.1 degree with the number of features in each (``count``); layers of
        neither are left out.
    """
    shown = []
    for layer in layers:
        declaration, features = layer.declaration, layer.features
        if declaration.public == "none":
            continue
        if declaration.date:
            old = features[declaration.date].fillna("9999") <= last_day
            features = features[old].reset_index(drop=True)
        if declaration.public == "counts":
            features = _counted(features)
        else:
            kept = [c.name for c in declaration.columns if c.disclosure == "public"]
            rounded = _kept_in_sight(features.geometry.to_numpy())
            features = features[[*kept, "geometry"]].set_geometry(rounded, crs=grid.CRS)
            features = features[~features.geometry.is_empty].reset_index(drop=True)
            along = tuple(name for name in declaration.along if name in kept)
            declaration = replace(declaration, along=along)
        if len(features):
            shown.append(replace(layer, declaration=declaration, features=features))
    return shown


def _counted(features: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Count features by the block that holds a point inside of each."""
    blocks, counts = np.unique(blocks_of(features.geometry.to_numpy()), return_counts=True)
    squares = shapely.box(*square_bounds(blocks, _BLOCK_DEGREES))
    table = {COUNT: counts.astype(np.int64)}
    return gpd.GeoDataFrame(table, geometry=squares, crs=grid.CRS)


def _kept_in_sight(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Round shapes; an area that vanishes becomes the square around it."""
    rounded = round_shapes(shapes)
    gone = shapely.is_empty(rounded) & GEOMETRIES["polygon"].holds(shapes)
    if gone.any():
        spots = shapely.point_on_surface(shapes[gone])
        owners = grid.coarse_cell_of(grid.cell_of(shapely.get_x(spots), shapely.get_y(spots)))
        rounded[gone] = shapely.box(*square_bounds(owners, grid.PUBLIC_DEGREES))
    return rounded


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
