"""Probability and coverage as cloud-optimised GeoTIFFs on the grid of the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipeline.classes import CANNOT_TELL
from pipeline.geo import grid

COVERAGE_BANDS = ("clear_observations", "cannot_tell")
NO_CELL = -1


def to_array(cells: pd.DataFrame, column: str, square: float) -> tuple[NDArray[np.float32], Affine]:
    """Lay a column of cells out as an image.

    Parameters
    ----------
    cells : pandas.DataFrame
        ``cell`` (identifiers of 0.005- or 0.01-degree cells, as ``square`` says) and the column.
    column : str
        A numeric column.
    square : float
        Side of a cell, degrees.

    Returns
    -------
    image : numpy.ndarray of float32, shape (rows, columns), north up
        NaN where there is no cell, or no value.
    transform : affine.Affine
        (column, row) to degrees, EPSG:4326.
    """
    wide = round(360 / square)
    rows, cols = np.divmod(cells["cell"].to_numpy(np.int64), wide)
    top, left = int(rows.min()), int(cols.min())
    image = np.full((int(rows.max()) - top + 1, int(cols.max()) - left + 1), np.nan, np.float32)
    image[rows - top, cols - left] = cells[column].to_numpy(np.float32)
    per_degree = round(1 / square)
    # Whole steps first, so that the corner is the nearest number to its decimals.
    west, north = (left - 180 * per_degree) / per_degree, (90 * per_degree - top) / per_degree
    return image, Affine(1 / per_degree, 0, west, 0, -1 / per_degree, north)


def write_probability(
    path: Path, cells: pd.DataFrame, square: float, description: str, tags: dict[str, str]
) -> None:
    """Write ``probability.tif``: one float32 band, NaN for "cannot tell" and outside the region.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    cells : pandas.DataFrame
        ``cell``, ``probability`` and ``class``.
    square : float
        Side of a pixel in degrees.
    description : str
        Of the band.
    tags : dict of str to str
        Of the file.
    """
    told = cells["probability"].where(cells["class"] != CANNOT_TELL)
    image, transform = to_array(cells.assign(probability=told), "probability", square)
    _write(path, image[None], transform, [description], float("nan"), tags)


def write_coverage(
    path: Path, strips: gpd.GeoDataFrame, square: float, mark: str, tags: dict[str, str]
) -> None:
    """Write ``coverage.tif``: the layer coverage as two int16 bands, -1 outside the region.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    strips : geopandas.GeoDataFrame
        As from :func:`pipeline.map.coarsening.coverage_strips`.
    square : float
        Side of a pixel in degrees.
    mark : str
        What the bands' names begin with.
    tags : dict of str to str
        Of the file.
    """
    per_degree = round(1 / square)
    edges = np.round(strips.geometry.bounds.to_numpy() * per_degree).astype(np.int64)
    left, top = int(edges[:, 0].min()), int(edges[:, 3].max())
    rows = np.repeat(top - edges[:, 3], edges[:, 2] - edges[:, 0])
    cols = np.concatenate([np.arange(west - left, east - left) for west, _, east, _ in edges])
    shape = (2, top - int(edges[:, 1].min()), int(edges[:, 2].max()) - left)
    image = np.full(shape, NO_CELL, np.int16)
    for band, name in zip(image, COVERAGE_BANDS, strict=True):
        band[rows, cols] = np.repeat(strips[name].to_numpy(), edges[:, 2] - edges[:, 0])
    transform = Affine(1 / per_degree, 0, left / per_degree, 0, -1 / per_degree, top / per_degree)
    names = [f"{mark}{name}" for name in COVERAGE_BANDS]
    _write(path, image, transform, names, NO_CELL, tags)


def _write(
    path: Path,
    image: NDArray[Any],
    transform: Affine,
    descriptions: list[str],
    nodata: float,
    tags: dict[str, str],
) -> None:
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=image.shape[1],
        width=image.shape[2],
        count=image.shape[0],
        dtype=image.dtype.name,
        crs=grid.CRS,
        transform=transform,
        nodata=nodata,
        compress="DEFLATE",
        predictor="YES",
        blocksize=256,
        overview_resampling="NEAREST",
    ) as target:
        target.write(image)
        for band, description in enumerate(descriptions, 1):
            target.set_band_description(band, description)
        target.update_tags(**tags)
