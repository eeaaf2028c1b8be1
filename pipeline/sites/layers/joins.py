"""The ways to join a layer with cells, candidates and sites: one entry each in ``JOINS``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.geo import grid
from pipeline.sites.layers.layer import Declaration, KnownLayer
from pipeline.sites.layers.spatial_joins import (
    count_in_reach,
    count_touching,
    nearest_in_reach,
    owner_of,
)

COUNT, KM = "count", "km"
Shapes = NDArray[np.object_]


@dataclass(frozen=True)
class Query:
    """The rows that a layer is joined with.

    Parameters
    ----------
    spots : numpy.ndarray of shapely Points, shape (n,)
        A point of each row, which decides in which area it lies.
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        What is counted and measured from.
    squares : bool
        Whether the rows are cells.
    newest : str
        ISO date of the newest image.
    public : bool
        Whether the answers are for the public product.
    """

    spots: Shapes
    shapes: Shapes
    squares: bool
    newest: str
    public: bool


@dataclass(frozen=True)
class JoinKind:
    """A way to join a layer.

    Parameters
    ----------
    column : str
        The column that it makes: ``count`` or ``km``.
    words : str
        What it does; ``{km:g}`` and ``{days}`` are the layer's.
    join : callable
        Given a query and a layer: for each row the feature that owns it (-1: none does), and the
        value of the column.
    """

    column: str
    words: str
    join: Callable[[Query, KnownLayer], tuple[NDArray[np.int64], NDArray[Any]]]


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
    if declaration.days and newest:
        first = dt.date.fromisoformat(newest[:10]) - dt.timedelta(days=declaration.days)
        dates = features[declaration.date].fillna("")
        features = features[(dates >= first.isoformat()) & (dates <= newest[:10])]
    return np.asarray(features.geometry.to_numpy(), object)


def blocks_of(shapes: Shapes) -> NDArray[np.int64]:
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


def _within(query: Query, layer: KnownLayer) -> tuple[NDArray[np.int64], NDArray[Any]]:
    areas = layer.features.geometry.to_numpy()
    owner, count = owner_of(query.spots, areas)
    return owner, count if query.squares else count_touching(query.shapes, areas)


def _nearest(query: Query, layer: KnownLayer) -> tuple[NDArray[np.int64], NDArray[Any]]:
    shapes = layer.features.geometry.to_numpy()
    owner, km = nearest_in_reach(shapes, query.shapes, layer.declaration.distance_km)
    return owner, np.round(km, 1 if query.public else 3)


def _count(query: Query, layer: KnownLayer) -> tuple[NDArray[np.int64], NDArray[Any]]:
    features, about = layer.features, layer.declaration
    if query.public and about.public == "counts":
        # The public product knows how many there are in each block, not where.
        blocks = blocks_of(features.geometry.to_numpy())
        known = pd.Series(features[COUNT].to_numpy(), index=blocks)
        count = known.reindex(blocks_of(query.spots), fill_value=0).to_numpy(np.int64)
    else:
        shapes = recent_features(features, about, query.newest)
        count = count_in_reach(shapes, query.shapes, about.distance_km)
    return np.full(len(count), -1), count


JOINS = {
    "within": JoinKind(COUNT, "what lies in an area gets its columns", _within),
    "nearest": JoinKind(
        KM, "the nearest within {km:g} km gives its columns and distance", _nearest
    ),
    "count": JoinKind(COUNT, "counted within {km:g} km{days}", _count),
}
