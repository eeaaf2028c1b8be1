from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_model import BANDS, sample_bank, textured

from features.errors import BankError
from features.pooling import pool_up, surroundings
from features.rcf import cell_features

BANK = sample_bank()
HALO = BANK.patch_max - 1


def cells(count: int, cell_px: int, holes: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels with holes, and their features as a square of cells with shares."""
    rng = np.random.default_rng(5)
    side = count * cell_px + HALO
    pixels = textured(rng, len(BANDS), side, side)
    pixels[:, rng.random((side, side)) < holes] = np.nan
    features, shares = cell_features(pixels, BANK, count, cell_px)
    return pixels, features.reshape(count, count, -1), shares.reshape(count, count, -1)


@pytest.mark.parametrize("holes", [0.0, 0.05])
@pytest.mark.parametrize("factor", [2, 4])
def test_a_coarse_cell_is_what_its_own_pixels_give(holes: float, factor: int) -> None:
    pixels, features, shares = cells(4, 12, holes)
    coarse, coarse_shares = pool_up(features, shares, BANK, factor)
    expected, expected_shares = cell_features(pixels, BANK, 4 // factor, 12 * factor)
    assert coarse.reshape(len(expected), -1) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert coarse_shares.reshape(len(expected), -1) == pytest.approx(expected_shares, rel=1e-6)
    assert coarse.dtype == coarse_shares.dtype == np.float32


@pytest.mark.parametrize("holes", [0.0, 0.05])
def test_quarters_pool_to_the_cell_that_its_own_pixels_give(holes: float) -> None:
    bank = replace(BANK, parts=2)
    pixels, features, shares = cells(4, 12, holes)
    pooled, pooled_shares = pool_up(features, shares, bank)
    expected, expected_shares = cell_features(pixels, bank, 2, 24)
    assert pooled.reshape(4, -1) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert pooled_shares.reshape(4, -1) == pytest.approx(expected_shares, rel=1e-6)
    # Pooled at once or one after the other.
    twice, _ = pool_up(pooled, pooled_shares, bank)
    once, _ = pool_up(features, shares, bank, 4)
    assert twice == pytest.approx(once, rel=1e-4)


def test_surroundings_are_means_of_roots_where_a_bank_has_parts() -> None:
    _, features, shares = cells(3, 12, 0.0)
    around = surroundings(features, shares, replace(BANK, parts=2))
    expected = np.mean(np.sqrt(features.astype(float)), axis=(0, 1)) ** 2
    assert around[0, 0] == pytest.approx(expected, rel=1e-5)


def test_cells_without_a_number_take_no_part() -> None:
    _, features, shares = cells(4, 12, 0.0)
    features[0, 0], shares[0, 0] = np.nan, [0.5, 0.0]
    features[2:, 2:], shares[2:, 2:] = np.nan, 0
    coarse, coarse_shares = pool_up(features, shares, BANK)
    expected = (features[0, 1] + features[1, 0] + features[1, 1]) / 3
    assert coarse[0, 0] == pytest.approx(expected, rel=1e-6)
    assert coarse_shares[0, 0] == pytest.approx([0.75, 0.75])
    assert np.isnan(coarse[1, 1]).all()
    assert (coarse_shares[1, 1] == 0).all()


def test_surroundings_are_the_mean_of_nine_cells() -> None:
    _, features, shares = cells(5, 12, 0.02)
    features[3, 3], shares[3, 3] = np.nan, 0
    around = surroundings(features, shares, BANK)
    assert around.shape == (3, 3, BANK.columns)
    width = BANK.columns // 2
    for row, column in ((0, 0), (1, 2), (2, 2)):
        nine = np.s_[row : row + 3, column : column + 3]
        for group in range(2):
            part = features[nine].reshape(9, -1)[:, group * width : (group + 1) * width]
            weights = shares[nine].reshape(9, -1)[:, group]
            known = np.isfinite(part[:, 0])
            expected = np.average(part[known], axis=0, weights=weights[known])
            values = around[row, column, group * width : (group + 1) * width]
            assert values == pytest.approx(expected, rel=1e-5)


def test_nothing_around_gives_no_number() -> None:
    features = np.full((3, 3, BANK.columns), np.nan, np.float32)
    assert np.isnan(surroundings(features, np.zeros((3, 3, 2), np.float32), BANK)).all()


def test_a_factor_that_does_not_divide_is_refused() -> None:
    _, features, shares = cells(3, 12, 0.0)
    with pytest.raises(BankError, match="3 x 3 cells are not squares of 2 x 2"):
        pool_up(features, shares, BANK, 2)
