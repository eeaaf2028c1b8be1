"""The same features with torch, for machines that have a GPU; torch is needed for nothing else.

Windows that count are unfolded in strips of bounded size, multiplied with all filters, rectified
and summed in double precision where they are. The features agree with the processor's kernels
within single precision's rounding, not bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BankError
from features.rectify import Rectifiers

# Room on the device for one strip: its windows, its responses, and one rectified copy of them.
_STRIP_BYTES = 256 * 1024 * 1024


class TorchKernel:
    """A set of filters on one of torch's devices.

    Parameters
    ----------
    filters : numpy.ndarray of float32, shape (N, C, p, p)
        The filters.
    offsets : numpy.ndarray of float32, shape (N,)
        Constant part of every response.
    rectifiers : Rectifiers
        The columns wanted.
    device : str
        As torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    BankError
        If torch is not installed or sees no such device.
    """

    def __init__(
        self,
        filters: NDArray[np.float32],
        offsets: NDArray[np.float32],
        rectifiers: Rectifiers,
        device: str,
    ) -> None:
        self._torch = _load(device)
        self._device = device
        self._patch = filters.shape[2]
        depth = filters[0].size
        self._filters = self._sent(filters.reshape(-1, depth).T)
        self._offsets = self._sent(offsets)
        self._columns = list(zip(rectifiers.thresholds(), rectifiers.falling(), strict=True))
        self._at_once = max(1, _STRIP_BYTES // (4 * (depth + 3 * len(filters))))

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """See ``features.kernel.Kernel.sums``."""
        torch, patch = self._torch, self._patch
        high, wide = (size + patch - 1 for size in windows.shape)
        image = self._sent(pixels[:, top : top + high, left : left + wide])
        # Shape (n, m, C, p, p): a view, of which only windows that count are ever copied.
        unfolded = image.unfold(1, patch, 1).unfold(2, patch, 1).permute(1, 2, 0, 3, 4)
        rows, columns = (self._sent(places) for places in np.nonzero(windows))
        shape = (len(self._columns), len(self._offsets))
        totals = torch.zeros(shape, dtype=torch.float64, device=self._device)
        with torch.inference_mode():
            for first in range(0, len(rows), self._at_once):
                some = slice(first, first + self._at_once)
                strip = unfolded[rows[some], columns[some]].flatten(1)
                responses = torch.addmm(self._offsets, strip, self._filters)
                for total, (threshold, falls) in zip(totals, self._columns, strict=True):
                    edge = float(threshold)
                    above = edge - responses if falls else responses - edge
                    total += above.clamp_(min=0).sum(dim=0, dtype=torch.float64)
        result: NDArray[np.float64] = totals.cpu().numpy()
        return result

    def __reduce__(self) -> Any:
        raise TypeError("a kernel stays with its device; send the bank and make the kernel there")

    def _sent(self, array: NDArray[Any]) -> Any:
        return self._torch.tensor(array, device=self._device)


def _load(device: str) -> Any:
    """Import torch and see whether the device is there."""
    try:
        import torch
    except ModuleNotFoundError:
        raise BankError(
            f"features on {device!r} need torch, which is not installed: "
            "pip install 'asm-atlas[torch]', or compute with device = cpu"
        ) from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BankError(
            f"torch {torch.__version__} sees no GPU for features on {device!r}: install a build of "
            "torch for its driver, or compute with device = cpu"
        )
    return torch
