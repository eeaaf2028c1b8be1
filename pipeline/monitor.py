"""What changed between two seasons: one model and one bank asked of both, and every season kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline import composite as composites
from pipeline.change.difference import difference_blocks, read_differences
from pipeline.change.layers import Changes
from pipeline.change.naming import name_cells, side_by_side
from pipeline.change.places import find_places
from pipeline.change.publish import deliver_changes
from pipeline.change.seasons import seasons_between
from pipeline.change.series import Series
from pipeline.errors import NoClearPixelError, NoSceneError
from pipeline.join import labels_file
from pipeline.map.editions import refuse_young_scenes
from pipeline.predict import Predicted, read_predictions
from pipeline.run import predict_region
from pipeline.runtime.console import say
from pipeline.scenes import find_scenes
from pipeline.sites.join import Joined, site_points
from pipeline.sites.layers.attach import layers_near
from pipeline.sites.layers.read import load_layers
from pipeline.sites.visits import all_sites, read_visits
from pipeline.train import train_best
from pipeline.training.model_choice import choose_model
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context


def monitor_region(
    context: Context, first: str, last: str, every: str = "", rerun: bool = False
) -> Path:
    """Compare two seasons of a region, keep both in its series, and publish what changed.

    Parameters
    ----------
    context : Context
        Configuration, region and workers; ``season`` is that of the training, where the region has
        a training ground.
    first, last : str
        The two seasons, ``YYYY-MM..YYYY-MM``.
    every : str, optional
        ``year`` or ``quarter``: keep the seasons between them too.
    rerun : bool, optional
        Make every season kept anew, with the model of this command.

    Returns
    -------
    pathlib.Path
        The folder of what was published.

    Raises
    ------
    MixedModelsError
        If the series holds seasons of another model, and ``rerun`` was not asked for.
    DisclosureError
        If the public product is asked for and a season is younger than six months.
    PartialError
        If scenes that could not be read are missing from it; what was published is there.
    AsmAtlasError
        Whatever the stages raise; what is finished stays stored.
    """
    seasons = seasons_between(first, last, every)
    found = find_scenes(context.during(last))
    refuse_young_scenes(found, context)
    # A region with a training ground is trained in its own season, whatever seasons are compared.
    model, _ = choose_model(context, found, train_best)
    command = make_command("monitor", context.config, context.region)
    context = replace(context, config=context.config.with_keys(model=model.name))
    series = Series.of(context, model)
    if rerun:
        seasons = sorted({*seasons, *series.seasons()})
    else:
        series.check(f"{command} FROM={first} TO={last} RERUN=yes")
    made = {}
    for season in seasons:
        try:
            say("monitor", f"season {season}")
            made[season] = predict_region(context.during(season))
        except (NoSceneError, NoClearPixelError) as error:
            if season in (first, last):
                raise
            say("monitor", f"{season} is left out: {error.what}")
    # Only when all are there; a kill in between leaves a mixture, which ``check`` then refuses.
    if rerun:
        series.forget(keep=made)
    for season, predicted in made.items():
        series.keep(season, predicted)
    folder = _publish(context, first, last, made, series)
    for predicted in made.values():
        composites.raise_partial(predicted.composites)
    return folder


def _publish(
    context: Context, first: str, last: str, made: dict[str, Predicted], series: Series
) -> Path:
    earlier, later = made[first], made[last]
    compared = difference_blocks(context, earlier.features, later.features, later.model)
    cells = name_cells(
        side_by_side(
            read_predictions(earlier.entry.path),
            read_predictions(later.entry.path),
            read_differences(compared),
        ),
        later.model.manifest.thresholds,
    )
    counts = ", ".join(f"{n} {word}" for word, n in cells["change_class"].value_counts().items())
    say("monitor", f"{first} to {last}: {counts} cells")
    visits = labels_file(context, visits=True)
    known = read_visits(visits, context.config.labels.mapping) if visits else None
    joined = Joined(
        cells,
        # Removal requests may name a site: its place is needed to leave it out.
        None if known is None else site_points(all_sites(known)),
        find_places(cells).rename(columns={"place": "candidate"}),
        known_layers=layers_near(load_layers(context.config), context.region.geometry.bounds),
    )
    changes = Changes(joined, series.read(), (first, last))
    return deliver_changes(context, changes, earlier, later)
