"""Which model: the one asked for, or the nearest registered one that fits the imagery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapely

from features.errors import BankError
from features.scaling import Scaling
from models.classifier import classifier_of
from models.classifiers import CLASSIFIERS
from models.errors import ModelError, ModelNotFoundError
from models.manifest import Manifest, read_manifest
from models.model import Model
from models.registry import SHIPPED, find_model, load_model, registered
from models.sphere import great_circle_km
from models.statement import Statement
from pipeline.config import Config
from pipeline.errors import ModelMismatchError, NoModelError, UnknownModelError
from pipeline.runtime.console import say
from pipeline.scenes import SceneList
from pipeline.words.statements import statement
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context


def registries(home: str | Path) -> list[Path]:
    """Return the registries, the user's own first, then the one that ships."""
    return [Path(home) / "models", SHIPPED]


def own_name(region: str, config: Config, simulated: bool) -> str:
    """Return what a region's models and series are called, kinds and seasons apart.

    Parameters
    ----------
    region : str
        Name of the region.
    config : Config
        The seed.
    simulated : bool
        Whether its imagery is invented: such landscapes are many, one for each seed.

    Returns
    -------
    str
        The name.
    """
    return f"{region}-{config.run.seed}" if simulated else region


def preference(manifest: Manifest) -> float:
    """Return the pooled out-of-fold AUC, less the handicap of the kind.

    Folds of neighbouring blocks cannot tell kinds apart that differ where whole regions are held
    out (``models.classifier.Classifier.handicap``).
    """
    return (manifest.scores.pooled.auc or 0.0) - classifier_of(manifest.kind).handicap


def choose_model(
    context: Context, scenes: SceneList, train: Callable[[Context], Manifest] | None = None
) -> tuple[Model, Statement]:
    """Load the model to apply to these scenes.

    The one that is asked for by name; else the best of the region's own training ground, where it
    names one; else the nearest that fits.

    Parameters
    ----------
    context : Context
        Configuration and region.
    scenes : SceneList
        The imagery that the model must fit.
    train : callable, optional
        Trains on a training ground, and returns the manifest of the model preferred there. Without
        it, the ground's models must be registered.

    Returns
    -------
    model : Model
        Checked against the imagery.
    why : Statement
        Why this one, for the map.

    Raises
    ------
    NoModelError
        If ``model`` is ``auto`` and none fits; it names the command that trains one.
    UnknownModelError
        If no model of that name is registered.
    ModelMismatchError
        If the imagery's bands, level or scaling differ from the model's.
    """
    asked, ground = context.config.model.name, context.region.training
    if asked != "auto":
        model = load_named(context.config.workspace.home, asked)
        check_fits(model.manifest, scenes)
        return model, statement("asked_for")
    if not ground:
        return _nearest(context, scenes)
    best = train(context.at(ground)) if train else _best_registered(context, ground, scenes)
    check_fits(best, scenes)
    model = load_named(context.config.workspace.home, best.name)
    why = statement("own_ground", ground=ground) + statement("preferred")
    say("model", f"{model.name}: {why.text}")
    return model, why


def _best_registered(context: Context, ground: str, scenes: SceneList) -> Manifest:
    folders = registered(registries(context.config.workspace.home)[:1])
    name = own_name(ground, context.config, scenes.simulated)
    names = [f"{name}-{kind}" for kind in CLASSIFIERS]
    trained = [read_manifest(folders[one]) for one in names if one in folders]
    if not trained:
        raise NoModelError(
            f"no model of the training ground {ground} is registered",
            next_step=f"make train REGION={ground}",
        )
    return max(trained, key=preference)


def _nearest(context: Context, scenes: SceneList) -> tuple[Model, Statement]:
    centre = context.region.geometry.centroid
    found = []
    misfits = []
    for name, folder in registered(registries(context.config.workspace.home)).items():
        try:
            manifest = read_manifest(folder)
            reason = misfit(manifest, scenes)
        except ModelError as error:
            # One model of an older format must not stand in the way of the others.
            reason = str(error)
        if reason:
            misfits.append(f"{name}: {reason}")
        else:
            away = _distance_km(manifest, centre)
            found.append((away, -(manifest.scores.pooled.auc or 0), name, folder))
    if not found:
        raise NoModelError(
            f"no registered model fits {imagery_words(scenes)}",
            where="; ".join(misfits) or "no model is registered",
            next_step=f"{make_command('train', context.config, context.region)} LABELS=visits.csv",
        )
    away, _, name, folder = min(found)
    why = statement("nearest", models=len(found), km=away)
    say("model", f"{name}: {why.text}")
    return load_model(folder), why


def load_named(home: str | Path, name: str) -> Model:
    """Load a registered model by name.

    Raises
    ------
    UnknownModelError
        If no registry holds it.
    """
    try:
        folder = find_model(name, registries(home))
    except ModelNotFoundError as error:
        raise UnknownModelError(str(error), next_step="asm-atlas models lists them") from None
    try:
        return load_model(folder)
    except (ModelError, BankError) as error:
        raise UnknownModelError(
            f"the model {name} cannot be used: {error}", next_step="train it again, or fetch it"
        ) from None


def check_fits(manifest: Manifest, scenes: SceneList) -> None:
    """Refuse imagery that a model was not trained for.

    Raises
    ------
    ModelMismatchError
        Naming both.
    """
    reason = misfit(manifest, scenes)
    if reason:
        raise ModelMismatchError(
            f"the model {manifest.name} is for {model_words(manifest)}, "
            f"the imagery is {imagery_words(scenes)}",
            where=reason,
            next_step="choose another MODEL (asm-atlas models lists them) or train one",
        )


def misfit(manifest: Manifest, scenes: SceneList) -> str:
    """Say why a model cannot be applied to scenes; empty if it can."""
    missing = [band for band in manifest.bands if band not in scenes.bands]
    clip, steps = scenes.scaling
    # Full-range reflectance can be clipped as the model's own pixels were; anything else cannot.
    scaling = Scaling(clip, steps) if clip else manifest.scaling
    reasons = {
        f"bands {' '.join(missing)} are missing": missing,
        f"level {manifest.level} is not {scenes.level}": manifest.level != scenes.level,
        f"scaling {manifest.scaling} is not {scaling}": scaling.pixels != manifest.scaling.pixels,
        "one is simulated, the other is real": manifest.simulated != scenes.simulated,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def model_words(manifest: Manifest) -> str:
    """Bands, level and scaling that a model is for."""
    simulated = "simulated " if manifest.simulated else ""
    return f"{simulated}{manifest.level} {' '.join(manifest.bands)}, {manifest.scaling}"


def imagery_words(scenes: SceneList) -> str:
    """Bands, level and scaling of imagery."""
    clip, steps = scenes.scaling
    scaling = str(Scaling(clip, steps)) if clip else "full-range reflectance"
    simulated = "simulated " if scenes.simulated else ""
    return f"{simulated}{scenes.level} {' '.join(scenes.bands)}, {scaling}"


def _distance_km(manifest: Manifest, centre: shapely.Point) -> float:
    squares = np.array(manifest.ground.squares, float)
    if not len(squares):
        return float("inf")
    away = great_circle_km(centre.x, centre.y, squares[:, 0] + 0.5, squares[:, 1] + 0.5)
    return float(np.min(away))
