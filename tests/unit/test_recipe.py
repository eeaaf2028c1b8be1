"""Each recipe against its definition, written out: pixels whitened window by window."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sample_model import BANDS, textured
from scipy.linalg import sqrtm
from scipy.signal import correlate

from features.bank import FilterBank, bank_bytes, load_bank
from features.errors import BankError
from features.rcf import chip_features
from features.recipe import RECIPES, find_recipe
from features.sampling import make_bank, sample_patches
from features.scaling import Scaling

SCALING = Scaling(clip=0.5)
IMAGES = textured(np.random.default_rng(1), 5, 3, 40, 40)
CHIPS = textured(np.random.default_rng(2), 3, 3, 32, 32)
COUNT, PER_IMAGE, SEED = 6, 300, 4


def sampled(recipe: str, patch: int) -> FilterBank:
    return make_bank(
        lambda: IMAGES, BANDS, "L1C", SCALING, recipe, (patch,), COUNT, SEED, PER_IMAGE
    )


def drawn(patch: int, floor: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """The patches that are sampled in double precision, and which of them become filters."""
    rng = np.random.default_rng(SEED)
    images = dataclasses.replace(SCALING, floor=floor).apply(IMAGES)
    everywhere = np.ones(images.shape[2:], bool)
    patches = sample_patches([(image, everywhere) for image in images], patch, PER_IMAGE, rng)
    kept = len(patches) if not floor else len(patches) - int(np.ceil(0.02 * len(patches)))
    return patches.astype(float), rng.choice(kept, COUNT, replace=False)


def plain_whitening(patches: np.ndarray) -> np.ndarray:
    """The inverse square root of the uncentred covariance with 0.001 on its eigenvalues."""
    covariance = sum(np.outer(patch, patch) for patch in patches) / len(patches)
    return np.linalg.inv(np.real(sqrtm(covariance + 1e-3 * np.eye(len(covariance)))))


def normal(patch: np.ndarray) -> np.ndarray:
    centred = patch - patch.mean()
    return centred / np.linalg.norm(centred)


def windows(chip: np.ndarray, patch: int) -> Iterator[np.ndarray]:
    view = sliding_window_view(chip, (patch, patch), axis=(1, 2))
    for row in range(view.shape[1]):
        for column in range(view.shape[2]):
            yield view[:, row, column].reshape(-1).astype(float)


def linear(chip: np.ndarray) -> np.ndarray:
    """Pixels as the published definitions have them: 0 to 1, no logarithm."""
    return np.clip(chip.astype(float) / 0.5, 0, 1)


def assert_near(bank: FilterBank, plain: np.ndarray) -> None:
    features, shares = chip_features(CHIPS, bank)
    assert (shares == 1).all()
    assert features.shape == plain.shape == (len(CHIPS), bank.columns)
    assert plain.mean() > 0
    assert np.abs(features - plain).max() <= 1e-5 * plain.mean()


def test_paper() -> None:
    patches, chosen = drawn(3)
    patches = np.array([normal(patch) for patch in patches])
    whitening = plain_whitening(patches)
    filters = patches[chosen] @ whitening
    rows = []
    for chip in CHIPS:
        # Whitened patches times whitened pixels: together the matrix is applied twice.
        z = np.array([filters @ (window @ whitening) for window in windows(linear(chip), 3)])
        rows.append([*np.maximum(z, 0).mean(0), *np.maximum(-z, 0).mean(0)])
    assert_near(sampled("paper", 3), np.array(rows))


def correlated(chip: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Responses, (windows, filters)."""
    return np.array(
        [correlate(linear(chip), kernel, "valid", "direct").reshape(-1) for kernel in filters]
    ).T


def test_torchgeo() -> None:
    filters = np.random.default_rng(SEED).standard_normal((COUNT, 3, 3, 3), dtype=np.float32)
    rows = []
    for chip in CHIPS:
        # Its convolution has a bias of -1.
        convolved = correlated(chip, filters.astype(float)) - 1
        rows.append([*np.maximum(convolved, 0).mean(0), *np.maximum(-convolved, 0).mean(0)])
    assert_near(sampled("torchgeo", 3), np.array(rows))


def test_torchgeo_empirical() -> None:
    patches, chosen = drawn(5)
    # Only as many patches as filters are looked at.
    patches = np.array([normal(patch) for patch in patches[chosen]])
    whitening = plain_whitening(patches)
    filters = (patches @ whitening @ whitening).reshape(COUNT, 3, 5, 5)
    rows = []
    for chip in CHIPS:
        convolved = correlated(chip, filters) - 1
        rows.append([*np.maximum(convolved, 0).mean(0), *np.maximum(-convolved, 0).mean(0)])
    assert_near(sampled("torchgeo-empirical", 5), np.array(rows))


@pytest.mark.parametrize("patch", [4, 6])
def test_mosaiks_api(patch: int) -> None:
    patches, chosen = drawn(patch)
    patches = np.array([normal(patch) for patch in patches])
    filters = (patches[chosen] @ plain_whitening(patches)).reshape(COUNT, 3, patch, patch)
    rows = [np.maximum(correlated(chip, filters) - 1, 0).mean(0) for chip in CHIPS]
    assert_near(sampled("mosaiks-api", patch), np.array(rows))


@pytest.mark.parametrize("name", ["atlas", "atlas-quarters"])
def test_atlas(name: str) -> None:
    patches, chosen = drawn(3, floor=0.02)
    raw = patches.reshape(-1, 3, 9)
    centre, spread = raw.mean((0, 2)), raw.std((0, 2))

    def standard(values: np.ndarray) -> np.ndarray:
        bands = values.reshape(-1, 3, 9)
        return ((bands - centre[:, None]) / spread[:, None]).reshape(-1, 27)

    data = standard(patches)
    norms = np.linalg.norm(data - data.mean(1, keepdims=True), axis=1)
    formed = np.array([normal(patch) for patch in data[norms > np.quantile(norms, 0.02)]])
    whitening = plain_whitening(formed)
    filters = formed[chosen] @ whitening @ whitening
    turned = []
    for kernel in filters.reshape(COUNT, 3, 3, 3):
        versions = [np.rot90(k, t, (1, 2)) for k in (kernel, kernel[..., ::-1]) for t in range(4)]
        versions = [version.reshape(-1) for version in versions]
        scale = np.mean([(data @ version).std() for version in versions])
        turned.append([version / scale for version in versions])
    rows = []
    for chip in CHIPS:
        seen = np.log(linear(chip) + 0.02)
        down, right = (-(-(side - 2) // 2) + 2 for side in seen.shape[1:])
        halves = (seen[:, :down], seen[:, -down:])
        quarters = [part for half in halves for part in (half[..., :right], half[..., -right:])]
        roots = []
        for part in quarters if name == "atlas-quarters" else [seen]:
            pixels = np.concatenate([standard(window) for window in windows(part, 3)])
            z = np.array([[pixels @ version for version in versions] for versions in turned])
            means = [np.maximum(s * z - b, 0).mean((1, 2)) for b in (0.25, 1, 2.5) for s in (1, -1)]
            roots.append(np.sqrt(np.concatenate(means)))
        rows.append(np.mean(roots, axis=0) ** 2)
    assert_near(sampled(name, 3), np.array(rows))


@pytest.mark.parametrize("name", RECIPES)
def test_a_bank_names_its_recipe_and_survives_its_file(name: str) -> None:
    bank = sampled(name, 3)
    assert bank.recipe == name
    assert bank.scaling.floor == (0.02 if name.startswith("atlas") else 0)
    # Banks of the first recipe keep the description, and with it the hash, that they had.
    assert bank.to_dict().get("recipe") == (None if name == "atlas" else name)
    assert bank.to_dict().get("parts") == (2 if name == "atlas-quarters" else None)
    again = load_bank(bank_bytes(bank))
    assert (again.recipe, again.parts, again.hash) == (name, bank.parts, bank.hash)
    assert len({sampled(other, 3).hash for other in RECIPES}) == len(RECIPES)


def test_recipes_bring_their_published_sizes() -> None:
    assert {name: (recipe.patches, recipe.filters) for name, recipe in RECIPES.items()} == {
        "atlas": ((3, 5), 64),
        "atlas-quarters": ((3, 5), 64),
        "paper": ((3,), 4096),
        "torchgeo": ((3,), 8),
        "torchgeo-empirical": ((3,), 8),
        "mosaiks-api": ((4, 6), 2000),
    }
    bank = make_bank(lambda: IMAGES, BANDS, "L1C", SCALING, "torchgeo-empirical")
    assert [(group.patch, group.count) for group in bank.groups] == [(3, 8)]
    api = make_bank(lambda: IMAGES, BANDS, "L1C", SCALING, "mosaiks-api", filters=20)
    assert (api.columns, api.patch_max) == (40, 6)


def test_a_flat_patch_gives_zeros_not_noise() -> None:
    flat = np.full((1, 3, 20, 20), 0.2, np.float32)
    bank = make_bank(lambda: flat, BANDS, "L1C", SCALING, "paper", filters=3)
    assert np.abs(bank.groups[0].filters).max() < 1e-3


def test_recipes_that_are_not_there_are_refused() -> None:
    with pytest.raises(
        BankError, match=r"no recipe 'rolf'; there are atlas, atlas-quarters, paper"
    ):
        find_recipe("rolf")
    for wrong in ({"zca": 3}, {"flattest": 1.0}, {"parts": 3}):
        with pytest.raises(BankError, match="no such recipe"):
            dataclasses.replace(RECIPES["atlas"], **wrong)
