"""From a training table to registered models: ridge and forest, calibrated, scored by place."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.bank import FilterBank
from models.card import write_card
from models.errors import ModelError
from models.label_sets import fit_label_sets
from models.registry import KINDS, check_name, read_manifest, write_model
from models.scores import score_folds, score_probabilities
from models.uncertainty import most_disputed
from pipeline.config import fingerprint
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_folder
from pipeline.training.dataset import TrainingTable
from pipeline.training.fit import Fits
from pipeline.training.unlabelled import assumptions, describe_sensitivity, judge
from pipeline.training.validation import show_validation

# Raise it when the same table would give another model.
VERSION = 12
HANDICAP = {"ridge": 0.0, "mean": 0.002, "forest": 0.01}
LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops")


@dataclass(frozen=True)
class About:
    """What a model's manifest says of its origin.

    Parameters
    ----------
    name : str
        Of the models; the kind is appended.
    data : str
        What the rows are, in words.
    data_hash : str
        Identity of the data.
    licence : str
        Licence and credit of the data.
    ground : str
        Where the rows lie, in words.
    squares : list of (int, int)
        South-west corners (lon, lat) of the 1-degree squares that hold rows.
    how : str
        How the scores were obtained.
    simulated : bool
        Whether the imagery is invented.
    seed : int
        Of the forest.
    prior : float
        Share of mines among unlabelled rows; 0: estimated.
    samples : tuple of str
        Samples for area estimates that are among the rows: they cannot judge this model's maps.
    """

    name: str
    data: str
    data_hash: str
    licence: str
    ground: str
    squares: list[tuple[int, int]]
    how: str
    simulated: bool
    seed: int
    prior: float = 0.0
    samples: tuple[str, ...] = ()


def register_models(
    table: TrainingTable,
    bank: FilterBank,
    about: About,
    registry: Path,
    kinds: Sequence[str] = KINDS,
    *,
    plain_name: bool = False,
) -> list[dict[str, Any]]:
    """Train models on a table and register them.

    Parameters
    ----------
    table : TrainingTable
        Features, labels and folds.
    bank : FilterBank
        Of the features.
    about : About
        Origin of the table.
    registry : pathlib.Path
        Where the models' folders go; one that was trained on the same inputs is left as it is.
    kinds : sequence of str
        Of ``ridge``, ``forest`` and ``mean``.
    plain_name : bool
        Whether the one kind that is asked for has the name to itself, without its kind.

    Returns
    -------
    list of dict
        The manifests, the preferred first.
    """
    manifests = []
    fits = Fits(table, about.seed)
    for kind in kinds:
        name = check_name(about.name if plain_name else f"{about.name}-{kind}")
        inputs = training_key(about, bank.hash, kind)
        manifest = _registered(registry / name, inputs)
        reused = manifest is not None
        if manifest is None:
            manifest = _train_one(table, fits, bank, about, kind, name, inputs, registry)
        manifests.append(manifest)
        pooled = manifest["scores"]["pooled"]
        say(
            "train",
            f"{name}{' (reused)' if reused else ''}: AUC {pooled['auc']:.3f}, "
            f"AP {pooled['ap']:.3f} at prevalence {pooled['prevalence']:.1%}; {about.how}",
        )
        if manifest["sensitivity"]:
            say("", describe_sensitivity(manifest["sensitivity"]))
    if not reused:
        show_validation(fits.validation)
    return sorted(manifests, key=preference, reverse=True)


def preference(manifest: dict[str, Any]) -> float:
    """Return the pooled out-of-fold AUC, less something where a forest takes part.

    On chips with whole squares or regions held out the forest lost to the ridge by 0.05 and more,
    and their mean by 0.002, so where folds of neighbouring blocks cannot tell them apart the ridge
    is taken.
    """
    auc = manifest["scores"]["pooled"]["auc"] or 0.0
    return float(auc) - HANDICAP[manifest["kind"]]


def training_key(about: About, bank_hash: str, kind: str) -> str:
    """Return the hash of everything that a model depends on.

    Parameters
    ----------
    about : About
        Origin of the table.
    bank_hash : str
        Of the features' bank.
    kind : str
        ``ridge`` or ``forest``.

    Returns
    -------
    str
        The hash.
    """
    return fingerprint(
        {
            "version": VERSION,
            "data": about.data_hash,
            "bank": bank_hash,
            "kind": kind,
            "seed": about.seed,
            "prior": about.prior,
            "samples": list(about.samples),
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        }
    )


def _train_one(
    table: TrainingTable,
    fits: Fits,
    bank: FilterBank,
    about: About,
    kind: str,
    name: str,
    inputs: str,
    registry: Path,
) -> dict[str, Any]:
    fitted = fits.of(kind)
    scores, apart = fitted.scores, fitted.apart
    # Probabilities and limits are those of a place that is new to the model.
    calibration, cuts, unlabelled = judge(table, apart, about.prior)
    rows = assumptions(table, scores, unlabelled) if kind == "ridge" and unlabelled else []
    probabilities, apart_probabilities = calibration.apply(scores), calibration.apply(apart)
    sets = fit_label_sets(table.label, apart)
    manifest: dict[str, Any] = {
        "id": name,
        "kind": kind,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "inputs": inputs,
        "bank_hash": bank.hash,
        "context": 1 if table.features.shape[1] == bank.columns else 3,
        "quarters": table.quarters is not None,
        "bands": list(bank.bands),
        "level": bank.level,
        "scaling": bank.scaling.to_dict(),
        "simulated": about.simulated,
        "data": {
            "description": about.data,
            "sha256": about.data_hash,
            "licence": about.licence,
            "rows": len(table.label),
            "positives": int(table.label.sum()),
            "unlabelled": unlabelled,
            "samples": list(about.samples),
        },
        "ground": {"description": about.ground, "squares": [list(s) for s in about.squares]},
        "scores": {"how": about.how} | score_folds(table.label, probabilities, table.fold),
        "apart": {"how": about.how if table.region is None else "whole regions held out"}
        | score_probabilities(table.label, apart_probabilities)
        | {"regions": score_folds(table.label, apart_probabilities, table.regions)["folds"]},
        "calibration": asdict(calibration),
        "parts": {part: asdict(curve) for part, curve in fitted.scorer.curves.items()},
        "shares": dict(fitted.scorer.shares),
        "label_sets": asdict(sets),
        "thresholds": cuts,
        "most_disputed": most_disputed(fits.spread, calibration.logit(apart), table.label),
        "sensitivity": rows,
        "validation": fits.validation,
        "chosen": {"penalty": fits.ridge.penalty},
        "seed": about.seed,
        "software": {
            "asm-atlas": importlib.metadata.version("asm-atlas"),
            **{library: importlib.metadata.version(library) for library in LIBRARIES},
        },
    }
    card = write_card(manifest, bank.to_dict())
    with whole_folder(registry / name) as beside:
        cells = np.unique(table.cell[table.cell >= 0])
        write_model(beside, manifest, bank, fitted.scorer, fits.doubt, card, cells)
        mark = "SIMULATED" if about.simulated else ""
        (beside / "validation.png").write_bytes(fits.picture(mark))
        if rows:
            pd.DataFrame(rows).to_csv(beside / "sensitivity.csv", index=False)
    return read_manifest(registry / name)


def _registered(folder: Path, inputs: str) -> dict[str, Any] | None:
    if not (folder / "manifest.json").is_file():
        return None
    try:
        manifest = read_manifest(folder)
    except ModelError:
        # Of an older format: trained anew.
        return None
    return manifest if manifest.get("inputs") == inputs else None


def squares_of(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the 1-degree squares (south-west corners) that hold points."""
    corners = zip(
        np.floor(lon).astype(int).tolist(), np.floor(lat).astype(int).tolist(), strict=True
    )
    return sorted(set(corners))
