"""How far cells of the grid and other people's shapes lie from places, and how large cells are.

Distances are great-circle kilometres (:mod:`models.sphere`).
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from models.sphere import Floats, PointIndex, great_circle_km
from pipeline.geo import grid

# The nearest square is among those of the nearest centres; beyond this many, a square that is
# nearer by a few metres may be overlooked (at most 0.12 km, where all of them are far away).
_NEAR_CELLS = 9
# Half the diagonal of a cell at the equator, rounded up.
_CELL_REACH_KM = 0.4
_WGS84_A_KM = 6378.137
_WGS84_E2 = 0.00669437999014


class CellIndex:
    """Cells of the grid to which distances are asked; a point inside a cell is 0 km from it.

    Parameters
    ----------
    cells : numpy.ndarray of int64, shape (n,)
        Identifiers; n may be 0.
    """

    def __init__(self, cells: NDArray[np.int64]) -> None:
        self._points = PointIndex(*grid.cell_centres(cells))
        self._bounds = np.stack(grid.cell_bounds(cells)) if cells.size else np.empty((4, 0))

    def nearest(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
        """Return position of and distance to the nearest cell (-1 and NaN where there are none)."""
        near, distance = self._points.k_nearest(lon, lat, _NEAR_CELLS)
        if near.shape[1] > 1 or self._bounds.size:
            queries = np.repeat(np.arange(len(near)), near.shape[1])
            distance = self._to_square(lon, lat, queries, near.ravel()).reshape(near.shape)
        best = np.argmin(distance, axis=1) if len(near) else np.empty(0, np.int64)
        rows = np.arange(len(near))
        return near[rows, best], distance[rows, best]

    def within(
        self, lon: ArrayLike, lat: ArrayLike, radius_km: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs (query, position of a cell) whose square lies within each query's radius.

        Parameters
        ----------
        lon, lat : array_like of float, shape (n,)
            Degrees.
        radius_km : array_like of float
            Kilometres; one, or one for each query.

        Returns
        -------
        queries, cells : numpy.ndarray of int64, shape (pairs,)
            Positions of queries and of cells.
        """
        radii = np.broadcast_to(np.asarray(radius_km, float), np.asarray(lon).shape)
        queries, cells = self._points.within(lon, lat, radii + _CELL_REACH_KM)
        keep = self._to_square(lon, lat, queries, cells) <= radii[queries]
        return queries[keep], cells[keep]

    def _to_square(
        self,
        lon: ArrayLike,
        lat: ArrayLike,
        queries: NDArray[np.int64],
        cells: NDArray[np.int64],
    ) -> Floats:
        """Distance from each pair's point to the nearest point of its cell.

        Parameters
        ----------
        lon, lat : array_like of float, shape (n,)
            Degrees.
        queries : numpy.ndarray of int64, shape (pairs,)
            Positions of points.
        cells : numpy.ndarray of int64, shape (pairs,)
            Positions of cells.

        Returns
        -------
        numpy.ndarray of float64, shape (pairs,)
            Kilometres; 0 inside the cell.
        """
        x, y = np.asarray(lon, float)[queries], np.asarray(lat, float)[queries]
        west, south, east, north = self._bounds[:, cells]
        return great_circle_km(x, y, np.clip(x, west, east), np.clip(y, south, north))


def nearest_shape(
    shapes: NDArray[np.object_], queries: NDArray[np.object_]
) -> tuple[NDArray[np.int64], Floats]:
    """Return the nearest shape to each query shape.

    Points among points are exact. Otherwise the nearest spot is looked for on a plane that is
    stretched for each degree of latitude, and its great-circle distance taken: 0 where shapes
    overlap, never too small, and too large by at most 0.3 % within 10 degrees of the equator and
    2 % at 50 degrees, for shapes up to about 100 km away. The antimeridian is an edge.

    Parameters
    ----------
    shapes, queries : numpy.ndarray of shapely geometries, shapes (n,), (m,)
        EPSG:4326, not empty; n and m may be 0.

    Returns
    -------
    index : numpy.ndarray of int64, shape (m,)
        Position in ``shapes``; -1 where there are none.
    distance : numpy.ndarray of float64, shape (m,)
        Kilometres; NaN where there are none.
    """
    index = np.full(len(queries), -1, np.int64)
    distance = np.full(len(queries), np.nan)
    if len(shapes) == 0 or len(queries) == 0:
        return index, distance
    if _all_points(shapes) and _all_points(queries):
        tree = PointIndex(shapely.get_x(shapes), shapely.get_y(shapes))
        return tree.nearest(shapely.get_x(queries), shapely.get_y(queries))
    bounds = shapely.bounds(queries)
    bands = np.floor((bounds[:, 1] + bounds[:, 3]) / 2).astype(np.int64)
    for band in np.unique(bands):
        rows = np.flatnonzero(bands == band)
        scale = np.array([np.cos(np.radians(min(abs(band + 0.5), 89.0))), 1.0])
        stretched, asked = _stretched(shapes, scale), _stretched(queries[rows], scale)
        found = shapely.STRtree(stretched).query_nearest(asked, all_matches=False)[1]
        ends = shapely.get_coordinates(shapely.shortest_line(asked, stretched[found])) / scale
        index[rows] = found
        distance[rows] = great_circle_km(*ends[0::2].T, *ends[1::2].T)
    return index, distance


def cell_area_km2(cells: NDArray[np.int64]) -> Floats:
    """Area of each cell on the WGS84 ellipsoid, in square kilometres."""
    _, lat = grid.cell_centres(cells)
    sine = np.sin(np.radians(lat))
    side = np.radians(grid.CELL_DEGREES)
    flattening = (1 - _WGS84_E2) / (1 - _WGS84_E2 * sine**2) ** 2
    return np.asarray(_WGS84_A_KM**2 * flattening * np.cos(np.radians(lat)) * side**2, float)


def _stretched(shapes: NDArray[np.object_], scale: Floats) -> NDArray[np.object_]:
    return np.asarray(shapely.transform(shapes, lambda xy: xy * scale), object)


def _all_points(shapes: NDArray[np.object_]) -> bool:
    return bool(np.all(shapely.get_type_id(shapes) == shapely.GeometryType.POINT))
