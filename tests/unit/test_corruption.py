"""Pixels corrupted on purpose, and what a model learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sample_model import BANDS, sample_bank, textured

import pipeline.training.corruption_pairs
from features.pooling import surroundings
from features.rcf import cell_features
from models.corruption_detector import fit_corruption_detector
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.imagery.corruption import corrupt
from pipeline.training.corruption_pairs import corruption_pairs
from pipeline.workflow.ledger import Entry

BLOCKS = resolve_region("bbox:5.8,2.0,6.5,2.1").blocks
NO_MINES = np.empty(0, np.int64)


def test_every_image_is_corrupted_in_one_of_the_ways() -> None:
    rng = np.random.default_rng(1)
    images = rng.uniform(0.01, 0.3, (200, 3, 6, 5)).astype(np.float32)
    images[:, :, 0, 0] = np.nan
    wrong = corrupt(images, rng)
    assert wrong.shape == images.shape
    assert np.array_equal(np.isnan(wrong), np.isnan(images))
    orders = scales = offsets = 0
    for before, after in zip(images[:, :, 1:], wrong[:, :, 1:], strict=True):
        ratio = (after / before).ravel()
        if np.allclose(np.sort(after.ravel()), np.sort(before.ravel())):
            assert not np.array_equal(after, before)
            orders += 1
        elif np.allclose(ratio, ratio[0]):
            assert np.isclose(ratio[0], 10_000) or np.isclose(ratio[0], 1e-4)
            scales += 1
        else:
            assert np.allclose(after - before, 0.1, atol=1e-6)
            offsets += 1
    assert orders > 100
    assert scales > 20
    assert offsets > 5


def test_one_band_has_no_other_order() -> None:
    images = np.full((50, 1, 4, 4), 0.2, np.float32)
    wrong = corrupt(images, np.random.default_rng(2))
    assert (wrong != images).all()


@pytest.fixture
def composites(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Seven blocks, of which the eastern half was not observed."""
    side = grid.BLOCK_PX + grid.HALO_PX

    def read(path: str | Path) -> xr.Dataset:
        pixels = textured(np.random.default_rng(int(Path(path).name)), len(BANDS), side, side)
        pixels[:, :, 600:] = np.nan
        return xr.Dataset(
            {"reflectance": (("band", "y", "x"), pixels)}, coords={"band": list(BANDS)}
        )

    monkeypatch.setattr(pipeline.training.corruption_pairs, "read_composite", read)
    monkeypatch.setattr(pipeline.training.corruption_pairs, "CELLS", 70)
    return [Entry(block.name, str(seed), "sha256") for seed, block in enumerate(BLOCKS)]


@pytest.mark.parametrize("around", [1, 3])
def test_intact_cells_have_the_features_of_the_map(composites: list[Entry], around: int) -> None:
    bank = sample_bank(count=2)
    pairs = corruption_pairs(composites, bank, around, 4, NO_MINES)
    assert pairs is not None
    assert pairs.intact.shape == pairs.corrupted.shape == (70, bank.columns * (1 + around // 2))
    assert len(set(pairs.folds.tolist())) == 5
    pixels = pipeline.training.corruption_pairs.read_composite("0")["reflectance"].to_numpy()
    own, shares = cell_features(pixels, bank, grid.CELLS_PER_BLOCK, grid.CELL_PX)
    square = (grid.CELLS_PER_BLOCK, grid.CELLS_PER_BLOCK, -1)
    if around == 3:
        own, shares = own.reshape(square), shares.reshape(square)
        beside = surroundings(own, shares, bank)
        own = np.concatenate([own[1:-1, 1:-1], beside], axis=2).reshape(-1, 2 * bank.columns)
    for row in pairs.intact[:10]:
        assert np.nanmin(np.abs(own - row).max(axis=1)) < 1e-5
    assert (np.abs(pairs.intact - pairs.corrupted).max(axis=1) > 1e-4).all()
    assert fit_corruption_detector(pairs).limit < 1


def test_hardly_any_cell_teaches_nothing(composites: list[Entry]) -> None:
    pipeline.training.corruption_pairs.CELLS = 14
    assert corruption_pairs(composites, sample_bank(count=2), 1, 4, NO_MINES) is None


def test_half_of_what_is_learned_from_are_mines_where_there_are_as_many(
    composites: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int]] = []
    cut = pipeline.training.corruption_pairs._cut

    def spy(pixels, bank, neighbourhood, place):  # type: ignore[no-untyped-def]
        drawn.append(tuple(place.tolist()))
        return cut(pixels, bank, neighbourhood, place)

    monkeypatch.setattr(pipeline.training.corruption_pairs, "_cut", spy)
    # Two columns of cells in the observed half of each block, and one that nobody observed.
    mines = np.concatenate([block.cells()[:, [1, 4, 15]].reshape(-1) for block in BLOCKS])
    corruption_pairs(composites, sample_bank(count=2), 1, 4, mines)
    assert len(drawn) == 70
    assert sum(column in (1, 4) for _, column in drawn) == 35
    assert not any(column == 15 for _, column in drawn)
    drawn.clear()
    # Fewer than that: all of them, and others in their place.
    few = np.array([block.cells()[3, 2] for block in BLOCKS])
    corruption_pairs(composites, sample_bank(count=2), 1, 4, few)
    assert len(drawn) == 70
    assert sum(place == (3, 2) for place in drawn) == 7
