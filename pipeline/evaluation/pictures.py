"""Pictures of what the stages stored, for people who look before they believe.

Each function takes what a stage gives and returns a matplotlib figure; nothing is computed here
that the stages do not compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank
from pipeline.composite import read_composite
from pipeline.errors import DisclosureError
from pipeline.geo import grid
from pipeline.words.catalogue import ENGLISH, say
from pipeline.workflow import ledger
from pipeline.workflow.cells import CellTable

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.figure import Figure

    from pipeline.geo.regions import Region
    from pipeline.workflow.context import Context

TRUE_COLOUR = ("B04", "B03", "B02")
# Pixels of the longer side of a picture of a region.
_LONGEST_PX = 1_600
# Ground around a candidate, in cells.
_MARGIN = 3
_INK = "#1b1f24"
# Correlation from which two features count as the same picture.
_ALIKE = 0.7


def true_colour(context: Context, composites: Sequence[ledger.Entry]) -> Figure:
    """Draw a region's composite.

    Parameters
    ----------
    context : Context
        Of the region.
    composites : sequence of ledger.Entry
        As ``composite_blocks`` gives them.

    Returns
    -------
    matplotlib.figure.Figure
        Red, green and blue, or the first band; white where never clear.
    """
    bands = _shown(composites)
    picture, extent = _mosaic(composites, lambda stored: stored["reflectance"].sel(band=bands))
    figure, axes = _panel(context, f"Composite, {context.season or 'every date'}", extent)
    axes.imshow(_stretched(picture), extent=extent, interpolation="nearest")
    return figure


def clear_counts(context: Context, composites: Sequence[ledger.Entry]) -> Figure:
    """Draw how often each place was seen without cloud.

    Parameters
    ----------
    context : Context
        Of the region.
    composites : sequence of ledger.Entry
        As ``composite_blocks`` gives them.

    Returns
    -------
    matplotlib.figure.Figure
        Counts of clear observations.
    """
    counts, extent = _mosaic(composites, lambda stored: stored["clear"].expand_dims("band"))
    figure, axes = _panel(context, "Clear observations", extent)
    drawn = axes.imshow(counts[0], extent=extent, vmin=0, interpolation="nearest")
    figure.colorbar(drawn, ax=axes, shrink=0.8)
    return figure


def filters(context: Context, bank: FilterBank, most: int = 24) -> Figure:
    """Draw the first filters of each patch size, three of their bands as colours.

    Parameters
    ----------
    context : Context
        Of the region.
    bank : FilterBank
        The filters.
    most : int, optional
        Of each patch size.

    Returns
    -------
    matplotlib.figure.Figure
        One row a patch size.
    """
    from matplotlib.figure import Figure

    shown = [bank.bands.index(b) for b in TRUE_COLOUR if b in bank.bands]
    shown = shown if len(shown) == 3 else [0, 0, 0]
    count = min(most, *(group.count for group in bank.groups))
    figure = Figure(figsize=(0.45 * count + 1.2, 0.6 * len(bank.groups) + 0.5), dpi=110)
    for row, group in enumerate(bank.groups):
        for index in range(count):
            axes = figure.add_subplot(len(bank.groups), count, row * count + index + 1)
            one = group.filters[index][shown]
            largest = np.abs(one).max() or 1.0
            axes.imshow(np.moveaxis(0.5 + 0.5 * one / largest, 0, -1), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if not index:
                axes.set_ylabel(f"{group.patch} px", rotation=0, ha="right", va="center")
    _mark(context, figure, f"Filters of bank {bank.hash[:12]}")
    return figure


def feature_maps(context: Context, cells: CellTable, bank: FilterBank, most: int = 6) -> Figure:
    """Draw features over the region: those in which its cells differ most, each unlike the others.

    Parameters
    ----------
    context : Context
        Of the region.
    cells : CellTable
        Its features.
    bank : FilterBank
        Of the features.
    most : int, optional
        How many.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a feature.
    """
    from matplotlib.figure import Figure

    seen = cells.features[np.isfinite(cells.features).all(axis=1)]
    low, middle, high = np.percentile(seen, [10, 50, 90], axis=0)
    spread = (high - low) / np.maximum(middle, 1e-9) * (middle > 0)
    chosen: list[int] = []
    for index in np.argsort(-spread, kind="stable").tolist():
        # What looks like one that is there already tells nothing new.
        alike = (np.corrcoef(seen[:, index], seen[:, other])[0, 1] for other in chosen)
        if len(chosen) < most and all(abs(r) < _ALIKE for r in alike):
            chosen.append(index)
    row, col = np.divmod(cells.cell, grid.CELL_COLUMNS)
    shape = int(np.ptp(row)) + 1, int(np.ptp(col)) + 1
    columns = 3
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(11, 3.4 * rows * min(1.4, shape[0] / shape[1]) + 0.8), dpi=110)
    for number, index in enumerate(chosen):
        axes = figure.add_subplot(rows, columns, number + 1)
        image = np.full(shape, np.nan, np.float32)
        image[row - row.min(), col - col.min()] = cells.features[:, index]
        least, most_of_it = np.nanpercentile(image, [2, 98])
        axes.imshow(image, vmin=least, vmax=most_of_it, interpolation="nearest")
        axes.set_title(bank.column_names[index], fontsize=8)
        axes.set_axis_off()
    _mark(context, figure, "Features of the cells")
    return figure


def candidate_chips(
    context: Context,
    candidates: gpd.GeoDataFrame,
    seasons: Mapping[str, Sequence[ledger.Entry]],
    most: int = 6,
) -> Figure:
    """Draw the first candidates by rank in each season, with one stretch for all.

    Parameters
    ----------
    context : Context
        Of the region.
    candidates : geopandas.GeoDataFrame
        As ``join_predictions`` gives them.
    seasons : mapping of str to sequence of ledger.Entry
        Composites by the name of their season, the earlier first.
    most : int, optional
        Candidates to draw.

    Returns
    -------
    matplotlib.figure.Figure
        A column a candidate, a row a season.

    Raises
    ------
    DisclosureError
        If these are single places of real ground, and the public edition is asked for.
    """
    from matplotlib.figure import Figure

    if context.config.map.disclosure == "public" and not context.region.simulated:
        raise DisclosureError(
            "chips show single places, which the public edition may not",
            where=context.region.name,
            next_step="DISCLOSURE=restricted, and keep the pictures to yourself",
        )
    first = candidates.sort_values("rank").head(most)
    stores = [{entry.unit: entry for entry in entries} for entries in seasons.values()]
    bands = _shown(next(iter(seasons.values())))
    chips = [[_chip(row.cell, store, bands) for row in first.itertuples()] for store in stores]
    seen = [chip for line in chips for chip in line if np.isfinite(chip).any()]
    low, high = np.nanpercentile(np.concatenate([c.ravel() for c in seen]), [1, 99])
    figure = Figure(figsize=(1.9 * len(first) + 0.6, 2.1 * len(stores) + 0.7), dpi=110)
    for line, (season, drawn) in enumerate(zip(seasons, chips, strict=True)):
        for index, (chip, row) in enumerate(zip(drawn, first.itertuples(), strict=True)):
            axes = figure.add_subplot(len(stores), len(first), line * len(first) + index + 1)
            axes.imshow(_stretched(chip, low, high), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if not line:
                axes.set_title(f"{row.rank}: {row.probability:.2f}", fontsize=9)
            if not index:
                axes.set_ylabel(season, fontsize=8)
    _mark(context, figure, "Candidates by rank, with their highest score")
    return figure


def blocks_under(candidates: gpd.GeoDataFrame, region: Region, most: int = 6) -> list[grid.Block]:
    """Return the blocks of a region that the chips of the first candidates show.

    Parameters
    ----------
    candidates : geopandas.GeoDataFrame
        As ``join_predictions`` gives them.
    region : Region
        Whose blocks count.
    most : int, optional
        Candidates to draw.

    Returns
    -------
    list of grid.Block
        In the region's order.
    """
    first = candidates.sort_values("rank")["cell"].head(most).to_numpy(np.int64)
    row, col = np.divmod(first, grid.CELL_COLUMNS)
    under = set()
    for down, right in np.ndindex(3, 3):
        rows, cols = row + (down - 1) * _MARGIN, col + (right - 1) * _MARGIN
        under |= {grid.block_of_cell(int(c)) for c in rows * grid.CELL_COLUMNS + cols}
    return [block for block in region.blocks if block in under]


def area_interval(context: Context, record: Mapping[str, Any]) -> Figure:
    """Draw the estimated areas with their intervals.

    Parameters
    ----------
    context : Context
        Of the region.
    record : mapping
        As ``area_region`` gives it.

    Returns
    -------
    matplotlib.figure.Figure
        A bar a region, a whisker for the 95 % interval.
    """
    from matplotlib.figure import Figure

    rows = [row for row in record["regions"] if row["cells_with_mining_km2"]["value"] is not None]
    figure = Figure(figsize=(8, 0.5 * len(rows) + 1.4), dpi=110)
    axes = figure.add_subplot()
    for place, row in enumerate(rows[::-1]):
        found = row["cells_with_mining_km2"]
        error = [[found["value"] - found["low"]], [found["high"] - found["value"]]]
        axes.barh(place, found["value"], xerr=error, color="#fc8d59", ecolor=_INK, capsize=5)
    axes.set_yticks(range(len(rows)), [str(row["name"]) for row in rows[::-1]])
    axes.set_xlabel("area of cells that contain mining, km², with its 95 % interval")
    axes.set_xlim(left=0)
    _mark(context, figure, "Area")
    return figure


def _shown(composites: Sequence[ledger.Entry]) -> list[str]:
    bands = read_composite(ledger.file_of(composites[0]))["band"].to_numpy().tolist()
    return list(TRUE_COLOUR) if set(TRUE_COLOUR) <= set(bands) else bands[:1]


def _mosaic(
    composites: Sequence[ledger.Entry], part: Any
) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    """Lay blocks side by side, thinned to what a screen shows."""
    boxes = [grid.Block.from_name(entry.unit).bounds for entry in composites]
    west, south = min(box[0] for box in boxes), min(box[1] for box in boxes)
    east, north = max(box[2] for box in boxes), max(box[3] for box in boxes)
    across, down = (round((b - a) * 10) for a, b in ((west, east), (south, north)))
    step = max(1, -(-max(across, down) * grid.BLOCK_PX // _LONGEST_PX))
    side = grid.BLOCK_PX // step
    image: NDArray[np.float32] | None = None
    for entry, box in zip(composites, boxes, strict=True):
        values = part(read_composite(ledger.file_of(entry))).to_numpy().astype(np.float32)
        thin = values[:, : side * step : step, : side * step : step]
        if image is None:
            image = np.full((len(thin), down * side, across * side), np.nan, np.float32)
        row, col = round((north - box[3]) * 10), round((box[0] - west) * 10)
        image[:, row * side : (row + 1) * side, col * side : (col + 1) * side] = thin
    if image is None:
        raise ValueError("there is no block to draw")
    return image, (west, east, south, north)


def _chip(
    cell: int, store: Mapping[str, ledger.Entry], bands: Sequence[str]
) -> NDArray[np.float32]:
    """Cut the ground around a cell, over the edges of blocks; NaN where it was never clear."""
    home, px = grid.block_of_cell(cell), grid.CELL_PX
    side = (2 * _MARGIN + 1) * px
    chip = np.full((len(bands), side, side), np.nan, np.float32)
    place = int(np.flatnonzero(home.cells().ravel() == cell)[0])
    starts = [(at - _MARGIN) * px for at in divmod(place, grid.CELLS_PER_BLOCK)]
    for block in home.neighbourhood():
        entry = store.get(block.name)
        # Where the chip begins in this block's pixels.
        begins = [
            start - (there - here) * grid.BLOCK_PX
            for start, there, here in zip(
                starts, (block.row, block.col), (home.row, home.col), strict=True
            )
        ]
        inside = [slice(max(0, at), min(at + side, grid.BLOCK_PX)) for at in begins]
        if entry is None or any(part.start >= part.stop for part in inside):
            continue
        stored = (
            read_composite(ledger.file_of(entry))["reflectance"].sel(band=list(bands)).to_numpy()
        )
        rows, cols = (
            slice(part.start - at, part.stop - at) for part, at in zip(inside, begins, strict=True)
        )
        chip[:, rows, cols] = stored[:, inside[0], inside[1]]
    return chip


def _stretched(
    picture: NDArray[np.float32], low: float | None = None, high: float | None = None
) -> NDArray[np.float32]:
    """Return rows, columns and three colours from 0 to 1; white where there is nothing."""
    if low is None or high is None:
        low, high = np.nanpercentile(picture, [1, 99])
    bright = np.clip((picture - low) / max(high - low, 1e-6), 0, 1)
    colours = np.moveaxis(np.broadcast_to(bright, (3, *picture.shape[1:])), 0, -1)
    return np.where(np.isfinite(colours), colours, np.float32(1))


def _panel(context: Context, title: str, extent: tuple[float, ...]) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    west, east, south, north = extent
    shape = (north - south) / (east - west)
    figure = Figure(figsize=(8.5, 8.5 * min(1.6, max(0.35, shape)) + 0.6), dpi=110)
    axes = figure.add_subplot()
    axes.ticklabel_format(useOffset=False)
    _mark(context, figure, f"{title}: {context.region.title}")
    return figure, axes


def _mark(context: Context, figure: Figure, title: str) -> None:
    """Write the title, and in it and across the picture whether the landscape is invented."""
    figure.set_layout_engine("constrained")
    # Across a dark picture it is hard to see.
    if context.region.simulated and "simulated" not in title:
        title += " (simulated)"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    if context.region.simulated:
        figure.text(
            0.5, 0.5, say("editions.simulated", ENGLISH), rotation=20, ha="center", va="center",
            fontsize=40, fontweight="bold", color=_INK, alpha=0.13,
        )  # fmt: skip
