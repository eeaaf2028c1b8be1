"""Stage: labels and the imagery of the seasons around them -> registered models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from features.bank import FilterBank, bank_bytes, load_bank
from features.recipe import RECIPES
from features.scaling import Scaling
from models.manifest import Manifest
from models.statement import Statement
from pipeline import composite as composites
from pipeline import featurize, scenes
from pipeline.errors import NoClearPixelError, NoLabelsError, NoSceneError
from pipeline.geo import grid
from pipeline.join import labels_file
from pipeline.runtime.console import say
from pipeline.scenes import SceneList
from pipeline.sites.labels.background import with_background
from pipeline.sites.labels.gather import gather_labels
from pipeline.sites.labels.rows import Labels, one_row_per_cell, reasons, shift_season
from pipeline.training.corruption_pairs import corruption_pairs
from pipeline.training.dataset import build_dataset, read_dataset
from pipeline.training.model_choice import own_name, registries
from pipeline.training.register import About, register_models, squares_of
from pipeline.words.statements import statement
from pipeline.workflow import ledger
from pipeline.workflow.context import Context

_VERSION = 1


def train_region(context: Context, only: bool = False) -> list[Manifest]:
    """Train models on the visits to a region and the imagery of the seasons around them.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    only : bool
        Build nothing before the training table; what is not stored is an error.

    Returns
    -------
    list of Manifest
        Of the registered models, the best first.

    Raises
    ------
    NoLabelsError
        If the visits give too few labelled cells with imagery.
    PartialError
        If scenes that could not be read are missing from it; the models are there.
    """
    manifests, blended = train_models(context, only)
    composites.raise_partial(blended)
    return manifests


def train_models(context: Context, only: bool = False) -> tuple[list[Manifest], list[ledger.Entry]]:
    """Train as ``train_region`` does, and leave it to the caller what gaps in the imagery mean.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    only : bool
        As for ``train_region``.

    Returns
    -------
    manifests : list of Manifest
        Of the registered models, the best first.
    composites : list of ledger.Entry
        What the models learned from.
    """
    entry, bank, found, labels, blended = _dataset(replace(context, only="train" if only else ""))
    config = context.config
    table, around = read_dataset(entry.path), config.features.neighbourhood
    mines = np.unique(table.cell[table.label == 1])
    pairs = partial(corruption_pairs, blended, bank, around, config.run.seed, mines)
    table = replace(table, corruption_pairs=pairs)
    unlabelled = table.unlabelled.any()
    lon, lat = grid.cell_centres(np.unique(table.cell))
    left_out = {code: count for code, count in labels.left_out.items() if count}
    last = [labels.about[-1], *([statement("background")] if unlabelled else [])]
    last += reasons(left_out, config.labels.visit_years)
    about = About(
        name=own_name(context.region.name, config, found.simulated),
        data=sum(labels.about[:-1], Statement()) + statement("listed", items=last),
        data_hash=entry.sha256,
        licence=_licence(labels, found),
        ground=f"region {context.region.title}",
        squares=squares_of(lon, lat),
        how=statement("blocks", degrees=0.1)
        + (statement("background_unverified") if unlabelled else Statement()),
        simulated=found.simulated,
        seed=context.config.run.seed,
        prior=context.config.labels.prior,
        samples=labels.samples,
    )
    registry = registries(context.config.workspace.home)[0]
    return register_models(table, bank, about, registry), blended


def train_best(context: Context) -> Manifest:
    """Train for a region, and return the manifest of the model preferred there.

    Gaps in the training ground's imagery do not make the map of another region partial.
    """
    return train_models(context)[0][0]


def _licence(labels: Labels, found: SceneList) -> str:
    # The demo's visits are simulated as its imagery is; real labels keep their own licence.
    credit = "; ".join(labels.credits)
    if found.simulated:
        return f"{credit}; imagery simulated" if credit else "simulated"
    return credit


def dataset_region(context: Context, only: bool = False) -> None:
    """Make the training table of a region, and what it needs."""
    composites.raise_partial(_dataset(replace(context, only="dataset" if only else ""))[-1])


def _dataset(
    context: Context,
) -> tuple[ledger.Entry, FilterBank, SceneList, Labels, list[ledger.Entry]]:
    """Composite and featurize the labelled blocks of each season, and join them with labels."""
    season = context.season
    labels = gather_labels(context.config, labels_file(context), context.region, season)
    labels, found = _with_imagery(context, labels, season)
    blended, unclear = {}, None
    for shift, scene_list in found.items():
        blocks = labels.blocks(shift)
        around = context.during(shift_season(season, shift))
        if context.config.features.neighbourhood != 1:
            around = replace(around, region=around.region.surrounded())
            scene_list = scenes.find_scenes(around)
            blocks = grid.with_neighbours(blocks)
        try:
            blended[shift] = composites.composite_blocks(around, scene_list, blocks)
        except NoClearPixelError as error:
            # A season of a few blocks may be clouded all through; the other visits still teach.
            unclear = error
            count = int((labels.rows["shift"] == shift).sum())
            say("labels", f"{count} labelled cells of {around.season} left out: {error.what}")
    if not blended and unclear is not None:
        raise unclear
    first = next(iter(found.values()))
    used = [entry for entries in blended.values() for entry in entries]
    bank = own_bank(context, first, used)
    features = {
        shift: featurize.featurize_blocks(context, entries, bank)
        for shift, entries in blended.items()
    }
    labels = with_background(labels, context.region)
    return build_dataset(context, labels, features, bank), bank, first, labels, used


def _with_imagery(
    context: Context, labels: Labels, season: str
) -> tuple[Labels, dict[int, SceneList]]:
    """Find each season's scenes; visits of a season without any move to the nearest that has."""
    found: dict[int, SceneList] = {}
    # Which seasons have any imagery is asked of the source, whatever is stored.
    context = replace(context, only="")
    for shift in sorted(labels.rows["shift"].unique()):
        try:
            found[int(shift)] = scenes.find_scenes(context.during(shift_season(season, int(shift))))
        except NoSceneError:
            continue
    if not found:
        raise NoSceneError(
            f"no scene around any label in {context.region.name}",
            next_step="choose another SEASON (its months are tried in the year of each label)",
        )
    shifts = np.array(sorted(found))
    wanted = labels.rows["shift"].to_numpy()
    nearest = shifts[np.abs(wanted[:, None] - shifts[None, :]).argmin(axis=1)]
    most = context.config.labels.visit_years
    kept = np.abs(nearest - wanted) <= most
    rows = one_row_per_cell(labels.rows.assign(shift=nearest)[kept].reset_index(drop=True))
    left_out = labels.left_out | {"dated_far": int((~kept).sum())}
    if rows.empty:
        raise NoLabelsError(
            f"no label in {context.region.name} is near any imagery in time",
            next_step="choose another SEASON, or a larger VISIT_YEARS",
        )
    used = {shift: found[shift] for shift in sorted(rows["shift"].unique())}
    say(
        "labels",
        f"{len(rows)} labelled cells in {len(used)} seasons ("
        + ", ".join(f"{count} by {what}" for what, count in rows["what"].value_counts().items())
        + "); left out: "
        + ", ".join(told.text for told in reasons(left_out, most)),
    )
    return replace(labels, rows=rows, left_out=left_out), used


def own_bank(context: Context, found: SceneList, blended: Sequence[ledger.Entry]) -> FilterBank:
    """Sample a bank from a region's own composites, or take up the one sampled before.

    Parameters
    ----------
    context : Context
        Store, seed, recipe, patch sizes and number of filters.
    found : SceneList
        The imagery's bands, level and scaling.
    blended : sequence of ledger.Entry
        The composites.

    Returns
    -------
    FilterBank
        Of the recipe that the configuration asks for.

    Raises
    ------
    NoClearPixelError
        If too few patches were observed.
    """
    clip, steps = found.scaling
    scaling = Scaling(clip, steps) if clip else Scaling()
    inputs = {
        "stage": "bank",
        "composites": [entry.sha256 for entry in blended],
        "bands": list(found.bands),
        "scaling": scaling.to_dict(),
        "patches": list(context.config.features.patch_sizes),
        "recipe": asdict(RECIPES[context.config.features.recipe]),
        "filters": context.config.features.filters,
        "seed": context.config.run.seed,
        "version": _VERSION,
    }

    def write(path: Path) -> dict[str, Any]:
        bank = featurize.sample_bank(context, found, blended, scaling)
        path.write_bytes(bank_bytes(bank))
        return {"hash": bank.hash}

    entry = ledger.make(context.store("banks"), context.region.name, inputs, ".npz", write)
    return load_bank(Path(entry.path))
