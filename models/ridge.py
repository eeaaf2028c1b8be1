"""Ridge regression on features, its penalty chosen by spatial folds.

The scaler is folded into the coefficients, so that a prediction is one matrix product. Whichever is
smaller, rows or columns, gives the system that is solved, and one eigendecomposition of it serves
every penalty. A few dozen mines cannot tell good penalties apart, so the ridges of all of them are
averaged, each by how close its out-of-fold error comes to the smallest one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from models.transform import transform

# An error larger by this share weighs a penalty down by e.
TOLERANCE = 0.1
# Shares of the sum of the weights.
PENALTIES = tuple(float(10.0**power) for power in np.arange(-5, 1.01, 0.5))
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class RidgeModel:
    """A linear score of transformed features.

    Parameters
    ----------
    coefficients : numpy.ndarray of float32, shape (columns,)
        Of the transformed, unscaled features.
    intercept : float
        Added to the product.
    """

    coefficients: NDArray[np.float32]
    intercept: float

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows of features.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            Around 0 for not a mine, around 1 for a mine.
        """
        product = transform(features) @ self.coefficients
        return product.astype(np.float64) + self.intercept


@dataclass(frozen=True)
class RidgeFit:
    """A fitted ridge with what was learnt on the way.

    Parameters
    ----------
    model : RidgeModel
        Fitted on all rows, the average over the penalties.
    penalty : float
        The one with the smallest out-of-fold squared error.
    out_of_fold : numpy.ndarray of float64, shape (n,)
        Scores of rows by the ridges that were fitted on the other folds, averaged the same way.
    """

    model: RidgeModel
    penalty: float
    out_of_fold: NDArray[np.float64]


def fit_ridge(
    features: NDArray[np.float32],
    labels: NDArray[np.int8],
    folds: NDArray[np.int16],
    weights: NDArray[np.float64],
) -> RidgeFit:
    """Fit a weighted ridge.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    folds : numpy.ndarray of int16, shape (n,)
        Spatial folds.
    weights : numpy.ndarray of float64, shape (n,)
        Positive; what each row counts for.

    Returns
    -------
    RidgeFit
        The average of the ridges of all ``PENALTIES`` with its out-of-fold scores.

    Notes
    -----
    The weights fall exponentially with the out-of-fold squared error, as in the aggregation of
    Leung and Barron 2006 (doi 10.1109/TIT.2006.878172), here with a tolerance relative to the
    smallest error. The average of linear scores is one linear score.
    """
    table = transform(features).astype(np.float32)
    centre = np.average(table, axis=0, weights=weights).astype(np.float32)
    spread = np.maximum(table.std(axis=0), _SMALLEST_SPREAD)
    table = (table - centre) / spread
    scores = np.empty((len(PENALTIES), len(labels)))
    for fold in np.unique(folds):
        kept, held = folds != fold, folds == fold
        coefficients, intercept = _solve(table[kept], labels[kept], weights[kept], PENALTIES)
        scores[:, held] = (table[held] @ coefficients.T).T + intercept
    errors = np.average((scores - labels) ** 2, axis=1, weights=weights)
    smallest = errors.min()
    shares = np.exp(-(errors - smallest) / max(TOLERANCE * smallest, np.finfo(float).tiny))
    shares /= shares.sum()
    coefficients, intercept = _solve(table, labels, weights, PENALTIES)
    scaled = (shares @ coefficients) / spread
    model = RidgeModel(scaled.astype(np.float32), float(intercept - centre @ scaled))
    return RidgeFit(model, PENALTIES[int(np.argmin(errors))], shares @ scores)


def _solve(
    table: NDArray[np.float32],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64],
    penalties: tuple[float, ...],
) -> tuple[NDArray[np.float64], float]:
    """Coefficients, (penalties, columns), and m, the weighted mean of the labels.

    They make ``sum w (x c + m - y)^2 / sum w + penalty |c|^2`` smallest.
    """
    mean = float(np.average(labels, weights=weights))
    root = np.sqrt(weights / weights.sum())
    # In double precision: the penalties that win are too small for a float32 Gram matrix.
    rows = table * root[:, None]
    target = root * (labels - mean)
    wide = rows.shape[0] < rows.shape[1]
    gram = rows @ rows.T if wide else rows.T @ rows
    values, vectors = scipy.linalg.eigh(gram, driver="evd", overwrite_a=True)
    values = np.maximum(values, 0)
    right = vectors.T @ (target if wide else rows.T @ target)
    solutions = np.stack([vectors @ (right / (values + penalty)) for penalty in penalties])
    return (solutions @ rows if wide else solutions), mean
