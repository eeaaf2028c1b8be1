"""What a run will need, told before it begins: blocks, scenes, gigabytes, core-hours, room, cost.

Scenes are counted by asking the source: for a small region all of it, for a large one some blocks
that stand for the rest. Times and sizes are those that this workspace has seen, and otherwise those
of ``data/rates.csv``, each with how it was measured; nothing here is a price list.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from features.recipe import RECIPES
from features.rectify import Rectifiers
from pipeline.errors import NoSceneError, SourceError
from pipeline.geo import grid
from pipeline.geo.seasons import season_windows
from pipeline.imagery.forecast import forecast, seen_rates, usual_bytes
from pipeline.imagery.items import Scene
from pipeline.runtime.console import aligned, bar, console, say
from pipeline.runtime.files import write_json
from pipeline.runtime.package_data import data_folder
from pipeline.scenes import expected_revisits, search_scenes
from pipeline.training.model_choice import load_named
from pipeline.workflow.context import Context

# A larger region is judged by so many of its blocks.
SAMPLED = 24
HERE = "measured here"
# What the rates of the table are for.
_BANDS, _LOAD, _COLUMNS = 6, 6 * 512 * (9 + 25), 4096
_CELLS = grid.CELLS_PER_BLOCK**2
_SYMMETRIES = 8
_QUARTERS = 4
_FLOAT_BYTES = {"float32": 4, "float16": 2}


@dataclass(frozen=True)
class Step:
    """What one stage needs.

    Parameters
    ----------
    stage : str
        The verb.
    core_hours : float
        Of one core.
    gigabytes : float
        Of room for what it stores.
    rate : str
        Where the two come from.
    """

    stage: str
    core_hours: float
    gigabytes: float
    rate: str


@dataclass(frozen=True)
class Imagery:
    """What is to be read.

    Parameters
    ----------
    scenes_a_block : float
        Mean over the blocks.
    spread : tuple of float
        Lowest and highest of the blocks that were asked for.
    gigabytes : float
        To read, of the whole region, about.
    acquisitions : float
        That see a block, mean; 0: not counted.
    how : str
        How it was counted.
    remote : bool
        Whether it comes over the network.
    """

    scenes_a_block: float
    spread: tuple[float, float]
    gigabytes: float
    acquisitions: float
    how: str
    remote: bool


@dataclass(frozen=True)
class Prices:
    """What somebody pays, in any currency; 0: not told.

    Parameters
    ----------
    core_hour, gigabyte_read, gigabyte_month : float
        For an hour of a core, for a gigabyte that is read, for one that is kept for a month.
    """

    core_hour: float = 0.0
    gigabyte_read: float = 0.0
    gigabyte_month: float = 0.0


def plan_region(context: Context, prices: Prices | None = None) -> dict[str, Any]:
    """Say what mapping a region will need.

    Parameters
    ----------
    context : Context
        Region, season, source, bank or model; nothing is read of pixels.
    prices : Prices, optional
        For the cost.

    Returns
    -------
    dict
        What was said, as it is written to ``plan.json`` in the region's folder: ``region``,
        ``season``, ``blocks``, ``cells``, ``imagery``, ``bank``, ``steps``, ``core_hours``,
        ``hours`` (with ``cores``), ``gigabytes_read``, ``gigabytes_stored``, ``prices`` and
        ``cost`` (None where no price was told).

    Raises
    ------
    NoSceneError
        If no block that was asked for has a scene.
    SourceError
        If the source that was named does not answer.
    """
    config, blocks = context.config, context.region.blocks
    imagery = _imagery(context, blocks)
    bank = _bank(context)
    steps = list(_steps(context, len(blocks), imagery, bank))
    core_hours = sum(step.core_hours for step in steps)
    room = sum(step.gigabytes for step in steps)
    cores = config.cluster.workers or CPU_COUNT
    prices = prices or Prices()
    cost = (
        prices.core_hour * core_hours
        + prices.gigabyte_read * imagery.gigabytes
        + prices.gigabyte_month * room
    )
    told = {
        "region": context.region.name,
        "season": context.season,
        "simulated": context.region.simulated,
        "blocks": len(blocks),
        "cells": len(blocks) * _CELLS,
        "imagery": asdict(imagery),
        "bank": bank,
        "steps": [asdict(step) for step in steps],
        "core_hours": core_hours,
        "cores": cores,
        "hours": core_hours / cores,
        "gigabytes_read": imagery.gigabytes,
        "gigabytes_stored": room,
        "cost": cost if any(asdict(prices).values()) else None,
        "prices": asdict(prices),
    }
    path = config.workspace.processed / context.region.name / "plan.json"
    write_json(path, told)
    _tell(told, imagery, steps, config.run.max_blocks)
    say("plan", str(path))
    return told


def _imagery(context: Context, blocks: Sequence[grid.Block]) -> Imagery:
    """Ask the source for the scenes of some blocks; without a source, count by the calendar."""
    rng = np.random.default_rng(context.config.run.seed)
    chosen = np.sort(rng.choice(len(blocks), min(SAMPLED, len(blocks)), replace=False))
    counts, seen, bytes_read = list[float](), list[float](), list[float]()
    remote = False
    try:
        for index in bar(chosen.tolist(), "plan", len(chosen)):
            scenes, bands = _scenes_of(context, blocks[index])
            counts.append(len(scenes))
            seen.append(len({scene.acquisition for scene in scenes if not scene.radar}))
            told = forecast(context.store("composite"), [(blocks[index], scenes)], bands)
            bytes_read.append(told.gigabytes)
            remote |= told.remote
    except SourceError as error:
        if context.config.imagery.source != "auto":
            step = f"{error.next_step}; or leave SOURCE out: then the calendar counts"
            raise SourceError(error.what, where=error.where, next_step=step) from None
        if counts or not season_windows(context.season):
            raise
        return _by_calendar(context, blocks)
    if not any(counts):
        raise NoSceneError(
            f"not one of {len(chosen)} blocks of {context.region.name} has a scene in the season "
            f"{context.season or '(any)'}",
            next_step="try another SEASON, or another SOURCE",
        )
    whole = len(chosen) == len(blocks)
    return Imagery(
        scenes_a_block=mean(counts),
        spread=(min(counts), max(counts)),
        gigabytes=mean(bytes_read) * len(blocks),
        acquisitions=mean(seen),
        how="every block asked for at the source"
        if whole
        else f"{len(chosen)} blocks drawn at random asked for at the source, seed "
        f"{context.config.run.seed}",
        remote=remote,
    )


def _scenes_of(context: Context, block: grid.Block) -> tuple[list[Scene], tuple[str, ...]]:
    import shapely

    inside = shapely.box(*block.bounds).buffer(-grid.PIXEL / 4, join_style="mitre")
    alone = replace(context, region=replace(context.region, geometry=inside))
    try:
        found, _ = search_scenes(alone)
    except NoSceneError:
        return [], ()
    return found.of_block(block), found.bands


def _by_calendar(context: Context, blocks: Sequence[grid.Block]) -> Imagery:
    revisits = expected_revisits(context.season)
    bands = [name for name in context.config.imagery.bands.split(",") if name] or [""] * _BANDS
    one = sum(usual_bytes(name or "B04", grid.BLOCK_PX) for name in bands)
    return Imagery(
        scenes_a_block=revisits,
        spread=(revisits, 2 * revisits),
        gigabytes=one * revisits * len(blocks) / 1e9,
        acquisitions=revisits,
        how="no source was named: two satellites pass every five days, and up to twice as often "
        "where their swaths overlap",
        remote=True,
    )


def _bank(context: Context) -> dict[str, Any]:
    """Return the filters' load and the columns: of the model that was named, else of a new bank."""
    config = context.config
    if config.model.name != "auto":
        bank = load_named(config.workspace.home, config.model.name).bank
        turned = _SYMMETRIES if bank.symmetric else 1
        load = sum(len(bank.bands) * turned * group.count * group.patch**2 for group in bank.groups)
        of, columns, bands = config.model.name, bank.columns, len(bank.bands)
    else:
        features = config.features
        recipe = RECIPES[features.recipe]
        bands = len([name for name in config.imagery.bands.split(",") if name]) or _BANDS
        turned = _SYMMETRIES if recipe.symmetric else 1
        load = sum(bands * turned * features.filters * size**2 for size in features.patch_sizes)
        count = Rectifiers(recipe.biases, recipe.sides).count
        of = f"a new bank, recipe {recipe.name}"
        columns = len(features.patch_sizes) * features.filters * count
    return {"of": of, "columns": columns, "load": load, "bands": bands}


def _steps(context: Context, blocks: int, imagery: Imagery, bank: dict[str, Any]) -> Iterator[Step]:
    config, usual = context.config, _usual_rates()
    cells = blocks * _CELLS
    scenes = imagery.scenes_a_block * blocks

    def step(
        stage: str,
        name: str,
        seconds: float,
        size: float,
        seen: tuple[float, float] | None,
        per: float,
    ) -> Step:
        """Use what this workspace has seen (seconds and bytes a unit), else the usual."""
        if seen is not None:
            return Step(stage, seen[0] * per / 3600, seen[1] * blocks / 1e9, HERE)
        return Step(stage, seconds / 3600, size / 1e9, f"usual: {usual[name, 'seconds'][1]}")

    per_scene = seen_rates(context.store("composite"), imagery.remote)
    more_bands = bank["bands"] / _BANDS
    yield step(
        "composite", "composite", scenes * usual["composite", "seconds"][0] * more_bands,
        blocks * usual["composite", "bytes"][0] * more_bands, per_scene, scenes,
    )  # fmt: skip
    stored = _CELLS * _QUARTERS * bank["columns"] * _FLOAT_BYTES[config.features.dtype]
    yield Step(
        "featurize",
        blocks * usual["featurize", "seconds"][0] * bank["load"] / _LOAD / 3600,
        blocks * stored / 1e9,
        f"usual: {usual['featurize', 'seconds'][1]}; room from the {bank['columns']} columns",
    )
    yield Step(
        "predict",
        cells * usual["predict", "seconds"][0] * bank["columns"] / _COLUMNS / 3600,
        cells * usual["predict", "bytes"][0] / 1e9,
        f"usual: {usual['predict', 'seconds'][1]}",
    )
    edition = f"publish-{config.map.disclosure}"
    yield Step(
        "publish",
        cells * usual[edition, "seconds"][0] / 3600,
        cells * usual[edition, "bytes"][0] / 1e9,
        f"usual: {usual[edition, 'seconds'][1]}",
    )


def _usual_rates() -> dict[tuple[str, str], tuple[float, str]]:
    text = (data_folder() / "rates.csv").read_text(encoding="utf-8")
    return {
        (row["stage"], row["what"]): (float(row["value"]), row["how"])
        for row in csv.DictReader(text.splitlines())
    }


def _figure(value: float) -> str:
    """Write three digits, plainly."""
    digits = max(0, 2 - int(np.floor(np.log10(value)))) if value > 0 else 0
    return f"{value:,.{min(digits, 5)}f}"


def _tell(told: dict[str, Any], imagery: Imagery, steps: Sequence[Step], most: int) -> None:
    season, low, high = told["season"] or "every date", *imagery.spread
    ground = f"{told['blocks']:,} blocks, {told['cells']:,} cells"
    say("plan", f"{told['region']}, {season}: {ground}")
    scenes = f"{imagery.scenes_a_block:.1f} scenes a block ({low:g} to {high:g})"
    say("", f"{scenes}, {_figure(imagery.gigabytes)} GB to read; {imagery.how}")
    rows = [["stage", "core-hours", "GB kept", "rates"]]
    for step in steps:
        rates = HERE if step.rate == HERE else "usual"
        rows.append([step.stage, _figure(step.core_hours), _figure(step.gigabytes), rates])
    rows.append(["together", _figure(told["core_hours"]), _figure(told["gigabytes_stored"]), ""])
    console.print("\n".join(aligned(rows)), markup=False)
    hours = f"{_figure(told['hours'])} hours on {told['cores']} cores"
    say("", f"{hours}; usual rates, and how they were measured: data/rates.csv")
    if imagery.remote and steps[0].rate != HERE:
        say("", f"what the network takes for {_figure(imagery.gigabytes)} GB is not in these hours")
    if told["cost"] is not None:
        say("", f"cost at the prices given: {told['cost']:,.2f} (room for one month)")
    else:
        say("", "for a cost, say what you pay: CORE_HOUR=, GB_READ= and GB_MONTH=, in one currency")
    if told["blocks"] > most:
        say("", f"more than max_blocks = {most:,}: map it in parts, or raise MAX_BLOCKS")
