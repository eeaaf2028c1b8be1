"""A run's folder: named after everything that the map depends on, so that it is made once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classes import CANNOT_TELL
from pipeline.composite import failed_scenes
from pipeline.config import fingerprint, settings_hash
from pipeline.join import used_tables
from pipeline.map.area_layer import read_estimates, stored_area
from pipeline.map.column_rules import load_policy
from pipeline.map.editions import PUBLIC, region_as_shown
from pipeline.map.files.sheets import write_sheets
from pipeline.map.folder import PROJECT, REPORT, SHEETS, publish
from pipeline.map.manifest import MANIFEST, RunManifest, record_file
from pipeline.map.page.report import write_report
from pipeline.map.provenance import RunInfo
from pipeline.map.removals import (
    read_removals,
    requested_areas,
    shows_requested,
    summarise_requests,
)
from pipeline.predict import Predicted
from pipeline.runtime.code import commit
from pipeline.runtime.console import say
from pipeline.runtime.journal import journal
from pipeline.runtime.mirror import fetched_folder, point
from pipeline.sites.join import Joined
from pipeline.words.catalogue import entries, languages
from pipeline.workflow.context import Context

# Raise it when the same inputs would give another product.
VERSION = 6
# What a map depends on beside its inputs; the rest of the configuration says where and how fast.
_OF_THE_MAP = ("season", "min_observed", "disclosure", "map_lang", "seed", "visit_years")


def deliver(
    context: Context,
    predicted: Predicted,
    joined: Joined,
    identity: dict[str, Any],
    report: bool,
    sheets: int = 0,
) -> Path:
    """Publish into the run's folder, which is named after everything that it depends on.

    Parameters
    ----------
    context : Context
        Configuration and region.
    predicted : Predicted
        The predictions with their imagery and model.
    joined : Joined
        Cells, sites and candidates.
    identity : dict
        What the joined tables were made from.
    report : bool
        Whether the page is written too, and ``latest`` points here.
    sheets : int, optional
        Candidates to print field sheets of; 0: none are printed.

    Returns
    -------
    pathlib.Path
        The folder; if it is complete already, nothing is done.
    """
    found, model = predicted.scenes, predicted.model
    given = context.config.flat()
    settings = {key: given[key] for key in _OF_THE_MAP}
    inputs = identity | {
        "settings": settings,
        "season": context.season,
        "model": model.sha256,
        "scenes": [scene.id for scene in found.scenes],
        "version": [VERSION, version("asm-atlas")],
        "rules": fingerprint(repr(load_policy())),
        "words": fingerprint([entries(lang) for lang in languages()]),
    }
    # A map without estimates keeps its name.
    area = read_estimates(stored_area(context.config, context.region.name, predicted.entry.sha256))
    if area:
        inputs |= {"area": fingerprint(area)}
    # So does one that nobody asked to leave anything out of.
    removals = read_removals(context.config)
    if removals is not None:
        inputs |= {"removals": removals.sha256}
    run_id = fingerprint(inputs)[:12]
    home = context.config.workspace.processed / context.region.name
    if joined.sites is None:
        tell_without_visits(home)
    if removals is not None:
        say("removals", summarise_requests(joined, removals))
        tell_older(home, requested_areas(joined, removals))
    folder = home / run_id
    finished = REPORT if report else MANIFEST
    fetched_folder(folder)
    if (folder / MANIFEST).is_file() and (folder / finished).is_file():
        say("publish", f"nothing to do: {folder} is up to date")
        if (folder / REPORT).is_file():
            point_to(home / "latest", run_id)
        _print(folder, sheets)
        return folder
    unknown = int((joined.cells["class"] == CANNOT_TELL).sum())
    run = run_info(context, run_id, [predicted], joined, small_cells_cannot_tell=unknown)
    run = replace(run, area=area)
    if not (folder / MANIFEST).is_file():
        page = partial(write_report, joined, run) if report else None
        counts = publish(joined, run, folder, page)
        journal.worked = True
        say("publish", f"{folder / 'map.gpkg'}: " + _counted(counts))
    elif report:
        write_report(joined, run, folder)
        journal.worked = True
    if report:
        say("report", str(folder / REPORT))
        point_to(home / "latest", run_id)
    _print(folder, sheets)
    return folder


def run_info(
    context: Context, run_id: str, made: Sequence[Predicted], joined: Joined, **counts: int
) -> RunInfo:
    """Return the record of what a product was made from.

    Parameters
    ----------
    context : Context
        Configuration and region.
    run_id : str
        Name of the product's folder.
    made : sequence of Predicted
        The season or seasons, the newest last.
    joined : Joined
        Its rows.
    **counts
        What else was counted.

    Returns
    -------
    RunInfo
        Without estimates of areas.
    """
    scenes = [scene for one in made for scene in one.scenes.scenes]
    newest = made[-1]
    return RunInfo(
        run_id=run_id,
        region=region_as_shown(context),
        model=newest.model.manifest,
        choice=newest.why,
        config=context.config,
        config_hash=settings_hash(context.config),
        code_version=version("asm-atlas"),
        code_commit=commit(),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        tables=used_tables(context, joined.known_layers),
        scenes=[scene.facts() for scene in scenes],
        simulated=newest.scenes.simulated,
        counts={
            "scenes": len(scenes),
            "scenes_not_read": sum(len(failed_scenes(one.composites)) for one in made),
            "blocks": len(context.region.blocks),
            "small_cells": len(joined.cells),
        }
        | counts,
        images=(
            min(scene.datetime[:10] for scene in scenes),
            max(scene.end[:10] for scene in scenes),
        ),
    )


def _print(folder: Path, sheets: int) -> None:
    """Print the field sheets, and enter them into the manifest."""
    if sheets:
        pages = write_sheets(folder / PROJECT, folder / SHEETS, sheets)
        if pages:
            record_file(folder, folder / SHEETS)
        say("sheets", f"{folder / SHEETS}: {pages} pages" if pages else "there is no candidate")


def tell_older(home: Path, areas: NDArray[np.object_]) -> None:
    """Name the public folders of a region that still hold what was asked to leave.

    Parameters
    ----------
    home : pathlib.Path
        The region's folder: maps, comparisons of seasons, explained squares.
    areas : numpy.ndarray of shapely.Polygon
        Of ``pipeline.map.removals.requested_areas``.
    """
    fetched_folder(home, MANIFEST)
    made = [*home.glob(f"*/{MANIFEST}"), *home.glob(f"changes/*/{MANIFEST}")]
    folders = [file.parent for file in made if RunManifest.read(file.parent).disclosure == PUBLIC]
    for folder in sorted([*folders, *home.glob("explained/square-*")]):
        if folder.name != "latest" and shows_requested(fetched_folder(folder), areas):
            say("removals", f"{folder} still shows what was asked to leave: delete it")


def tell_without_visits(home: Path) -> None:
    """Say so where the map before was joined with a table of visits, and this one is not.

    Parameters
    ----------
    home : pathlib.Path
        The region's folder; ``latest`` is the map before.
    """
    fetched_folder(home, MANIFEST)
    before = home / "latest"
    tables = RunManifest.read(before).tables if (before / MANIFEST).is_file() else []
    if any(table["name"] == "visits" for table in tables):
        say(
            "join",
            "the map before this one was joined with a table of visits, this one with none: "
            "give LABELS again if it should be",
        )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def point_to(link: Path, name: str) -> None:
    """Let ``latest`` point at a run, without a moment in which it points nowhere."""
    # One name: what a killed run left is taken away by the next.
    point(link, name)
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(name, target_is_directory=True)
    beside.replace(link)
