"""Context columns for cells, candidates and sites, from the shapes that a product shows.

What a product may not show exactly is made coarse first, and the columns are computed from that: a
distance to an exact place would give the place away.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.geo import grid
from pipeline.sites.layers.declare import Declaration
from pipeline.sites.layers.read import KnownLayer
from pipeline.sites.layers.spatial_joins import (
    count_in_reach,
    count_touching,
    nearest_in_reach,
    owner_of,
)

COUNT, KM = "count", "km"
# Beyond the region, features are kept as far as they are looked for and this much further.
_MARGIN_DEGREES = 0.1


def made_columns(declaration: Declaration) -> list[str]:
    """Return the columns that joining adds beside those that come along, without the prefix."""
    return {"within": [COUNT], "nearest": [KM], "count": [COUNT]}[declaration.how]


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
        comes along with a layer, and for each of :func:`made_columns`.
    """
    if not layers or not len(table):
        return table
    shapes = table.geometry.to_numpy()
    squares = "cell" in table
    spots = shapely.centroid(shapes) if squares else shapely.point_on_surface(shapes)
    asked = spots if squares else shapes
    added: dict[str, object] = {}
    for layer in layers:
        declaration, name = layer.declaration, layer.declaration.name
        features = layer.features
        areas = features.geometry.to_numpy()
        if declaration.how == "within":
            owner, count = owner_of(spots, areas)
            added[f"{name}_{COUNT}"] = count if squares else count_touching(asked, areas)
        elif declaration.how == "nearest":
            owner, km = nearest_in_reach(areas, asked, declaration.distance_km)
            added[f"{name}_{KM}"] = np.round(km, 1) if public else np.round(km, 3)
        else:
            owner = np.full(len(table), -1)
            added[f"{name}_{COUNT}"] = (
                _of_block(spots, features) if public and declaration.public == "counts"
                else count_in_reach(recent_features(features, declaration, newest), asked,
                                    declaration.distance_km)
            )  # fmt: skip
        for column in declaration.along:
            values = features[column].array.take(np.asarray(owner), allow_fill=True)
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


def recent_features(
    features: gpd.GeoDataFrame, declaration: Declaration, newest: str
) -> NDArray[np.object_]:
    """Return the shapes of the features that are dated in the declared days before a date.

    Parameters
    ----------
    features : geopandas.GeoDataFrame
        Of a layer.
    declaration : Declaration
        Its ``days`` and column of dates; 0 days: all features.
    newest : str
        ISO date of the newest image.

    Returns
    -------
    numpy.ndarray of shapely geometries, shape (n,)
        Those dated from ``newest - days`` to ``newest``; none without a date.
    """
    shapes: NDArray[np.object_] = features.geometry.to_numpy()
    if not declaration.days or not newest:
        return shapes
    first = dt.date.fromisoformat(newest[:10]) - dt.timedelta(days=declaration.days)
    dates = features[declaration.date].fillna("")
    kept = (dates >= first.isoformat()) & (dates <= newest[:10])
    dated: NDArray[np.object_] = shapes[kept.to_numpy(bool)]
    return dated


def blocks_of(shapes: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the number of the 0.1-degree block (half-open) that holds a point inside each shape.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        EPSG:4326.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        As ``grid.coarse_cell_of`` numbers squares of a block's size.
    """
    spots = shapely.point_on_surface(shapes)
    owners = grid.cell_of(shapely.get_x(spots), shapely.get_y(spots))
    return grid.coarse_cell_of(owners, grid.CELLS_PER_BLOCK)


def _of_block(spots: NDArray[np.object_], counted: gpd.GeoDataFrame) -> NDArray[np.int64]:
    """Return the count of the 0.1-degree block that holds each spot."""
    known = pd.Series(counted[COUNT].to_numpy(), index=blocks_of(counted.geometry.to_numpy()))
    found = known.reindex(blocks_of(spots), fill_value=0)
    result: NDArray[np.int64] = found.to_numpy(np.int64)
    return result
