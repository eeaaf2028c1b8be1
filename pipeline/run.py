"""The stages in the order in which the data flows: one function maps a region.

The command line, the Makefile, the notebooks and a cluster's job all come here. Every stage stores
what it makes and takes up what it finds stored, so that a second run redoes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from models.model import Model
from models.statement import Statement
from pipeline.composite import composite_blocks, forecast_blocks, raise_partial
from pipeline.errors import NoModelError
from pipeline.export import check_export, export_features
from pipeline.featurize import featurize_blocks
from pipeline.join import join_predictions
from pipeline.map.editions import refuse_young_scenes
from pipeline.predict import Predicted, predict_cells
from pipeline.publish import deliver
from pipeline.runtime.console import say
from pipeline.scenes import SceneList, find_scenes
from pipeline.train import own_bank, train_best
from pipeline.training.model_choice import choose_model
from pipeline.workflow import ledger
from pipeline.workflow.context import Context

MAP_STAGES = ("scenes", "composite", "featurize", "predict", "join", "publish", "report")
# Those that end with a map that leaves.
PUBLISHED = ("publish", "report")


def map_region(
    context: Context, last: str = "report", only: bool = False, sheets: int = 0
) -> Path | None:
    """Run the stages that map a region.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    last : str
        The stage to end with, of ``MAP_STAGES``.
    only : bool
        Run just that stage, from what the ones before it stored.
    sheets : int
        Candidates to print field sheets of; 0: none are printed.

    Returns
    -------
    pathlib.Path or None
        The run's folder, from ``publish`` on.

    Raises
    ------
    PartialError
        If scenes that could not be read are missing from it; the map is there.
    AsmAtlasError
        Whatever the stages raise; what is finished stays stored.
    """
    context = replace(context, only=last if only else "")
    found = find_scenes(context)
    if last in PUBLISHED:
        refuse_young_scenes(found, context)
    if last == "scenes":
        forecast_blocks(context, found)
        return None
    blended = composite_blocks(context, found, context.region.blocks)
    if last == "composite":
        raise_partial(blended)
        return None
    featurized = _featurize(context, found, blended)
    if last == "featurize":
        return None
    predicted = _predict(context, found, featurized)
    folder = None
    if last != "predict":
        joined, identity = join_predictions(context, predicted.entry, predicted.model)
        if last != "join":
            folder = deliver(context, predicted, joined, identity, last == "report", sheets)
    raise_partial(predicted.composites)
    return folder


def predict_region(context: Context, only: str = "") -> Predicted:
    """Run the stages up to the predictions.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    only : str, optional
        The verb that asks, where it may make nothing: the stages before it must be stored already.

    Returns
    -------
    Predicted
        The stored predictions and what they were made from.

    Raises
    ------
    StageMissingError
        If a stage is not stored and may not be made.
    AsmAtlasError
        Whatever the stages raise; what is finished stays stored.
    """
    context = replace(context, only=only)
    found = find_scenes(context)
    blended = composite_blocks(context, found, context.region.blocks)
    return _predict(context, found, _featurize(context, found, blended))


class _Featurized(NamedTuple):
    """Features of a region's blocks, and of the blocks around where the model looks there."""

    model: Model
    why: Statement
    composites: list[ledger.Entry]
    features: list[ledger.Entry]


def _featurize(context: Context, found: SceneList, blended: list[ledger.Entry]) -> _Featurized:
    model, why = choose_model(context, found, None if context.only else train_best)
    if model.manifest.neighbourhood != 1:
        wide = replace(context, region=context.region.surrounded())
        blended = composite_blocks(wide, find_scenes(wide), wide.region.blocks)
    return _Featurized(model, why, blended, featurize_blocks(context, blended, model.bank))


def _predict(context: Context, found: SceneList, made: _Featurized) -> Predicted:
    entry = predict_cells(context, made.features, made.model, context.region.blocks)
    return Predicted(found, made.model, made.why, entry, made.composites, made.features)


def export_region(context: Context, path: Path, degrees: float, only: bool = False) -> int:
    """Write a region's features to a file, computing those that are missing.

    Parameters
    ----------
    context : Context
        Configuration, region and workers. The bank is that of the model that would map the region,
        or, where there is none, one sampled from the region's own imagery.
    path : pathlib.Path
        ``.parquet`` or ``.csv``.
    degrees : float
        0.01 or 0.005.
    only : bool
        Compute nothing; what is not stored is an error.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    AsmAtlasError
        Whatever the stages raise.
    """
    check_export(path, degrees)
    context = replace(context, only="export" if only else "")
    found = find_scenes(context)
    blended = composite_blocks(context, found, context.region.blocks)
    try:
        bank = choose_model(context, found)[0].bank
    except NoModelError:
        bank = own_bank(context, found, blended)
        say("bank", f"no model fits the imagery: bank {bank.hash[:12]} of the region's own")
    entries = featurize_blocks(context, blended, bank)
    return export_features(entries, bank, context.region, path, degrees, found.simulated)
