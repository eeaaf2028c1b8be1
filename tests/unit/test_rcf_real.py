"""The kernels against the reference on real pixels, for every published definition."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from features.rcf import cell_features
from features.recipe import RECIPES
from features.sampling import make_bank
from features.scaling import Scaling

DATA = os.environ.get("ASM_ATLAS_TEST_DATA")
BANDS = ("B02", "B03", "B04", "B08")
CELL_PX, CELLS = 60, 2

pytestmark = pytest.mark.skipif(
    not DATA, reason="ASM_ATLAS_TEST_DATA names no folder of real imagery"
)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A corner of a real L1C scene as reflectance, (4, 200, 200)."""
    planes = []
    for band in BANDS:
        with rasterio.open(Path(DATA or "") / "s2_l1c_virginia" / f"{band}.tif") as file:
            planes.append(file.read(1, window=Window(700, 900, 200, 200)))
    return np.stack(planes).astype(np.float32) / 10_000


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("patch", [3, 4, 5, 6])
@pytest.mark.parametrize("recipe", RECIPES)
def test_features_of_real_pixels(scene: np.ndarray, recipe: str, patch: int, masked: bool) -> None:
    bank = make_bank(
        lambda: [scene],
        BANDS,
        "L1C",
        Scaling(clip=0.3),
        recipe,
        patches=[patch],
        filters=24,
        seed=4,
    )
    pixels = scene.copy()
    if masked:
        # Clumps, as clouds are; one cell keeps a few windows only.
        clouds = gaussian_filter(np.random.default_rng(1).normal(size=(200, 200)), 6)
        clouds[:CELL_PX, :CELL_PX] = 1
        clouds[10 : 12 + patch, 20 : 21 + patch] = -1
        pixels[:, clouds > np.quantile(clouds, 0.75)] = np.nan
    expected, shares = cell_features(pixels, bank, CELLS, CELL_PX, "reference")
    features, same = cell_features(pixels, bank, CELLS, CELL_PX)
    assert np.array_equal(shares, same)
    assert (shares.min(axis=1) > 0).all()
    assert masked == (shares.min() < 0.01)
    assert np.abs(features - expected).max() <= 1e-5 * expected.mean()
