"""Where a model may be asked: how far a cell lies from all that it was trained on.

The dissimilarity index of Meyer and Pebesma 2021 (doi 10.1111/2041-210X.13650): distance to the
nearest training row over the mean distance between training rows, with the threshold from folds.
Thousands of columns that say much the same are seen through their main axes; what those leave of a
cell, its remainder, is one more coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from models.gram import Features, Gram, chunks_of
from models.transform import transform

AXES = 16
# The paper takes 1.5 times the distance between the quartiles, which flagged up to 14 % of the good
# chips of a region held out: docs/decisions/0014-doubt.md.
FENCE = 3.0
# More training rows than these are drawn from.
MOST_ROWS = 10_000
_SMALLEST_SPREAD = 1e-6
_PAIRS = 20_000


@dataclass(frozen=True)
class Applicability:
    """The training rows as the index sees them.

    Parameters
    ----------
    centre, spread : numpy.ndarray of float32, shape (columns,)
        Mean and standard deviation of the transformed columns.
    axes : numpy.ndarray of float32, shape (columns, k)
        Main axes of the standardised columns.
    rows : numpy.ndarray of float32, shape (n, k + 1)
        Training rows on the axes, and their remainders.
    mean_distance : float
        Between training rows.
    threshold : float
        Of the index; beyond it a cell lies outside.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    axes: NDArray[np.float32]
    rows: NDArray[np.float32]
    mean_distance: float
    threshold: float

    def place(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return coordinates of rows of features.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float32, shape (n, k + 1)
            On the axes; the remainder last.
        """
        return _place(transform(features), self.centre, self.spread, self.axes)

    def dissimilarity(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the dissimilarity index.

        Parameters
        ----------
        places : numpy.ndarray of float32, shape (n, k + 1)
            As ``place`` gives them.

        Returns
        -------
        numpy.ndarray of float32, shape (n,)
            0 at a training row, 1 at the mean distance between training rows.
        """
        near = NearestNeighbors(n_neighbors=1).fit(self.rows)
        distances: NDArray[np.float32] = near.kneighbors(places)[0][:, 0].astype(np.float32)
        return distances / np.float32(self.mean_distance)


def equal_say(labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return weights with which both classes count the same, however few the mines are.

    Parameters
    ----------
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Those of a class add up to 1.
    """
    mines = labels == 1
    weights: NDArray[np.float64] = np.where(
        mines, 1 / max(mines.sum(), 1), 1 / max((~mines).sum(), 1)
    )
    return weights


def fit_applicability(
    features: Features,
    folds: NDArray[np.int16],
    labels: NDArray[np.int8],
    seed: int = 0,
    axes: int = AXES,
) -> Applicability:
    """Learn the axes, keep the training rows and set the threshold.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite; read twice.
    folds : numpy.ndarray of int16, shape (n,)
        As wide apart as the places that the model will be asked about: whole regions where there
        are some.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    seed : int
        Of the draw, where there are more rows than ``MOST_ROWS``.
    axes : int
        Number of main axes.

    Returns
    -------
    Applicability
        With a threshold in the paper's way, from the index of training rows to those of other
        folds: the third quartile and ``FENCE`` times the distance between the quartiles. Both
        classes count the same for it: mines differ more from each other than other ground does,
        and are few, so that by the rows as they come large mines would lie outside.
    """
    centre, spread, found = _main_axes(features, axes)
    middle, width, along = (
        np.ascontiguousarray(array, np.float32) for array in (centre, spread, found)
    )
    places = np.concatenate(
        [_place(transform(part), middle, width, along) for _, part in chunks_of(features)]
    )
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(len(places))[:MOST_ROWS])
    places, folds, labels = places[kept], folds[kept], labels[kept]
    one, other = rng.integers(0, len(places), (2, _PAIRS))
    mean_distance = float(np.linalg.norm(places[one] - places[other], axis=1).mean())
    nearest = np.empty(len(places))
    for fold in np.unique(folds):
        held = folds == fold
        tree = NearestNeighbors(n_neighbors=1).fit(places[~held])
        nearest[held] = tree.kneighbors(places[held])[0][:, 0]
    lower, upper = np.quantile(
        nearest / mean_distance, [0.25, 0.75], weights=equal_say(labels), method="inverted_cdf"
    )
    threshold = float(upper + FENCE * (upper - lower))
    return Applicability(middle, width, along, places, mean_distance, threshold)


def _main_axes(
    features: Features, axes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the transformed columns, and main axes of what is left."""
    if features.shape[0] < features.shape[1]:
        # Fewer rows than columns: the axes follow from the rows' own products.
        table = np.concatenate([transform(part) for _, part in chunks_of(features)])
        table = table.astype(np.float64)
        centre = table.mean(axis=0)
        table -= centre
        spread = np.maximum(np.sqrt((table**2).mean(axis=0)), _SMALLEST_SPREAD)
        table /= spread
        return centre, spread, np.linalg.qr(table.T @ _largest(table @ table.T, axes))[0]
    total = Gram(features.shape[1])
    for rows, part in chunks_of(features):
        total.add(transform(part), np.zeros(len(part)), np.ones(rows.stop - rows.start))
    centre, covariance, _, _ = total.centred()
    spread = np.sqrt(np.maximum(np.diag(covariance), _SMALLEST_SPREAD**2))
    return centre, spread, _largest(covariance / spread[:, None] / spread, axes)


def _largest(matrix: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Eigenvectors of the largest eigenvalues; the lower triangle is read."""
    size = len(matrix)
    subset = (size - min(count, size), size - 1)
    found: NDArray[np.float64] = scipy.linalg.eigh(
        matrix, lower=True, subset_by_index=subset, check_finite=False
    )[1]
    return found


def _place(
    table: NDArray[np.float32],
    centre: NDArray[np.float32],
    spread: NDArray[np.float32],
    axes: NDArray[np.float32],
) -> NDArray[np.float32]:
    standard = (table - centre) / spread
    along = standard @ axes
    length = np.einsum("ij,ij->i", standard, standard)
    rest = np.sqrt(np.maximum(length - np.einsum("ij,ij->i", along, along), 0))
    return np.column_stack([along, rest])
