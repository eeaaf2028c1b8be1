"""Clusters of cells that touch; large ones are cut into parts that a team can walk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.geo import grid

# About 11 km2 at the equator: what a field team sees in a day.
MOST_CELLS = 36
# East, south-west, south, south-east; the other four are these, seen from the other side.
_HALF_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


def connected_clusters(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each cell the number of its 8-connected cluster.

    Parameters
    ----------
    cells : numpy.ndarray of int64, shape (n,)
        Cell identifiers, ascending, each once.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Cluster of each cell, 0.. in the order of their smallest cell. The antimeridian is an edge.
    """
    if cells.size == 0:
        return np.empty(0, np.int64)
    cols = cells % grid.CELL_COLUMNS
    pairs = []
    for down, right in _HALF_NEIGHBOURS:
        beside = cells + down * grid.CELL_COLUMNS + right
        at = np.minimum(np.searchsorted(cells, beside), cells.size - 1)
        inside = (cols + right >= 0) & (cols + right < grid.CELL_COLUMNS)
        pairs.append(np.stack([np.flatnonzero(hit := (cells[at] == beside) & inside), at[hit]]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(first.size, bool), (first, second)), shape=(cells.size,) * 2)
    labels = connected_components(graph, directed=False)[1]
    _, start, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(start))[inverse], np.int64)


def split_clusters(
    cells: NDArray[np.int64],
    cluster: NDArray[np.int64],
    score: NDArray[np.float64],
    most: int = MOST_CELLS,
) -> NDArray[np.int64]:
    """Cut the clusters of more cells than ``most`` into parts.

    A cluster is halved across its longer side, between the two neighbouring rows or columns whose
    scores sum to least, leaving a quarter of its cells at least on either side where that can be
    done; the halves are halved again until none is too large.

    Parameters
    ----------
    cells : numpy.ndarray of int64, shape (n,)
        Cell identifiers.
    cluster : numpy.ndarray of int64, shape (n,)
        Cluster of each.
    score : numpy.ndarray of float64, shape (n,)
        Model score of each.
    most : int, optional
        Cells of a part at most.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Part of each cell, 0.. in the order of their smallest cells; a cluster that is small enough
        is one part.
    """
    order = np.argsort(cluster, kind="stable")
    starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    part = np.empty(len(cells), np.int64)
    rows, cols = np.divmod(cells, grid.CELL_COLUMNS)
    made = 0
    for members in np.split(order, starts[1:]) if len(cells) else []:
        stack = [members]
        while stack:
            one = stack.pop()
            if len(one) <= most:
                part[one] = made
                made += 1
            else:
                far = _far_side(rows[one], cols[one], score[one])
                stack += [one[~far], one[far]]
    smallest = np.full(made, np.iinfo(np.int64).max)
    np.minimum.at(smallest, part, cells)
    return np.asarray(np.argsort(np.argsort(smallest))[part], np.int64)


def _far_side(
    rows: NDArray[np.int64], cols: NDArray[np.int64], score: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mark the cells south or east of the weakest line across a cluster."""
    line = rows if np.ptp(rows) >= np.ptp(cols) else cols
    line = line - line.min()
    share = np.cumsum(np.bincount(line))[:-1] / len(line)
    weight = np.bincount(line, score)
    crossing = weight[:-1] + weight[1:]
    off = np.abs(share - 0.5)
    # Where one row holds most of the cells, no line is balanced: the nearest to it is taken.
    allowed = off <= max(0.25, off.min())
    best = np.lexsort((off, np.where(allowed, crossing, np.inf)))[0]
    return np.asarray(line > best)
