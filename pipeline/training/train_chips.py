"""Train models on an archive of labelled chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.corruption_detector import CorruptionPairs
from models.folds import spatial_folds
from models.manifest import Manifest
from models.statement import Statement
from pipeline.config import Config, fingerprint
from pipeline.imagery.chips import cells_of
from pipeline.runtime.console import say
from pipeline.training.chips import read_labelled_chips
from pipeline.training.dataset import TrainingTable
from pipeline.training.model_choice import registries
from pipeline.training.register import About, register_models, squares_of
from pipeline.words.statements import statement

# Chips that are corrupted on purpose, at most.
CORRUPTED = 1_500


def train_chips(
    archive: Path,
    name: str,
    config: Config,
    leave_out: Sequence[str] = (),
    without: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    data: str = "",
    licence: str = "",
    kind: str = "",
) -> list[Manifest]:
    """Train and register models on labelled chips.

    Parameters
    ----------
    archive : pathlib.Path
        Folder with ``chips.npz`` and ``chips.csv``.
    name : str
        Of the models; the kind is appended.
    config : Config
        Workspace, seed and size of the bank.
    leave_out : sequence of str
        Values of the table's column ``cell`` (1-degree squares) that the models must not see.
    without : sequence of str
        Values of the column ``subset`` that are not trained on.
    weights : mapping of str to float, optional
        What rows of a subset count for; default 1.
    data, licence : str
        For the card.
    kind : str
        Of the one model that is wanted, which has the name to itself; empty: one of every kind.

    Returns
    -------
    list of Manifest
        The best model's first.

    Raises
    ------
    ChipsError
        If the archive is not in its form, has no labels, or does not know a square left out.
    """
    found = read_labelled_chips(archive, without, weights, leave_out)
    table, label, region = found.table, found.label, found.region
    asked = config.features
    bank = found.bank(asked.recipe, asked.patch_sizes, asked.filters, config.run.seed)
    rng = np.random.default_rng(config.run.seed)
    some = np.sort(rng.permutation(len(label))[:CORRUPTED])
    features = found.features(bank, "featurize")
    corrupted = found.features(bank, "corrupt", some, rng)
    say("featurize", f"{len(label)} chips, {bank.columns} columns of bank {bank.hash[:12]}")
    place = table["cell"].astype(str)
    training = TrainingTable(
        features=features,
        label=label,
        fold=spatial_folds(found.groups, label),
        cell=cells_of(table),
        source=found.subset.to_numpy().astype(str),
        date=table.get("date_start", place).astype(str).to_numpy().astype(str),
        weight=found.weight,
        place=found.places,
        region=region,
        corruption_pairs=lambda: CorruptionPairs(features[some], corrupted, region[some]),
    )
    at = np.isfinite(found.lonlat[0])
    counts = dict(weights or {})
    # Whose words are hashed: they name the models' inputs.
    choices = {
        "without the squares": leave_out,
        "without the subsets": without,
        "counting": [f"{name} {value:g}-fold" for name, value in counts.items()],
    }
    about = About(
        name=name,
        data=_described(data, archive.name, leave_out, without, counts),
        data_hash=fingerprint([*found.sha256, choices]),
        licence=licence or "not stated",
        ground=f"{place.nunique()} places, {int(at.sum())} chips exactly located",
        squares=squares_of(*found.lonlat[:, at]),
        how=statement("squares", degrees=1) + statement("chips_in_runs"),
        simulated=False,
        seed=config.run.seed,
    )
    registry = registries(config.workspace.home)[0]
    if kind:
        return register_models(training, bank, about, registry, [kind], plain_name=True)
    return register_models(training, bank, about, registry)


def _described(
    data: str,
    archive: str,
    leave_out: Sequence[str],
    without: Sequence[str],
    counts: Mapping[str, float],
) -> Statement:
    """Say what the rows are, and which of the archive's are left out or count for more."""
    told = [statement("as_given", text=data) if data else statement("chips", file=archive)]
    choices = {
        "without_squares": [statement("as_given", text=name) for name in leave_out],
        "without_subsets": [statement("as_given", text=name) for name in without],
        "counting": [statement("times", subset=name, times=n) for name, n in counts.items()],
    }
    told += [statement(code, items=items) for code, items in choices.items() if items]
    return statement("listed", items=told)
