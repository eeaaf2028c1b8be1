"""Read one scene for one block: its values, and of every pixel whether it was observed.

A window of each file is read first, and warped in memory afterwards, so that a read that fails
raises and can never turn into pixels. Nearest neighbour for the classes, bilinear for reflectance
and radar power; pixels without data take no part in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds

from pipeline import grid
from pipeline.errors import OffsetError
from pipeline.imagery import clouds
from pipeline.imagery.items import RADAR_BANDS, Scene
from pipeline.imagery.limits import Limits
from pipeline.imagery.links import is_remote
from pipeline.imagery.reading import GDAL_OPTIONS, Numbers, read_numbers

# What a pixel is in one scene. UNKNOWN: seen, and masked by whoever made the ready composite.
OUTSIDE, CLEAR, CLOUD, FAILED, UNKNOWN = range(5)
REFLECTANCE_STEP = 1e-4
# Radar is kept in hundredths of a decibel, so that its numbers are of the size of reflectance's.
DECIBEL_STEP = 0.01
# The largest number, so that it sorts behind every value.
NOT_CLEAR = 32767
SIZE_PX = grid.BLOCK_PX + grid.HALO_PX
# A reflectance that no ground has: more than a few of them mean that the offset is wrong.
_IMPOSSIBLE = -400
_MOST_IMPOSSIBLE = 0.02
_LEAST_PIXELS = 1_000


@dataclass(frozen=True)
class CloudRule:
    """What counts as cloud.

    Parameters
    ----------
    unclear : tuple of int
        Classes of the scene classification that are not a clear view of the ground.
    dilation : int
        Pixels by which clouds are grown.
    """

    unclear: tuple[int, ...] = (0, 1, 3, 8, 9, 10)
    dilation: int = 0


@dataclass(frozen=True)
class ScenePixels:
    """What one scene shows of one block.

    Parameters
    ----------
    rows, cols : slice
        Where in the block (with its halo) the arrays lie.
    values : numpy.ndarray of int16, shape (bands, h, w)
        Reflectance in steps of 1/10000, radar in hundredths of a decibel; ``NOT_CLEAR`` where the
        pixel is of no use.
    status : numpy.ndarray of uint8, shape (h, w)
        ``OUTSIDE`` the scene, ``CLEAR``, ``CLOUD``, ``FAILED`` or ``UNKNOWN``.
    """

    rows: slice
    cols: slice
    values: NDArray[np.int16]
    status: NDArray[np.uint8]


@dataclass(frozen=True)
class _Area:
    """A part of the grid of pixels, by its place in a block; it may reach beyond the block."""

    block: grid.Block
    top: int
    left: int
    height: int
    width: int

    @property
    def transform(self) -> Affine:
        return self.block.transform @ Affine.translation(self.left, self.top)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        west, south, east, north = array_bounds(self.height, self.width, self.transform)
        return west, south, east, north

    def wider(self, pixels: int) -> _Area:
        more = 2 * pixels
        return _Area(
            self.block,
            self.top - pixels,
            self.left - pixels,
            self.height + more,
            self.width + more,
        )


def read_scene(
    scene: Scene,
    bands: Sequence[str],
    block: grid.Block,
    limits: Limits | None = None,
    rule: CloudRule | None = None,
) -> ScenePixels | None:
    """Read a scene's pixels on a block's grid.

    Parameters
    ----------
    scene : Scene
        With the file, scale and offset of every band.
    bands : sequence of str
        Bands wanted, in this order; all of the scene's sensor.
    block : grid.Block
        Its pixels and its halo to the east and south.
    limits : Limits, optional
        How far the reader may go.
    rule : CloudRule, optional
        What counts as cloud.

    Returns
    -------
    ScenePixels or None
        None if the scene does not reach into the block.

    Raises
    ------
    ReadFailedError
        If a file cannot be read, after several tries where it is remote.
    MissingBandError, MissingMetadataError
        If a file lacks a band, or its coordinate system.
    OffsetError
        If reflectances lie so far below zero that the offset must be wrong.
    """
    limits, rule = limits or Limits(), rule or CloudRule()
    whole = _Area(block, 0, 0, SIZE_PX, SIZE_PX)
    read = _read(scene, _places(scene, bands, whole, rule), limits)
    reach = _reach(read[bands[0]], block)
    if reach is None:
        return None
    rows, cols = reach
    area = _Area(block, rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start)
    values = np.empty((len(bands), area.height, area.width), np.int16)
    observed = np.ones(values.shape[1:], bool)
    for index, name in enumerate(bands):
        physical = _values(scene, name, _warp(read[name], area, Resampling.bilinear))
        known = np.isfinite(physical)
        observed &= known
        np.clip(np.rint(physical, out=physical), -NOT_CLEAR, NOT_CLEAR - 1, out=physical)
        values[index] = np.where(known, physical, NOT_CLEAR)
    seen = UNKNOWN if scene.ready and "SCL" not in scene.bands else CLEAR
    status = np.where(observed, seen, OUTSIDE).astype(np.uint8)
    clouded = _clouded(scene, read, area, rule)
    if clouded is not None:
        status[observed & clouded] = CLOUD
    useful = (status == CLEAR) | (status == UNKNOWN)
    values[:, ~useful] = NOT_CLEAR
    if not scene.radar:
        _check_offset(scene, values, useful)
    return ScenePixels(rows, cols, values, status)


def failed_pixels(scene: Scene, block: grid.Block) -> NDArray[np.bool_]:
    """Return where a scene that could not be read would have shown a block.

    Parameters
    ----------
    scene : Scene
        With its footprint.
    block : grid.Block
        With its halo.

    Returns
    -------
    numpy.ndarray of bool, shape (SIZE_PX, SIZE_PX)
        Pixels below the footprint.
    """
    below: NDArray[np.bool_] = rasterio.features.geometry_mask(
        [shapely.from_wkt(scene.footprint)],
        out_shape=(SIZE_PX, SIZE_PX),
        transform=block.transform,
        invert=True,
        all_touched=True,
    )
    return below


def _places(
    scene: Scene, bands: Sequence[str], whole: _Area, rule: CloudRule
) -> dict[str, tuple[float, float, float, float]]:
    """Bounds (EPSG:4326) to read of every band, those that tell clouds with a margin."""
    places = dict.fromkeys(bands, whole.bounds)
    if "SCL" in scene.bands:
        places["SCL"] = whole.wider(rule.dilation).bounds
    elif not scene.ready and not scene.radar:
        places |= dict.fromkeys(clouds.CLOUD_MODEL_BANDS, _coarse(whole, rule).bounds)
    return places


def _coarse(area: _Area, rule: CloudRule) -> _Area:
    """Whole coarse pixels, counted from the block's corner, around an area and its clouds."""
    step = clouds.COARSE_PX
    margin = (clouds.COARSE_MARGIN + -(-rule.dilation // step)) * step
    top = (area.top - margin) // step * step
    left = (area.left - margin) // step * step
    height = -(-(area.top + area.height + margin - top) // step) * step
    width = -(-(area.left + area.width + margin - left) // step) * step
    return _Area(area.block, top, left, height, width)


def _read(
    scene: Scene, places: dict[str, tuple[float, float, float, float]], limits: Limits
) -> dict[str, Numbers]:
    def read(name: str) -> Numbers:
        band = scene.bands[name]
        where = f"scene {scene.id}, band {name}"
        return read_numbers(band, scene.provider, places[name], limits, where)

    if not is_remote(next(iter(scene.bands.values())).href):
        return {name: read(name) for name in places}
    # While one file's bytes are on their way, the others' can be asked for.
    with ThreadPoolExecutor(limits.connections) as pool:
        return dict(zip(places, pool.map(read, places), strict=True))


def _reach(read: Numbers, block: grid.Block) -> tuple[slice, slice] | None:
    """Rows and columns of the block that what was read can reach."""
    if not read.values.size:
        return None
    bounds = array_bounds(*read.values.shape, read.transform)
    west, south, east, north = transform_bounds(read.crs, grid.CRS, *bounds, densify_pts=21)
    to_pixel = ~block.transform
    left, top = to_pixel @ (west, north)
    right, bottom = to_pixel @ (east, south)
    rows = slice(max(0, int(np.floor(top)) - 1), min(SIZE_PX, int(np.ceil(bottom)) + 1))
    cols = slice(max(0, int(np.floor(left)) - 1), min(SIZE_PX, int(np.ceil(right)) + 1))
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def _values(scene: Scene, name: str, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn digital numbers into steps of the stored values, in place; NaN stays NaN."""
    band = scene.bands[name]
    if name in RADAR_BANDS:
        # Power of nothing is no echo, which no ground gives.
        numbers[numbers <= 0] = np.nan
        np.log10(numbers, out=numbers)
        numbers *= np.float32(10 / DECIBEL_STEP)
        return numbers
    numbers *= np.float32(band.scale / REFLECTANCE_STEP)
    numbers += np.float32(band.offset / REFLECTANCE_STEP)
    return numbers


def _clouded(
    scene: Scene, read: dict[str, Numbers], area: _Area, rule: CloudRule
) -> NDArray[np.bool_] | None:
    """Whether each pixel of the area is clouded; None where nothing tells clouds."""
    if "SCL" in scene.bands:
        wide = area.wider(rule.dilation)
        where = f"scene {scene.id}, band SCL"
        classes = _warp(read["SCL"], wide, Resampling.nearest)
        # Outside the scene there is no cloud to grow.
        mask = clouds.scl_clouded(classes, rule.unclear, where)
        if rule.dilation:
            mask = clouds.grown(mask & (np.nan_to_num(classes, nan=0) > 0), rule.dilation) | mask
    elif scene.ready or scene.radar:
        return None
    else:
        wide = _coarse(area, rule)
        stack = np.stack(
            [
                _values(scene, name, _warp(read[name], wide, Resampling.bilinear))
                for name in clouds.CLOUD_MODEL_BANDS
            ]
        )
        mask = clouds.grown(
            clouds.modelled_clouds(stack * np.float32(REFLECTANCE_STEP)), rule.dilation
        )
    top, left = area.top - wide.top, area.left - wide.left
    return mask[top : top + area.height, left : left + area.width]


def _check_offset(scene: Scene, values: NDArray[np.int16], useful: NDArray[np.bool_]) -> None:
    count = np.count_nonzero(useful)
    if count < _LEAST_PIXELS:
        return
    dark = [np.count_nonzero(band < _IMPOSSIBLE) / count for band in values]
    if min(dark) > _MOST_IMPOSSIBLE:
        raise OffsetError(
            f"{min(dark):.0%} of a scene's clear pixels have a reflectance below "
            f"{_IMPOSSIBLE * REFLECTANCE_STEP:g} in every band: its offset must be wrong",
            where=f"scene {scene.id}, offset by {scene.offset_rule}",
            next_step="compare the catalogue's scale and offset with the service's own words",
        )


def _warp(read: Numbers, area: _Area, resampling: Resampling) -> NDArray[np.float32]:
    """One band's digital numbers on an area's pixels, NaN where the file has none."""
    warped = np.full((area.height, area.width), np.nan, np.float32)
    if read.values.size:
        # Looking out for nodata makes the warp 2.4 times slower, so only where there is some.
        # What the file does not reach keeps the NaN that it is filled with.
        gaps = bool(np.isnan(read.values).any())
        with rasterio.Env(**GDAL_OPTIONS):
            reproject(
                read.values,
                warped,
                src_transform=read.transform,
                src_crs=read.crs,
                src_nodata=np.nan if gaps else None,
                dst_transform=area.transform,
                dst_crs=grid.CRS,
                dst_nodata=np.nan if gaps else None,
                init_dest_nodata=gaps,
                resampling=resampling,
                num_threads=1,
            )
    return warped
