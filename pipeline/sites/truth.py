"""What a map is compared with: label rasters, polygons or points, brought onto the cells.

Three things are kept apart: ground labelled as a mine, ground labelled as free of mines, and ground
about which the labels say nothing. Only the first two can make a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.errors import InputFileError, NoLabelsError
from pipeline.geo import grid
from pipeline.geo.distance import cell_area_km2
from pipeline.geo.geopackage import layer_names
from pipeline.geo.input_files import check_file
from pipeline.geo.overlap import MIN_AREA_HA, polygon_labels, shared_hectares
from pipeline.geo.vector_files import read_vector

RASTER_SUFFIXES = (".tif", ".tiff")
MAX_PIXELS = 2_000_000_000
MAX_RASTER_BYTES = 4 * 1024**3
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Truth:
    """Labels of cells, and the objects that they come from.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row a labelled cell: ``cell`` (int64), ``positive_ha`` (mined hectares; for points, the
        number of mines) and ``known_share`` (0..1, labelled part of the cell's area).
    mines, lookalikes : pandas.DataFrame or None
        One row for each pair of an object and a cell that it holds: ``object`` (int), ``kind``,
        ``name``, ``area_ha`` (of the whole object, NaN for points), ``cell`` and ``ha`` (in the
        cell). None: the labels have no such objects.
    complete : bool
        Whether ground without a label inside ``cells`` counts as free of mines.
    unit_ha : float
        A cell with fewer mined hectares, but some, is neither a mine nor free of it.
    form : str
        ``raster``, ``polygons`` or ``points``.
    how : str
        How the labels came onto the cells, in words.
    """

    cells: pd.DataFrame
    mines: pd.DataFrame | None
    lookalikes: pd.DataFrame | None
    complete: bool
    unit_ha: float
    form: str
    how: str


def read_truth(
    path: str | Path,
    cells: NDArray[np.int64],
    min_area_ha: float = MIN_AREA_HA,
    complete: bool = True,
    label: str = "label",
) -> Truth:
    """Read labels and bring them onto a map's cells.

    Parameters
    ----------
    path : str or pathlib.Path
        A label raster (GeoTIFF: 1 mine, 0 not, 255 or nodata unknown; any reference system),
        polygons, or points. Polygons and points may carry a column of labels, 1 and 0; without one,
        each of them is a mine. A GeoPackage with a layer ``mines`` may have another,
        ``lookalikes``, with a column ``kind``.
    cells : numpy.ndarray of int64, shape (n,)
        The map's cells.
    min_area_ha : float, optional
        Hectares of mining that make a cell a mine.
    complete : bool, optional
        Whether polygons without labels are all the mines there are, so that every other cell is
        free of them. Points never are: they say nothing about other cells.
    label : str, optional
        The column of labels, where the file has it; empty: there is none.

    Returns
    -------
    Truth
        Labels of cells, and the mines where the file tells them apart.

    Raises
    ------
    InputFileError
        If the file cannot be read, or holds other labels.
    NoLabelsError
        If no label lies on the map's cells.
    """
    path = Path(path)
    cells = np.unique(np.asarray(cells, np.int64))
    if path.suffix.lower() in RASTER_SUFFIXES:
        truth = _from_raster(path, cells, min_area_ha)
    else:
        layers = layer_names(path)
        found = read_vector(path, "mines" if "mines" in layers else "")
        others = read_vector(path, "lookalikes") if "lookalikes" in layers else None
        labels = polygon_labels(found, label, str(path))
        if len(found) and (found.geom_type == "Point").all():
            truth = _from_points(found, labels, cells)
        else:
            truth = _from_polygons(found, labels, others, cells, min_area_ha, complete)
    if not (truth.cells["known_share"] > 0).any():
        raise NoLabelsError(
            "no label lies on the cells of the map",
            where=str(path),
            next_step="check that the labels and the map cover the same ground",
        )
    return truth


def _from_raster(path: Path, cells: NDArray[np.int64], min_area_ha: float) -> Truth:
    check_file(path, RASTER_SUFFIXES, MAX_RASTER_BYTES)
    positive, known = np.zeros(len(cells)), np.zeros(len(cells))
    try:
        # The driver is named because others would follow what a file says to other files.
        with rasterio.open(path, driver="GTiff") as raster:
            _check_raster(raster, path)
            for top in range(0, raster.height, _ROWS_AT_ONCE):
                rows = min(_ROWS_AT_ONCE, raster.height - top)
                values = raster.read(1, window=Window(0, top, raster.width, rows))
                _add_pixels(raster, top, values, cells, positive, known, path)
    except RasterioError as error:
        raise InputFileError(
            f"the label raster cannot be read: {str(error)[:200]}", where=str(path)
        ) from None
    share = np.clip(known / (cell_area_km2(cells) * 100), 0, 1)
    table = pd.DataFrame({"cell": cells, "positive_ha": positive, "known_share": share})
    how = "label raster: each pixel's area to the cell that holds its centre"
    return Truth(table, None, None, False, min_area_ha, "raster", how)


def _check_raster(raster: rasterio.DatasetReader, path: Path) -> None:
    if raster.crs is None or raster.count != 1 or raster.width * raster.height > MAX_PIXELS:
        raise InputFileError(
            f"a label raster has one band, a reference system and at most {MAX_PIXELS:,} pixels",
            where=str(path),
        )
    size = max(np.hypot(raster.transform.a, raster.transform.d),
               np.hypot(raster.transform.b, raster.transform.e))  # fmt: skip
    if raster.crs.is_projected:
        size *= raster.crs.linear_units_factor[1] / 111_320
    if size > grid.CELL_DEGREES:
        raise InputFileError(
            "the label raster's pixels are larger than a cell (0.005 degree)", where=str(path)
        )


def _add_pixels(
    raster: rasterio.DatasetReader,
    top: int,
    values: NDArray[np.generic],
    cells: NDArray[np.int64],
    positive: NDArray[np.float64],
    known: NDArray[np.float64],
    path: Path,
) -> None:
    """Add the hectares of a strip of pixels to the cells that hold their centres."""
    labelled = values != 255
    if raster.nodata is not None:
        labelled &= values != raster.nodata
    rows, cols = np.nonzero(labelled)
    labels = values[rows, cols]
    if not np.isin(labels, (0, 1)).all():
        raise InputFileError(
            f"a label raster holds 1 (mine), 0 (not) and 255 (unknown), not {labels.max()}",
            where=str(path),
        )
    if rows.size == 0:
        return
    to_degrees = pyproj.Transformer.from_crs(raster.crs, grid.CRS, always_xy=True)
    pixel = raster.transform
    x = pixel.c + (cols + 0.5) * pixel.a + (top + rows + 0.5) * pixel.b
    y = pixel.f + (cols + 0.5) * pixel.d + (top + rows + 0.5) * pixel.e
    lon, lat = to_degrees.transform(x, y)
    on_globe = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
    lon, lat, labels = lon[on_globe], lat[on_globe], labels[on_globe]
    owner = grid.cell_of(lon, lat)
    at = np.minimum(np.searchsorted(cells, owner), len(cells) - 1)
    here = cells[at] == owner
    size = abs(pixel.a * pixel.e - pixel.b * pixel.d)
    if raster.crs.is_projected:
        hectares = np.full(here.sum(), size * raster.crs.linear_units_factor[1] ** 2 / 10_000)
    else:
        hectares = cell_area_km2(owner[here]) * 100 * size / grid.CELL_DEGREES**2
    known += np.bincount(at[here], hectares, len(cells))
    positive += np.bincount(at[here], hectares * (labels[here] == 1), len(cells))


def _from_polygons(
    found: gpd.GeoDataFrame,
    labels: NDArray[np.int64] | None,
    others: gpd.GeoDataFrame | None,
    cells: NDArray[np.int64],
    min_area_ha: float,
    complete: bool,
) -> Truth:
    pairs = shared_hectares(found, cells)
    positive = pairs if labels is None else pairs[labels[pairs["object"].to_numpy()] == 1]
    area = cell_area_km2(cells) * 100
    mined = np.minimum(positive.groupby("cell")["ha"].sum().reindex(cells, fill_value=0), area)
    if labels is None:
        known = np.ones(len(cells)) if complete else np.asarray(mined > 0, float)
        how = "polygons: their area in each cell; every other cell " + (
            "counts as free of mines" if complete else "is unlabelled"
        )
    else:
        known = pairs.groupby("cell")["ha"].sum().reindex(cells, fill_value=0).to_numpy() / area
        how = "polygons with a label: the area of each kind in each cell"
    table = pd.DataFrame(
        {"cell": cells, "positive_ha": np.asarray(mined), "known_share": np.clip(known, 0, 1)}
    )
    return Truth(
        table,
        # The outline of a labelled square is not the outline of a mine.
        _held(pairs, min_area_ha) if labels is None else None,
        _held(shared_hectares(others, cells), min_area_ha) if others is not None else None,
        complete and labels is None,
        min_area_ha,
        "polygons",
        how,
    )


def _held(pairs: pd.DataFrame, min_area_ha: float) -> pd.DataFrame:
    """Keep the cells that hold enough of an object, or the one that holds most of it."""
    most = pairs.groupby("object")["ha"].transform("max")
    keep = (pairs["ha"] >= min_area_ha) | (pairs["ha"] == most)
    return pairs[keep].reset_index(drop=True)


def _from_points(
    found: gpd.GeoDataFrame, labels: NDArray[np.int64] | None, cells: NDArray[np.int64]
) -> Truth:
    mine = np.ones(len(found), np.int64) if labels is None else labels
    owner = grid.cell_of(found.geometry.x, found.geometry.y)
    here = np.isin(owner, cells)
    counts = pd.Series(mine[here]).groupby(owner[here]).sum().reindex(cells)
    table = pd.DataFrame(
        {
            "cell": cells,
            "positive_ha": counts.fillna(0).to_numpy(float),
            "known_share": counts.notna().to_numpy(float),
        }
    )
    held = np.flatnonzero(here & (mine == 1))
    mines = pd.DataFrame({"object": held, "kind": "", "name": "", "area_ha": np.nan,
                          "cell": owner[held], "ha": np.nan})  # fmt: skip
    how = "points: each labels the cell that holds it"
    return Truth(table, mines, None, False, 1.0, "points", how)
