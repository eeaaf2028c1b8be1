"""Random convolutional features of blocks and chips.

After Rolf et al. 2021, doi 10.1038/s41467-021-24638-z.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank
from features.errors import BankError
from features.kernel import observed_windows, pool_cell


def cell_features(
    pixels: NDArray[np.float32], bank: FilterBank, cells: int, cell_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the features of a square of cells.

    Parameters
    ----------
    pixels : numpy.ndarray of float32, shape (C, H, W)
        Reflectance (0..1) in the bank's band order; unobserved where any band is not finite. H and
        W at least ``cells * cell_px + bank.patch_max - 1``: the cells and their halo to the right
        and below.
    bank : FilterBank
        The filters.
    cells : int
        Number of cells along each side.
    cell_px : int
        Side of a cell in pixels.

    Returns
    -------
    features : numpy.ndarray of float32, shape (cells * cells, bank.columns)
        Means over the windows that counted; NaN for a cell in which none did.
    share : numpy.ndarray of float32, shape (cells * cells,)
        Share of the cell's windows that counted, the smallest over the patch sizes.

    Raises
    ------
    BankError
        If the pixels have another number of bands or too small a halo.
    """
    need = cells * cell_px + bank.patch_max - 1
    fits = pixels.ndim == 3 and len(pixels) == len(bank.bands) and min(pixels.shape[1:]) >= need
    if not fits:
        raise BankError(
            f"{len(bank.bands)} bands of {need} x {need} pixels are needed, "
            f"not an array of shape {pixels.shape}"
        )
    # Before scaling, which would clip infinity to a number.
    observed = np.all(np.isfinite(pixels), axis=0)
    scaled = bank.scaling.apply(pixels)
    features = np.empty((cells * cells, bank.columns), np.float32)
    share = np.ones(cells * cells, np.float32)
    column = 0
    for group in bank.groups:
        windows = observed_windows(observed, group.patch)
        width = 2 * len(bank.biases) * group.count
        reach = cell_px + group.patch - 1
        for index in range(cells * cells):
            top, left = (cell_px * part for part in divmod(index, cells))
            counted = windows[top : top + cell_px, left : left + cell_px]
            count = int(counted.sum())
            share[index] = min(share[index], count / cell_px**2)
            if count == 0:
                features[index] = np.nan
                continue
            sums = pool_cell(
                scaled[:, top : top + reach, left : left + reach],
                counted,
                group,
                bank.biases,
            )
            features[index, column : column + width] = sums / count
        column += width
    features[share == 0] = np.nan
    return features, share


def chip_features(
    chips: NDArray[np.float32], bank: FilterBank
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute one row of features for each chip, from the windows that lie wholly inside it.

    Parameters
    ----------
    chips : numpy.ndarray of float32, shape (n, C, H, W)
        Reflectance (0..1) in the bank's band order; unobserved where any band is not finite.
    bank : FilterBank
        The filters.

    Returns
    -------
    features : numpy.ndarray of float32, shape (n, bank.columns)
        Means over the windows that counted; NaN for a chip in which none did.
    share : numpy.ndarray of float32, shape (n,)
        Share of the chip's windows that counted, the smallest over the patch sizes.

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
    share = np.zeros(len(chips), np.float32)
    for index, chip in enumerate(chips):
        observed = np.all(np.isfinite(chip), axis=0)
        scaled = bank.scaling.apply(chip)
        parts, shares = [], []
        for group in bank.groups:
            windows = observed_windows(observed, group.patch)
            sums = pool_cell(scaled, windows, group, bank.biases)
            parts.append(sums / max(int(windows.sum()), 1))
            shares.append(windows.mean())
        share[index] = min(shares)
        if share[index] > 0:
            features[index] = np.concatenate(parts)
    return features, share
