"""Outlines that cross themselves so often that mending them would take hours."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

# A ring of 3,000 random places crosses itself a million times and takes half a minute to mend.
MOST_MEETINGS = 200_000
_SAMPLE = 200


def first_unrepairable(shapes: NDArray[np.object_]) -> int:
    """Return the place of the first shape that could not be mended in time; -1 if there is none.

    Estimated from a sample of its edges: with how many others does the box around each meet.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        Any.

    Returns
    -------
    int
        Its place, or -1.
    """
    for place in np.flatnonzero(~shapely.is_valid(shapes)):
        edges = _edges(shapes[place])
        if len(edges) < 2:
            continue
        sample = np.random.default_rng(1).choice(len(edges), min(_SAMPLE, len(edges)), False)
        meetings = len(shapely.STRtree(edges).query(edges[sample])[0]) / len(sample)
        # Each edge meets itself and its two neighbours.
        if (meetings - 3) * len(edges) / 2 > MOST_MEETINGS:
            return int(place)
    return -1


def _edges(shape: shapely.Geometry) -> NDArray[np.object_]:
    places, part = shapely.get_coordinates(shape), np.zeros(0, np.int64)
    rings = shapely.get_rings(shapely.get_parts(shape))
    if len(rings):
        places, part = shapely.get_coordinates(rings, return_index=True)
    ends = np.flatnonzero(part[1:] == part[:-1])
    pairs = np.stack([places[ends], places[ends + 1]], axis=1)
    return np.asarray(shapely.linestrings(pairs), object)
