"""Cells without a label of their own, in the blocks that hold labels.

Where somebody claims to have found every mine (a searched area), cells far from all of them are not
mines. Everywhere else they are unlabelled: no source of sites is exhaustive, and "no visited site
here" is no negative.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from models.sphere import PointIndex
from pipeline.geo import grid
from pipeline.geo.distance import nearest_shape
from pipeline.geo.regions import Region
from pipeline.sites.labels.rows import NOT, UNLABELLED, Labels, make_rows

# Mines reach beyond the point where the visitor stood, and beyond the outline that was drawn.
BACKGROUND_KM = 1.0
# Sources of the rows that are added here.
BACKGROUND, SEARCHED = "background", "searched area"


def with_background(labels: Labels, region: Region) -> Labels:
    """Add the other cells of the labelled blocks, season by season.

    Parameters
    ----------
    labels : Labels
        Rows of known labels.
    region : Region
        Cells beyond it are not added.

    Returns
    -------
    Labels
        With rows of ``what`` "background" (unlabelled), or "polygon" (not mines) on ground that was
        searched; all of them far from every known mine.
    """
    parts = [labels.rows]
    for shift in sorted(labels.rows["shift"].unique()):
        cells = np.concatenate([region.cells(block) for block in labels.blocks(int(shift))])
        cells = cells[far_from_mines(cells, labels)]
        cells = np.setdiff1d(cells, labels.rows.loc[labels.rows["shift"] == shift, "cell"])
        searched = cells_within(cells, labels.searched)
        parts += [
            make_rows(cells[searched], NOT, "polygon", SEARCHED, shift=shift),
            make_rows(cells[~searched], UNLABELLED, "background", BACKGROUND, shift=shift),
        ]
    return labels.with_rows(pd.concat(parts, ignore_index=True))


def far_from_mines(cells: NDArray[np.int64], labels: Labels) -> NDArray[np.bool_]:
    """Say which cells lie farther from every known mine than it may reach.

    Parameters
    ----------
    cells : numpy.ndarray of int64, shape (n,)
        Cells.
    labels : Labels
        What is known.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        False too for cells that a source leaves out.
    """
    far = ~np.isin(cells, labels.touched)
    lon, lat, radius_m = labels.places.T
    near = PointIndex(*grid.cell_centres(cells)).within(lon, lat, BACKGROUND_KM + radius_m / 1000)
    far[near[1]] = False
    if len(labels.shapes):
        boxes = shapely.box(*grid.cell_bounds(cells))
        far &= nearest_shape(labels.shapes, boxes)[1] >= BACKGROUND_KM
    return far


def cells_within(cells: NDArray[np.int64], shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Say which cells lie as a whole in one of some polygons."""
    result = np.zeros(len(cells), bool)
    boxes = shapely.box(*grid.cell_bounds(cells))
    for shape in shapes:
        shapely.prepare(shape)
        result |= shapely.covers(shape, boxes)
    return result
