"""How much of each cell a polygon covers, and what the polygons' labels say."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from pipeline.errors import InputFileError
from pipeline.geo import grid
from pipeline.geo.distance import cell_area_km2

# A sliver of a mine in a neighbouring cell does not make that cell the mine's.
MIN_AREA_HA = 0.1
# Square degrees (0.01 m2) that the last bits of two borders' coordinates may leave between them.
_NOTHING = 1e-12


def shared_hectares(shapes: gpd.GeoDataFrame, cells: NDArray[np.int64]) -> pd.DataFrame:
    """Return objects and the cells that they share area with.

    Parameters
    ----------
    shapes : geopandas.GeoDataFrame
        Polygons, EPSG:4326; columns ``kind`` and ``name`` are kept.
    cells : numpy.ndarray of int64, shape (n,)
        Cells of the grid, each once.

    Returns
    -------
    pandas.DataFrame
        One row a pair: ``object`` (position in ``shapes``), ``kind``, ``name``, ``area_ha`` (of the
        whole object), ``cell`` and ``ha`` (hectares of the object in the cell).
    """
    squares = shapely.STRtree(shapely.box(*grid.cell_bounds(cells)))
    polygons = shapes.geometry.to_numpy()
    objects, at = squares.query(polygons, predicate="intersects")
    shared = shapely.area(shapely.intersection(polygons[objects], squares.geometries[at]))
    # A cell's own area per square degree serves the whole of it: exact to a millionth.
    per_degree = cell_area_km2(cells) * 100 / grid.CELL_DEGREES**2
    keep = shared > _NOTHING
    objects, at, hectares = objects[keep], at[keep], (shared * per_degree[at])[keep]
    geod = pyproj.Geod(ellps="WGS84")
    whole = np.array([abs(geod.geometry_area_perimeter(shape)[0]) / 10_000 for shape in polygons])
    text = {
        name: shapes[name].fillna("").astype(str).to_numpy() if name in shapes
        else np.full(len(shapes), "", object)
        for name in ("kind", "name")
    }  # fmt: skip
    return pd.DataFrame(
        {
            "object": objects.astype(np.int64),
            "kind": text["kind"][objects],
            "name": text["name"][objects],
            "area_ha": whole[objects] if len(whole) else np.empty(0),
            "cell": cells[at],
            "ha": hectares,
        }
    )


def polygon_labels(found: gpd.GeoDataFrame, column: str, where: str) -> NDArray[np.int64] | None:
    """Return the labels that shapes carry.

    Parameters
    ----------
    found : geopandas.GeoDataFrame
        Shapes.
    column : str
        The column of labels.
    where : str
        The file, for the error.

    Returns
    -------
    numpy.ndarray of int64, shape (n,), or None
        1 mine, 0 not; None if there is no such column.

    Raises
    ------
    InputFileError
        If the column holds anything else.
    """
    if column not in found:
        return None
    values = pd.to_numeric(found[column], errors="coerce")
    if not values.isin([0, 1]).all():
        raise InputFileError(
            f"the column {column!r} of labels must hold 1 (mine) and 0 (not) alone",
            where=where,
            next_step="name another column of labels, or none, if this one means something else",
        )
    return np.asarray(values, np.int64)
