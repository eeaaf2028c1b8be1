"""The kernels' mathematics in plain NumPy and double precision: what they are tested against.

It also serves where vector code cannot be compiled, slowly.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from features.rectify import Rectifiers

_WINDOWS_AT_ONCE = 512


class ReferenceKernel:
    """A set of filters, applied window by window.

    Parameters
    ----------
    filters : numpy.ndarray of float32, shape (N, C, p, p)
        The filters.
    offsets : numpy.ndarray of float32, shape (N,)
        Constant part of every response.
    rectifiers : Rectifiers
        The columns wanted.
    """

    def __init__(
        self, filters: NDArray[np.float32], offsets: NDArray[np.float32], rectifiers: Rectifiers
    ) -> None:
        self._filters = filters.reshape(len(filters), -1).astype(np.float64)
        self._offsets = offsets.astype(np.float64)
        self._patch = filters.shape[2]
        self._rectifiers = rectifiers

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """See ``features.kernel.Kernel.sums``."""
        patch = self._patch
        down, right = windows.shape
        part = pixels[:, top : top + down + patch - 1, left : left + right + patch - 1]
        view = sliding_window_view(part, (patch, patch), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
        rows, columns = np.nonzero(windows)
        totals = np.zeros((self._rectifiers.count, len(self._offsets)))
        pairs = list(zip(self._rectifiers.thresholds(), self._rectifiers.falling(), strict=True))
        for start in range(0, len(rows), _WINDOWS_AT_ONCE):
            some = slice(start, start + _WINDOWS_AT_ONCE)
            unfolded = view[rows[some], columns[some]].reshape(len(rows[some]), -1)
            responses = unfolded.astype(np.float64) @ self._filters.T + self._offsets
            for total, (threshold, falls) in zip(totals, pairs, strict=True):
                above = threshold - responses if falls else responses - threshold
                total += np.maximum(above, 0).sum(axis=0)
        return totals
