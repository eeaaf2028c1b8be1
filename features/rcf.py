"""Random convolutional features of blocks and chips.

After Rolf et al. 2021, doi 10.1038/s41467-021-24638-z.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.bank import VERSIONS, FilterBank
from features.errors import BankError
from features.kernel import Kernel, make_kernel, observed_windows, ready_pixels

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
        Row by row of the cells: means over the windows that counted; NaN for a cell in which none
        did. A window belongs to the cell that holds its upper-left pixel.
    shares : numpy.ndarray of float32, shape (number of cells, len(bank.groups))
        Share of the cell's windows that counted, for each patch size.

    Raises
    ------
    BankError
        If the pixels have another number of bands or too small a halo.
    """
    down, right = cells if isinstance(cells, tuple) else (cells, cells)
    high, wide = (count * cell_px + bank.patch_max - 1 for count in (down, right))
    fits = pixels.ndim == 3 and len(pixels) == len(bank.bands)
    if not fits or pixels.shape[1] < high or pixels.shape[2] < wide:
        raise BankError(
            f"{len(bank.bands)} bands of {high} x {wide} pixels are needed, "
            f"not an array of shape {pixels.shape}"
        )
    corners = [(cell_px * row, cell_px * column) for row in range(down) for column in range(right)]
    return _pooled(pixels, bank, corners, (cell_px, cell_px), way)


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
        Means over the windows that counted; NaN for a chip in which none did.
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
        row, share = _pooled(chip, bank, [(0, 0)], None, way)
        features[index], shares[index] = row[0], share[0]
    return features, shares


def _pooled(
    pixels: NDArray[np.float32],
    bank: FilterBank,
    corners: list[tuple[int, int]],
    size: tuple[int, int] | None,
    way: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pool rectangles of windows of one size (None: all there are), given by their corners."""
    # Before scaling, which would clip infinity to a number.
    observed = np.all(np.isfinite(pixels), axis=0)
    scaled, usual = bank.scaling.apply(pixels), _usual(bank)
    features = np.full((len(corners), bank.columns), np.nan, np.float32)
    shares = np.zeros((len(corners), len(bank.groups)), np.float32)
    column = 0
    for place, (group, kernel) in enumerate(zip(bank.groups, _kernels(bank, way), strict=True)):
        windows = observed_windows(observed, group.patch)
        ready = ready_pixels(scaled - group.centre(usual)[0][:, None, None], observed)
        high, wide = size or windows.shape
        columns = slice(column, column + bank.rectifiers.count * group.count)
        column = columns.stop
        for first in range(0, len(corners), _SQUARES_AT_ONCE):
            some = slice(first, first + _SQUARES_AT_ONCE)
            squares = [
                (windows[top : top + high, left : left + wide], top, left)
                for top, left in corners[some]
            ]
            counts = np.array([np.count_nonzero(counted) for counted, _, _ in squares])
            sums = np.array([kernel.sums(ready, *square) for square in squares])
            if bank.symmetric:
                sums = sums.reshape(*sums.shape[:2], -1, VERSIONS).mean(axis=3)
            means = sums.reshape(len(sums), -1) / np.maximum(counts, 1)[:, None]
            features[some, columns] = means
            shares[some, place] = counts / (high * wide)
    features[shares.min(axis=1) == 0] = np.nan
    return features, shares


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
