"""Ridge regression on features, its penalty weighed by spatial folds.

The scaler is folded into the coefficients, so that a prediction is one matrix product. One
tridiagonalisation serves every penalty. A few dozen mines cannot tell good penalties apart, so the
ridges of all of them are averaged, each by how close its out-of-fold error comes to the smallest
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.gram import MOST, Features, Shifted, chunks_of
from models.ridge_problems import KeptRows, Lines, Problem, StreamedRows
from models.transform import strongest_part, transform, transformed_blocks

# An error larger by this share weighs a penalty down by e.
TOLERANCE = 0.1
# Shares of the sum of the weights.
PENALTIES = tuple(float(10.0**power) for power in np.arange(-5, 1.01, 0.5))
_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class LinearScore:
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

    @property
    def columns(self) -> int:
        """Columns of features that it takes."""
        return self.coefficients.size

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
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
        product = np.empty(len(features), np.float32)
        for rows, table in transformed_blocks(features):
            product[rows] = table @ self.coefficients
        return product.astype(np.float64) + self.intercept


@dataclass(frozen=True)
class RidgeFit:
    """A fitted ridge with what was learnt on the way.

    Parameters
    ----------
    model : LinearScore
        Fitted on all rows, the average over the penalties.
    penalty : float
        The one with the smallest out-of-fold squared error.
    out_of_fold : numpy.ndarray of float64, shape (n,)
        Scores of rows by the ridges that were fitted on the other folds, averaged the same way.
    influence : RidgeInfluence or None
        What each place did to the model; None where no places were given.
    """

    model: LinearScore
    penalty: float
    out_of_fold: NDArray[np.float64]
    influence: RidgeInfluence | None = None


@dataclass(frozen=True)
class RidgeInfluence:
    """By how much the score changes with a place among the training rows.

    Parameters
    ----------
    coefficients : numpy.ndarray of float32, shape (places, columns)
        Of the model, less those of a model without the place.
    intercepts : numpy.ndarray of float64, shape (places,)
        The same of the intercept.
    """

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float64]

    def combined(self, shares: NDArray[np.float64]) -> RidgeInfluence:
        """Return weighted sums over the places.

        Parameters
        ----------
        shares : numpy.ndarray of float64, shape (k, places)
            What each place counts for in each sum.

        Returns
        -------
        RidgeInfluence
            Of ``k`` sums.
        """
        return RidgeInfluence(
            (shares @ self.coefficients).astype(np.float32), shares @ self.intercepts
        )

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the changes of the scores of rows.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float64, shape (n, places)
            Score with the place, less the score without it.
        """
        changes = (transform(features) @ self.coefficients.T).astype(np.float64)
        return changes + self.intercepts


def fit_ridge(
    features: Features,
    labels: NDArray[np.int8],
    folds: NDArray[np.int16],
    weights: NDArray[np.float64],
    penalties: Sequence[float] = PENALTIES,
    quarters: Features | None = None,
    places: NDArray[np.intp] | None = None,
) -> RidgeFit:
    """Fit a weighted ridge.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite. Read twice, some rows at a time; kept only if there are fewer rows than columns.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    folds : numpy.ndarray of int16, shape (n,)
        Spatial folds.
    weights : numpy.ndarray of float64, shape (n,)
        Positive; what each row counts for.
    penalties : sequence of float
        Shares of the sum of the weights, ascending.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), or Chunked, optional
        Of the four quarters of each row's cell, side by side, NaN for one that was not observed.
        Where given, the score of a row is that of its strongest quarter.
    places : numpy.ndarray of int, shape (n,), optional
        Place of each row, counted from 0; a place lies in one fold.

    Returns
    -------
    RidgeFit
        The average of the ridges of all penalties with its out-of-fold scores.

    Raises
    ------
    TrainingError
        If rows and columns are more than ``gram.MOST`` both.

    Notes
    -----
    For each penalty, the coefficients ``c`` and intercept ``m`` make
    ``sum w (x c + m - y)^2 / sum w + penalty |c|^2`` smallest, ``x`` being the transformed columns,
    all divided by the same number (``common_spread``).

    The weights of the average fall exponentially with the out-of-fold squared error, as in the
    aggregation of Leung and Barron 2006 (doi 10.1109/TIT.2006.878172), here with a tolerance
    relative to the smallest error. The average of linear scores is one linear score.

    What a place did to the model is the ridge's own jackknife: with ``H`` the penalised covariance
    and ``r`` the residuals of rows by a model that has not seen them, leaving the place out changes
    the coefficients by ``H^-1 sum w x r`` over its rows (an identity where ``r`` is of the model
    without that very place; here it is of the one without its fold).
    """
    if min(features.shape) > MOST:
        raise TrainingError(
            f"{features.shape[0]:,} rows of {features.shape[1]:,} columns: either may be more than "
            f"{MOST:,}, not both; take fewer filters or patch sizes, or fewer rows"
        )
    few = features.shape[0] < features.shape[1]
    rows = (KeptRows if few else StreamedRows)(features, labels, weights, folds)
    held = {fold: _solve(*rows.problem(fold), penalties)[0] for fold in np.unique(folds)}
    matrix, problem = rows.problem()
    line, system = _solve(matrix, problem, penalties)
    del matrix  # it is large
    scores = _score_held(held, features, folds)[:, :, 0]
    errors = np.average((scores - labels) ** 2, axis=1, weights=weights)
    smallest = errors.min()
    shares = np.exp(-(errors - smallest) / max(TOLERANCE * smallest, np.finfo(float).tiny))
    shares /= shares.sum()
    model = LinearScore(
        (shares @ line.coefficients).astype(np.float32), float(shares @ line.intercepts)
    )
    out_of_fold = shares @ scores
    influence = None
    if places is not None:
        # What hardly counts is not solved for.
        kept = shares > _LEAST_SHARE
        rights, pull = rows.pulls(labels - out_of_fold, places)
        changes, centre = problem.lift(
            system.solve_average(rights, np.array(penalties)[kept], shares[kept] / shares.sum()).T
        )
        intercepts = np.bincount(places, pull, len(changes)) - changes @ centre
        influence = RidgeInfluence(changes.astype(np.float32), intercepts)
    if quarters is not None:
        out_of_fold = strongest_part(np.tensordot(shares, _score_held(held, quarters, folds), 1))
    return RidgeFit(model, penalties[int(np.argmin(errors))], out_of_fold, influence)


def _solve(
    matrix: NDArray[np.float64], problem: Problem, penalties: Sequence[float]
) -> tuple[Lines, Shifted]:
    system = Shifted(matrix)
    return problem.lines(system.solve(problem.right, penalties)), system


def _score_held(
    held: dict[int, Lines], features: Features, folds: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Score rows, or the parts of rows, by what has not seen their fold, (penalties, n, parts).

    Minus infinity for a part that was not observed.
    """
    penalties, columns = next(iter(held.values())).coefficients.shape
    parts = features.shape[1] // columns
    scores = np.full((penalties, len(folds), parts), -np.inf)
    for rows, some in chunks_of(features):
        table = transform(some).reshape(len(some), parts, columns)
        seen = np.isfinite(table).all(axis=2)
        for fold in np.unique(folds[rows]):
            row, part = np.nonzero(seen & (folds[rows] == fold)[:, None])
            scores[:, row + rows.start, part] = held[fold].score(table[row, part])
    return scores
