"""The systems of equations that ridges on a table are, for all its rows and for some of them.

Where there are fewer columns than rows, a system is of the columns: rows stream by and leave their
Gram matrix, one for each fold, and what a fold has not seen is a subtraction. Fewer rows than
columns are kept instead, and the system is of their products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.gram import Features, Gram, chunks_of
from models.transform import transform

_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Lines:
    """Linear scores of transformed columns, several at once.

    Parameters
    ----------
    coefficients : numpy.ndarray of float64, shape (k, columns)
        One a line.
    intercepts : numpy.ndarray of float64, shape (k,)
        Added to the products.
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def score(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of transformed rows, shape (k, n)."""
        return self.coefficients @ table.T + self.intercepts[:, None]


@dataclass(frozen=True)
class Problem:
    """What is left of the rows when their system is solved: ``(matrix + penalty I) x = right``.

    Parameters
    ----------
    right : numpy.ndarray of float64, shape (n,)
        The right-hand side.
    mean : float
        Of the labels.
    lift : callable
        From solutions of shape (k, n) to coefficients of the columns and the point where these are
        centred.
    """

    right: NDArray[np.float64]
    mean: float
    lift: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]

    def lines(self, solutions: NDArray[np.float64]) -> Lines:
        """Return the linear scores that solutions, shape (k, n), are."""
        coefficients, centre = self.lift(solutions)
        return Lines(coefficients, self.mean - coefficients @ centre)


def common_spread(variances: NDArray[np.float64]) -> float:
    """Return the one number that all columns are divided by, so that penalties mean the same.

    Parameters
    ----------
    variances : numpy.ndarray of float64, shape (columns,)
        Of the columns, over the weighted rows.

    Returns
    -------
    float
        The root of their mean, at least 1e-6.

    Notes
    -----
    Responses have the same unit, so a column that hardly varies says little. Divided by its own
    standard deviation it would count as much as any other: docs/decisions/0023-one-scale.md.
    """
    return max(float(np.sqrt(variances.mean())), _SMALLEST_SPREAD)


def of_columns(gram: Gram, spread: float) -> tuple[NDArray[np.float64], Problem]:
    """Return the problem of the rows that a Gram matrix has summed.

    Parameters
    ----------
    gram : Gram
        Sums over the rows.
    spread : float
        That the columns are divided by.

    Returns
    -------
    matrix : numpy.ndarray of float64, shape (columns, columns)
        Lower triangle.
    problem : Problem
        All else.
    """
    centre, covariance, cross, mean = gram.centred()
    return covariance / spread**2, Problem(
        cross / spread, mean, lambda solutions: (solutions / spread, centre)
    )


class StreamedRows:
    """Rows that were read once, some at a time, fold by fold.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    weights : numpy.ndarray of float64, shape (n,)
        Positive.
    folds : numpy.ndarray of int16, shape (n,)
        Fold of each row.
    """

    def __init__(
        self,
        features: Features,
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
        folds: NDArray[np.int16],
    ) -> None:
        self._features, self._weights = features, weights
        self._grams = {fold: Gram(features.shape[1]) for fold in np.unique(folds)}
        for rows, part in chunks_of(features):
            table = transform(part)
            for fold in np.unique(folds[rows]):
                held = folds[rows] == fold
                self._grams[fold].add(table[held], labels[rows][held], weights[rows][held])
        self._total = Gram(features.shape[1])
        for gram in self._grams.values():
            self._total.merge(gram)
        self._centre, covariance, _, _ = self._total.centred()
        self._spread = common_spread(np.diag(covariance))

    def problem(self, held: int | None = None) -> tuple[NDArray[np.float64], Problem]:
        """Return the matrix and the problem of all rows, or of those outside a fold."""
        gram = self._total if held is None else self._total.without(self._grams[held])
        return of_columns(gram, self._spread)

    def pulls(
        self, residuals: NDArray[np.float64], places: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the right-hand sides that leaving out each place comes to.

        Parameters
        ----------
        residuals : numpy.ndarray of float64, shape (n,)
            Of the rows, by what has not seen them.
        places : numpy.ndarray of int, shape (n,)
            Place of each row, counted from 0.

        Returns
        -------
        rights : numpy.ndarray of float64, shape (columns, places)
            One a column.
        pull : numpy.ndarray of float64, shape (n,)
            Weighted residuals.
        """
        pull = self._weights * residuals / self._total.weight
        pulls = np.zeros((places.max() + 1, self._features.shape[1]))
        for rows, part in chunks_of(self._features):
            table = (transform(part) - self._centre) / self._spread
            # One row a place, one column a row: their product sums the rows of each place.
            which = csr_matrix((pull[rows], (places[rows], np.arange(len(table)))),
                               shape=(len(pulls), len(table)))  # fmt: skip
            pulls += which @ table
        return pulls.T, pull


class KeptRows:
    """Fewer rows than columns, kept with the matrix of their products.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    weights : numpy.ndarray of float64, shape (n,)
        Positive.
    folds : numpy.ndarray of int16, shape (n,), optional
        Fold of each row.
    """

    def __init__(
        self,
        features: Features,
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
        folds: NDArray[np.int16] | None = None,
    ) -> None:
        self._labels, self._weights = labels, weights
        self._folds = np.zeros(len(labels), np.int16) if folds is None else folds
        table = np.concatenate([transform(part) for _, part in chunks_of(features)]).astype(float)
        self._origin = np.average(table, axis=0, weights=weights)
        table -= self._origin
        self._spread = common_spread(np.average(table**2, axis=0, weights=weights))
        table /= self._spread
        self._table, self._products = table, table @ table.T

    def problem(self, held: int | None = None) -> tuple[NDArray[np.float64], Problem]:
        """Return the matrix and the problem of all rows, or of those outside a fold."""
        if held is None:
            return self.of(np.ones(len(self._labels), bool))
        return self.of(self._folds != held)

    def of(self, rows: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Problem]:
        """Return the problem of some rows.

        Parameters
        ----------
        rows : numpy.ndarray of bool, shape (n,)
            Which.

        Returns
        -------
        matrix : numpy.ndarray of float64, shape (number of rows, number of rows)
            Their products, centred at their weighted mean.
        problem : Problem
            All else.
        """
        table, labels = self._table, self._labels[rows]
        share = self._weights[rows] / self._weights[rows].sum()
        roots, mean = np.sqrt(share), float(share @ labels)
        some = self._products[np.ix_(rows, rows)]
        pull = some @ share
        some += share @ pull - pull - pull[:, None]
        some *= roots
        some *= roots[:, None]

        def lift(
            solutions: NDArray[np.float64],
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            rooted, middle = solutions * roots, np.zeros(len(table))
            full = np.zeros((len(solutions), len(table)))
            full[:, rows] = rooted - rooted.sum(axis=1, keepdims=True) * share
            middle[rows] = share
            return full @ table / self._spread, self._origin + (middle @ table) * self._spread

        return some, Problem(roots * (labels - mean), mean, lift)

    def pulls(
        self, residuals: NDArray[np.float64], places: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what ``StreamedRows.pulls`` does, with the rows' own right-hand sides."""
        share = self._weights / self._weights.sum()
        rights = np.zeros((len(share), places.max() + 1))
        rights[np.arange(len(share)), places] = np.sqrt(share) * residuals
        return rights, share * residuals
