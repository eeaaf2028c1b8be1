"""A ridge of one penalty, fitted anew to any part of a table's rows.

To hold places out in many ways takes dozens of fits. What they share is made once: the products of
rows with rows where there are fewer rows than columns, else the Gram matrix of all of them, from
which the smaller part is subtracted. Each fit is then one Cholesky decomposition.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.linalg import blas

from models.gram import Features, Gram, chunks_of
from models.ridge import Ridge, common_spread
from models.transform import part_scores, strongest_part, transform


class Refits:
    """Fits of one table: the same ridge as ``ridge.fit_ridge`` with this one penalty.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite; kept in double precision only if there are fewer rows than columns.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    weights : numpy.ndarray of float64, shape (n,)
        Positive; what each row counts for.
    penalty : float
        Share of the sum of the weights.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), or Chunked, optional
        As for ``ridge.fit_ridge``: a row's score is that of its strongest quarter.
    """

    def __init__(
        self,
        features: Features,
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
        penalty: float,
        quarters: Features | None = None,
    ) -> None:
        self._features, self._labels, self._weights = features, labels, weights
        self._penalty, self._quarters = penalty, quarters
        rows, columns = features.shape
        self._kept = rows < columns
        if self._kept:
            table = np.empty((rows, columns))
            for part, some in chunks_of(features):
                table[part] = transform(some)
            centre = np.average(table, axis=0, weights=weights)
            squares = np.average(table**2, axis=0, weights=weights)
            self._spread = common_spread(squares - centre**2)
            table /= self._spread
            lower = blas.dsyrk(1.0, table.T, trans=1, lower=1)
            self._products = lower + np.tril(lower, -1).T
            self._table = table
        else:
            self._total = self._gram(np.ones(rows, bool))
            self._spread = common_spread(np.diag(self._total.centred()[1]))

    def scores(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Fit on some rows and score others.

        Parameters
        ----------
        train, test : numpy.ndarray of bool, shape (n,)
            Rows to fit on, of both classes, and rows to score.

        Returns
        -------
        numpy.ndarray of float64, shape (number of test rows,)
            In their order.
        """
        ridge = self.fit(train)
        asked = self._features if self._quarters is None else self._quarters
        return np.concatenate(
            [
                strongest_part(part_scores(ridge.scores, some[test[rows]], ridge.columns))
                for rows, some in chunks_of(asked)
            ]
        )

    def fit(self, train: NDArray[np.bool_]) -> Ridge:
        """Fit on some rows.

        Parameters
        ----------
        train : numpy.ndarray of bool, shape (n,)
            Rows to fit on, of both classes.

        Returns
        -------
        Ridge
            The ridge of these rows; columns are divided by the spread common to all rows.
        """
        solve = self._solve_rows if self._kept else self._solve_columns
        coefficients, intercept = solve(train)
        return Ridge((coefficients / self._spread).astype(np.float32), intercept)

    def _solve_rows(self, train: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
        rows = np.flatnonzero(train)
        share = self._weights[rows] / self._weights[rows].sum()
        mean = float(share @ self._labels[rows])
        # The products of rows less their weighted mean, from the products of the rows.
        system = self._products[np.ix_(rows, rows)]
        pull = system @ share
        system -= pull
        system -= (pull - share @ pull)[:, None]
        root = np.sqrt(share)
        system *= root
        system *= root[:, None]
        solved = root * self._solved(system.T, root * (self._labels[rows] - mean))
        table = self._table[rows]
        centre = share @ table
        coefficients = solved @ table - solved.sum() * centre
        return coefficients, mean - float(coefficients @ centre)

    def _solve_columns(self, train: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
        few = train.sum() * 2 < len(train)
        gram = self._gram(train) if few else self._total.without(self._gram(~train))
        centre, covariance, cross, mean = gram.centred()
        covariance /= self._spread**2
        coefficients = self._solved(covariance, cross / self._spread)
        return coefficients, mean - float(coefficients @ (centre / self._spread))

    def _solved(
        self, matrix: NDArray[np.float64], right: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        matrix[np.diag_indices_from(matrix)] += self._penalty
        factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        solved: NDArray[np.float64] = scipy.linalg.cho_solve(factor, right, check_finite=False)
        return solved

    def _gram(self, chosen: NDArray[np.bool_]) -> Gram:
        gram = Gram(self._features.shape[1])
        for rows, some in chunks_of(self._features):
            which = chosen[rows]
            if which.any():
                gram.add(transform(some[which]), self._labels[rows][which],
                         self._weights[rows][which])  # fmt: skip
        return gram
