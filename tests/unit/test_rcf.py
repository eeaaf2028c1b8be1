from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sample_model import BANDS, sample_bank, textured
from scipy.signal import correlate
from threadpoolctl import threadpool_limits

from features.bank import FilterBank
from features.errors import BankError
from features.rcf import cell_features, chip_features, part_features

CELL_PX = 12
BANK = sample_bank()
HALO = BANK.patch_max - 1


def plain_cell(pixels: np.ndarray, bank: FilterBank, top: int, left: int) -> np.ndarray:
    """Features of one cell by definition, window by window; NaN if no window counts."""
    parts = []
    for group in bank.groups:
        p = group.patch
        cell = pixels[:, top : top + CELL_PX + p - 1, left : left + CELL_PX + p - 1]
        scaled = np.log(
            np.clip(cell.astype(float), 0, bank.scaling.clip) / bank.scaling.clip + 0.02
        )
        gaps = (~np.isfinite(cell)).any(0).astype(float)
        counted = np.round(correlate(gaps, np.ones((p, p)), "valid", "direct")) == 0
        scaled[~np.isfinite(cell)] = 0
        columns = np.zeros((len(bank.biases), 2, group.count))
        for turns in range(4):
            for kernel in (group.filters, group.filters[..., ::-1]):
                turned = np.rot90(kernel, turns, (2, 3)).astype(float)
                for k in range(group.count):
                    z = correlate(scaled, turned[k], "valid", "direct")[0] + group.offsets[k]
                    for b, bias in enumerate(bank.biases):
                        both = np.maximum(z - bias, 0), np.maximum(-z - bias, 0)
                        columns[b, :, k] += [side[counted].sum() / 8 for side in both]
        parts.append(
            columns.reshape(-1) / counted.sum() if counted.any() else columns.reshape(-1) * np.nan
        )
    return np.concatenate(parts)


def block(seed: int, cells: int = 2) -> np.ndarray:
    side = cells * CELL_PX + HALO
    return textured(np.random.default_rng(seed), len(BANDS), side, side)


def holed(seed: int, share: float = 0.03) -> np.ndarray:
    pixels = block(seed)
    gaps = np.random.default_rng(seed + 100).random(pixels.shape) < share
    pixels[gaps] = np.nan
    return pixels


@pytest.mark.parametrize(
    "pixels", [block(1), holed(2), holed(3, 0.3)], ids=["whole", "few", "many"]
)
def test_cells_equal_the_definition(pixels: np.ndarray) -> None:
    features, share = cell_features(pixels, BANK, 2, CELL_PX)
    for index, (top, left) in enumerate(((0, 0), (0, 12), (12, 0), (12, 12))):
        expected = plain_cell(pixels, BANK, top, left)
        if np.isnan(expected).any():
            assert np.isnan(features[index]).all()
            assert share[index].min() == 0
        else:
            assert features[index] == pytest.approx(expected, rel=1e-4, abs=1e-5)
            assert share[index].min() > 0
    assert features.dtype == share.dtype == np.float32


def test_the_share_counts_windows_of_each_patch_size() -> None:
    pixels = block(4)
    pixels[1, 5, 6] = np.nan
    _, shares = cell_features(pixels, BANK, 2, CELL_PX)
    # One pixel in one band takes away 3 x 3 and 4 x 4 windows.
    assert shares[0] == pytest.approx([1 - 9 / CELL_PX**2, 1 - 16 / CELL_PX**2])
    assert (shares[1:] == 1).all()


def test_a_gap_in_the_halo_takes_windows_from_the_cell_that_owns_them() -> None:
    pixels = block(4)
    pixels[:, 0, CELL_PX] = np.nan
    _, shares = cell_features(pixels, BANK, 2, CELL_PX)
    assert shares[:, 1] == pytest.approx([1 - 3 / CELL_PX**2, 1 - 1 / CELL_PX**2, 1, 1])


def test_a_cell_without_observation_is_never_a_number() -> None:
    pixels = block(5)
    pixels[:, :, :CELL_PX] = np.nan
    pixels[:, 3, 4] = 0.2
    features, share = cell_features(pixels, BANK, 2, CELL_PX)
    assert np.isnan(features[[0, 2]]).all()
    assert (share[[0, 2]] == 0).all()
    assert np.isfinite(features[[1, 3]]).all()


def test_a_cell_that_only_small_patches_fit_into_is_not_a_number() -> None:
    pixels = block(5)
    pixels[:, :CELL_PX, :CELL_PX] = np.nan
    pixels[:, :3, :3] = 0.2
    features, share = cell_features(pixels, BANK, 2, CELL_PX)
    assert np.isnan(features[0]).all()
    assert share[0, 0] > 0 and share[0, 1] == 0


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_unobserved(value: float) -> None:
    infinite, missing = block(6), block(6)
    infinite[2, 7, 7], missing[2, 7, 7] = value, np.nan
    for first, second in zip(
        cell_features(infinite, BANK, 2, CELL_PX),
        cell_features(missing, BANK, 2, CELL_PX),
        strict=True,
    ):
        assert np.array_equal(first, second)
    for first, second in zip(
        chip_features(infinite[None], BANK), chip_features(missing[None], BANK), strict=True
    ):
        assert np.array_equal(first, second)


# Cells of 12 pixels are summed directly, those of 20 by Winograd's way.
@pytest.mark.parametrize("cell_px", [12, 20])
@pytest.mark.parametrize("share", [0.0, 0.02])
def test_a_cell_does_not_depend_on_the_block_that_it_is_computed_in(
    share: float, cell_px: int
) -> None:
    side = 4 * cell_px + HALO
    rng = np.random.default_rng(7)
    pixels = textured(rng, len(BANDS), side, side)
    pixels[rng.random(pixels.shape) < share] = np.nan
    whole, whole_share = cell_features(pixels, BANK, 4, cell_px)
    whole = whole.reshape(4, 4, -1)
    for cells, top, left in ((1, 2, 3), (2, 1, 0), (3, 1, 1), (2, 2, 2)):
        part = pixels[:, top * cell_px :, left * cell_px :]
        features, part_share = cell_features(part, BANK, cells, cell_px)
        inner = np.s_[top : top + cells, left : left + cells]
        assert np.array_equal(features.reshape(cells, cells, -1), whole[inner], equal_nan=True)
        assert np.array_equal(part_share, whole_share.reshape(4, 4, -1)[inner].reshape(-1, 2))


@pytest.mark.parametrize("cell_px", [12, 20])
def test_every_way_gives_the_same_features(cell_px: int) -> None:
    pixels = textured(np.random.default_rng(2), len(BANDS), cell_px + HALO, cell_px + HALO)
    expected, shares = cell_features(pixels, BANK, 1, cell_px, "reference")
    for way in ("auto", "direct"):
        features, same = cell_features(pixels, BANK, 1, cell_px, way)
        assert np.abs(features - expected).max() <= 1e-5 * expected.mean()
        assert np.array_equal(shares, same)


@pytest.mark.parametrize("sides, columns", [("one", 20), ("two", 40), ("shared", 40)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_banks_of_other_sides_and_without_symmetry(
    sides: str, columns: int, symmetric: bool
) -> None:
    bank = dataclasses.replace(BANK, sides=sides, symmetric=symmetric)
    pixels = block(13)
    features, _ = cell_features(pixels, bank, 2, CELL_PX)
    assert features.shape == (4, columns) == (4, bank.columns)
    plain = pixels[:, : CELL_PX + 2, : CELL_PX + 2]
    scaled = np.log(np.clip(plain, 0, 0.5) / 0.5 + 0.02)
    z = correlate(scaled, BANK.groups[0].filters[0], "valid", "direct")[0]
    z += BANK.groups[0].offsets[0]
    if not symmetric:
        place = 0 if sides == "one" else 5
        other = {"one": z - 0.25, "two": -z - 0.25, "shared": 0.25 - z}[sides]
        assert features[0, place] == pytest.approx(np.maximum(other, 0).mean(), rel=1e-4)


def test_a_cell_does_not_depend_on_memory_order_or_threads() -> None:
    pixels = block(8)
    with threadpool_limits(1):
        first, _ = cell_features(pixels, BANK, 2, CELL_PX)
    with threadpool_limits(2):
        second, _ = cell_features(np.asfortranarray(pixels), BANK, 2, CELL_PX)
    assert np.array_equal(first, second)


def test_pixels_of_other_bands_shape_or_halo_are_refused() -> None:
    pixels = block(1)
    for wrong in (pixels[:2], pixels[:, :-1], pixels[0], pixels[None]):
        with pytest.raises(BankError, match="3 bands of 27 x 27"):
            cell_features(wrong, BANK, 2, CELL_PX)
    with pytest.raises(BankError, match="chips of 3 bands"):
        chip_features(pixels[None, :2], BANK)
    with pytest.raises(BankError, match="at least 4 px"):
        chip_features(pixels[None, :, :3], BANK)


@pytest.mark.parametrize("holes", [0.0, 0.1, 0.6])
def test_a_cell_of_four_parts_is_the_mean_of_their_roots_squared(holes: float) -> None:
    bank = dataclasses.replace(BANK, parts=2)
    pixels = holed(14, holes)
    pixels[:, :15, :15] = np.nan  # one quarter of the first cell, and a bit, was not observed
    features, shares = cell_features(pixels, bank, 2, CELL_PX)
    quarters, counted = part_features(pixels, bank, 4, CELL_PX // 2)
    assert np.array_equal(quarters, cell_features(pixels, BANK, 4, CELL_PX // 2)[0], True)
    squares = quarters.reshape(2, 2, 2, 2, -1).swapaxes(1, 2).reshape(4, 4, -1)
    weights = counted.reshape(2, 2, 2, 2, -1).swapaxes(1, 2).reshape(4, 4, -1)
    for cell in range(4):
        known = np.isfinite(squares[cell, :, 0])
        if not known.any():
            assert np.isnan(features[cell]).all()
            continue
        own = np.repeat(weights[cell, known], BANK.columns // len(BANK.groups), axis=1)
        roots = np.sqrt(squares[cell, known].astype(float))
        expected = ((own * roots).sum(0) / own.sum(0)) ** 2
        assert features[cell] == pytest.approx(expected, rel=1e-5)
        assert shares[cell] == pytest.approx(weights[cell].mean(0), rel=1e-6)


def test_the_smallest_chip_has_parts_too() -> None:
    side = BANK.patch_max  # one window of the largest patch, several of the others
    chip = block(16)[:, :side, :side]
    features, shares = chip_features(chip[None], dataclasses.replace(BANK, parts=2))
    assert np.isfinite(features).all()
    assert (shares == 1).all()


def test_parts_beside_each_other_count_what_is_evenly_spread_more() -> None:
    bank = dataclasses.replace(BANK, groups=BANK.groups[:1])
    chip = block(15)[:, :26, :26]
    whole, _ = chip_features(chip[None], bank)
    parts, _ = chip_features(chip[None], dataclasses.replace(bank, parts=2))
    # A mean of roots is never more than the root of the mean, and less where parts differ.
    assert (parts <= whole * (1 + 1e-6)).all()
    assert (parts < whole * 0.999).any()


@pytest.mark.parametrize("parts", [1, 2])
def test_a_chip_is_a_cell_with_its_halo(parts: int) -> None:
    bank = dataclasses.replace(BANK, groups=BANK.groups[:1], parts=parts)
    pixels = holed(9)[:, : CELL_PX + 2, : CELL_PX + 2]
    cell, cell_share = cell_features(pixels, bank, 1, CELL_PX)
    chip, chip_share = chip_features(pixels[None], bank)
    assert np.array_equal(cell, chip)
    assert np.array_equal(cell_share, chip_share)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_chip_has_no_north(share: float, odd: int, parts: int) -> None:
    bank = dataclasses.replace(BANK, parts=parts)
    chip = block(10)[:, odd:, odd:]
    gaps = np.random.default_rng(1).random(chip.shape[1:]) < share
    chip[:, gaps] = np.nan
    turned = [np.rot90(chip, turns, (1, 2)) for turns in range(4)]
    turned += [image[:, :, ::-1] for image in turned]
    features, shares = chip_features(np.stack(turned), bank)
    assert np.allclose(features, features[0], rtol=1e-5, atol=1e-6)
    assert (shares == shares[0]).all()
    # And yet another chip gives other features.
    other, _ = chip_features(block(11)[None], bank)
    assert not np.allclose(other, features[0], rtol=1e-2)


def test_a_chip_without_observation_is_never_a_number() -> None:
    chips = np.stack([block(12), np.full_like(block(12), np.nan)])
    chips[1, :, 4, 4] = 0.3
    features, share = chip_features(chips, BANK)
    assert np.isfinite(features[0]).all()
    assert np.isnan(features[1]).all()
    assert share.tolist() == [[1, 1], [0, 0]]


def test_no_chips_give_no_rows() -> None:
    features, share = chip_features(np.empty((0, 3, 9, 9), np.float32), BANK)
    assert features.shape == (0, BANK.columns)
    assert share.shape == (0, 2)
