"""Ways to split rows into what a model is fitted on and what it is judged by.

Rows that lie side by side look alike, so a random split flatters a model: here whole places are
held out, from squares of a degree to whole regions and countries, with a gap around them where that
is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.vq import kmeans2

from models.errors import TrainingError
from models.sphere import PointIndex

# Rows without a place stay with their neighbours in the list, in runs of so many.
RUN_ROWS = 20
_STARTS = 20


@dataclass(frozen=True)
class Split:
    """What one fold is fitted on and judged by.

    Parameters
    ----------
    train : numpy.ndarray of bool, shape (n,)
        Rows to fit on.
    test : numpy.ndarray of bool, shape (n,)
        Rows to judge by; their neighbours may be in neither of the two.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]


def spatial_folds(groups: ArrayLike, labels: ArrayLike, count: int = 5) -> NDArray[np.int16]:
    """Deal groups of neighbouring rows out to folds, so that no group is split.

    Parameters
    ----------
    groups : array_like, shape (n,)
        Name of the place that each row lies in, such as a 1-degree square or a block.
    labels : array_like of int, shape (n,)
        1 mine, 0 not.
    count : int
        Number of folds; fewer if there are fewer groups.

    Returns
    -------
    numpy.ndarray of int16, shape (n,)
        Fold of each row. Groups with positives go, those with the most first, to the fold that has
        the fewest positives; the others, the largest first, to the fold that has the fewest rows;
        equal groups in alphabetical order, so that it is reproducible.

    Raises
    ------
    TrainingError
        If there are fewer than two groups.
    """
    names, index = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    labels = np.asarray(labels)
    if len(names) < 2:
        raise TrainingError("spatial folds need rows from at least two places")
    count = min(count, len(names))
    positives = np.bincount(index, weights=labels, minlength=len(names))
    sizes = np.bincount(index, minlength=len(names))
    load = np.zeros((count, 2))
    fold_of = np.zeros(len(names), np.int16)
    for group in np.lexsort((names, -sizes, -positives)):
        order = load if positives[group] else load[:, ::-1]
        fold = min(range(count), key=lambda k: (*order[k], k))
        fold_of[group] = fold
        load[fold] += positives[group], sizes[group]
    return fold_of[index]


def random_folds(labels: ArrayLike, count: int = 5, seed: int = 0) -> NDArray[np.int16]:
    """Deal single rows out at random, each class by itself.

    It flatters: it is here to show by how much.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        1 mine, 0 not.
    count : int
        Number of folds.
    seed : int
        Of the draw.

    Returns
    -------
    numpy.ndarray of int16, shape (n,)
        Fold of each row.
    """
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(labels), np.int16)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        folds[rows] = np.arange(len(rows)) % count
    return folds


def region_folds(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    labels: ArrayLike,
    count: int = 8,
) -> NDArray[np.int16]:
    """Cut the ground into regions around where the mines lie.

    Parameters
    ----------
    lon, lat : numpy.ndarray of float64, shape (n,)
        Of each row, degrees; NaN where it has no place.
    labels : array_like of int, shape (n,)
        1 mine, 0 not.
    count : int
        Number of regions; fewer where mines lie in fewer 1-degree squares.

    Returns
    -------
    numpy.ndarray of int16, shape (n,)
        Region of each row: the nearest of the centres that k-means finds among the squares that
        hold mines. Rows without a place go in runs of neighbours of the list to all regions.

    Raises
    ------
    TrainingError
        If the mines lie in fewer than two squares.
    """
    placed = np.isfinite(lon) & np.isfinite(lat)
    mines = placed & (np.asarray(labels) == 1)
    squares = np.unique(np.column_stack([np.floor(lon[mines]), np.floor(lat[mines])]), axis=0)
    if len(squares) < 2:
        raise TrainingError(
            "regions need mines in at least two 1-degree squares", {"code": "few_squares"}
        )
    count = min(count, len(squares))
    best, least = squares[:count], np.inf
    for start in range(_STARTS):
        centres, nearest = kmeans2(
            squares, count, minit="++", rng=np.random.default_rng(start), missing="warn"
        )
        distance = float(((squares - centres[nearest]) ** 2).sum())
        if distance < least and len(np.unique(nearest)) == count:
            best, least = centres, distance
    folds = np.zeros(len(lon), np.int16)
    points = np.column_stack([lon[placed] - 0.5, lat[placed] - 0.5])
    folds[placed] = ((points[:, None] - best[None]) ** 2).sum(axis=2).argmin(axis=1)
    loose = np.flatnonzero(~placed)
    folds[loose] = (np.arange(len(loose)) // RUN_ROWS) % count
    return folds


def checkerboard(
    lon: NDArray[np.float64], lat: NDArray[np.float64], side: float
) -> NDArray[np.int16]:
    """Colour the squares of a checkerboard: black rows are judged by white ones, and reversed.

    With growing squares the rows to be judged lie farther and farther from those that a model was
    fitted on (Rolf et al. 2021, doi 10.1038/s41467-021-24638-z, figure 3).

    Parameters
    ----------
    lon, lat : numpy.ndarray of float64, shape (n,)
        Of each row, degrees; NaN where it has no place.
    side : float
        Of a square, degrees.

    Returns
    -------
    numpy.ndarray of int16, shape (n,)
        0 or 1; -1 for a row without a place.
    """
    placed = np.isfinite(lon) & np.isfinite(lat)
    folds = np.full(len(lon), -1, np.int16)
    folds[placed] = (np.floor(lon[placed] / side) + np.floor(lat[placed] / side)) % 2
    return folds


def splits(
    folds: NDArray[np.int16],
    lon: NDArray[np.float64] | None = None,
    lat: NDArray[np.float64] | None = None,
    buffer_km: float = 0.0,
) -> Iterator[Split]:
    """Hold each fold out in turn.

    Parameters
    ----------
    folds : numpy.ndarray of int16, shape (n,)
        Fold of each row; rows of -1 are fitted on each time and never judged by.
    lon, lat : numpy.ndarray of float64, shape (n,), optional
        Degrees; needed for a buffer. Rows without a place (NaN) are never near.
    buffer_km : float
        Rows so near to a row that is held out are not fitted on either.

    Yields
    ------
    Split
        One a fold, in their order.
    """
    for fold in np.unique(folds[folds >= 0]):
        test = folds == fold
        train = ~test
        if buffer_km and lon is not None and lat is not None:
            train &= ~_near(lon, lat, test, buffer_km)
        yield Split(train, test)


def _near(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    held: NDArray[np.bool_],
    reach_km: float,
) -> NDArray[np.bool_]:
    """Whether a row lies within reach of any row that is held out."""
    placed = np.isfinite(lon) & np.isfinite(lat)
    near = np.zeros(len(lon), bool)
    away = PointIndex(lon[placed & held], lat[placed & held]).nearest(lon[placed], lat[placed])[1]
    near[placed] = away <= reach_km
    return near
