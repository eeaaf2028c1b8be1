"""What the composites could see, told after they are made: a table and a picture."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import fingerprint
from pipeline.errors import AsmAtlasError
from pipeline.geo import grid
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_file
from pipeline.workflow.context import Context
from pipeline.workflow.ledger import Entry

# Squares of 0.01 degree along a block's side: enough for a picture.
SQUARES = 10
_SQUARE_PX = grid.BLOCK_PX // SQUARES
COLUMNS = ("block", "clear_share", "clear_least", "clear_median", "scenes", "failed", "cause")


def cell_counts(clear: NDArray[np.int16]) -> list[list[int]]:
    """Return the mean number of clear observations of each 0.01-degree square, rounded.

    Parameters
    ----------
    clear : numpy.ndarray of int16, shape (h, w)
        A block with its halo.

    Returns
    -------
    list of list of int
        North to south, west to east; JSON.
    """
    inside = clear[: grid.BLOCK_PX, : grid.BLOCK_PX]
    parts = inside.reshape(SQUARES, _SQUARE_PX, SQUARES, _SQUARE_PX)
    return [[round(float(value)) for value in row] for row in parts.mean(axis=(1, 3))]


def report_coverage(context: Context, entries: Sequence[Entry]) -> None:
    """Store the table and the picture of a region's composites, and say what they show.

    Parameters
    ----------
    context : Context
        Where the store is.
    entries : sequence of Entry
        Of the composites, failed ones among them.
    """
    if not entries:
        return
    failures = Counter(cause for entry in entries for cause in _causes(entry))
    counts = [np.array(entry.facts["clear_cells"]) for entry in entries if entry.facts]
    key = fingerprint([[entry.unit, entry.sha256, _causes(entry)] for entry in entries])
    table = context.store("coverage") / context.region.name / f"{key}.csv"
    picture = table.with_suffix(".png")
    if not picture.is_file():
        with whole_file(table) as beside:
            beside.write_text(_table(entries), encoding="utf-8")
        with whole_file(picture) as beside:
            _draw(beside, entries, context.region.title)
    if counts:
        values = np.concatenate([block.ravel() for block in counts])
        low, middle, high = np.percentile(values, [5, 50, 95])
        say(
            "",
            f"clear observations: {middle:.0f} at the median, {low:.0f} to {high:.0f} for nine "
            f"squares in ten, none in {np.mean(values == 0):.1%}; {picture}",
        )
    for cause, count in failures.most_common():
        say("", f"{count} x {cause}")


def _causes(entry: Entry) -> list[str]:
    if entry.error is not None:
        return [f"block failed: {_cause(entry.error)}"]
    gaps = (entry.facts or {}).get("failed", [])
    return [f"scene left out: {gap['cause']}: {gap['text']}" for gap in gaps]


def _cause(error: AsmAtlasError) -> str:
    return f"{type(error).__name__}: {error.what}"


def _table(entries: Sequence[Entry]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for entry in entries:
        causes = "; ".join(sorted(set(_causes(entry))))
        if entry.facts:
            cells = np.array(entry.facts["clear_cells"])
            about = [entry.facts["clear_share"], cells.min(), float(np.median(cells))]
            gaps = len(entry.facts["failed"])
            table.writerow([entry.unit, *about, entry.facts["scenes"], gaps, causes])
        else:
            table.writerow([entry.unit, "", "", "", "", "", causes])
    return text.getvalue()


def _draw(path: Path, entries: Sequence[Entry], title: str) -> None:
    # Here and not above: half a second that workers need not spend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes = [grid.Block.from_name(entry.unit).bounds for entry in entries]
    west, north = min(box[0] for box in boxes), max(box[3] for box in boxes)
    east, south = max(box[2] for box in boxes), min(box[1] for box in boxes)
    side = grid.PIXEL * _SQUARE_PX
    width, height = round((east - west) / side), round((north - south) / side)
    image = np.full((height, width), np.nan)
    failed = np.zeros((height, width), bool)
    for entry, box in zip(entries, boxes, strict=True):
        top, left = round((north - box[3]) / side), round((box[0] - west) / side)
        place = np.s_[top : top + SQUARES, left : left + SQUARES]
        if entry.facts:
            image[place] = np.array(entry.facts["clear_cells"])
        failed[place] = bool(_causes(entry))
    figure = Figure(figsize=(7, 7 * min(2.0, max(0.5, height / width)) * 0.85), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    extent = (west, east, south, north)
    drawn = axes.imshow(image, extent=extent, cmap="viridis", vmin=0, interpolation="nearest")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
    bar.set_label("clear observations (white: no scene)")
    if failed.any():
        marks = np.where(failed[..., None], [0.85, 0.1, 0.1, 0.45], [0.0, 0, 0, 0])
        axes.imshow(marks, extent=extent, interpolation="nearest")
        axes.set_xlabel("red: scenes are missing that could not be read")
    axes.set_title(f"Clear observations, {title}", loc="left", fontsize=10)
    axes.ticklabel_format(useOffset=False)
    figure.savefig(path, format="png", bbox_inches="tight")
