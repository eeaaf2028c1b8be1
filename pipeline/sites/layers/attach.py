"""Context columns for cells, candidates and sites, from the shapes that a product shows.

What a product may not show exactly is made coarse first, and the columns are computed from that: a
distance to an exact place would give the place away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.geo import grid
from pipeline.sites.layers.joins import JOINS, Query
from pipeline.sites.layers.layer import KnownLayer
from pipeline.sites.layers.spatial_joins import owner_of

# Beyond the region, features are kept as far as they are looked for and this much further.
_MARGIN_DEGREES = 0.1


def attach_columns(
    table: gpd.GeoDataFrame, layers: Sequence[KnownLayer], newest: str = "", public: bool = False
) -> gpd.GeoDataFrame:
    """Give each row the columns of the context layers.

    A cell asks from its square's centre, a site from its point; a candidate lies in the area that
    owns a point inside of it, and is counted and measured from its whole outline.

    Parameters
    ----------
    table : geopandas.GeoDataFrame
        EPSG:4326; squares, points or outlines.
    layers : sequence of KnownLayer
        As the product may know them.
    newest : str, optional
        ISO date of the newest image, from which ``days`` count back.
    public : bool, optional
        Whether distances are rounded to 0.1 km, and features are counted by block where the layer
        says so (:func:`pipeline.map.coarsening.coarse_layers`).

    Returns
    -------
    geopandas.GeoDataFrame
        The same rows in the same order, with ``<layer>_<column>`` for each column that
        comes along with a layer, and for the one that its way of joining makes.
    """
    if not layers or not len(table):
        return table
    shapes, squares = table.geometry.to_numpy(), "cell" in table
    spots = shapely.centroid(shapes) if squares else shapely.point_on_surface(shapes)
    query = Query(spots, spots if squares else shapes, squares, newest, public)
    added: dict[str, object] = {}
    for layer in layers:
        name, how = layer.declaration.name, JOINS[layer.declaration.how]
        owner, added[f"{name}_{how.column}"] = how.join(query, layer)
        for column in layer.declaration.along:
            values = layer.features[column].array.take(owner, allow_fill=True)
            added[f"{name}_{column}"] = values
    joined = table.assign(**{k: pd.Series(v, index=table.index) for k, v in added.items()})
    assert len(joined) == len(table)
    return joined


def layers_near(layers: Sequence[KnownLayer], bounds: Sequence[float]) -> list[KnownLayer]:
    """Return the layers' features that matter to a region.

    Parameters
    ----------
    layers : sequence of KnownLayer
        As read.
    bounds : sequence of float
        West, south, east, north; degrees.

    Returns
    -------
    list of KnownLayer
        Layers with a feature near enough, with these features.
    """
    west, south, east, north = bounds
    near = []
    for layer in layers:
        reach = layer.declaration.distance_km / 111.0 + _MARGIN_DEGREES
        wide = reach / np.cos(np.radians(min(max(abs(south), abs(north)) + reach, 89)))
        box = shapely.box(west - wide, south - reach, east + wide, north + reach)
        kept = shapely.intersects(layer.features.geometry.to_numpy(), box)
        if kept.any():
            near.append(replace(layer, features=layer.features[kept].reset_index(drop=True)))
    return near


def in_industrial(cells: NDArray[np.int64], layers: Sequence[KnownLayer]) -> NDArray[np.bool_]:
    """Say which cells lie in an industrial mine.

    Parameters
    ----------
    cells : numpy.ndarray of int64, shape (n,)
        Cells of the grid.
    layers : sequence of KnownLayer
        All of them.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        Whether the cell's centre lies in an area of a layer that is declared industrial.
    """
    inside = np.zeros(len(cells), bool)
    points: NDArray[np.object_] = np.array(shapely.points(*grid.cell_centres(cells)), object)
    for layer in layers:
        if layer.declaration.industrial:
            inside |= owner_of(points, layer.features.geometry.to_numpy())[0] >= 0
    return inside
