"""Search for the setting of bank and model on labelled chips, by whole regions held out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.classifier import classifier_of
from models.scores import score
from models.training_rows import TrainingRows
from pipeline.config import Config
from pipeline.runtime.console import bar, say
from pipeline.runtime.files import whole_file
from pipeline.training.chips import LabelledChips, read_labelled_chips
from pipeline.training.tuning_settings import CHOSEN, SEEDS, Setting, settings
from pipeline.workflow import ledger

# Raise it when the same setting would give another row.
VERSION = 2
# The bank is sampled from every so many chips: their patches suffice, and reading all takes longer
# than the filters.
_EVERY = 4


@dataclass(frozen=True)
class Material:
    """The chips of an archive that are trained on and judged by.

    Parameters
    ----------
    found : LabelledChips
        Those that take part.
    judged : numpy.ndarray of bool, shape (n,)
        Mines and hard negatives.
    identity : dict
        What all of this depends on; JSON.
    """

    found: LabelledChips
    judged: NDArray[np.bool_]
    identity: dict[str, Any]


def tune_chips(
    archive: Path,
    out: Path,
    config: Config,
    without: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    easy: Sequence[str] = (),
) -> pd.DataFrame:
    """Judge every setting of ``settings`` on an archive of chips, and write the table.

    Parameters
    ----------
    archive : pathlib.Path
        Folder with ``chips.npz`` and ``chips.csv``.
    out : pathlib.Path
        The table, CSV. Rows that are finished are kept in the workspace, so that the search goes
        on where it was cut off.
    config : Config
        The workspace.
    without : sequence of str
        Values of the column ``subset`` that take no part.
    weights : mapping of str to float, optional
        What rows of a subset count for in a fit; default 1.
    easy : sequence of str
        Subsets that are trained on and whose negatives do not count in the judgement.

    Returns
    -------
    pandas.DataFrame
        One row a setting and seed, the highest AUC first.

    Raises
    ------
    ChipsError
        If the archive is not in its form, or does not know a subset.
    """
    material = read_material(archive, without, dict(weights or {}), easy)
    store = config.workspace.interim / "tune"
    tried = list(settings())
    kept: dict[Setting, NDArray[np.float32]] = {}
    found = [
        _row(store, material, setting, kept) | {"changed": changed}
        for changed, setting in bar(tried, "tune", len(tried))
    ]
    best = max(range(len(found)), key=lambda at: float(found[at]["auc"]))
    # How much of a difference is the luck of the draw of filters.
    again = list(dict.fromkeys([CHOSEN, tried[best][1]]))
    repeated = [replace(setting, seed=seed) for setting in again for seed in SEEDS]
    found += [
        _row(store, material, setting, kept)
        | {"changed": "seed" if again.index(replace(setting, seed=1)) == 0 else "seed of the best"}
        for setting in bar(repeated, "tune", len(repeated))
    ]
    table = pd.DataFrame(found).sort_values("auc", ascending=False, kind="stable")
    table = table[["changed", *(name for name in table if name != "changed")]]
    with whole_file(out) as part:
        table.to_csv(part, index=False)
    first = table.iloc[0]
    say("tune", f"{len(table)} settings; best: {first['changed']}, AUC {first['auc']:.3f}: {out}")
    return table


def read_material(
    archive: Path, without: Sequence[str], weights: dict[str, float], easy: Sequence[str]
) -> Material:
    """Read an archive and decide which chips are trained on and judged by.

    Parameters
    ----------
    archive : pathlib.Path
        Folder with ``chips.npz`` and ``chips.csv``.
    without : sequence of str
        As for ``tune_chips``.
    weights : dict of str to float
        As for ``tune_chips``.
    easy : sequence of str
        As for ``tune_chips``.

    Returns
    -------
    Material
        The chips.

    Raises
    ------
    ChipsError
        If the archive is not in its form, or does not know a subset.
    """
    found = read_labelled_chips(archive, without, weights, named=easy)
    return Material(
        found,
        (found.label == 1) | ~found.subset.isin(easy).to_numpy(),
        {
            "archive": found.sha256,
            "without": sorted(without),
            "weights": weights,
            "easy": sorted(easy),
        },
    )


def _row(
    store: Path,
    material: Material,
    setting: Setting,
    kept: dict[Setting, NDArray[np.float32]],
) -> dict[str, Any]:
    """Judge one setting, or take up what was found before."""
    inputs = {"stage": "tune", "version": VERSION, "setting": asdict(setting)} | material.identity

    def write(path: Path) -> dict[str, Any]:
        begin = time.perf_counter()
        if setting.bank not in kept:
            kept.clear()  # one at a time: they are large
            kept[setting.bank] = features_of(material, setting)
        scores = scores_of(material, setting, setting.given(kept[setting.bank]))
        with path.open("wb") as file:
            np.savez_compressed(file, scores=scores, rows=material.found.rows)
        return judged(material, scores) | {"seconds": round(time.perf_counter() - begin, 1)}

    entry = ledger.make(store, "chips", inputs, ".npz", write)
    told = {name: " ".join(map(str, value)) if isinstance(value, tuple) else value
            for name, value in asdict(setting).items()}  # fmt: skip
    return told | (entry.facts or {})


def features_of(material: Material, setting: Setting) -> NDArray[np.float32]:
    """Sample a bank and compute the features of all chips.

    Parameters
    ----------
    material : Material
        The chips.
    setting : Setting
        Of the bank.

    Returns
    -------
    numpy.ndarray of float32, shape (n, columns)
        Finite.
    """
    bank = material.found.bank(
        setting.recipe, setting.patches, setting.filters, setting.seed, setting.floor, _EVERY
    )
    return material.found.features(bank, stage="")


def scores_of(
    material: Material, setting: Setting, given: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Score every chip by a model that has not seen its region.

    Parameters
    ----------
    material : Material
        The chips.
    setting : Setting
        The kind of model.
    given : numpy.ndarray of float32, shape (n, columns)
        Features.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        The scores; those of a mean are of parts calibrated on these same scores.
    """
    found = material.found
    rows = TrainingRows(
        given,
        found.label,
        found.region,
        found.region,
        found.weight,
        found.places,
        setting.seed,
    )
    return classifier_of(setting.kind).out_of_fold(rows, found.region)


def judged(material: Material, scores: NDArray[np.float64]) -> dict[str, Any]:
    """Say how well scores tell mines from hard negatives.

    Parameters
    ----------
    material : Material
        The chips.
    scores : numpy.ndarray of float64, shape (n,)
        Of models that have not seen the chip's region.

    Returns
    -------
    dict
        ``auc`` and ``ap`` of all regions together, ``auc_regions`` (mean of those with both
        classes), ``auc_lowest`` (of one region), ``auc_all`` (easy negatives too), ``rows``,
        ``mines``, ``how``.
    """
    judged = material.judged
    label, region = material.found.label[judged], material.found.region[judged]
    whole = score(label, scores[judged])
    single = [score(label[region == name], scores[judged][region == name])["auc"]
              for name in np.unique(region)]  # fmt: skip
    known = [auc for auc in single if auc is not None]
    return {
        "auc": whole["auc"],
        "ap": whole["ap"],
        "auc_regions": round(float(np.mean(known)), 4),
        "auc_lowest": min(known),
        "auc_all": score(material.found.label, scores)["auc"],
        "rows": whole["n"],
        "mines": whole["positives"],
        "how": f"{len(single)} regions held out in turn; mines against hard negatives",
    }
