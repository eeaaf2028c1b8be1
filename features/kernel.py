"""Convolve, rectify and pool: the inner loop of everything, by the fastest exact way.

A window with an unobserved pixel takes no part, and the maps of responses are never stored. One
thread; the interpreter's lock is free while it works.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from features import winograd
from features.direct import DirectKernel
from features.rectify import Rectifiers
from features.reference import ReferenceKernel
from features.winograd import WinogradKernel

# Pixels to the right of and below the last window that a kernel may read.
MARGIN = winograd.TILE - 1
# Fewer than these are summed directly.
FEW_WINDOWS = 256


class Kernel(Protocol):
    """Filters made ready for one way of computing their columns."""

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """Sum the rectified responses of a rectangle of windows.

        Parameters
        ----------
        pixels : numpy.ndarray of float32, shape (C, H, W)
            As ``ready_pixels`` makes them.
        windows : numpy.ndarray of bool, shape (n, m)
            Windows that count.
        top, left : int
            Upper-left pixel of the first window.

        Returns
        -------
        numpy.ndarray of float64, shape (columns, N)
            Sums over the windows that count, column by column of the rectifiers.
        """


class AutomaticKernel:
    """Filters made ready for the fastest way that is exact enough for the windows at hand.

    Winograd's rounding errors fade in a mean over many windows; of a few windows the mean is
    computed directly.

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
        # Compiled when it is needed first: most regions have no square of a few windows.
        self._direct = cache(lambda: DirectKernel(filters, offsets, rectifiers))
        self._winograd = (
            WinogradKernel(filters, offsets, rectifiers)
            if filters.shape[2] in winograd.POINTS
            else None
        )

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """See ``features.kernel.Kernel.sums``."""
        if self._winograd is None or np.count_nonzero(windows) < FEW_WINDOWS:
            return self._direct().sums(pixels, windows, top, left)
        return self._winograd.sums(pixels, windows, top, left)

    def __reduce__(self) -> Any:
        raise TypeError("a kernel is machine code; send the bank and make the kernel there")


def _with_torch(device: str) -> Callable[..., Kernel]:
    """Return what makes a kernel of torch, which is imported only then."""

    def make(
        filters: NDArray[np.float32], offsets: NDArray[np.float32], rectifiers: Rectifiers
    ) -> Kernel:
        from features.torch_path import TorchKernel

        return TorchKernel(filters, offsets, rectifiers, device)

    return make


WAYS: dict[str, Callable[..., Kernel]] = {
    "auto": AutomaticKernel,
    "winograd": WinogradKernel,
    "direct": DirectKernel,
    "reference": ReferenceKernel,
    # These need torch.
    "torch": _with_torch("cpu"),
    "cuda": _with_torch("cuda"),
}


def make_kernel(
    filters: NDArray[np.float32],
    offsets: NDArray[np.float32],
    rectifiers: Rectifiers,
    way: str = "auto",
) -> Kernel:
    """Make filters ready.

    Parameters
    ----------
    filters : numpy.ndarray of float32, shape (N, C, p, p)
        The filters.
    offsets : numpy.ndarray of float32, shape (N,)
        Constant part of every response.
    rectifiers : Rectifiers
        The columns wanted.
    way : str
        A key of ``WAYS``.

    Returns
    -------
    Kernel
        For one process; it cannot be pickled.

    Raises
    ------
    BankError
        If the way needs torch or a GPU that is not there.
    """
    try:
        return WAYS[way](filters, offsets, rectifiers)
    except RuntimeError as error:  # LLVM's, of a processor that it cannot compile for
        if way != "auto":
            raise
        warnings.warn(
            f"no vector code for this processor, features are slow: {error}", stacklevel=2
        )
        return ReferenceKernel(filters, offsets, rectifiers)


def ready_pixels(pixels: NDArray[np.float32], observed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return pixels as the kernels need them: finite, contiguous, with a margin.

    Parameters
    ----------
    pixels : numpy.ndarray of float32, shape (C, H, W)
        Scaled pixels; anything where nothing was observed.
    observed : numpy.ndarray of bool, shape (H, W)
        True where a pixel was observed.

    Returns
    -------
    numpy.ndarray of float32, shape (C, H + MARGIN, W + MARGIN)
        0 where nothing was observed, and in the margin; such pixels lie in no window that counts.
    """
    channels, height, width = pixels.shape
    ready = np.zeros((channels, height + MARGIN, width + MARGIN), np.float32)
    np.copyto(ready[:, :height, :width], pixels, where=observed)
    return ready


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
