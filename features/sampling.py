"""From imagery to a bank: patches at random places, normalised and whitened into filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from features.bank import VERSIONS, FilterBank, FilterGroup
from features.errors import BankError
from features.recipe import ATLAS, Recipe, find_recipe
from features.scaling import Scaling

# Most patches taken from one image, where nothing else is asked for.
PER_IMAGE = 4_000
WHITENING_FLOOR = 1e-3
_NORM_FLOOR = 1e-8


def make_bank(
    images: Callable[[], Iterable[NDArray[np.float32]]],
    bands: Sequence[str],
    level: str,
    scaling: Scaling,
    recipe: Recipe | str = ATLAS,
    patches: Sequence[int] | None = None,
    filters: int | None = None,
    seed: int = 0,
    per_image: int = PER_IMAGE,
    rng: np.random.Generator | None = None,
) -> FilterBank:
    """Sample a bank from imagery.

    Parameters
    ----------
    images : callable
        Called once for each patch size; gives the images one after the other, so that they need
        not all be in memory: reflectance (0..1), float32, shape (C, H, W), of any sizes,
        unobserved where any band is not finite.
    bands : sequence of str
        Band names in the order of the images' first axis.
    level : str
        Processing level of the imagery: ``L1C`` or ``L2A``.
    scaling : Scaling
        From reflectance to what the filters see; its floor becomes 0 where the recipe takes no
        logarithm.
    recipe : Recipe or str
        How patches become filters; a name is a key of ``recipe.RECIPES``.
    patches : sequence of int, optional
        Sides of the patches in pixels; default: the recipe's.
    filters : int, optional
        Filters of each patch size; default: the recipe's.
    seed : int
        Of the sampling.
    per_image : int
        Most patches taken from one image.
    rng : numpy.random.Generator, optional
        Source of the random places; default: of the seed.

    Returns
    -------
    FilterBank
        The same one for the same images and seed.

    Raises
    ------
    BankError
        If fewer patches than filters were observed.
    """
    recipe = find_recipe(recipe)
    rng = rng or np.random.default_rng(seed)
    if not recipe.logarithm:
        scaling = replace(scaling, floor=0.0)
    count = recipe.filters if filters is None else filters
    groups = []
    for patch in recipe.patches if patches is None else patches:
        shape = (len(bands), patch, patch)
        if recipe.gaussian:
            groups.append(gaussian_group(shape, count, rng))
            continue
        scaled = (
            (scaling.apply(image), np.asarray(np.isfinite(image).all(axis=0))) for image in images()
        )
        sampled = sample_patches(scaled, patch, per_image, rng)
        groups.append(make_group(sampled, shape, count, rng, recipe))
    return FilterBank(
        bands=tuple(bands),
        level=level,
        scaling=scaling,
        groups=tuple(groups),
        biases=recipe.biases,
        seed=seed,
        software=f"asm-atlas {version('asm-atlas')}",
        sides=recipe.sides,
        symmetric=recipe.symmetric,
        recipe=recipe.name,
        parts=recipe.parts,
    )


def sample_patches(
    images: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    patch: int,
    per_image: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw fully observed patches at random places.

    Parameters
    ----------
    images : iterable of (pixels, observed)
        Scaled pixels, float32, shape (C, H, W), and what was observed, bool, shape (H, W).
    patch : int
        Side of the patches in pixels.
    per_image : int
        Most patches taken from one image.
    rng : numpy.random.Generator
        Source of the random places.

    Returns
    -------
    numpy.ndarray of float32, shape (n, C * patch * patch)
        The patches, flattened from (C, patch, patch).

    Raises
    ------
    BankError
        If not one patch was observed.
    """
    drawn = []
    for pixels, observed in images:
        height, width = observed.shape
        if min(height, width) < patch:
            continue
        tops = rng.integers(0, height - patch + 1, 2 * per_image)
        lefts = rng.integers(0, width - patch + 1, 2 * per_image)
        taken = 0
        for top, left in zip(tops, lefts, strict=True):
            window = np.s_[top : top + patch, left : left + patch]
            if observed[window].all():
                drawn.append(pixels[(slice(None), *window)].reshape(-1))
                taken += 1
                if taken == per_image:
                    break
    if not drawn:
        raise BankError(f"no fully observed patch of {patch} x {patch} pixels to sample")
    return np.stack(drawn)


def make_group(
    patches: NDArray[np.float32],
    shape: tuple[int, int, int],
    count: int,
    rng: np.random.Generator,
    recipe: Recipe = ATLAS,
) -> FilterGroup:
    """Turn sampled patches into whitened filters.

    Parameters
    ----------
    patches : numpy.ndarray of float32, shape (n, C * patch * patch)
        Sampled patches; ``count`` of them become filters.
    shape : tuple of int
        ``(C, patch, patch)``.
    count : int
        Number of filters.
    rng : numpy.random.Generator
        Chooses the patches that become filters.
    recipe : Recipe
        Which of the steps are taken; not a gaussian one.

    Returns
    -------
    FilterGroup
        Whose response to scaled pixels is their correlation plus the offset; by the default
        recipe of standard deviation 1 over the sampled patches (mean of the eight versions), so
        that one bias means the same for every filter.

    Raises
    ------
    BankError
        If there are fewer patches than filters.

    Notes
    -----
    After Rolf et al. 2021 (Nature Communications 12:4392) and their published code: patches lose
    their own mean, get unit norm, and are multiplied with the ZCA matrix of the uncentred
    covariance, twice. Beyond them, and by the default recipe only, bands are standardised first
    and the flattest patches are left out.
    """
    channels = shape[0]
    raw = patches.astype(np.float64).reshape(len(patches), channels, -1)
    centre, spread = np.zeros(channels), np.ones(channels)
    if recipe.standardise:
        centre = raw.mean(axis=(0, 2))
        spread = np.maximum(raw.std(axis=(0, 2)), _NORM_FLOOR)
    data = ((raw - centre[:, None]) / spread[:, None]).reshape(len(patches), -1)
    formed = _unit_patches(data, recipe.flattest)
    if len(formed) < count:
        kind = "observed and not flat" if recipe.flattest else "observed"
        raise BankError(f"{count} filters need as many patches, only {len(formed)} were {kind}")
    if recipe.chosen_first:
        formed = chosen = formed[rng.choice(len(formed), count, replace=False)]
        whitening = _whitening(formed, recipe.zca)
    else:
        whitening = _whitening(formed, recipe.zca)
        chosen = formed[rng.choice(len(formed), count, replace=False)]
    filters = chosen @ whitening
    # Whitening keeps the patches' mean of zero, but for rounding.
    filters -= filters.mean(axis=1, keepdims=True)
    scale = np.ones(count)
    if recipe.unit_response:
        unscaled = filters.reshape(count, *shape).astype(np.float32)
        turned = FilterGroup(unscaled, np.zeros(count, np.float32)).turned()
        responses = (data.astype(np.float32) @ turned.reshape(-1, data.shape[1]).T).std(axis=0)
        scale = np.maximum(responses.reshape(count, VERSIONS).mean(axis=1), _NORM_FLOOR)
    weights = filters.reshape(count, channels, -1) / scale[:, None, None] / spread[None, :, None]
    offsets = 0.0 - weights.sum(axis=2) @ centre
    return FilterGroup(
        weights.reshape(count, *shape).astype(np.float32), offsets.astype(np.float32)
    )


def gaussian_group(
    shape: tuple[int, int, int], count: int, rng: np.random.Generator
) -> FilterGroup:
    """Draw filters of standard normal numbers, as torchgeo's ``RCF`` does by default.

    Parameters
    ----------
    shape : tuple of int
        ``(C, patch, patch)``.
    count : int
        Number of filters.
    rng : numpy.random.Generator
        Source of the numbers.

    Returns
    -------
    FilterGroup
        Without offsets.
    """
    filters = rng.standard_normal((count, *shape), dtype=np.float32)
    return FilterGroup(filters, np.zeros(count, np.float32))


def _unit_patches(data: NDArray[np.float64], flattest: float) -> NDArray[np.float64]:
    """Take each patch's mean away and divide by its norm; leave the flattest out."""
    formed = data - data.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(formed, axis=1)
    if not flattest:
        return np.asarray(formed / np.where(norms < _NORM_FLOOR, 1, norms)[:, None])
    # The flattest patches are noise blown up by the division by their norm.
    kept = np.flatnonzero(norms > np.quantile(norms, flattest))
    return np.asarray(formed[kept] / norms[kept, None])


def _whitening(formed: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """Return the ZCA matrix, to be applied once, or multiplied with itself."""
    values, vectors = np.linalg.eigh(formed.T @ formed / len(formed))
    roots = (np.maximum(values, 0) + WHITENING_FLOOR) ** (times / 2)
    return np.asarray((vectors / roots) @ vectors.T)
