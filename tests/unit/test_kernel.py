from __future__ import annotations

import numpy as np
import pytest
from sample_model import BANDS, sample_group, textured
from scipy.signal import correlate

from features.bank import FilterGroup
from features.kernel import COLUMNS_PER_TILE, WINDOWS_PER_TILE, observed_windows, pool_cell
from features.scaling import Scaling

BIASES = (0.0, 0.25, 1.0)


def plain_sums(
    pixels: np.ndarray, windows: np.ndarray, group: FilterGroup, biases: tuple[float, ...]
) -> np.ndarray:
    """The same by scipy.signal, one filter and one version at a time, in double precision."""
    sums = np.zeros((len(biases), 2, group.count))
    for k, (kernel, offset) in enumerate(zip(group.filters, group.offsets, strict=True)):
        for turns in range(4):
            for plain in (True, False):
                turned = np.rot90(kernel if plain else np.flip(kernel, -1), turns, (1, 2))
                response = offset + sum(
                    correlate(band.astype(float), part.astype(float), "valid", "direct")
                    for band, part in zip(pixels, turned, strict=True)
                )
                for b, bias in enumerate(biases):
                    sums[b, 0, k] += np.maximum(response - bias, 0)[windows].sum() / 8
                    sums[b, 1, k] += np.maximum(-response - bias, 0)[windows].sum() / 8
    return sums.reshape(-1)


@pytest.mark.parametrize("patch", [1, 3, 4])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.02, 0.0])
def test_the_kernel_equals_a_plain_convolution(patch: int, share: float) -> None:
    rng = np.random.default_rng(patch)
    scaling = Scaling()
    group, _ = sample_group(rng, patch, 4, scaling)
    pixels = scaling.apply(textured(rng, len(BANDS), 25 + patch - 1, 30 + patch - 1))
    windows = rng.random((25, 30)) < share
    sums = pool_cell(pixels, windows, group, BIASES)
    assert sums.shape == (2 * len(BIASES) * 4,)
    assert sums == pytest.approx(plain_sums(pixels, windows, group, BIASES), rel=1e-4, abs=1e-3)


def test_more_columns_and_windows_than_a_tile() -> None:
    rng = np.random.default_rng(2)
    scaling = Scaling()
    group, _ = sample_group(rng, 2, COLUMNS_PER_TILE // 8 + 1, scaling)
    side = 2 * int(WINDOWS_PER_TILE**0.5) + 1
    pixels = scaling.apply(textured(rng, len(BANDS), side + 1, side + 1))
    windows = np.ones((side, side), bool)
    sums = pool_cell(pixels, windows, group, (0.5,))
    assert sums == pytest.approx(plain_sums(pixels, windows, group, (0.5,)), rel=1e-4, abs=1e-2)


def test_windows_that_do_not_count_may_hold_anything() -> None:
    rng = np.random.default_rng(4)
    group, _ = sample_group(rng, 3, 4, Scaling())
    pixels = Scaling().apply(textured(rng, len(BANDS), 12, 12))
    observed = rng.random((12, 12)) < 0.9
    windows = observed_windows(observed, 3)
    holed = pixels.copy()
    holed[:, ~observed] = np.nan
    other = pixels.copy()
    other[:, ~observed] = 1e30
    sums = pool_cell(holed, windows, group, BIASES)
    assert np.isfinite(sums).all()
    assert np.array_equal(sums, pool_cell(other, windows, group, BIASES))


@pytest.mark.parametrize("patch", [1, 2, 3, 5])
def test_a_window_is_observed_where_all_of_its_pixels_are(patch: int) -> None:
    observed = np.random.default_rng(patch).random((14, 17)) < 0.85
    windows = observed_windows(observed, patch)
    assert windows.shape == (14 - patch + 1, 17 - patch + 1)
    for top, left in np.ndindex(windows.shape):
        assert windows[top, left] == observed[top : top + patch, left : left + patch].all()
