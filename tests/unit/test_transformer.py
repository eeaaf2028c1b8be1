"""The features as a scikit-learn transformer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_model import BANDS, textured
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from features.bank import bank_bytes, load_bank
from features.rcf import chip_features
from features.recipe import RECIPES
from features.transformer import RandomConvolutionalFeatures

IMAGES = textured(np.random.default_rng(1), 12, 3, 16, 16)
SMALL: dict[str, Any] = {"filters": 4, "patches": (3,), "sampled": 600}

_SATURATED = "its pixels lie around 100: reflectance saturates, and flat patches are left out"
_FLAT = "a single band, or a single image, of one pixel has flat patches only, which are left out"
EXPECTED = {
    "check_fit_idempotent": _SATURATED,
    "check_fit_check_is_fitted": _SATURATED,
    "check_n_features_in": _SATURATED,
    "check_fit2d_1sample": _FLAT,
    "check_fit2d_1feature": _FLAT,
}


def expected(transformer: RandomConvolutionalFeatures) -> dict[str, str]:
    """Only the recipe that leaves flat patches out fails any."""
    return EXPECTED if RECIPES[transformer.recipe].flattest else {}


# The checks' tables are taken as images of one pixel, so that all of the checks apply.
@parametrize_with_checks(
    [
        RandomConvolutionalFeatures(filters=2, patches=(1,), recipe=recipe, sampled=100)
        for recipe in ("atlas", "paper", "torchgeo")
    ],
    expected_failed_checks=expected,
    xfail_strict=True,
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_rows_are_the_features_of_its_bank(recipe: str) -> None:
    transformer = RandomConvolutionalFeatures(**SMALL, recipe=recipe, bands=BANDS, level="L2A")
    rows = transformer.fit_transform(IMAGES)
    bank = transformer.bank_
    assert np.array_equal(rows, chip_features(IMAGES, bank)[0])
    assert (bank.bands, bank.level, bank.recipe) == (BANDS, "L2A", recipe)
    assert rows.shape == (12, len(transformer.get_feature_names_out()))
    assert load_bank(bank_bytes(bank)).hash == bank.hash


def test_settings_reach_the_bank() -> None:
    transformer = RandomConvolutionalFeatures(
        filters=4,
        patches=(3, 4),
        biases=(0.5,),
        clip=0.5,
        steps=255,
        floor=0.01,
        sampled=600,
        seed=3,
    )
    bank = transformer.fit(IMAGES).bank_
    assert bank.biases == (0.5,)
    assert (bank.scaling.clip, bank.scaling.steps, bank.scaling.floor) == (0.5, 255, 0.01)
    assert bank.bands == ("band0", "band1", "band2")
    assert transformer.set_params(seed=4).fit(IMAGES).bank_.hash != bank.hash
    assert transformer.set_params(seed=3).fit(IMAGES).bank_.hash == bank.hash
    # Fewer patches whiten differently; too few make no bank.
    assert transformer.set_params(sampled=300).fit(IMAGES).bank_.hash != bank.hash
    with pytest.raises(ValueError, match="13 filters need as many patches, only 12"):
        transformer.set_params(sampled=12, filters=13, recipe="paper").fit(IMAGES)


def test_column_names_say_what_is_measured() -> None:
    transformer = RandomConvolutionalFeatures(filters=2, patches=(3, 4), biases=(0.25, 1))
    names = transformer.fit(IMAGES).get_feature_names_out()
    assert len(set(names)) == len(names) == transformer.bank_.columns == 16
    assert list(names[:5]) == [
        "rcf_3px_0_over_0.25", "rcf_3px_1_over_0.25",
        "rcf_3px_0_under_-0.25", "rcf_3px_1_under_-0.25", "rcf_3px_0_over_1",
    ]  # fmt: skip
    frame = transformer.set_output(transform="pandas").transform(IMAGES)
    assert list(frame.columns) == list(names)
    # The column that a name stands for, by the bank's own filters.
    shared = RandomConvolutionalFeatures(filters=1, patches=(3,), recipe="torchgeo").fit(IMAGES)
    assert list(shared.get_feature_names_out()) == ["rcf_3px_0_over_1", "rcf_3px_0_under_1"]


def test_a_pipeline_tells_textures_apart() -> None:
    rng = np.random.default_rng(3)
    label = np.arange(60) % 2
    rough = 0.2 + 0.05 * rng.standard_normal((60, 3, 16, 16))
    smooth = (rough + np.roll(rough, 1, 2) + np.roll(rough, 1, 3)) / 3
    images = np.where(label[:, None, None, None], rough, smooth)
    model = make_pipeline(
        RandomConvolutionalFeatures(**SMALL), StandardScaler(), RidgeClassifierCV()
    )
    model.fit(images[:40], label[:40])
    assert model.score(images[40:], label[40:]) == 1
    again = clone(model).fit(images[:40], label[:40])
    assert np.array_equal(again.decision_function(images), model.decision_function(images))
    assert model[:2].get_feature_names_out()[0] == "rcf_3px_0_over_0.25"


def test_a_pickle_gives_the_same_rows() -> None:
    transformer = RandomConvolutionalFeatures(**SMALL).fit(IMAGES)
    again = pickle.loads(pickle.dumps(transformer))  # noqa: S301
    assert again.bank_.hash == transformer.bank_.hash
    assert np.array_equal(again.transform(IMAGES), transformer.transform(IMAGES))


def test_unobserved_pixels_take_no_part() -> None:
    images = IMAGES.copy()
    images[0, 1, :, :8] = np.nan
    images[1] = np.nan
    transformer = RandomConvolutionalFeatures(**SMALL).fit(images)
    rows = transformer.transform(images)
    assert np.isfinite(rows[0]).all()
    assert np.array_equal(rows[0], transformer.transform(images[:1, :, :, 8:])[0])
    assert np.isnan(rows[1]).all()


def test_a_data_frame_names_the_bands() -> None:
    spectra = pd.DataFrame(IMAGES[:, :, 0, 0], columns=list(BANDS))
    transformer = RandomConvolutionalFeatures(filters=2, patches=(1,)).fit(spectra)
    assert transformer.bank_.bands == BANDS
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(spectra[list(BANDS[::-1])])


def test_wrong_images_are_refused() -> None:
    transformer = RandomConvolutionalFeatures(**SMALL, bands=BANDS)
    with pytest.raises(NotFittedError):
        transformer.transform(IMAGES)
    with pytest.raises(NotFittedError):
        transformer.get_feature_names_out()
    with pytest.raises(ValueError, match=r"has 2 bands .* names 3: B04 B03 B02"):
        transformer.fit(IMAGES[:, :2])
    transformer.fit(IMAGES)
    with pytest.raises(ValueError, match=r"expecting 3 features .* bands B04 B03 B02"):
        transformer.transform(IMAGES[:, :2])
    with pytest.raises(ValueError, match=r"got shape \(3, 16, 16\).*for one image"):
        transformer.transform(IMAGES[0])
    with pytest.raises(ValueError, match="at least 3 px"):
        transformer.transform(IMAGES[:, :, :2])
    with pytest.raises(ValueError, match="contains infinity"):
        transformer.transform(np.full_like(IMAGES, np.inf))
    with pytest.raises(ValueError, match="no recipe 'rolf'"):
        RandomConvolutionalFeatures(recipe="rolf").fit(IMAGES)
    with pytest.raises(ValueError, match="observed and not flat"):
        RandomConvolutionalFeatures().fit(np.full((2, 3, 9, 9), 0.2))


def test_the_features_alone_import_neither_scikit_learn_nor_xarray() -> None:
    code = (
        "import sys, features, features.rcf, features.sampling\n"
        "print([name for name in ('sklearn', 'xarray', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
