"""What the kernels are compared with, each in one thread.

``TorchGeo`` does the operations of torchgeo 0.8's ``RCF.forward``, in its order: the package itself
brings timm, lightning and more, for four lines. ``TunedTorch`` is the fastest that could be written
with torch alone, and ``BareProduct`` leaves out all but the matrix product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
import torch
from cases import Case
from numpy.lib.stride_tricks import sliding_window_view

ROWS_AT_ONCE = (1, 2, 4, 8, 16, 32)
FILTERS_AT_ONCE = (128, 256, 512, 2048)


class TorchGeo:
    """One convolution with the bias in it, both sides rectified, both averaged over the map."""

    settings: tuple[int, ...] = ()

    def __init__(self, case: Case, settings: tuple[int, ...] = ()) -> None:
        self._filters = torch.from_numpy(case.filters)
        self._biases = torch.full((len(self._filters),), -case.rectifiers.biases[0])
        self._image = torch.from_numpy(case.pixels)[None]

    def __call__(self) -> np.ndarray:
        with torch.inference_mode():
            maps = torch.nn.functional.conv2d(self._image, self._filters, self._biases)
            risen = maps.clamp_min(0).mean(dim=(-2, -1))
            fallen = maps.clamp_max(0).neg_().mean(dim=(-2, -1))
            return torch.cat((risen, fallen), dim=1)[0].numpy()


class TunedTorch:
    """Strips of rows unfolded, multiplied, rectified in place and summed while in the cache.

    The bias is one more row of the unfolded strip, and the falling side comes from the rising one
    and the sum of the responses, which is a product with the sum of the strip.
    """

    def __init__(self, case: Case, settings: tuple[int, int] | None = None) -> None:
        filters = case.filters.reshape(len(case.filters), -1)
        bias = np.full((len(filters), 1), -case.rectifiers.biases[0], np.float32)
        self._weights = torch.from_numpy(np.hstack([filters, bias]))
        view = sliding_window_view(case.pixels, (case.patch, case.patch), axis=(1, 2))
        self._windows = torch.from_numpy(case.pixels).as_strided(
            tuple(view.transpose(0, 3, 4, 1, 2).shape),
            tuple(step // 4 for step in view.transpose(0, 3, 4, 1, 2).strides),
        )
        self.settings = settings or _fastest(product(ROWS_AT_ONCE, FILTERS_AT_ONCE), self._try)
        self.about = "{} rows, {} filters at once".format(*self.settings)

    def __call__(self) -> np.ndarray:
        return self._means(*self.settings, self._windows.shape[3])

    def _try(self, settings: tuple[int, int]) -> None:
        # The same rows for all settings, as many as the largest strip.
        self._means(*settings, min(max(ROWS_AT_ONCE), self._windows.shape[3]))

    def _means(self, rows: int, filters: int, down: int) -> np.ndarray:
        depth = self._weights.shape[1]
        right = self._windows.shape[4]
        strip = torch.ones((depth, rows * right))
        room = torch.empty((min(filters, len(self._weights)), rows * right))
        risen = torch.zeros(len(self._weights), dtype=torch.float64)
        total = torch.zeros(depth, dtype=torch.float64)
        with torch.inference_mode():
            for top in range(0, down, rows):
                high = min(rows, down - top)
                part = strip if high == rows else torch.ones((depth, high * right))
                shaped = part[:-1].view(*self._windows.shape[:3], high, right)
                shaped.copy_(self._windows[:, :, :, top : top + high])
                total += part.sum(dim=1)
                for first in range(0, len(self._weights), filters):
                    some = self._weights[first : first + filters]
                    place = room[: len(some)] if high == rows else None
                    responses = torch.mm(some, part, out=place)
                    risen[first : first + filters] += responses.clamp_min_(0).sum(dim=1)
            fallen = risen - self._weights.double() @ total
        return (torch.cat((risen, fallen)) / (down * right)).numpy()


class BareProduct:
    """NumPy's matrix product of windows that were unfolded beforehand, tile by tile."""

    def __init__(self, case: Case, settings: tuple[int, int] | None = None) -> None:
        view = sliding_window_view(case.pixels, (case.patch, case.patch), axis=(1, 2))
        depth = case.filters[0].size
        self._filters = np.ascontiguousarray(case.filters.reshape(-1, depth).T)
        self._unfolded = np.ascontiguousarray(
            view.transpose(1, 2, 0, 3, 4).reshape(-1, depth), np.float32
        )
        grid = product((64, 128, 256, 512, 1024, 4096), FILTERS_AT_ONCE)
        self.settings = settings or _fastest(grid, self._try)
        self.about = "{} windows, {} filters at once".format(*self.settings)

    def __call__(self) -> None:
        self._multiply(*self.settings, len(self._unfolded))

    def responses(self, windows: slice) -> np.ndarray:
        """The product itself, for a check."""
        return self._unfolded[windows] @ self._filters

    def exact_responses(self, windows: slice) -> np.ndarray:
        """The product in double precision."""
        return self._unfolded[windows].astype(np.float64) @ self._filters.astype(np.float64)

    def _try(self, settings: tuple[int, int]) -> None:
        self._multiply(*settings, min(8192, len(self._unfolded)))

    def _multiply(self, windows: int, filters: int, count: int) -> None:
        parts = [
            np.ascontiguousarray(self._filters[:, first : first + filters])
            for first in range(0, self._filters.shape[1], filters)
        ]
        rooms = [np.empty((windows, part.shape[1]), np.float32) for part in parts[:1] + parts[-1:]]
        for first in range(0, count, windows):
            tile = self._unfolded[first : min(first + windows, count)]
            for part in parts:
                room = rooms[0] if part.shape[1] == rooms[0].shape[1] else rooms[1]
                np.matmul(tile, part, out=room[: len(tile)])


class MaskedTorch:
    """The pipeline's own columns of one cell with torch's operations, for cells with clouds.

    ``maps``: a convolution of the cell, then for each column a rectified map times the mask, as
    torchgeo's way would have to be extended. Otherwise only the windows that count are unfolded,
    in strips, multiplied and rectified: nothing is spent on clouds.
    """

    def __init__(
        self, filters: np.ndarray, offsets: np.ndarray, thresholds: np.ndarray, maps: bool
    ) -> None:
        self._filters, self._offsets = torch.from_numpy(filters), torch.from_numpy(offsets)
        self._flat = self._filters.reshape(len(filters), -1)
        self._thresholds = [float(threshold) for threshold in thresholds]
        self._maps = maps
        self.at_once = 256

    def sums(self, pixels: np.ndarray, windows: np.ndarray, top: int, left: int) -> np.ndarray:
        """As a kernel's ``sums``, of two-sided rectifiers."""
        patch = self._filters.shape[2]
        high, wide = (size + patch - 1 for size in windows.shape)
        cell = torch.from_numpy(pixels[:, top : top + high, left : left + wide])
        with torch.inference_mode():
            if self._maps:
                return self._from_maps(cell[None], torch.from_numpy(windows))
            return self._from_windows(cell, windows)

    def _from_maps(self, cell: torch.Tensor, windows: torch.Tensor) -> np.ndarray:
        maps = torch.nn.functional.conv2d(cell, self._filters, self._offsets)[0]
        weights = windows.float()
        columns = []
        for place, threshold in enumerate(self._thresholds):
            above = threshold - maps if place % 2 else maps - threshold
            columns.append((above.clamp_min_(0) * weights).sum(dim=(-2, -1)))
        return torch.stack(columns).numpy()

    def _from_windows(self, cell: torch.Tensor, windows: np.ndarray) -> np.ndarray:
        bands, patch = self._filters.shape[1:3]
        unfolded = cell.unfold(1, patch, 1).unfold(2, patch, 1).permute(1, 2, 0, 3, 4)
        rows, columns = (torch.from_numpy(place) for place in np.nonzero(windows))
        sums = torch.zeros((len(self._thresholds), len(self._flat)))
        for first in range(0, len(rows), self.at_once):
            some = slice(first, first + self.at_once)
            part = unfolded[rows[some], columns[some]].reshape(-1, bands * patch * patch)
            responses = torch.addmm(self._offsets, part, self._flat.T)
            for place, threshold in enumerate(self._thresholds):
                if place % 2:
                    sums[place] += len(part) * threshold - responses.clamp_max(threshold).sum(dim=0)
                else:
                    sums[place] += responses.clamp_min(threshold).sum(dim=0) - len(part) * threshold
        return sums.numpy()


def _fastest(
    settings: Iterable[tuple[int, int]], run: Callable[[tuple[int, int]], None]
) -> tuple[int, int]:
    """Return the settings with the shortest of three runs."""
    best, chosen = np.inf, (0, 0)
    for one in settings:
        run(one)
        for _ in range(3):
            begin = time.process_time()
            run(one)
            took = time.process_time() - begin
            if took < best:
                best, chosen = took, one
    return chosen
