"""Distances between points of the globe: great circles on a sphere of the Earth's mean radius.

Against the ellipsoid they are off by at most 0.6 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

EARTH_RADIUS_KM = 6371.0088

Floats = NDArray[np.float64]


def great_circle_km(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Distance between points given in degrees, in kilometres; arrays broadcast.

    Parameters
    ----------
    lon1, lat1, lon2, lat2 : array_like of float
        Degrees; they broadcast.

    Returns
    -------
    numpy.ndarray of float64
        Kilometres.
    """
    a, b, c, d = (np.radians(np.asarray(x, float)) for x in (lon1, lat1, lon2, lat2))
    half = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    distance: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return distance


class PointIndex:
    """Points to which distances are asked, in a tree.

    Parameters
    ----------
    lon, lat : array_like of float, shape (n,)
        Degrees, EPSG:4326; n may be 0.
    """

    def __init__(self, lon: ArrayLike, lat: ArrayLike) -> None:
        self._size = np.asarray(lon).size
        # Halved by its middle rather than by its median, which many equal points would slow down.
        self._tree = cKDTree(_on_unit_sphere(lon, lat), balanced_tree=False) if self._size else None

    def nearest(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
        """Return index of and distance to the nearest point (-1 and NaN where there are none)."""
        index, distance = self.k_nearest(lon, lat, 1)
        return index[:, 0], distance[:, 0]

    def k_nearest(
        self, lon: ArrayLike, lat: ArrayLike, count: int
    ) -> tuple[NDArray[np.int64], Floats]:
        """Return indices of and distances to the nearest points, shape (queries, <= ``count``).

        Parameters
        ----------
        lon, lat : array_like of float, shape (n,)
            Degrees.
        count : int
            How many points are wanted.

        Returns
        -------
        indices : numpy.ndarray of int64
            Positions of points, the nearest first.
        distances : numpy.ndarray of float64
            Kilometres.
        """
        size = np.asarray(lon).size
        if self._tree is None or size == 0:
            return np.full((size, 1), -1), np.full((size, 1), np.nan)
        ranks = range(1, min(count, self._size) + 1)
        chord, index = self._tree.query(_on_unit_sphere(lon, lat), k=ranks)
        return index.astype(np.int64), 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1))

    def within(
        self, lon: ArrayLike, lat: ArrayLike, radius_km: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs (query, point) that lie within each query's radius, query by query.

        Parameters
        ----------
        lon, lat : array_like of float, shape (n,)
            Degrees.
        radius_km : array_like of float
            Kilometres; one, or one for each query.

        Returns
        -------
        queries, points : numpy.ndarray of int64, shape (pairs,)
            Positions of queries and of points.
        """
        size = np.asarray(lon).size
        if self._tree is None or size == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        angle = np.minimum(np.asarray(radius_km, float) / EARTH_RADIUS_KM, np.pi)
        found = self._tree.query_ball_point(_on_unit_sphere(lon, lat), 2 * np.sin(angle / 2))
        queries = np.repeat(np.arange(size), [len(item) for item in found])
        return queries, np.concatenate(found).astype(np.int64)


def _on_unit_sphere(lon: ArrayLike, lat: ArrayLike) -> Floats:
    """Return points as vectors, shape (n, 3): the chord between two grows with their distance."""
    x, y = np.radians(np.ravel(lon).astype(float)), np.radians(np.ravel(lat).astype(float))
    return np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=1)
