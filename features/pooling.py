"""Means of features over parts of a cell or over several cells, weighted by windows that counted.

Features are means over windows, so the mean of a coarse cell is the weighted mean of its fine
cells, and nothing need be convolved again. A bank of several parts asks for the mean of their
roots, squared: so a response that is strong in one part counts for less than the same in all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank
from features.errors import BankError


def pool_up(
    features: NDArray[np.float32], shares: NDArray[np.float32], bank: FilterBank, factor: int = 2
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pool squares of cells to coarse cells.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, m, bank.columns)
        Of a rectangle of cells; NaN where nothing was observed.
    shares : numpy.ndarray of float32, shape (n, m, len(bank.groups))
        Share of each cell's windows that counted, for each patch size.
    bank : FilterBank
        Of the features.
    factor : int
        Cells along the side of a coarse cell; divides n and m.

    Returns
    -------
    features : numpy.ndarray of float32, shape (n / factor, m / factor, bank.columns)
        NaN where no cell has a number.
    shares : numpy.ndarray of float32, shape (n / factor, m / factor, len(bank.groups))
        Share of the coarse cell's windows that counted.

    Raises
    ------
    BankError
        If the factor does not divide the rectangle.
    """
    rows, columns = features.shape[:2]
    if rows % factor or columns % factor:
        raise BankError(f"{rows} x {columns} cells are not squares of {factor} x {factor}")
    shape = (rows // factor, factor, columns // factor, factor)
    means, counted = average(
        features.reshape(*shape, -1), shares.reshape(*shape, -1), bank, axis=(1, 3)
    )
    return means, (counted / factor**2).astype(np.float32)


def surroundings(
    features: NDArray[np.float32], shares: NDArray[np.float32], bank: FilterBank
) -> NDArray[np.float32]:
    """Return the mean of every inner cell's neighbourhood of 3 x 3 cells.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n + 2, m + 2, bank.columns)
        Of the cells and of the ring around them; NaN where nothing was observed.
    shares : numpy.ndarray of float32, shape (n + 2, m + 2, len(bank.groups))
        Share of each cell's windows that counted, for each patch size.
    bank : FilterBank
        Of the features.

    Returns
    -------
    numpy.ndarray of float32, shape (n, m, bank.columns)
        NaN where no cell of the neighbourhood has a number.
    """
    rows, columns = features.shape[0] - 2, features.shape[1] - 2
    weights = _weights(features, shares)
    weighted = _summed(features, bank) * _per_column(weights, bank)
    total = np.zeros((rows, columns, features.shape[2]))
    counted = np.zeros((rows, columns, shares.shape[2]))
    for down in range(3):
        for right in range(3):
            part = np.s_[down : down + rows, right : right + columns]
            total += weighted[part]
            counted += weights[part]
    return _mean(total, counted, bank)


def average(
    features: NDArray[np.float32],
    weights: NDArray[Any],
    bank: FilterBank,
    axis: int | tuple[int, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average parts as a bank says.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (..., bank.columns)
        Of the parts; NaN where nothing was observed.
    weights : numpy.ndarray, shape (..., len(bank.groups))
        What each part counts for, for each patch size; one without numbers counts for nothing.
    bank : FilterBank
        Of the features.
    axis : int or tuple of int
        Along which the parts lie.

    Returns
    -------
    features : numpy.ndarray of float32
        Without those axes: the weighted mean; of a bank of several parts the square of the weighted
        mean of roots. NaN where no part has a number.
    counted : numpy.ndarray of float64
        Sums of the weights of parts that have numbers.
    """
    weights = _weights(features, weights)
    counted: NDArray[np.float64] = weights.sum(axis=axis)
    total = (_summed(features, bank) * _per_column(weights, bank)).sum(axis=axis)
    return _mean(total, counted, bank), counted


def _summed(features: NDArray[np.float32], bank: FilterBank) -> NDArray[np.float32]:
    """Return what is summed up of features."""
    known = np.nan_to_num(features)
    return np.sqrt(known) if bank.parts > 1 else known


def _weights(features: NDArray[np.float32], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weights, 0 for a part that has no number."""
    known = np.isfinite(features).all(axis=-1, keepdims=True)
    return np.where(known, weights, 0).astype(np.float64)


def _per_column(weights: NDArray[np.float64], bank: FilterBank) -> NDArray[np.float64]:
    """Repeat the weight of each patch size for its columns."""
    widths = [bank.rectifiers.count * group.count for group in bank.groups]
    return np.repeat(weights, widths, axis=-1)


def _mean(
    total: NDArray[np.float64], counted: NDArray[np.float64], bank: FilterBank
) -> NDArray[np.float32]:
    counted = _per_column(counted, bank)
    mean = np.full(total.shape, np.nan)
    np.divide(total, counted, out=mean, where=counted > 0)
    return (mean * mean if bank.parts > 1 else mean).astype(np.float32)
