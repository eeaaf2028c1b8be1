"""From a file's own grid to the grid of pixels, as GDAL's warp does it, and several times faster.

All bands and dates of a tile lie on the same few grids. So GDAL warps two ramps, the columns' and
the rows' numbers, which tells for every pixel of a block where it lies in the source, once for each
grid; the bilinear weights of all pixels are then one sparse matrix, and a band is resampled by one
product with it, GDAL's own to a hundredth of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import rasterio
import scipy.sparse
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject

from pipeline.geo import grid
from pipeline.imagery.windows import GDAL_LOCK, GDAL_OPTIONS, Numbers

# Of a block's size some 55 MB each: two tiles in three resolutions.
_KEPT = 6


@dataclass(frozen=True)
class Area:
    """A rectangle of the grid of pixels.

    Parameters
    ----------
    transform : affine.Affine
        From its columns and rows to longitude and latitude (EPSG:4326).
    height, width : int
        In pixels.
    """

    transform: Affine
    height: int
    width: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return west, south, east, north

    def part(self, top: int, left: int, height: int, width: int) -> Area:
        """Return another rectangle by its place in this one; it may reach beyond.

        Parameters
        ----------
        top, left : int
            First row and column, counted from this one's corner.
        height, width : int
            In pixels.

        Returns
        -------
        Area
            On the same grid.
        """
        return Area(self.transform @ Affine.translation(left, top), height, width)


class Resampler:
    """Where the pixels of an area lie on one source grid.

    Parameters
    ----------
    transform : affine.Affine
        Of the source.
    crs : rasterio.crs.CRS
        Of the source.
    shape : tuple of int
        Rows and columns of the source.
    area : Area
        The pixels wanted.
    weighted : bool
        Whether it is for ``bilinear`` too, which takes ten times the memory.
    """

    def __init__(
        self,
        transform: Affine,
        crs: CRS,
        shape: tuple[int, int],
        area: Area,
        *,
        weighted: bool = True,
    ) -> None:
        rows, cols = shape
        # Counted from the middle, where single precision tells a 30,000th of a pixel.
        middle = rows // 2, cols // 2
        down, across = _warped_ramps(transform, crs, shape, middle, area)
        seen = np.isfinite(across) & np.isfinite(down)
        self._area = area
        self._inside = None if seen.all() else seen
        down, across = down[seen], across[seen]
        row, col = (np.rint(place).astype(np.int32) for place in (down, across))
        self._nearest = (row + np.int32(middle[0])) * np.int32(cols) + (col + np.int32(middle[1]))
        if weighted:
            self._weights = _weights(down, across, middle, shape)

    def bilinear(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample between the four pixels around each place.

        Parameters
        ----------
        values : numpy.ndarray of float32, shape of the source
            NaN where there is none; such pixels take no part, and where the nearest one is such,
            there is no result.

        Returns
        -------
        numpy.ndarray of float32, shape of the area
            NaN outside the source.
        """
        flat = np.ascontiguousarray(values).ravel()
        known = np.isfinite(flat)
        if known.all():
            return self._spread(self._weights @ flat)
        sums = self._weights @ np.where(known, flat, np.float32(0))
        shares = self._weights @ known.astype(np.float32)
        use = known[self._nearest]
        return self._spread(np.where(use, sums / np.where(use, shares, 1), np.float32(np.nan)))

    def nearest(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the value of the pixel that each place lies in, NaN outside the source.

        Parameters
        ----------
        values : numpy.ndarray of float32, shape of the source
            NaN where there is none.

        Returns
        -------
        numpy.ndarray of float32, shape of the area
            Values of the source, none between them.
        """
        return self._spread(np.ascontiguousarray(values).ravel()[self._nearest])

    def _spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = (self._area.height, self._area.width)
        if self._inside is None:
            return values.reshape(shape)
        result = np.full(shape, np.nan, np.float32)
        result[self._inside] = values
        return result


class Resamplers:
    """The resamplers that were used last; one object a block.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._made = lru_cache(most)(Resampler)

    def between(self, read: Numbers, area: Area, *, weighted: bool = True) -> Resampler:
        """Return the resampler from what was read to an area, made now if it is new.

        Parameters
        ----------
        read : Numbers
            Its grid counts, not its values.
        area : Area
            The pixels wanted.
        weighted : bool
            Whether it is for ``bilinear`` too.

        Returns
        -------
        Resampler
            For any values on the same grid.
        """
        rows, cols = read.values.shape
        return self._made(read.transform, read.crs, (rows, cols), area, weighted=weighted)


def _weights(
    down: NDArray[np.float32],
    across: NDArray[np.float32],
    middle: tuple[int, int],
    shape: tuple[int, int],
) -> scipy.sparse.csr_matrix:
    """Four weights for each place, as a matrix from the source's pixels to the places."""
    rows, cols = shape
    top = np.clip(np.floor(down).astype(np.int32), -middle[0], max(rows - 2, 0) - middle[0])
    left = np.clip(np.floor(across).astype(np.int32), -middle[1], max(cols - 2, 0) - middle[1])
    v, u = (down - top).astype(np.float32), (across - left).astype(np.float32)
    first = (top + np.int32(middle[0])) * np.int32(cols) + (left + np.int32(middle[1]))
    del top, left
    right, below = int(cols > 1), cols if rows > 1 else 0
    # Filled in place: stacking would hold all of it twice.
    places = np.empty((len(first), 4), np.int32)
    weights = np.empty((len(first), 4), np.float32)
    for corner, (dx, dy) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        np.add(first, right * dx + below * dy, out=places[:, corner])
        np.multiply(u if dx else 1 - u, v if dy else 1 - v, out=weights[:, corner])
    ends = np.arange(0, 4 * len(first) + 1, 4, dtype=np.int32)
    return scipy.sparse.csr_matrix(
        (weights.ravel(), places.ravel(), ends), shape=(len(first), rows * cols)
    )


def _warped_ramps(
    transform: Affine, crs: CRS, shape: tuple[int, int], middle: tuple[int, int], area: Area
) -> NDArray[np.float32]:
    """Row and column of the source where each pixel of the area lies; NaN outside."""
    ramps = np.empty((2, *shape), np.float32)
    ramps[0] = (np.arange(shape[0]) - middle[0])[:, None]
    ramps[1] = np.arange(shape[1]) - middle[1]
    warped = np.full((2, area.height, area.width), np.nan, np.float32)
    with GDAL_LOCK, rasterio.Env(**GDAL_OPTIONS):
        reproject(
            ramps,
            warped,
            src_transform=transform,
            src_crs=crs,
            dst_transform=area.transform,
            dst_crs=grid.CRS,
            # What the source does not reach keeps the NaN that it is filled with.
            init_dest_nodata=False,
            resampling=Resampling.bilinear,
            num_threads=1,
        )
    return warped
