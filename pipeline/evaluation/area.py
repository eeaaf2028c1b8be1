"""Read a labelled sample back and estimate how much mining there is, with an interval.

A sample judges a map, or it teaches a model: never both. What was drawn is looked up in the
workspace; the file that comes back is held against it cell by cell.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from features.errors import BankError
from models.errors import ModelError
from models.registry import load_model, registered
from pipeline.config import Config
from pipeline.errors import NoLabelsError, SampleUsedError
from pipeline.evaluation.area_estimates import Part, count_labels, estimate, long_table
from pipeline.evaluation.sample import (
    STRATA,
    TRAINED,
    VERSION,
    Drawn,
    load_drawn,
    strata_table,
)
from pipeline.geo import grid
from pipeline.geo.regions import packaged_outlines
from pipeline.geo.vector_files import read_vector
from pipeline.map.area_layer import SMALLEST_PUBLIC_CELLS, stored_area
from pipeline.runtime.console import console, say
from pipeline.runtime.files import whole_file, write_json
from pipeline.sites.samples import CANNOT_TELL, LabelledSample, name_some, raise_faults, read_sample
from pipeline.training.model_choice import registries
from pipeline.words import catalogue

_NAMES = ("name", "title", "name_2", "name_1", "territoire", "province")


def area_region(
    config: Config, sample: Path, regions: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Estimate, print the table, write it as JSON and CSV, and keep it for ``publish``.

    Parameters
    ----------
    config : Config
        Where the workspace is.
    sample : pathlib.Path
        The labelled GeoPackage.
    regions : pathlib.Path, optional
        Polygons, with a column ``name``, to estimate one by one; default: the packaged outlines
        that divide the region.
    out : pathlib.Path, optional
        JSON file; a CSV of the same figures goes beside it. Default: ``area.json`` in the region's
        processed folder.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    SampleError
        If the file is not the sample that was drawn, or its labels cannot be used.
    SampleUsedError
        If the map's model was trained on it.
    NoLabelsError
        If nothing is labelled.
    """
    labelled = read_sample(sample)
    drawn = load_drawn(config.workspace.interim / "samples", labelled.region, labelled.id)
    raise_faults(faults_against(labelled, drawn), sample)
    counts = count_labels(labelled.cells)
    if not sum(counts.values()) - counts["not labelled"] - counts[CANNOT_TELL]:
        raise NoLabelsError(
            "no cell of the sample is labelled mine or no mine",
            where=str(sample),
            next_step="open it in QGIS and fill in the column label",
        )
    unchecked = refuse_trained(config, labelled, drawn)
    parts, shapes = _parts(drawn, regions)
    facts = {key: drawn.facts[key] for key in _FACTS}
    result = estimate(drawn.cells, labelled.cells, parts, STRATA)
    if unchecked:
        result["notes"].append(unchecked)
    if drawn.facts["version"] < VERSION:
        result["accuracy"] = {}
        result["notes"].append(
            "the sample was drawn before cells unlike the training data had a stratum of their "
            "own: how far the map can be trusted is not estimated; draw another sample for that"
        )
    small = [part.name for part in parts if part.inside.sum() < SMALLEST_PUBLIC_CELLS]
    invented = catalogue.say("notices.simulated", catalogue.ENGLISH)
    record: dict[str, Any] = {
        "sample": drawn.id,
        **facts,
        "words": invented if facts["simulated"] else "",
        "disclosure": "restricted" if small else "public",
        **result,
    }
    path = out or config.workspace.processed / drawn.facts["region"] / "area.json"
    if path.suffix.lower() != ".json":
        path = path.with_name(path.name + ".json")
    write_json(path, record)
    table = long_table(record)
    with whole_file(path.with_suffix(".csv")) as beside:
        table.assign(simulated=facts["simulated"]).to_csv(beside, index=False)
    stored = [
        one | {"outline": shape} for one, shape in zip(record["regions"], shapes, strict=True)
    ]
    kept = stored_area(config, str(facts["region"]), str(facts["predictions"]))
    write_json(kept, record | {"regions": stored})
    _print(record)
    say("area", f"{path} and {path.with_suffix('.csv').name}")
    return record


_FACTS = (
    "region", "title", "simulated", "model", "model_sha256", "predictions", "thresholds",
    "first_image", "last_image",
)  # fmt: skip


def faults_against(labelled: LabelledSample, drawn: Drawn) -> list[str]:
    """Name what sets a file apart from the sample that was drawn.

    Parameters
    ----------
    labelled : LabelledSample
        The file.
    drawn : Drawn
        What this workspace stored.

    Returns
    -------
    list of str
        Empty if it is the same sample.
    """
    wanted = drawn.cells[drawn.cells["number"] > 0].set_index("number")["cell"].sort_index()
    found = labelled.cells.set_index("number")["cell"]
    faults = []
    strange = found[~found.isin(wanted)]
    missing = wanted[~wanted.isin(found)]
    known = found[found.isin(wanted)]
    swapped = known[known != wanted.reindex(known.index).fillna(-1)]
    for rows, words in (
        (strange, "cells that were not drawn"),
        (missing, "cells that were drawn are not there"),
        (swapped, "cells under another's number"),
    ):
        if len(rows):
            faults.append(f"{words} ({name_some(rows.index)})")
    table = strata_table(drawn)
    columns = list(table.columns)
    same = set(columns) <= set(labelled.strata.columns) and (
        labelled.strata[columns].astype(str).to_numpy().tolist()
        == table.astype(str).to_numpy().tolist()
    )
    if not same:
        faults.append("the table strata is not the one that was written")
    return faults


def refuse_trained(config: Config, labelled: LabelledSample, drawn: Drawn) -> str:
    """Refuse a sample that the model of its map has learned from.

    Parameters
    ----------
    config : Config
        Where the registry is.
    labelled : LabelledSample
        The sample's cells.
    drawn : Drawn
        The model's name, and which cells it was known to have been trained on.

    Returns
    -------
    str
        Words for the report if the model is not registered any more; else empty.

    Raises
    ------
    SampleUsedError
        If its manifest names the sample, or its cells hold some of the sample's beyond those that
        were set apart when it was drawn.
    """
    name = drawn.facts["model"]
    folder = registered(registries(config.workspace.home)).get(name)
    if folder is None:
        return f"the model {name} is not registered any more: not checked against its training"
    try:
        model = load_model(folder)
    except (ModelError, BankError) as error:
        return f"the model {name} cannot be read: not checked against its training ({error})"
    apart = drawn.cells.loc[drawn.cells["stratum"].isin(TRAINED), "cell"]
    judged = labelled.cells.loc[~labelled.cells["cell"].isin(apart), "cell"]
    known = np.isin(judged, model.cells)
    if drawn.id in model.manifest.data.samples:
        what = f"the model {name} was trained on the sample {drawn.id}"
    elif known.any():
        what = f"the model {name} was trained on {int(known.sum())} cells of the sample {drawn.id}"
    else:
        return ""
    raise SampleUsedError(
        f"{what}: it cannot judge that model's map",
        where=str(folder),
        next_step="draw a new sample (--draw 2) and label that one",
    )


def _parts(drawn: Drawn, file: Path | None) -> tuple[list[Part], list[str]]:
    """Return the whole and its parts, each with its outline as WKT; the whole's is empty."""
    ids = drawn.cells["cell"].to_numpy(np.int64)
    whole = Part(drawn.facts["region"], drawn.facts["title"], "region", np.ones(len(ids), bool))
    parts, shapes = [whole], [""]
    for name, title, shape in _outlines(file, drawn.facts["region"], ids):
        inside = _inside(shape, ids)
        # The packaged ones only where they divide the region.
        if inside.any() and (file is not None or not inside.all()):
            parts.append(Part(name, title, "part", inside))
            shapes.append(shapely.to_wkt(shape, rounding_precision=6))
    if file is not None and len(parts) == 1:
        raise NoLabelsError(
            "no polygon holds a cell of the region",
            where=str(file),
            next_step="--regions names polygons inside the region that was sampled",
        )
    return parts, shapes


def _outlines(
    file: Path | None, region: str, ids: NDArray[np.int64]
) -> list[tuple[str, str, shapely.Geometry]]:
    if file is None:
        west, south, east, north = grid.cell_bounds(ids)
        around = shapely.box(west.min(), south.min(), east.max(), north.max())
        return [
            (name, title, shape)
            for name, title, shape in packaged_outlines(around)
            if name != region and _inside(shape, ids).sum() >= SMALLEST_PUBLIC_CELLS
        ]
    table = read_vector(file)
    table = table[shapely.get_dimensions(table.geometry.to_numpy()) == 2].reset_index(drop=True)
    lower = {str(column).lower(): column for column in table.columns}
    column = next((lower[name] for name in _NAMES if name in lower), None)
    names = [f"part {i + 1}" for i in range(len(table))]
    if column is not None:
        names = [
            "".join(c for c in str(value) if c.isprintable())[:80] or name
            for value, name in zip(table[column], names, strict=True)
        ]
    shapes = list(table.geometry)
    return [(name, name, shape) for name, shape in zip(names, shapes, strict=True)]


def _inside(shape: shapely.Geometry, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    shapely.prepare(shape)
    inside: NDArray[np.bool_] = shapely.contains_xy(shape, *grid.cell_centres(ids))
    return inside


def _print(record: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in record["labels"].items())
    mark = "SIMULATED, an invented landscape; " if record["simulated"] else ""
    say("area", f"{record['title']} ({mark}sample {record['sample']}): {counts}")
    text = io.StringIO()
    table = long_table(record)
    how = list(dict.fromkeys(table["how"]))
    for (figure, unit), rows in table.groupby(["figure", "unit"], sort=False):
        text.write(f"\n{figure}, {unit}\n")
        for row in rows.to_dict("records"):
            value, low, high, error = (
                f"{row[key]:.4g}" for key in ("value", "low", "high", "standard_error")
            )
            left = row["not_estimated_km2"]
            beside = f"; {left:g} km2 not estimated" if left > 0 else ""
            text.write(
                f"  {row['region']:<28} {value:>9}   95 % {low} to {high}   SE {error}{beside}"
                f"   [{how.index(row['how']) + 1}]\n"
            )
    for number, words in enumerate(how, 1):
        text.write(f"\n[{number}] {words}")
    for note in record["notes"]:
        text.write(f"\nnote: {note}")
    console.print(text.getvalue().rstrip(), markup=False)
