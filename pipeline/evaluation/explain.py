"""Rebuild one cell from its own row: read its scenes again, and hold the result against the map.

Nothing of what the map's cell was made from is taken up again but the list of scenes and the model:
pixels are read anew, blended, and scored by the functions that made the map.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline import composite as composites
from pipeline.classes import WEAKEST_FIRST, classify
from pipeline.errors import CellError, InputFileError, NoClearPixelError
from pipeline.evaluation.cell_images import Look, draw_looks
from pipeline.featurize import featurize_blocks
from pipeline.geo import grid
from pipeline.imagery.pixels import (
    CLEAR,
    CLOUD,
    REFLECTANCE_STEP,
    UNKNOWN,
    is_useful,
    read_scene,
)
from pipeline.join import join_predictions
from pipeline.map.column_rules import allowed, load_policy
from pipeline.map.editions import DECIMALS, PUBLIC, refuse_young
from pipeline.map.manifest import plain
from pipeline.map.removals import read_removals, remove_requested
from pipeline.predict import Predicted, predict_cells, read_predictions
from pipeline.run import predict_region
from pipeline.runtime.code import commit
from pipeline.runtime.console import aligned, console, say
from pipeline.runtime.files import whole_folder, write_json
from pipeline.scenes import reading_limits, source_of
from pipeline.words.catalogue import ENGLISH
from pipeline.words.catalogue import say as words
from pipeline.words.notices import notice
from pipeline.workflow import ledger
from pipeline.workflow.context import Context

FACTS, LOOKS = "cell.json", "looks.png"
# Sums over one cell and over a block of them are rounded differently.
ROUNDING = 1e-5
# Ground around the cell that the pictures show, in cells.
_MARGIN = 1
_MOST_LOOKS = 35
_TRUE_COLOUR = ("B04", "B03", "B02")
_PLACE = re.compile(r"(-?\d{1,3}(?:\.\d{1,20})?),(-?\d{1,2}(?:\.\d{1,20})?)")


@dataclass(frozen=True)
class Rebuilt:
    """What a cell was on the map, and what it is when it is made again.

    Parameters
    ----------
    stored, again : pandas.DataFrame
        Rows of the predictions (``pipeline.predict.read_predictions``) with their ``class``, one a
        cell, in the same order.
    differences : list of str
        Columns in which they differ, numbers by more than ``ROUNDING``; empty: they are the same.
    """

    stored: pd.DataFrame
    again: pd.DataFrame
    differences: list[str]


def explain_cell(context: Context, cell: str, out: Path | None = None) -> Path:
    """Rebuild a cell of a mapped region, and write what it was made from.

    Parameters
    ----------
    context : Context
        Of the map; its stages must be stored.
    cell : str
        ``longitude,latitude`` in degrees, or the number that the edition's map shows: that of a
        square in public, of a cell in the restricted one.
    out : pathlib.Path, optional
        Folder to write; default: beside the region's maps, named after the cell.

    Returns
    -------
    pathlib.Path
        The folder: ``cell.json``, and in the restricted edition ``looks.png`` with the composite
        and what each scene showed. The public edition tells of the square of 0.01 degree that holds
        the cell, and shows no picture of a single place.

    Raises
    ------
    CellError
        If it is no cell of the region, or none that the edition may show.
    StageMissingError
        If the region is not mapped yet.
    DisclosureError
        If the public edition is asked for and the imagery is too young.
    """
    public = context.config.map.disclosure == PUBLIC
    cells = _cells(cell, public)
    cells = cells[context.region.contains(cells)]
    if not len(cells):
        west, south, east, north = context.region.geometry.bounds
        raise CellError(
            f"no cell {cell} lies in {context.region.name}",
            where="a number is that of the public map's squares"
            if public
            else "a number is that of the restricted map's cells",
            next_step=f"name longitude,latitude within {west:g} to {east:g} and {south:g} to "
            f"{north:g}, or the REGION that holds it",
        )
    number = int(cells[0])
    name = f"square-{grid.coarse_cell_of(number)}" if public else f"cell-{number}"
    folder = out or context.config.workspace.processed / context.region.name / "explained" / name
    if folder.exists() and any(folder.iterdir()) and not (folder / FACTS).is_file():
        raise InputFileError(
            "there is something else in this folder",
            where=str(folder),
            next_step="name an empty or a new folder with --out",
        )
    predicted = predict_region(context, only="explain")
    if public:
        refuse_young([s.end for s in predicted.scenes.scenes], _today(), context.region.name)
        cells = cells[np.isin(cells, _shown(context, predicted))]
        if not len(cells):
            raise CellError(
                "the public map does not show this cell",
                where=cell,
                next_step="choose a square that the map draws, or DISCLOSURE=restricted",
            )
    block = grid.block_of_cell(number)
    with tempfile.TemporaryDirectory(prefix="asm-atlas-") as home:
        fresh = replace(
            context,
            config=context.config.with_keys(workspace=home, source=source_of(context)),
            region=replace(context.region, name="explain", geometry=_outline(cells)),
        )
        found, blends = _rebuild(fresh, predicted, block, cells)
        looks = [] if public else _looks(fresh, predicted, block, number, blends)
    facts = _facts(context, predicted, found, block, number)
    lang = context.config.map.language
    with whole_folder(folder) as partial:
        write_json(partial / FACTS, facts)
        if looks:
            about = f"{facts['words']} {_left_out(looks, facts, lang)}".strip()
            draw_looks(partial / LOOKS, looks, f"{context.region.title}, {name}", about, lang)
    _tell(facts, folder)
    if looks:
        say("", f"{folder / LOOKS}. {_left_out(looks, facts, ENGLISH)}".strip())
    return folder


def _left_out(looks: list[Look], facts: dict[str, Any], lang: str) -> str:
    """Say how many scenes are not in the picture; empty: all are."""
    shown, scenes = sum(bool(look.date) for look in looks), len(facts["scenes"])
    if shown == scenes:
        return ""
    return words("explain.left_out", lang, shown=shown, scenes=scenes, most=_MOST_LOOKS)


def _tell(facts: dict[str, Any], folder: Path) -> None:
    """Print the row, and whether it came out the same."""
    stored, again = facts["stored"], facts["rebuilt"]
    rows = [["", "map", "rebuilt"], *([k, _short(stored[k]), _short(again[k])] for k in stored)]
    console.print("\n".join(aligned(rows)), markup=False)
    verdict = "the same" if facts["same"] else "DIFFERENT in " + ", ".join(facts["differences"])
    say("explain", f"rebuilt from {len(facts['scenes'])} scenes: {verdict}; {folder}")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()


def _cells(text: str, public: bool) -> NDArray[np.int64]:
    """Return the cell that is meant; in public the four of the square that is meant, ascending."""
    place = _PLACE.fullmatch(text)
    if place:
        lon, lat = float(place[1]), float(place[2])
        if abs(lon) <= 180 and abs(lat) <= 90:
            cell = int(grid.cell_of(lon, lat))
            return _of_square(int(grid.coarse_cell_of(cell))) if public else np.array([cell])
    elif text.isdigit() and len(text) <= 12:
        return _of_square(int(text)) if public else np.array([int(text)])
    raise CellError(
        "a cell is asked for by its number, or by longitude,latitude in degrees",
        where=text[:80],
        next_step="make explain REGION=... CELL=12.345,-3.21, as the map was asked for",
    )


def _of_square(square: int) -> NDArray[np.int64]:
    row, col = divmod(square, grid.CELL_COLUMNS // 2)
    first = 2 * row * grid.CELL_COLUMNS + 2 * col
    return np.array([first, first + 1, first + grid.CELL_COLUMNS, first + grid.CELL_COLUMNS + 1])


def _shown(context: Context, predicted: Predicted) -> NDArray[np.int64]:
    """Return the cells of the public map: all but those that somebody asked to leave out."""
    joined = join_predictions(context, predicted.entry, predicted.model)[0]
    asked = read_removals(context.config)
    cells = joined.cells if asked is None else remove_requested(joined, asked).cells
    return cells["cell"].to_numpy(np.int64)


def _outline(cells: NDArray[np.int64]) -> BaseGeometry:
    return shapely.union_all(shapely.box(*grid.cell_bounds(cells)))


def _rebuild(
    fresh: Context, predicted: Predicted, block: grid.Block, cells: NDArray[np.int64]
) -> tuple[Rebuilt, list[Any]]:
    """Make the cells' block again in an empty workspace."""
    model = predicted.model
    blocks = [block] if model.manifest.neighbourhood == 1 else block.neighbourhood()
    stored = read_predictions(predicted.entry.path).set_index("cell").loc[cells].reset_index()
    blends: list[Any] = []
    try:
        blends = composites.composite_blocks(fresh, predicted.scenes, blocks)
        features = featurize_blocks(fresh, blends, model.bank)
        made = predict_cells(fresh, features, model, [block])
        again = read_predictions(made.path).set_index("cell").loc[cells].reset_index()
    except NoClearPixelError:
        # Then the map must not tell either: every column of a probability is empty.
        unknown = stored["probability"].isna().all()
        again = stored if unknown else stored.assign(probability=np.float32(np.nan))
    thresholds = model.manifest.thresholds
    stored, again = (_classed(table, thresholds) for table in (stored, again))
    differences = [str(name) for name in stored if not _alike(stored[name], again[name])]
    return Rebuilt(stored, again, differences), blends


def _alike(one: pd.Series, other: pd.Series) -> bool:
    if pd.api.types.is_float_dtype(one):
        return np.allclose(one, other, rtol=0, atol=ROUNDING, equal_nan=True)
    return one.astype(object).fillna("").equals(other.astype(object).fillna(""))


def _classed(table: pd.DataFrame, thresholds: dict[str, float]) -> pd.DataFrame:
    named = classify(table["probability"], thresholds, table["dissimilarity"])
    return table.assign(**{"class": named.astype(object)})


def _looks(
    fresh: Context, predicted: Predicted, block: grid.Block, cell: int, blends: list[Any]
) -> list[Look]:
    """Return the composite's picture of the cell and each scene's, oldest first."""
    bands = predicted.scenes.bands
    shown: list[str] = list(_TRUE_COLOUR) if set(_TRUE_COLOUR) <= set(bands) else [bands[0]]
    row, col = divmod(int(np.flatnonzero(block.cells().ravel() == cell)[0]), grid.CELLS_PER_BLOCK)
    rows, cols = (_around(place) for place in (row, col))
    corner = row * grid.CELL_PX - rows.start, col * grid.CELL_PX - cols.start

    def look(date: str, pixels: NDArray[np.float32], clear: NDArray[np.bool_]) -> Look:
        return Look(date, pixels[:, rows, cols], clear[rows, cols], corner, grid.CELL_PX)

    looks = []
    for entry in blends:
        if entry.unit == block.name:
            blended = (
                composites.read_composite(ledger.file_of(entry))["reflectance"]
                .sel(band=shown)
                .to_numpy()
            )
            looks.append(look("", blended, np.isfinite(blended).all(axis=0)))
    rule, limits = composites.Blending.of(fresh.config).clouds, reading_limits(fresh)
    optical = [scene for scene in predicted.scenes.of_block(block) if not scene.radar]
    for scene in sorted(optical, key=lambda scene: (scene.datetime, scene.id)):
        read = read_scene(scene, shown, block, limits, rule)
        if read is None or not np.isin(read.status[rows, cols], (CLEAR, CLOUD, UNKNOWN)).any():
            continue
        pixels = read.values.astype(np.float32) * np.float32(REFLECTANCE_STEP)
        looks.append(look(scene.datetime[:10], pixels, is_useful(read.status)))
    return looks[: 1 + _MOST_LOOKS]


def _around(place: int) -> slice:
    """Pixels of a row or column of cells with its neighbours, as far as the block goes."""
    first, last = max(0, place - _MARGIN), place + 1 + _MARGIN
    return slice(first * grid.CELL_PX, min(last * grid.CELL_PX, grid.BLOCK_PX))


def _facts(
    context: Context, predicted: Predicted, found: Rebuilt, block: grid.Block, cell: int
) -> dict[str, Any]:
    """Return what is told of the cell: all of it, or what the public edition may hold."""
    policy, edition = load_policy(), context.config.map.disclosure
    strongest = _strongest(found.stored)
    rows: list[dict[str, Any]] = [
        {str(k): v for k, v in table.iloc[strongest].items()}
        for table in (found.stored, found.again)
    ]
    public = edition == PUBLIC
    if public:
        square = int(grid.coarse_cell_of(cell))
        rows = [row | {"cell": square} for row in rows]
        west, south, east, north = (
            round(float(v), DECIMALS[PUBLIC]) for v in grid.coarse_cell_bounds(square)
        )
    else:
        west, south, east, north = (round(float(v), 3) for v in grid.cell_bounds(cell))
    model, lang = predicted.model, context.config.map.language
    scenes = predicted.scenes.of_block(block)
    return {
        "region": context.region.name,
        "simulated": predicted.scenes.simulated,
        "disclosure": edition,
        "words": notice(lang, predicted.scenes.simulated, edition),
        "bounds": [west, south, east, north],
        "stored": plain(allowed(policy, edition, "cells", rows[0])),
        "rebuilt": plain(allowed(policy, edition, "cells", rows[1])),
        "same": not found.differences,
        "differences": found.differences,
        "model": allowed(
            policy, edition, "model",
            {"id": model.name, "sha256": model.sha256,
             "thresholds": model.manifest.thresholds, "bank": model.bank.hash,
             "choice": predicted.why.text},
        ),
        "scenes": [
            allowed(policy, edition, "scenes", scene.facts()) for scene in scenes
        ],
        "configuration": allowed(policy, edition, "config", context.config.flat()),
        "code_version": version("asm-atlas"),
        "code_commit": commit(),
    }  # fmt: skip


def _strongest(table: pd.DataFrame) -> int:
    """Return the row that speaks for a square of several cells, as on the public map."""
    rank = table["class"].map({name: at for at, name in enumerate(WEAKEST_FIRST)}).to_numpy()
    return int(np.lexsort((table["probability"].fillna(-1).to_numpy(), rank))[-1])
