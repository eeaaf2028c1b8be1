"""From a training table to registered models of every kind, calibrated and scored by place."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.bank import FilterBank
from models.card import write_card
from models.classifier import classifier_of
from models.classifiers import CLASSIFIERS
from models.errors import ModelError
from models.label_sets import fit_label_sets
from models.manifest import (
    Apart,
    Data,
    Figures,
    Ground,
    Manifest,
    Scores,
    check_name,
    read_manifest,
)
from models.registry import write_model
from models.scores import score_folds, score_probabilities
from models.statement import Statement
from models.uncertainty import most_disputed
from pipeline.config import fingerprint
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_folder
from pipeline.training.dataset import TrainingTable
from pipeline.training.fit import Fits
from pipeline.training.model_choice import preference
from pipeline.training.unlabelled import assumptions, describe_sensitivity, judge
from pipeline.training.validation import show_validation
from pipeline.words.statements import statement

# Raise it when the same table would give another model.
VERSION = 12
LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops")


@dataclass(frozen=True)
class About:
    """What a model's manifest says of its origin.

    Parameters
    ----------
    name : str
        Of the models; the kind is appended.
    data : Statement
        What the rows are.
    data_hash : str
        Identity of the data.
    licence : str
        Licence and credit of the data.
    ground : str
        Where the rows lie, in words.
    squares : list of (int, int)
        South-west corners (lon, lat) of the 1-degree squares that hold rows.
    how : Statement
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
    data: Statement
    data_hash: str
    licence: str
    ground: str
    squares: list[tuple[int, int]]
    how: Statement
    simulated: bool
    seed: int
    prior: float = 0.0
    samples: tuple[str, ...] = ()


def register_models(
    table: TrainingTable,
    bank: FilterBank,
    about: About,
    registry: Path,
    kinds: Collection[str] = CLASSIFIERS,
    *,
    plain_name: bool = False,
) -> list[Manifest]:
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
    kinds : collection of str
        Of ``models.classifiers.CLASSIFIERS``.
    plain_name : bool
        Whether the one kind that is asked for has the name to itself, without its kind.

    Returns
    -------
    list of Manifest
        The preferred model's first.
    """
    manifests = []
    fits = Fits(table, about.seed, "SIMULATED" if about.simulated else "")
    for kind in kinds:
        name = check_name(about.name if plain_name else f"{about.name}-{kind}")
        inputs = training_key(about, bank.hash, kind)
        manifest = _registered(registry / name, inputs)
        reused = manifest is not None
        if manifest is None:
            manifest = _train_one(table, fits, bank, about, kind, name, inputs, registry)
        manifests.append(manifest)
        pooled = manifest.scores.pooled
        say(
            "train",
            f"{name}{' (reused)' if reused else ''}: AUC {pooled.auc:.3f}, "
            f"AP {pooled.ap:.3f} at prevalence {pooled.prevalence:.1%}; {about.how.text}",
        )
        if manifest.sensitivity:
            say("", describe_sensitivity(manifest.sensitivity))
    if not reused:
        show_validation(fits.validation)
    return sorted(manifests, key=preference, reverse=True)


def training_key(about: About, bank_hash: str, kind: str) -> str:
    """Return the hash of everything that a model depends on.

    Parameters
    ----------
    about : About
        Origin of the table.
    bank_hash : str
        Of the features' bank.
    kind : str
        Of classifier.

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
) -> Manifest:
    fitted = classifier_of(kind).learned(fits.rows)
    scores, apart = fitted.scores, fitted.apart
    # Probabilities and limits are those of a place that is new to the model.
    calibration, cuts, unlabelled = judge(table, apart, about.prior)
    rows = assumptions(table, scores, unlabelled) if kind == "ridge" and unlabelled else []
    near_probabilities, apart_probabilities = calibration.apply(scores), calibration.apply(apart)
    near = score_folds(table.label, near_probabilities, table.fold)
    manifest = Manifest(
        name=name,
        kind=kind,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        inputs=inputs,
        bank_hash=bank.hash,
        neighbourhood=1 if table.features.shape[1] == bank.columns else 3,
        quarters=table.quarters is not None,
        bands=bank.bands,
        level=bank.level,
        scaling=bank.scaling,
        simulated=about.simulated,
        data=Data(
            **about.data.record("description"),
            sha256=about.data_hash,
            licence=about.licence,
            rows=len(table.label),
            positives=int(table.label.sum()),
            unlabelled=unlabelled,
            samples=about.samples,
        ),
        ground=Ground(about.ground, about.squares),
        scores=Scores(about.how.text, Figures(**near["pooled"]), near["folds"], about.how.codes),
        apart=Apart(
            **(about.how if table.region is None else statement("regions")).record("how"),
            **score_probabilities(table.label, apart_probabilities),
            regions=score_folds(table.label, apart_probabilities, table.regions)["folds"],
        ),
        calibration=calibration,
        **fitted.classifier.facts(),
        label_sets=fit_label_sets(table.label, apart),
        thresholds=cuts,
        most_disputed=most_disputed(fits.spread, calibration.logit(apart), table.label),
        sensitivity=rows,
        validation=fits.validation,
        chosen={"penalty": fits.rows.ridge.penalty},
        seed=about.seed,
        software={
            library: importlib.metadata.version(library) for library in ("asm-atlas", *LIBRARIES)
        },
    )
    cells = np.unique(table.cell[table.cell >= 0])
    with whole_folder(registry / name) as part:
        write_model(
            part,
            manifest,
            bank,
            fitted.classifier,
            fits.uncertainty,
            write_card(manifest, bank),
            cells,
        )
        (part / "validation.png").write_bytes(fits.picture)
        if rows:
            pd.DataFrame(rows).to_csv(part / "sensitivity.csv", index=False)
    return read_manifest(registry / name)


def _registered(folder: Path, inputs: str) -> Manifest | None:
    try:
        manifest = read_manifest(folder)
    except ModelError:
        # Not there, or of an older format: it is trained.
        return None
    return manifest if manifest.inputs == inputs else None


def squares_of(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the 1-degree squares (south-west corners) that hold points."""
    corners = zip(
        np.floor(lon).astype(int).tolist(), np.floor(lat).astype(int).tolist(), strict=True
    )
    return sorted(set(corners))
