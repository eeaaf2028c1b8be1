"""Read one scene for one block: reflectance, and of every pixel whether it was observed.

A window of the file is read first, and warped in memory afterwards, so that a read that fails
raises and can never turn into pixels. Nearest neighbour for the classes, bilinear for reflectance;
pixels without data take no part in either.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window

from pipeline import grid
from pipeline.errors import MissingMetadataError, ReadFailedError
from pipeline.imagery.items import Scene, SceneBand

OUTSIDE, CLEAR, CLOUD = 0, 1, 2
REFLECTANCE_STEP = 1e-4
# The largest number, so that it sorts behind every reflectance.
NOT_CLEAR = 32767
SIZE_PX = grid.BLOCK_PX + grid.HALO_PX
# Classes of the scene classification that are not a clear view of the ground: no data, saturated,
# cloud shadow, cloud of medium and high probability, cirrus.
UNCLEAR_SCL = (0, 1, 3, 8, 9, 10)
LAST_SCL = 11
_UNCLEAR = np.isin(np.arange(LAST_SCL + 1), UNCLEAR_SCL)
ALLOWED_DRIVERS = ["GTiff", "JP2OpenJPEG"]
MAX_PIXELS = 40_000 * 40_000
READ_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_NUM_THREADS": "1",
    "GDAL_TIFF_INTERNAL_MASK": "NO",
}
REMOTE_TRIES = 4
_MARGIN_PX = 4


@dataclass(frozen=True)
class ScenePixels:
    """What one scene shows of one block.

    Parameters
    ----------
    rows, cols : slice
        Where in the block (with its halo) the arrays lie.
    reflectance : numpy.ndarray of int16, shape (bands, h, w)
        Steps of 1/10000; ``NOT_CLEAR`` where the pixel is not clear.
    status : numpy.ndarray of uint8, shape (h, w)
        ``OUTSIDE`` the scene, ``CLEAR`` or ``CLOUD``.
    """

    rows: slice
    cols: slice
    reflectance: NDArray[np.int16]
    status: NDArray[np.uint8]


def read_scene(scene: Scene, bands: tuple[str, ...], block: grid.Block) -> ScenePixels | None:
    """Read a scene's pixels on a block's grid.

    Parameters
    ----------
    scene : Scene
        With the file, scale and offset of every band.
    bands : tuple of str
        Bands wanted, in this order.
    block : grid.Block
        Its pixels and its halo to the east and south.

    Returns
    -------
    ScenePixels or None
        None if the scene does not reach into the block.

    Raises
    ------
    ReadFailedError
        If a file cannot be read, after several tries where it is remote.
    MissingMetadataError
        If a file has no coordinate system.
    """
    with rasterio.Env(**READ_OPTIONS):
        window = _window(scene, bands[0], block)
        if window is None:
            return None
        rows, cols = window
        observed = np.ones((rows.stop - rows.start, cols.stop - cols.start), bool)
        reflectance = np.empty((len(bands), *observed.shape), np.int16)
        for index, name in enumerate(bands):
            band = scene.bands[name]
            numbers = _warp(scene, name, band, block, rows, cols, Resampling.bilinear)
            known = np.isfinite(numbers)
            observed &= known
            numbers *= np.float32(band.scale / REFLECTANCE_STEP)
            numbers += np.float32(band.offset / REFLECTANCE_STEP)
            np.clip(np.rint(numbers, out=numbers), -NOT_CLEAR, NOT_CLEAR - 1, out=numbers)
            reflectance[index] = np.where(known, numbers, NOT_CLEAR)
        status = np.where(observed, CLEAR, OUTSIDE).astype(np.uint8)
        if "SCL" in scene.bands:
            band = scene.bands["SCL"]
            classes = _warp(scene, "SCL", band, block, rows, cols, Resampling.nearest)
            if np.nanmax(classes, initial=0) > LAST_SCL:
                raise ReadFailedError(
                    f"the scene classification holds a class above {LAST_SCL}",
                    where=f"scene {scene.id}, {band.href}",
                    next_step="the file is damaged or is not a scene classification",
                )
            numbers = np.nan_to_num(classes, nan=0, copy=False).astype(np.uint8)
            status[observed & _UNCLEAR[numbers]] = CLOUD
    reflectance[:, status != CLEAR] = NOT_CLEAR
    return ScenePixels(rows, cols, reflectance, status)


def _window(scene: Scene, band: str, block: grid.Block) -> tuple[slice, slice] | None:
    """Rows and columns of the block that the scene's file can reach."""
    with _Opened(scene, band, scene.bands[band]) as file:
        west, south, east, north = transform_bounds(
            file.crs, grid.CRS, *file.bounds, densify_pts=21
        )
    if not np.isfinite([west, south, east, north]).all():
        raise ReadFailedError(
            "a file lies nowhere on Earth", where=f"scene {scene.id}, {scene.bands[band].href}"
        )
    to_pixel = ~block.transform
    left, top = to_pixel @ (west, north)
    right, bottom = to_pixel @ (east, south)
    rows = slice(max(0, int(np.floor(top)) - 1), min(SIZE_PX, int(np.ceil(bottom)) + 1))
    cols = slice(max(0, int(np.floor(left)) - 1), min(SIZE_PX, int(np.ceil(right)) + 1))
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def _warp(
    scene: Scene,
    name: str,
    band: SceneBand,
    block: grid.Block,
    rows: slice,
    cols: slice,
    resampling: Resampling,
) -> NDArray[np.float32]:
    """One band's digital numbers on the block's pixels, NaN where the file has none."""
    target = block.transform @ Affine.translation(cols.start, rows.start)
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    bounds = array_bounds(*shape, target)
    numbers, transform, crs = _read(scene, name, band, bounds)
    warped = np.full(shape, np.nan, np.float32)
    if numbers.size:
        # Looking out for nodata makes the warp 2.4 times slower, so only where there is some.
        # What the file does not reach keeps the NaN that it is filled with.
        gaps = bool(np.isnan(numbers).any())
        reproject(
            numbers,
            warped,
            src_transform=transform,
            src_crs=crs,
            src_nodata=np.nan if gaps else None,
            dst_transform=target,
            dst_crs=grid.CRS,
            dst_nodata=np.nan if gaps else None,
            init_dest_nodata=gaps,
            resampling=resampling,
            num_threads=1,
        )
    return warped


def _read(
    scene: Scene, name: str, band: SceneBand, bounds: tuple[float, float, float, float]
) -> tuple[NDArray[np.float32], Affine, CRS]:
    """Read the part of a file that covers a box (EPSG:4326) and a margin, NaN where nodata."""
    for attempt in range(REMOTE_TRIES):
        try:
            with _Opened(scene, name, band) as file:
                left, bottom, right, top = transform_bounds(
                    grid.CRS, file.crs, *bounds, densify_pts=21
                )
                to_pixel = ~file.transform
                (x0, y0), (x1, y1) = to_pixel @ (left, top), to_pixel @ (right, bottom)
                x0, y0 = max(0, int(x0) - _MARGIN_PX), max(0, int(y0) - _MARGIN_PX)
                x1 = min(file.width, int(np.ceil(x1)) + _MARGIN_PX)
                y1 = min(file.height, int(np.ceil(y1)) + _MARGIN_PX)
                if x0 >= x1 or y0 >= y1:
                    return np.empty((0, 0), np.float32), file.transform, file.crs
                window = Window(x0, y0, x1 - x0, y1 - y0)
                numbers = file.read(band.index, window=window, out_dtype=np.float32)
                if band.nodata is not None:
                    numbers[numbers == band.nodata] = np.nan
                return numbers, file.window_transform(window), file.crs
        except ReadFailedError:
            # A local file does not mend itself; a remote one is opened anew.
            if "://" not in band.href or attempt + 1 == REMOTE_TRIES:
                raise
            time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable")


class _Opened:
    """A raster opened for reading, with every GDAL failure turned into a ReadFailedError."""

    def __init__(self, scene: Scene, name: str, band: SceneBand) -> None:
        self._where = f"scene {scene.id}, band {name}, {band.href}"
        self._href = band.href

    def __enter__(self) -> rasterio.DatasetReader:
        try:
            self._file = rasterio.DatasetReader(self._href, driver=ALLOWED_DRIVERS)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from None
        if self._file.crs is None:
            raise MissingMetadataError("a file has no coordinate system", where=self._where)
        if self._file.width * self._file.height > MAX_PIXELS:
            raise ReadFailedError("a file claims more pixels than any scene has", where=self._where)
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        # An IndexError is a band that the file does not have.
        if isinstance(error, RasterioError | OSError | IndexError):
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ReadFailedError:
        cause = str(error.__cause__ or error).splitlines()[0]
        return ReadFailedError(
            f"pixels could not be read: {cause}",
            where=self._where,
            next_step="fetch the file anew, then run the same command: finished blocks are kept",
        )
