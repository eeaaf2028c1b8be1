"""A small filter bank and a table of features in which one class can be told, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank, FilterGroup
from features.sampling import make_group, sample_patches
from features.scaling import Scaling
from models.calibration import Calibration
from models.classifier import Classifier, classifier_of
from models.manifest import FORMAT, Manifest
from models.mean import PARTS, Mean
from models.training_rows import TrainingRows

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


def sample_rows(columns: int, rows: int = 300) -> TrainingRows:
    """What a classifier learns from: ten rows a place, five folds that are the regions too."""
    features, label, fold, weight = sample_table(columns, rows)
    return TrainingRows(features, label, fold, fold, weight, np.arange(rows) // 10, 1)


def sample_classifier(rows: TrainingRows, kind: str = "ridge") -> Classifier:
    """A small classifier; of a mean the curves and shares are simple numbers."""
    if kind != "mean":
        return classifier_of(kind).learned(rows).classifier
    parts = {name: part.learned(rows).classifier for name, part in PARTS.items()}
    return Mean(parts, dict.fromkeys(PARTS, Calibration(**CURVE)), dict.fromkeys(PARTS, 0.5))


def sample_record(kind: str, **changes: Any) -> dict[str, Any]:
    """What ``manifest.json`` holds of a model, but for its files."""
    fold = {"n": 60, "positives": 18, "prevalence": 0.3, "auc": 0.9, "ap": 0.8}
    parts = PARTS if kind == "mean" else ()
    return {
        "id": f"sample-{kind}",
        "kind": kind,
        "created": "2024-01-01T00:00:00+00:00",
        "bank_hash": "abc",
        "bands": list(BANDS),
        "level": "L2A",
        "scaling": {"clip": 0.5, "steps": 0, "floor": 0.02},
        "simulated": False,
        "data": {
            "description": "made up",
            "sha256": "def",
            "licence": "none",
            "rows": 300,
            "positives": 90,
        },
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
        "parts": dict.fromkeys(parts, CURVE),
        "shares": dict.fromkeys(parts, 0.5),
        "label_sets": {"mine_from": 0.3, "not_to": 0.6, "level": 0.9},
        "thresholds": {"possible": 0.25, "likely": 0.75},
        "most_disputed": 1.5,
        "format": FORMAT,
        "bank": {"hash": "abc"},
        "files": {},
    } | changes


def sample_manifest(kind: str, **changes: Any) -> Manifest:
    """What ``train`` says of a model; changes by the names of ``manifest.json``."""
    return Manifest.from_record(sample_record(kind, **changes))
