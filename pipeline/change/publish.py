"""A comparison's folder: named after everything that it depends on, so that it is made once."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from pipeline.change.folder import PAGE, write_changes
from pipeline.change.layers import Changes, disclose_changes
from pipeline.config import fingerprint
from pipeline.map.column_rules import load_policy, policy_of
from pipeline.map.manifest import MANIFEST
from pipeline.map.removals import read_removals, requested_areas
from pipeline.predict import Predicted
from pipeline.publish import point_to, run_info, tell_older
from pipeline.runtime.console import say
from pipeline.runtime.mirror import fetched_folder
from pipeline.words.catalogue import entries, languages
from pipeline.workflow.context import Context

# Raise it when the same inputs would give another product.
VERSION = 4
HOME = "changes"


def deliver_changes(
    context: Context, changes: Changes, earlier: Predicted, later: Predicted
) -> Path:
    """Publish a comparison, unless it is there already.

    Parameters
    ----------
    context : Context
        Configuration and region.
    changes : Changes
        What was found.
    earlier, later : Predicted
        The two seasons.

    Returns
    -------
    pathlib.Path
        ``processed/<region>/changes/<run>``; ``latest`` beside it points there.
    """
    config, removals = context.config, read_removals(context.config)
    kept = changes.series.groupby("season")["probability"].agg(["size", "sum"])
    inputs = {
        "stage": "changes",
        "version": [VERSION, version("asm-atlas")],
        "seasons": list(changes.seasons),
        "predictions": [earlier.entry.sha256, later.entry.sha256],
        "model": later.model.sha256,
        "series": {str(k): [int(n), float(p)] for k, (n, p) in kept.iterrows()},
        "layers": {one.declaration.name: one.identity for one in changes.joined.known_layers},
        "settings": [config.map.disclosure, config.map.language],
        "rules": fingerprint(repr(load_policy())),
        "words": fingerprint([entries(lang) for lang in languages()]),
        "removals": removals.sha256 if removals else "",
    }
    run_id = fingerprint(inputs)[:12]
    home = config.workspace.processed / context.region.name / HOME
    folder = home / run_id
    if removals is not None:
        tell_older(home.parent, requested_areas(changes.joined, removals))
    if (fetched_folder(folder) / MANIFEST).is_file():
        say("monitor", f"nothing to do: {folder} is up to date")
    else:
        run = run_info(context, run_id, [earlier, later], changes.joined)
        policy = policy_of(changes.joined)
        product = disclose_changes(changes, run, policy)
        write_changes(product, run, policy, changes.seasons, folder)
        kinds = product.layers["change_places"]["change_class"].value_counts()
        counted = ", ".join(f"{int(n)} {word}" for word, n in kinds.items()) or "none"
        say("monitor", f"places: {counted}; {folder / PAGE}")
    point_to(home / "latest", run_id)
    return folder
