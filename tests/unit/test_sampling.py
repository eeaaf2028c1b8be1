from __future__ import annotations

import numpy as np
import pytest
from sample_model import sample_group, textured

from features.bank import VERSIONS, FilterGroup
from features.errors import BankError
from features.recipe import ATLAS
from features.sampling import WHITENING_FLOOR, make_group, sample_patches
from features.scaling import Scaling


def test_patches_are_drawn_where_all_is_observed() -> None:
    rng = np.random.default_rng(1)
    pixels = np.zeros((2, 30, 30), np.float32)
    observed = np.zeros((30, 30), bool)
    observed[10:20, 5:20] = True
    pixels[:, ~observed] = -99
    patches = sample_patches([(pixels, observed)], 4, 50, rng)
    assert patches.shape[1] == 2 * 4 * 4
    assert 0 < len(patches) <= 50
    assert (patches == 0).all()


def test_no_observed_patch_is_an_error() -> None:
    rng = np.random.default_rng(1)
    nothing = (np.zeros((1, 8, 8), np.float32), np.zeros((8, 8), bool))
    small = (np.zeros((1, 2, 8), np.float32), np.ones((2, 8), bool))
    for images in ([], [nothing], [small]):
        with pytest.raises(BankError, match="no fully observed patch"):
            sample_patches(images, 3, 5, rng)


def responses_of(group: FilterGroup, patches: np.ndarray) -> np.ndarray:
    """Of every version of every filter, (patches, 8 * filters)."""
    versions = group.turned().reshape(VERSIONS * group.count, -1)
    return patches.astype(float) @ versions.T + np.repeat(group.offsets, VERSIONS)


@pytest.mark.parametrize("patch", [3, 4])
def test_responses_to_the_sampled_patches_have_standard_deviation_1(patch: int) -> None:
    group, patches = sample_group(np.random.default_rng(8), patch, 6, Scaling())
    responses = responses_of(group, patches)
    spread = responses.std(axis=0).reshape(6, VERSIONS).mean(axis=1)
    assert spread == pytest.approx(np.ones(6), rel=1e-3)


def test_standardisation_and_whitening_folded_in_equal_the_explicit_computation() -> None:
    rng = np.random.default_rng(8)
    patches = Scaling().apply(textured(rng, 500, 3, 9)).reshape(500, 27)
    group = make_group(patches, (3, 3, 3), 7, np.random.default_rng(2))
    # Step by step, as the notes of `make_group` tell it.
    raw = patches.astype(float).reshape(500, 3, 9)
    data = (raw - raw.mean((0, 2))[:, None]) / raw.std((0, 2))[:, None]
    data = data.reshape(500, 27)
    formed = data - data.mean(1, keepdims=True)
    norms = np.sqrt((formed**2).sum(1))
    kept = norms > np.quantile(norms, ATLAS.flattest)
    formed = formed[kept] / norms[kept, None]
    covariance = formed.T @ formed / len(formed)
    root = np.linalg.inv(np.linalg.cholesky(covariance + WHITENING_FLOOR * np.eye(27)))
    twice = root.T @ root
    filters = formed[np.random.default_rng(2).choice(len(formed), 7, replace=False)] @ twice
    filters -= filters.mean(1, keepdims=True)
    explicit = data @ filters.T
    folded = patches.astype(float) @ group.filters.reshape(7, -1).T + group.offsets
    # Up to the scale that gives a standard deviation of 1.
    scale = (explicit * folded).sum(0) / (folded**2).sum(0)
    assert (scale > 0).all()
    assert np.abs(explicit / scale - folded).max() < 1e-3 * np.abs(folded).max()


def test_a_band_of_another_gain_and_offset_gives_the_same_responses() -> None:
    rng = np.random.default_rng(8)
    patches = textured(rng, 500, 3, 9)
    other = patches.copy()
    other[:, 1] = 5 * other[:, 1] + 3
    responses = []
    for values in (patches.reshape(500, 27), other.reshape(500, 27)):
        group = make_group(values, (3, 3, 3), 7, np.random.default_rng(2))
        responses.append(responses_of(group, values))
    assert np.abs(responses[0] - responses[1]).max() < 1e-3


def test_filters_do_not_see_a_constant_of_all_bands_after_standardisation() -> None:
    rng = np.random.default_rng(8)
    patches = textured(rng, 500, 27)
    group = make_group(patches, (3, 3, 3), 7, rng)
    spread = patches.reshape(500, 3, 9).astype(float).std((0, 2))
    sums = (group.filters.sum((2, 3)) * spread).sum(1)
    assert np.abs(sums).max() < 1e-4


def test_too_few_patches_are_an_error() -> None:
    patches = textured(np.random.default_rng(1), 10, 27)
    with pytest.raises(BankError, match="11 filters need"):
        make_group(patches, (3, 3, 3), 11, np.random.default_rng(1))


def test_flat_patches_never_become_filters() -> None:
    with pytest.raises(BankError):
        make_group(np.ones((50, 27), np.float32), (3, 3, 3), 1, np.random.default_rng(1))
