"""A ridge of one penalty, fitted to any part of a table's rows.

To hold places out in many ways takes dozens of fits. What they share is made once: the products of
rows with rows where there are fewer rows than columns, else the Gram matrix of all of them, from
which the smaller part is subtracted. Each fit is then one Cholesky decomposition.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from models.gram import Features, Gram, chunks_of
from models.ridge_fit import LinearScore
from models.ridge_problems import KeptRows, Problem, common_spread, of_columns
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
        self._kept: KeptRows | None = None
        if features.shape[0] < features.shape[1]:
            self._kept = KeptRows(features, labels, weights)
        else:
            self._total = self._gram(np.ones(len(labels), bool))
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

    def fit(self, train: NDArray[np.bool_]) -> LinearScore:
        """Fit on some rows.

        Parameters
        ----------
        train : numpy.ndarray of bool, shape (n,)
            Rows to fit on, of both classes.

        Returns
        -------
        LinearScore
            The ridge of these rows; columns are divided by the spread common to all rows.
        """
        matrix, problem = self._kept.of(train) if self._kept else self._of_columns(train)
        matrix[np.diag_indices_from(matrix)] += self._penalty
        factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        solved = scipy.linalg.cho_solve(factor, problem.right, check_finite=False)
        line = problem.lines(solved[None])
        return LinearScore(line.coefficients[0].astype(np.float32), float(line.intercepts[0]))

    def _of_columns(self, train: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Problem]:
        few = train.sum() * 2 < len(train)
        gram = self._gram(train) if few else self._total.without(self._gram(~train))
        return of_columns(gram, self._spread)

    def _gram(self, chosen: NDArray[np.bool_]) -> Gram:
        gram = Gram(self._features.shape[1])
        for rows, some in chunks_of(self._features):
            which = chosen[rows]
            if which.any():
                gram.add(transform(some[which]), self._labels[rows][which],
                         self._weights[rows][which])  # fmt: skip
        return gram
