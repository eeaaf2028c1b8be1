"""Means of features over several cells, each cell weighted by the windows that counted in it.

Features are means over windows, so the mean of a coarse cell is the weighted mean of its fine
cells, and nothing need be convolved again.
"""

from __future__ import annotations

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
    weights = _weights(features, shares)
    counted = weights.reshape(*shape, -1).sum(axis=(1, 3))
    weighted = np.nan_to_num(features) * _per_column(weights, bank)
    total = weighted.reshape(*shape, -1).sum(axis=(1, 3))
    return _mean(total, _per_column(counted, bank)), (counted / factor**2).astype(np.float32)


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
    weighted = np.nan_to_num(features) * _per_column(weights, bank)
    total = np.zeros((rows, columns, features.shape[2]))
    counted = np.zeros((rows, columns, shares.shape[2]))
    for down in range(3):
        for right in range(3):
            part = np.s_[down : down + rows, right : right + columns]
            total += weighted[part]
            counted += weights[part]
    return _mean(total, _per_column(counted, bank))


def _weights(features: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the shares, 0 for a cell that has no number."""
    known = np.isfinite(features).all(axis=2, keepdims=True)
    return np.where(known, shares, 0).astype(np.float64)


def _per_column(weights: NDArray[np.float64], bank: FilterBank) -> NDArray[np.float64]:
    """Repeat the weight of each patch size for its columns."""
    widths = [bank.rectifiers.count * group.count for group in bank.groups]
    return np.repeat(weights, widths, axis=2)


def _mean(total: NDArray[np.float64], counted: NDArray[np.float64]) -> NDArray[np.float32]:
    mean = np.full(total.shape, np.nan, np.float32)
    np.divide(total, counted, out=mean, where=counted > 0, casting="same_kind")
    return mean
