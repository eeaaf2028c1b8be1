"""Join a region's predictions with the files that say what is known on the ground, once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from models.model import Model
from pipeline.demo.folder import demo_folder
from pipeline.errors import NoLabelsError
from pipeline.predict import read_predictions
from pipeline.runtime.console import say
from pipeline.sites.answer_codes import count_unrecognised
from pipeline.sites.column_mapping import load_mapping
from pipeline.sites.join import Joined, join_cells
from pipeline.sites.layers.attach import layers_near
from pipeline.sites.layers.layer import KnownLayer
from pipeline.sites.layers.read import load_layers
from pipeline.sites.ranking import RANDOM
from pipeline.sites.scorecard import rules_fingerprint
from pipeline.sites.service import came_from, is_address
from pipeline.sites.visit_tables import are_visits
from pipeline.sites.visits import read_visits, visits_file
from pipeline.workflow import ledger
from pipeline.workflow.context import Context

# Raise it when the joined tables change.
_JOIN_VERSION = 6


def join_predictions(
    context: Context, predictions: ledger.Entry, model: Model
) -> tuple[Joined, dict[str, Any]]:
    """Join a region's predictions with what is known on the ground, and store it.

    Parameters
    ----------
    context : Context
        Configuration and region.
    predictions : ledger.Entry
        The stored predictions.
    model : Model
        That made them; its thresholds name the classes.

    Returns
    -------
    Joined
        Cells, sites and candidates, taken up where they are stored.
    dict
        What they were made from.

    Raises
    ------
    VisitsError, LayerError, DeclarationError
        If a table of visits or a layer cannot be used.
    """
    visits_path = labels_file(context, visits=True)
    layers = layers_near(load_layers(context.config), context.region.geometry.bounds)
    mapping = context.config.labels.mapping
    inputs = {
        "stage": "join",
        "version": _JOIN_VERSION,
        "predictions": predictions.sha256,
        "thresholds": model.manifest.thresholds,
        "visits": _sha256(visits_path) if visits_path else "",
        "mapping": ledger.key_of(asdict(load_mapping(mapping))) if mapping else "",
        "rules": rules_fingerprint(),
        "layers": {layer.declaration.name: layer.identity for layer in layers},
        "lang": context.config.map.language,
        "random": [context.config.map.random_places, context.config.run.seed],
    }
    root, name = context.store("joined"), context.region.name
    parts = ("cells", "sites", "candidates", "visits", "answers")
    entries = {part: ledger.find(root, f"{name}/{part}", inputs, ".parquet") for part in parts}
    reused = all(entries.values())
    if not reused:
        visits = read_visits(visits_path, mapping) if visits_path else None
        joined = join_cells(
            read_predictions(predictions.path),
            visits,
            context.region,
            model.manifest.thresholds,
            layers=layers,
            lang=context.config.map.language,
            random_places=context.config.map.random_places,
            seed=context.config.run.seed,
        )
        if visits is not None and (strange := count_unrecognised(visits)):
            counted = ", ".join(f"{count} of {column}" for column, count in strange.items())
            say("visits", f"answers in words that are not in the table of answers: {counted}")
        for part in parts:
            table = getattr(joined, part)
            table = pd.DataFrame() if table is None else table

            def write(path: Path, table: pd.DataFrame = table) -> dict[str, Any]:
                table.to_parquet(path)
                return {"rows": len(table)}

            entries[part] = ledger.build(root, f"{name}/{part}", inputs, ".parquet", write)
    paths = {part: entry.path for part, entry in entries.items() if entry is not None}
    joined = Joined(
        pd.read_parquet(paths["cells"]),
        gpd.read_parquet(paths["sites"]) if visits_path else None,
        gpd.read_parquet(paths["candidates"]),
        pd.read_parquet(paths["visits"]) if visits_path else None,
        pd.read_parquet(paths["answers"]) if visits_path else None,
        layers,
    )
    matched = int(joined.sites["matched"].sum()) if joined.sites is not None else 0
    known = "no table of sites" if joined.sites is None else f"{len(joined.sites)} known sites"
    drawn = int((joined.candidates["kind"] == RANDOM).sum())
    say(
        "join",
        f"{known}, {matched} matched; {len(joined.candidates) - drawn} candidates without one, "
        f"{drawn} places drawn at random" + (" (reused)" if reused else ""),
    )
    return joined, inputs


def labels_file(context: Context, visits: bool = False) -> Path | None:
    """Return the file of labels: the configured one, else the demo's visits, else none.

    Parameters
    ----------
    context : Context
        Configuration and region.
    visits : bool
        Whether it must be a table of visits, since that alone can be joined with.

    Returns
    -------
    pathlib.Path or None
        The file.
    """
    config = context.config
    if is_address(config.labels.file):
        return visits_file(config)
    given = Path(config.labels.file) if config.labels.file else None
    if given is not None and (not visits or are_visits(given, config.labels.mapping)):
        return given
    if context.region.source == "demo":
        return demo_folder(context) / "visits.csv"
    return None


def used_tables(context: Context, layers: Sequence[KnownLayer]) -> list[dict[str, str]]:
    """Return which tables and layers a map is joined with.

    Parameters
    ----------
    context : Context
        Configuration and region.
    layers : sequence of KnownLayer
        Those around the region.

    Returns
    -------
    list of dict of str to str
        ``name`` and ``sha256``; ``service`` and ``fetched`` where a service sent it.
    """
    path = labels_file(context, visits=True)
    visits = [{"name": "visits", "sha256": _sha256(path)} | came_from(path)] if path else []
    return visits + [
        {"name": layer.declaration.table, "sha256": layer.sha256} | layer.came for layer in layers
    ]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise NoLabelsError(
            f"the table of visits cannot be read: {error}",
            where=str(path),
            next_step="check the path in LABELS, and that the file may be read",
        ) from None
