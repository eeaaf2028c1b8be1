"""A small filter bank and a table of features in which one class can be told, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank, FilterGroup
from features.sampling import make_group, sample_patches
from features.scaling import Scaling
from models.calibration import Calibration
from models.forest import fit_forest
from models.ridge import fit_ridge
from models.scorer import PARTS, Scorer
from models.uncertainty import Doubt, fit_doubt

BANDS = ("B04", "B03", "B02")
CURVE = {"slope": 4.0, "intercept": -2.0, "prevalence": 0.3}


def textured(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Reflectance with some structure from pixel to pixel, 0..0.4."""
    noise = rng.random(shape)
    smooth = (noise + np.roll(noise, 1, -1) + np.roll(noise, 1, -2)) / 3
    return (0.4 * smooth).astype(np.float32)


def sample_group(
    rng: np.random.Generator, patch: int, count: int, scaling: Scaling
) -> tuple[FilterGroup, NDArray[np.float32]]:
    """A group of filters and the patches that it was made from."""
    pixels = scaling.apply(textured(rng, len(BANDS), 90, 90))
    observed = np.ones(pixels.shape[1:], bool)
    patches = sample_patches([(pixels, observed)], patch, 400, rng)
    return make_group(patches, (len(BANDS), patch, patch), count, rng), patches


def sample_bank(seed: int = 3, patches: tuple[int, ...] = (3, 4), count: int = 5) -> FilterBank:
    """A bank of a few filters."""
    rng = np.random.default_rng(seed)
    scaling = Scaling(clip=0.5)
    groups = tuple(sample_group(rng, patch, count, scaling)[0] for patch in patches)
    return FilterBank(BANDS, "L2A", scaling, groups, (0.25, 1.0), seed, "tests 1")


def sample_table(
    columns: int, rows: int = 300, seed: int = 5
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int16], NDArray[np.float64]]:
    """Features, labels, five folds and weights; the first columns tell the classes apart."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.3).astype(np.int8)
    features = rng.random((rows, columns))
    features[:, :3] += 0.8 * label[:, None]
    fold = (np.arange(rows) % 5).astype(np.int16)
    return features.astype(np.float32), label, fold, rng.uniform(0.5, 2, rows)


def sample_scorer(
    columns: int, kind: str = "ridge", rows: int = 300
) -> tuple[Scorer, Doubt, NDArray[np.float32]]:
    """A small scorer, what tells how sure it is, and the features that it was fitted to."""
    features, label, fold, weight = sample_table(columns, rows)
    places = np.arange(rows) // 10
    ridge = fit_ridge(features, label, fold, weight, places=places)
    doubt = fit_doubt(features, ridge.influence, places, fold, label, 1)
    parts: dict[str, Any] = {"ridge": ridge.model}
    if kind != "ridge":
        parts["forest"] = fit_forest(features, label, fold, weight, 1, places=places)[0]
    curve = Calibration(**CURVE)
    chosen = {part: parts[part] for part in PARTS[kind]}
    several = chosen if kind == "mean" else {}
    scorer = Scorer(chosen, dict.fromkeys(several, curve), dict.fromkeys(several, 0.5))
    return scorer, doubt, features


def sample_manifest(kind: str, **changes: Any) -> dict[str, Any]:
    """What `train` writes of a model, as far as the registry and the card look at it."""
    fold = {"n": 60, "positives": 18, "prevalence": 0.3, "auc": 0.9, "ap": 0.8}
    return {
        "id": f"sample-{kind}",
        "kind": kind,
        "created": "2024-01-01T00:00:00+00:00",
        "bank_hash": "abc",
        "simulated": False,
        "data": {"description": "made up", "licence": "none", "rows": 300, "positives": 90},
        "ground": {"description": "nowhere", "squares": []},
        "scores": {"how": "spatial folds", "pooled": fold, "folds": [{"fold": 0} | fold]},
        "apart": fold
        | {
            "how": "whole regions held out",
            "brier": 0.1,
            "brier_base": 0.21,
            "regions": [{"fold": 0} | fold],
        },
        "calibration": CURVE,
        "parts": dict.fromkeys(PARTS[kind], CURVE) if kind == "mean" else {},
        "shares": dict.fromkeys(PARTS[kind], 0.5) if kind == "mean" else {},
        "label_sets": {"mine_from": 0.3, "not_to": 0.6, "level": 0.9},
        "thresholds": {"possible": 0.25, "likely": 0.75},
        "most_disputed": 1.5,
    } | changes
