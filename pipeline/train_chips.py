"""Train models on an archive of labelled chips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank
from features.rcf import chip_features
from features.sampling import make_bank
from models.folds import region_folds, spatial_folds
from models.misreading import Pairs
from pipeline.choose import registries
from pipeline.config import Config, fingerprint
from pipeline.dataset import TrainingTable
from pipeline.errors import ChipsError
from pipeline.imagery.chips import Chips, cells_of, fold_groups, located, read_chips, read_table
from pipeline.imagery.misread import misread
from pipeline.runtime.console import bar, say
from pipeline.runtime.files import sha256_of
from pipeline.train import About, squares_of, train_models

PATCHES_PER_CHIP = 8
CHIPS_AT_ONCE = 64
# Chips that are read wrongly on purpose, at most.
MISREAD = 1_500


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
) -> list[dict[str, Any]]:
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
    list of dict
        The manifests, the best first.

    Raises
    ------
    ChipsError
        If the archive is not in its form, has no labels, or does not know a square left out.
    """
    chips = read_chips(archive / "chips.npz")
    table = read_table(archive / "chips.csv", len(chips.pixels))
    if chips.label is None:
        raise ChipsError("the chips have no labels", where=str(archive / "chips.npz"))
    place = table["cell"].astype(str)
    subset = table["subset"].astype(str) if "subset" in table else place
    counts_for = dict(weights or {})
    for values, known in ((leave_out, place), (without, subset), (counts_for, subset)):
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ChipsError(f"no chip lies in {unknown[0]!r}", where=str(archive / "chips.csv"))
    used = ~place.isin(leave_out) & ~subset.isin(without)
    rows = np.flatnonzero(used)
    table, label, subset, place = table[used], chips.label[rows], subset[used], place[used]
    folds = spatial_folds(fold_groups(table), label)
    bank = sample_bank(chips, rows, config)
    at = located(table)
    lon, lat = (np.where(at, table[name].to_numpy(float), np.nan) for name in ("lon", "lat"))
    rng = np.random.default_rng(config.seed)
    wrongly = np.sort(rng.permutation(len(rows))[:MISREAD])
    features = _featurize(chips, rows, bank, "featurize")
    wrong = _featurize(chips, rows[wrongly], bank, "misread", rng)
    regions = region_folds(lon, lat, label)
    say("featurize", f"{len(rows)} chips, {bank.columns} columns of bank {bank.hash[:12]}")
    training = TrainingTable(
        features=features,
        label=label,
        fold=folds,
        cell=cells_of(table),
        source=subset.to_numpy().astype(str),
        date=table.get("date_start", place).astype(str).to_numpy().astype(str),
        weight=np.array([counts_for.get(name, 1.0) for name in subset]),
        place=np.unique(fold_groups(table), return_inverse=True)[1],
        region=regions,
        misread=lambda: Pairs(features[wrongly], wrong, regions[wrongly]),
    )
    choices = {
        "without the squares": leave_out,
        "without the subsets": without,
        "counting": [f"{name} {value:g}-fold" for name, value in counts_for.items()],
    }
    left = "".join(f", {words} {', '.join(names)}" for words, names in choices.items() if names)
    about = About(
        name=name,
        data=(data or f"labelled chips ({archive.name})") + left,
        data_hash=fingerprint(
            [sha256_of(archive / name) for name in ("chips.npz", "chips.csv")] + [choices]
        ),
        licence=licence or "not stated",
        ground=f"{table['cell'].nunique()} places, {int(at.sum())} chips exactly located",
        squares=squares_of(*(table[name].to_numpy(float)[at] for name in ("lon", "lat"))),
        how="spatial folds, whole 1-degree squares held out; chips without a place in runs of "
        "neighbours",
        simulated=False,
        seed=config.seed,
    )
    registry = registries(config.workspace)[0]
    if kind:
        return train_models(training, bank, about, registry, [kind], plain_name=True)
    return train_models(training, bank, about, registry)


def _featurize(
    chips: Chips,
    rows: NDArray[np.intp],
    bank: FilterBank,
    stage: str,
    mistakes: np.random.Generator | None = None,
) -> NDArray[np.float32]:
    """Features of some chips; of chips read wrongly where mistakes are asked for."""
    starts = range(0, len(rows), CHIPS_AT_ONCE)
    parts = []
    for start in bar(starts, stage, len(starts)):
        pixels = chips.reflectance(rows[start : start + CHIPS_AT_ONCE])
        pixels = pixels if mistakes is None else misread(pixels, mistakes)
        parts.append(chip_features(pixels, bank)[0])
    return np.concatenate(parts)


def sample_bank(chips: Chips, rows: NDArray[np.intp], config: Config) -> FilterBank:
    """Sample a new bank from chips, the same one each time.

    Parameters
    ----------
    chips : Chips
        The archive.
    rows : numpy.ndarray of int, shape (n,)
        Chips that patches are drawn from.
    config : Config
        Seed, recipe, patch sizes and number of filters.

    Returns
    -------
    FilterBank
        The new bank.

    Raises
    ------
    BankError
        If there are fewer patches than filters.
    """

    def images() -> Iterator[NDArray[np.float32]]:
        for row in rows.tolist():
            yield chips.reflectance(slice(row, row + 1))[0]

    return make_bank(
        images,
        chips.imagery.bands,
        chips.imagery.level,
        chips.imagery.scaling,
        config.recipe,
        config.patch_sizes,
        config.filters,
        seed=config.seed,
        per_image=PATCHES_PER_CHIP,
    )
