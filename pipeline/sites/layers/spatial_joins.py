"""Which area owns a point, what lies nearest, how many lie in reach: each answer one for a point.

Areas touch and overlap. A point in or on the border of several belongs to the first of them, in
the order of the layer (by its id, else as in the file), so that one on a border has one owner.
Cells and blocks of the grid have their own, half-open rule (``pipeline.geo.grid``).
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from models.sphere import great_circle_km
from pipeline.geo.distance import nearest_shape

# Degrees (0.1 mm): the last bits of two borders' coordinates may leave as much between them.
_GAP = 1e-9
_KM_PER_DEGREE = 111.0

Shapes = NDArray[np.object_]


def owner_of(points: Shapes, areas: Shapes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the area that owns each point.

    Parameters
    ----------
    points : numpy.ndarray of shapely Points, shape (n,)
        EPSG:4326.
    areas : numpy.ndarray of shapely Polygons or MultiPolygons, shape (m,)
        EPSG:4326, valid, in the order that decides.

    Returns
    -------
    owner : numpy.ndarray of int64, shape (n,)
        Position of the first area that holds the point, border included; -1: none does.
    count : numpy.ndarray of int64, shape (n,)
        How many areas do.
    """
    owner = np.full(len(points), -1, np.int64)
    count = np.zeros(len(points), np.int64)
    if len(points) == 0 or len(areas) == 0:
        return owner, count
    shapely.prepare(areas)
    at, hit = shapely.STRtree(points).query(areas, predicate="intersects")
    _take(owner, count, at, hit)
    left = np.flatnonzero(owner < 0)
    if left.size:
        at, hit = shapely.STRtree(points[left]).query(areas, predicate="dwithin", distance=_GAP)
        _take(owner, count, at, left[hit])
    return owner, count


def count_touching(shapes: Shapes, areas: Shapes) -> NDArray[np.int64]:
    """Count the areas that each shape shares a point with.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        EPSG:4326.
    areas : numpy.ndarray of shapely geometries, shape (m,)
        EPSG:4326.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        How many.
    """
    if len(shapes) == 0 or len(areas) == 0:
        return np.zeros(len(shapes), np.int64)
    hit = shapely.STRtree(areas).query(shapes, predicate="intersects")[0]
    return np.bincount(hit, minlength=len(shapes)).astype(np.int64)


def nearest_in_reach(
    shapes: Shapes, queries: Shapes, reach_km: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest shape to each query, if it is in reach.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        EPSG:4326.
    queries : numpy.ndarray of shapely geometries, shape (m,)
        EPSG:4326.
    reach_km : float
        Kilometres.

    Returns
    -------
    index : numpy.ndarray of int64, shape (m,)
        Position in ``shapes``; -1: none in reach.
    distance : numpy.ndarray of float64, shape (m,)
        Great-circle kilometres, 0 where they overlap; NaN: none in reach.
    """
    index = np.full(len(queries), -1, np.int64)
    distance = np.full(len(queries), np.nan)
    near = np.unique(_boxes_near(shapes, queries, reach_km)[0])
    found, km = nearest_shape(shapes, queries[near])
    close = km <= reach_km
    index[near[close]], distance[near[close]] = found[close], km[close]
    return index, distance


def count_in_reach(shapes: Shapes, queries: Shapes, reach_km: float) -> NDArray[np.int64]:
    """Count the shapes in reach of each query.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        EPSG:4326.
    queries : numpy.ndarray of shapely geometries, shape (m,)
        EPSG:4326.
    reach_km : float
        Kilometres, by great circle to the nearest spot on a plane stretched for the latitude.

    Returns
    -------
    numpy.ndarray of int64, shape (m,)
        How many.
    """
    asked, at = _boxes_near(shapes, queries, reach_km)
    if asked.size == 0:
        return np.zeros(len(queries), np.int64)
    bounds = shapely.bounds(queries[asked])
    scale = np.cos(np.radians(np.clip((bounds[:, 1] + bounds[:, 3]) / 2, -89, 89)))
    ends = shapely.get_coordinates(
        shapely.shortest_line(_squeezed(queries[asked], scale), _squeezed(shapes[at], scale))
    ).reshape(-1, 2, 2)
    x, y = ends[:, :, 0] / scale[:, None], ends[:, :, 1]
    close = great_circle_km(x[:, 0], y[:, 0], x[:, 1], y[:, 1]) <= reach_km
    return np.bincount(asked[close], minlength=len(queries)).astype(np.int64)


def _take(
    owner: NDArray[np.int64],
    count: NDArray[np.int64],
    at: NDArray[np.int64],
    hit: NDArray[np.int64],
) -> None:
    """Enter pairs (area, point): the smallest area's number wins."""
    count += np.bincount(hit, minlength=len(count))
    order = np.argsort(at, kind="stable")[::-1]
    # Of several values for one place the last is kept: the smallest.
    owner[hit[order]] = at[order]


def _boxes_near(
    shapes: Shapes, queries: Shapes, reach_km: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (query, shape) whose boxes are near enough for the shapes to be in reach."""
    if len(shapes) == 0 or len(queries) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    west, south, east, north = shapely.bounds(queries).T
    high = reach_km / _KM_PER_DEGREE * 1.01
    furthest = np.clip(np.maximum(np.abs(south), np.abs(north)) + high, 0, 89)
    wide = high / np.cos(np.radians(furthest))
    boxes = shapely.box(west - wide, south - high, east + wide, north + high)
    asked, at = shapely.STRtree(shapes).query(boxes)
    return asked.astype(np.int64), at.astype(np.int64)


def _squeezed(shapes: Shapes, scale: NDArray[np.float64]) -> Shapes:
    """Multiply each shape's longitudes by its own factor."""
    factors = np.repeat(scale, shapely.get_num_coordinates(shapes))
    both = np.column_stack([factors, np.ones_like(factors)])
    return np.asarray(shapely.transform(shapes, lambda xy: xy * both), object)
