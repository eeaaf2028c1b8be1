"""Random convolutional features of blocks and chips.

After Rolf et al. 2021, doi 10.1038/s41467-021-24638-z.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.bank import VERSIONS, FilterBank
from features.errors import BankError
from features.kernel import Kernel, make_kernel, observed_windows, ready_pixels
from features.pooling import average

# Of windows: top, left, high, wide.
Rectangle = tuple[int, int, int, int]

# What is summed over one of them is kept in double precision until its mean is taken.
_SQUARES_AT_ONCE = 64


def cell_features(
    pixels: NDArray[np.float32],
    bank: FilterBank,
    cells: int | tuple[int, int],
    cell_px: int,
    way: str = "auto",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the features of a square or rectangle of cells.

    Parameters
    ----------
    pixels : numpy.ndarray of float32, shape (C, H, W)
        Reflectance (0..1) in the bank's band order; unobserved where any band is not finite. H and
        W at least ``cells * cell_px + bank.patch_max - 1``: the cells and their halo to the right
        and below.
    bank : FilterBank
        The filters.
    cells : int or tuple of int
        Number of cells along each side, or down and to the right.
    cell_px : int
        Side of a cell in pixels.
    way : str
        Of computing, as ``kernel.make_kernel`` knows them.

    Returns
    -------
    features : numpy.ndarray of float32, shape (number of cells, bank.columns)
        Row by row of the cells: means over the windows that counted, those of a cell's parts
        averaged as the bank says; NaN for a cell in which none did. A window belongs to the cell
        that holds its upper-left pixel.
    shares : numpy.ndarray of float32, shape (number of cells, len(bank.groups))
        Share of the cell's windows that counted, for each patch size.

    Raises
    ------
    BankError
        If the pixels have another number of bands or too small a halo.
    """
    corners = _corners(pixels, bank, cells, cell_px)
    parts = _parts(cell_px, cell_px, bank.parts)
    squares = [
        (top + down, left + right, high, wide)
        for top, left in corners
        for down, right, high, wide in parts
    ]
    return _averaged(*_pooled(pixels, bank, lambda _: squares, way), len(corners), bank)


def part_features(
    pixels: NDArray[np.float32],
    bank: FilterBank,
    squares: int | tuple[int, int],
    square_px: int,
    way: str = "auto",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the features of squares that are not cut into parts: they are parts themselves.

    Parameters
    ----------
    pixels : numpy.ndarray of float32, shape (C, H, W)
        As for ``cell_features``.
    bank : FilterBank
        The filters.
    squares : int or tuple of int
        Number of squares along each side, or down and to the right.
    square_px : int
        Side of a square in pixels.
    way : str
        Of computing, as ``kernel.make_kernel`` knows them.

    Returns
    -------
    features : numpy.ndarray of float32, shape (number of squares, bank.columns)
        Means over the windows that counted; ``pooling.pool_up`` makes cells of them.
    shares : numpy.ndarray of float32, shape (number of squares, len(bank.groups))
        Share of the square's windows that counted, for each patch size.

    Raises
    ------
    BankError
        If the pixels have another number of bands or too small a halo.
    """
    whole = [
        (*corner, square_px, square_px) for corner in _corners(pixels, bank, squares, square_px)
    ]
    features, counts, areas = _pooled(pixels, bank, lambda _: whole, way)
    return features, (counts / areas).astype(np.float32)


def chip_features(
    chips: NDArray[np.float32], bank: FilterBank, way: str = "auto"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute one row of features for each chip, from the windows that lie wholly inside it.

    Parameters
    ----------
    chips : numpy.ndarray of float32, shape (n, C, H, W)
        Reflectance (0..1) in the bank's band order; unobserved where any band is not finite.
    bank : FilterBank
        The filters.
    way : str
        Of computing, as ``kernel.make_kernel`` knows them.

    Returns
    -------
    features : numpy.ndarray of float32, shape (n, bank.columns)
        Means over the windows that counted, those of a chip's parts averaged as the bank says; NaN
        for a chip in which none did.
    shares : numpy.ndarray of float32, shape (n, len(bank.groups))
        Share of the chip's windows that counted, for each patch size.

    Raises
    ------
    BankError
        If the chips have another number of bands or are smaller than a patch.
    """
    if chips.ndim != 4 or chips.shape[1] != len(bank.bands):
        raise BankError(f"chips of {len(bank.bands)} bands are needed, not {chips.shape}")
    if min(chips.shape[2:]) < bank.patch_max:
        raise BankError(f"chips of at least {bank.patch_max} px are needed, not {chips.shape}")
    features = np.full((len(chips), bank.columns), np.nan, np.float32)
    shares = np.zeros((len(chips), len(bank.groups)), np.float32)
    for index, chip in enumerate(chips):
        found = _pooled(chip, bank, lambda windows: _parts(*windows, bank.parts), way)
        row, share = _averaged(*found, 1, bank)
        features[index], shares[index] = row[0], share[0]
    return features, shares


def _corners(
    pixels: NDArray[np.float32], bank: FilterBank, squares: int | tuple[int, int], side: int
) -> list[tuple[int, int]]:
    """Return the upper-left pixels of squares, row by row, after a look at the pixels' shape."""
    down, right = squares if isinstance(squares, tuple) else (squares, squares)
    high, wide = (count * side + bank.patch_max - 1 for count in (down, right))
    fits = pixels.ndim == 3 and len(pixels) == len(bank.bands)
    if not fits or pixels.shape[1] < high or pixels.shape[2] < wide:
        raise BankError(
            f"{len(bank.bands)} bands of {high} x {wide} pixels are needed, "
            f"not an array of shape {pixels.shape}"
        )
    return [(side * row, side * column) for row in range(down) for column in range(right)]


def _parts(high: int, wide: int, parts: int) -> list[Rectangle]:
    """Cut a rectangle of windows; of an odd number the middle ones lie in both halves.

    So a turned or mirrored chip is cut in the same places.
    """
    down, right = -(-high // parts), -(-wide // parts)
    tops, lefts = (0, high - down)[:parts], (0, wide - right)[:parts]
    return [(top, left, down, right) for top in tops for left in lefts]


def _averaged(
    features: NDArray[np.float32],
    counts: NDArray[np.int64],
    areas: NDArray[np.int64],
    whole: int,
    bank: FilterBank,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average the parts of each of so many cells or chips; return features and shares."""
    shape = (whole, len(features) // max(whole, 1), -1)
    counts, areas = counts.reshape(shape), areas.reshape(shape)
    means, _ = average(features.reshape(shape), counts, bank, axis=1)
    return means, (counts.sum(axis=1) / areas.sum(axis=1)).astype(np.float32)


def _pooled(
    pixels: NDArray[np.float32],
    bank: FilterBank,
    cut: Callable[[tuple[int, int]], list[Rectangle]],
    way: str,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Pool rectangles of windows; return means, windows that counted, and windows, by group.

    ``cut`` gives the rectangles among the windows of a patch size, as many for each.
    """
    # Before scaling, which would clip infinity to a number.
    observed = np.all(np.isfinite(pixels), axis=0)
    scaled, usual = bank.scaling.apply(pixels), _usual(bank)
    features, counts, areas = [], [], []
    for group, kernel in zip(bank.groups, _kernels(bank, way), strict=True):
        windows = observed_windows(observed, group.patch)
        ready = ready_pixels(scaled - group.centre(usual)[0][:, None, None], observed)
        rectangles = cut(windows.shape)
        means = np.empty((len(rectangles), bank.rectifiers.count * group.count), np.float32)
        counted = np.empty(len(rectangles), np.int64)
        for first in range(0, len(rectangles), _SQUARES_AT_ONCE):
            some = slice(first, first + _SQUARES_AT_ONCE)
            squares = [
                (windows[top : top + high, left : left + wide], top, left)
                for top, left, high, wide in rectangles[some]
            ]
            counted[some] = [np.count_nonzero(observed) for observed, _, _ in squares]
            sums = np.array([kernel.sums(ready, *square) for square in squares])
            if bank.symmetric:
                sums = sums.reshape(*sums.shape[:2], -1, VERSIONS).mean(axis=3)
            means[some] = sums.reshape(len(sums), -1) / np.maximum(counted[some], 1)[:, None]
        features.append(means)
        counts.append(counted)
        areas.append([high * wide for _, _, high, wide in rectangles])
    together, number = np.concatenate(features, axis=1), np.stack(counts, axis=1)
    together[number.min(axis=1) == 0] = np.nan
    return together, number, np.array(areas, np.int64).T


def _usual(bank: FilterBank) -> float:
    """Return what a reflectance of a tenth, land as it usually is, becomes."""
    return float(bank.scaling.apply(np.array([0.1], np.float32))[0])


@lru_cache(maxsize=4)
def _kernels(bank: FilterBank, way: str) -> tuple[Kernel, ...]:
    """Make a bank's filters ready, once a process."""
    made = []
    for group in bank.groups:
        filters = group.turned() if bank.symmetric else group.filters
        _, offsets = group.centre(_usual(bank))
        offsets = np.repeat(offsets, VERSIONS) if bank.symmetric else offsets
        made.append(make_kernel(filters, offsets, bank.rectifiers, way))
    return tuple(made)
