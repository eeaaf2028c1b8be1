"""Convolve, rectify and pool, cell by cell: the inner loop of everything.

For each cell the windows are unfolded, multiplied with the filters in tiles that stay in the
second-level cache, rectified and summed; the maps of responses are never stored whole. A window
with an unobserved pixel takes no part. One thread; the matrix product releases the GIL.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from features.bank import VERSIONS, FilterGroup

# 512 windows x 256 columns x 4 bytes: half a megabyte, in the second-level cache of today's cores.
WINDOWS_PER_TILE = 512
COLUMNS_PER_TILE = 256


def observed_windows(observed: NDArray[np.bool_], patch: int) -> NDArray[np.bool_]:
    """Say which windows hold observed pixels only.

    Parameters
    ----------
    observed : numpy.ndarray of bool, shape (H, W)
        True where a pixel was observed.
    patch : int
        Side of the window in pixels.

    Returns
    -------
    numpy.ndarray of bool, shape (H - patch + 1, W - patch + 1)
        Indexed by the window's upper-left pixel.
    """
    rows = np.all(sliding_window_view(observed, patch, axis=0), axis=-1)
    windows: NDArray[np.bool_] = np.all(sliding_window_view(rows, patch, axis=1), axis=-1)
    return windows


def pool_cell(
    pixels: NDArray[np.float32],
    windows: NDArray[np.bool_],
    group: FilterGroup,
    biases: tuple[float, ...],
) -> NDArray[np.float64]:
    """Sum the rectified responses of one cell's windows.

    Parameters
    ----------
    pixels : numpy.ndarray of float32, shape (C, n + p - 1, m + p - 1)
        Scaled pixels of the cell and, to the right and below, of its halo.
    windows : numpy.ndarray of bool, shape (n, m)
        Windows that count.
    group : FilterGroup
        K filters of one patch size p, in eight versions each.
    biases : tuple of float
        Each gives ``relu(z - b)`` and ``relu(-z - b)``.

    Returns
    -------
    numpy.ndarray of float64, shape (2 * len(biases) * K,)
        Sums over the windows that count, averaged over the versions (after the rectifier); ordered
        bias by bias, positive side first.
    """
    filters = group.versions
    offsets = np.repeat(group.offsets, VERSIONS)
    levels = np.array(biases, np.float32)
    sums = np.zeros((len(biases), 2, len(offsets)))
    view = sliding_window_view(pixels, (group.patch, group.patch), axis=(1, 2))
    unfolded = view.transpose(0, 3, 4, 1, 2).reshape(len(filters), -1)
    if not windows.all():
        unfolded = unfolded[:, windows.reshape(-1)]
    for first in range(0, len(offsets), COLUMNS_PER_TILE):
        columns = slice(first, first + COLUMNS_PER_TILE)
        weights = np.ascontiguousarray(filters[:, columns])
        for start in range(0, unfolded.shape[1], WINDOWS_PER_TILE):
            part = unfolded[:, start : start + WINDOWS_PER_TILE]
            responses = part.T @ weights
            responses += offsets[columns]
            sums[:, :, columns] += _rectified_sums(responses, levels)
    averaged: NDArray[np.float64] = sums.reshape(-1, VERSIONS).mean(axis=1)
    return averaged


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _rectified_sums(
    responses: NDArray[np.float32], levels: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Sum ``relu(z - b)`` and ``relu(-z - b)`` over rows, (levels, 2, columns), in one pass."""
    rows, columns = responses.shape
    sums = np.zeros((len(levels), 2, columns), np.float32)
    zero = np.float32(0)
    for row in range(rows):
        for index in range(len(levels)):
            level = levels[index]
            for column in range(columns):
                response = responses[row, column]
                sums[index, 0, column] += max(response - level, zero)
                sums[index, 1, column] += max(-response - level, zero)
    return sums
