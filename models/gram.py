"""Products of rows summed as they stream by: all that a ridge needs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack, solveh_banded

ROWS_AT_ONCE = 2_048
# Rows or columns, whichever are fewer: dsyrk of OpenBLAS 0.3.30 ends the process on two threads
# with 18,432 of them, not with 16,384.
MOST = 16_384


class Chunked(Protocol):
    """Features that are read a few rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def chunks(self) -> Iterable[NDArray[np.float32]]:
        """Return the rows in order, some at a time."""


Features = NDArray[np.float32] | Chunked


def chunks_of(features: Features) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield rows of features in order, with where they stand.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        The rows.

    Yields
    ------
    rows : slice
        Of all rows.
    features : numpy.ndarray of float32, shape (some, columns)
        Those rows.
    """
    parts: Iterable[NDArray[np.float32]]
    if isinstance(features, np.ndarray):
        parts = (features[at : at + ROWS_AT_ONCE] for at in range(0, len(features), ROWS_AT_ONCE))
    else:
        parts = features.chunks()
    first = 0
    for part in parts:
        yield slice(first, first + len(part)), part
        first += len(part)


def whole(features: Features) -> NDArray[np.float32]:
    """Return all rows of features in memory.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        The rows.

    Returns
    -------
    numpy.ndarray of float32, shape (n, columns)
        An array is returned as it is.
    """
    if isinstance(features, np.ndarray):
        return features
    return np.concatenate(list(features.chunks()))


class Gram:
    """Weighted sums over rows; the sums of a part are subtracted as simply as they are added.

    In double precision: the penalties that win are too small for single.

    Parameters
    ----------
    columns : int
        Of the table.
    """

    def __init__(self, columns: int) -> None:
        self.weight = 0.0
        self.target = 0.0
        self.first: NDArray[np.float64] = np.zeros(columns)
        self.cross: NDArray[np.float64] = np.zeros(columns)
        # Lower triangle.
        self.second: NDArray[np.float64] = np.zeros((columns, columns), order="F")

    def add(self, table: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.float64]) -> None:
        """Add rows.

        Parameters
        ----------
        table : numpy.ndarray, shape (n, columns)
            The rows.
        labels : numpy.ndarray, shape (n,)
            What they should give.
        weights : numpy.ndarray of float64, shape (n,)
            What each counts for.
        """
        exact = np.asarray(table, np.float64)
        rooted = exact * np.sqrt(weights)[:, None]
        # The transpose of a C array is a Fortran array: nothing is copied.
        self.second = blas.dsyrk(1.0, rooted.T, beta=1.0, c=self.second, lower=1, overwrite_c=1)
        self.first += weights @ exact
        self.cross += (weights * labels) @ exact
        self.weight += float(weights.sum())
        self.target += float(weights @ labels)

    def without(self, part: Gram) -> Gram:
        """Return the sums over the rows that are not in a part.

        Parameters
        ----------
        part : Gram
            Of some of the rows.

        Returns
        -------
        Gram
            Of the others.
        """
        rest = Gram(len(self.first))
        for name in vars(rest):
            setattr(rest, name, getattr(self, name) - getattr(part, name))
        return rest

    def merge(self, part: Gram) -> None:
        """Add the sums over other rows."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(part, name))

    def centred(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
        """Return weighted means and covariances.

        Returns
        -------
        centre : numpy.ndarray of float64, shape (columns,)
            Mean of each column.
        covariance : numpy.ndarray of float64, shape (columns, columns)
            Of the columns, lower triangle.
        cross : numpy.ndarray of float64, shape (columns,)
            Covariance of each column with the labels.
        mean : float
            Of the labels.
        """
        centre, mean = self.first / self.weight, self.target / self.weight
        covariance = self.second / self.weight
        covariance = blas.dsyr(-1.0, centre, a=covariance, lower=1, overwrite_a=1)
        return centre, covariance, self.cross / self.weight - mean * centre, mean


class Shifted:
    """A symmetric matrix made ready to be solved with any multiple of the identity added.

    One tridiagonalisation serves every multiple, as one eigendecomposition would, in half the time
    (Eldén 1977, BIT 17:134, doi 10.1007/BF01932285, for least squares).

    Parameters
    ----------
    matrix : numpy.ndarray of float64, shape (n, n)
        Its lower triangle is read.
    """

    def __init__(self, matrix: NDArray[np.float64]) -> None:
        size = len(matrix)
        work, _ = lapack.dsytrd_lwork(size, lower=1)
        reflectors, self._diagonal, self._beside, self._scales, _ = lapack.dsytrd(
            np.asfortranarray(matrix), lower=1, lwork=int(work)
        )
        self._reflectors = np.asfortranarray(reflectors[1:, :-1])

    def solve(self, right: NDArray[np.float64], shifts: Iterable[float]) -> NDArray[np.float64]:
        """Solve ``(matrix + shift I) x = right`` for every shift.

        Parameters
        ----------
        right : numpy.ndarray of float64, shape (n,)
            The right-hand side.
        shifts : iterable of float
            Positive.

        Returns
        -------
        numpy.ndarray of float64, shape (number of shifts, n)
            The solutions.
        """
        turned = self._turn(right[:, None], "T")[:, 0]
        solutions = np.column_stack(list(self._solutions(turned, shifts)))
        return np.ascontiguousarray(self._turn(solutions, "N").T)

    def solve_average(
        self,
        rights: NDArray[np.float64],
        shifts: Iterable[float],
        shares: Iterable[float],
    ) -> NDArray[np.float64]:
        """Solve many right-hand sides, and average the solutions of the shifts.

        Parameters
        ----------
        rights : numpy.ndarray of float64, shape (n, k)
            The right-hand sides, one a column.
        shifts : iterable of float
            Positive.
        shares : iterable of float
            What the solution of each shift counts for.

        Returns
        -------
        numpy.ndarray of float64, shape (n, k)
            The averages.
        """
        turned = self._turn(rights, "T")
        average = np.zeros_like(turned)
        for solution, share in zip(self._solutions(turned, shifts), shares, strict=True):
            average += share * solution
        return self._turn(average, "N")

    def _solutions(
        self, turned: NDArray[np.float64], shifts: Iterable[float]
    ) -> Iterator[NDArray[np.float64]]:
        banded = np.zeros((2, len(turned)))
        banded[1, :-1] = self._beside
        for shift in shifts:
            banded[0] = self._diagonal + shift
            # LAPACK's solver of banded systems asks for two rows.
            alone = len(turned) == 1
            yield turned / banded[0] if alone else solveh_banded(banded, turned, lower=True)

    def _turn(self, columns: NDArray[np.float64], way: str) -> NDArray[np.float64]:
        """Multiply with the orthogonal matrix of the tridiagonalisation, or its transpose."""
        turned = np.array(columns, order="F")
        if len(turned) == 1:
            return turned
        part = np.asfortranarray(turned[1:])
        _, work, _ = lapack.dormqr("L", way, self._reflectors, self._scales, part, lwork=-1)
        turned[1:] = lapack.dormqr(
            "L", way, self._reflectors, self._scales, part, lwork=int(work[0])
        )[0]
        return turned
