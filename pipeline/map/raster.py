"""The probability as a cloud-optimised GeoTIFF on the grid of the cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipeline import grid


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
    west, north = left / per_degree - 180, 90 - top / per_degree
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
        ``cell`` and ``probability``.
    square : float
        Side of a pixel in degrees.
    description : str
        Of the band.
    tags : dict of str to str
        Of the file.
    """
    image, transform = to_array(cells, "probability", square)
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=image.shape[0],
        width=image.shape[1],
        count=1,
        dtype="float32",
        crs=grid.CRS,
        transform=transform,
        nodata=float("nan"),
        compress="DEFLATE",
        predictor="YES",
        blocksize=256,
        overview_resampling="NEAREST",
    ) as target:
        target.write(image, 1)
        target.set_band_description(1, description)
        target.update_tags(**tags)
