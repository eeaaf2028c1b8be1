"""The stages in the order in which the data flows: one function maps a region, one trains for it.

The command line, the Makefile, the notebooks and a cluster's job all come here. Every stage stores
what it makes and takes up what it finds stored, so that a second run redoes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.model import Model
from models.registry import KINDS, read_manifest
from pipeline import composite as composites
from pipeline import featurize, scenes
from pipeline.errors import NoModelError
from pipeline.export import check_export, export_features
from pipeline.imagery.forecast import report_forecast
from pipeline.join import join_predictions
from pipeline.map.disclosure import refuse_young_scenes
from pipeline.predict import Predicted, predict_cells
from pipeline.publish import deliver
from pipeline.runtime.console import say
from pipeline.scenes import SceneList
from pipeline.train import own_bank, train_models
from pipeline.training.model_choice import check_fits, choose_model, load_named, registries
from pipeline.training.register import preference
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
    predicted = predict_region(context, last, only)
    if predicted is None:
        return None
    folder = None
    if last != "predict":
        joined, identity = join_predictions(context, predicted.entry, predicted.model)
        if last != "join":
            folder = deliver(context, predicted, joined, identity, last == "report", sheets)
    composites.raise_partial(predicted.composites)
    return folder


def predict_region(context: Context, last: str = "predict", only: bool = False) -> Predicted | None:
    """Run the stages up to the predictions, as ``map_region`` does.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    last : str
        The stage to end with.
    only : bool
        Whether the stages before it must be stored already.

    Returns
    -------
    Predicted or None
        None if ``last`` comes before them.
    """
    make = {stage: not only or stage == last for stage in MAP_STAGES}
    blocks = context.region.blocks
    find = scenes.find_scenes if make["scenes"] else scenes.load_scenes
    found = find(context)
    if last in PUBLISHED:
        refuse_young_scenes(found, context)
    if last == "scenes":
        work = [(block, part) for block in blocks if (part := found.of_block(block))]
        report_forecast(context.store("composite"), work, found.bands)
        return None
    blend = composites.composite_blocks if make["composite"] else composites.load_composites
    blended = blend(context, found, blocks)
    if last == "composite":
        composites.raise_partial(blended)
        return None
    model, why = model_for(context, found, train=not only)
    if model.context != 1:
        wide = replace(context, region=context.region.surrounded())
        blended = blend(wide, find(wide), wide.region.blocks)
    compute = featurize.featurize_blocks if make["featurize"] else featurize.load_features
    features = compute(context, blended, model.bank)
    if last == "featurize":
        return None
    cells = predict_cells(context, features, model, blocks)
    return Predicted(found, model, why, cells, blended)


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
    found = scenes.load_scenes(context) if only else scenes.find_scenes(context)
    blend = composites.load_composites if only else composites.composite_blocks
    blended = blend(context, found, context.region.blocks)
    try:
        bank = model_for(context, found, train=False)[0].bank
    except NoModelError:
        bank = own_bank(context, found, blended)
        say("bank", f"no model fits the imagery: bank {bank.hash[:12]} of the region's own")
    compute = featurize.load_features if only else featurize.featurize_blocks
    entries = compute(context, blended, bank)
    return export_features(entries, bank, context.region, path, degrees, found.simulated)


def model_for(context: Context, found: SceneList, train: bool = True) -> tuple[Model, str]:
    """Return the model to apply: of the region's own training ground where it names one.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    found : SceneList
        The imagery that the model must fit.
    train : bool, optional
        Whether to train on the training ground first; else its models must be registered.

    Returns
    -------
    model : Model
        Checked against the imagery.
    why : str
        Why this one, in words for the map.

    Raises
    ------
    NoModelError
        If none fits or none is registered.
    ModelMismatchError
        If the imagery's bands, level or scaling differ from the model's.
    """
    ground = context.region.training
    if context.config.model != "auto" or not ground:
        return choose_model(context, found)
    training = context.at(ground)
    if train:
        # Gaps in the training ground's imagery do not make the map of another region partial.
        best = train_models(training)[0][0]
    else:
        folder = registries(context.config.home)[0]
        name = ground + (f"-{context.config.seed}" if found.simulated else "")
        trained = [
            read_manifest(folder / f"{name}-{kind}")
            for kind in KINDS
            if (folder / f"{name}-{kind}" / "manifest.json").is_file()
        ]
        if not trained:
            raise NoModelError(
                f"no model of the training ground {ground} is registered",
                next_step=f"make train REGION={ground}",
            )
        best = max(trained, key=preference)
    check_fits(best, found)
    model = load_named(context.config.home, best["id"])
    why = f"trained on the region's own training ground, {ground}; preferred there out of fold"
    say("model", f"{model.name}: {why}")
    return model, why
