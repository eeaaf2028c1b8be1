"""Read one scene for one block: its values, and of every pixel whether it was observed.

A window of each file is read first, and resampled in memory afterwards, so that a read that fails
raises and can never turn into pixels. Nearest neighbour for the classes, bilinear for reflectance
and radar power; pixels without data take no part in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray

from pipeline.errors import OffsetError
from pipeline.geo import grid
from pipeline.imagery import cloud_mask
from pipeline.imagery.blend import NOT_CLEAR
from pipeline.imagery.cloud_mask import CloudRule
from pipeline.imagery.hrefs import is_remote
from pipeline.imagery.items import RADAR_BANDS, Scene
from pipeline.imagery.resample import Area, Resamplers
from pipeline.imagery.retry import Limits
from pipeline.imagery.windows import Numbers, read_numbers

# What a pixel is in one scene. UNKNOWN: seen, and masked by whoever made the ready composite.
OUTSIDE, CLEAR, CLOUD, FAILED, UNKNOWN = range(5)
REFLECTANCE_STEP = 1e-4
# Radar is kept in hundredths of a decibel, so that its numbers are of the size of reflectance's.
DECIBEL_STEP = 0.01
SIZE_PX = grid.BLOCK_PX + grid.HALO_PX
# A reflectance that no ground has: more than a few of them mean that the offset is wrong.
_IMPOSSIBLE = -400
_MOST_IMPOSSIBLE = 0.02
_LEAST_PIXELS = 1_000


@dataclass(frozen=True)
class ScenePixels:
    """What one scene shows of one block with its halo.

    Parameters
    ----------
    values : numpy.ndarray of int16, shape (bands, SIZE_PX, SIZE_PX)
        Reflectance in steps of 1/10000, radar in hundredths of a decibel; ``NOT_CLEAR`` where the
        pixel is of no use.
    status : numpy.ndarray of uint8, shape (SIZE_PX, SIZE_PX)
        ``OUTSIDE`` the scene, ``CLEAR``, ``CLOUD``, ``FAILED`` or ``UNKNOWN``.
    """

    values: NDArray[np.int16]
    status: NDArray[np.uint8]


def read_scene(
    scene: Scene,
    bands: Sequence[str],
    block: grid.Block,
    limits: Limits | None = None,
    rule: CloudRule | None = None,
    resamplers: Resamplers | None = None,
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
    resamplers : Resamplers, optional
        The block's own: scenes of one tile share the way from their grid to the block's.

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
    resamplers = resamplers or Resamplers()
    area = Area(block.transform, SIZE_PX, SIZE_PX)
    read = _read(scene, _places(scene, bands, area, rule), limits)
    if not read[bands[0]].values.size:
        return None
    values = np.empty((len(bands), SIZE_PX, SIZE_PX), np.int16)
    observed = np.ones((SIZE_PX, SIZE_PX), bool)
    for index, name in enumerate(bands):
        physical = _physical(scene, name, _bilinear(read[name], area, resamplers))
        observed &= np.isfinite(physical)
        np.clip(np.rint(physical, out=physical), -NOT_CLEAR, NOT_CLEAR - 1, out=physical)
        # What is not observed is overwritten below, whatever number NaN becomes.
        with np.errstate(invalid="ignore"):
            values[index] = physical
    seen = UNKNOWN if scene.ready and "SCL" not in scene.bands else CLEAR
    status = np.where(observed, np.uint8(seen), np.uint8(OUTSIDE))
    clouded = _clouded(scene, read, area, rule, resamplers)
    if clouded is not None:
        np.copyto(status, CLOUD, where=observed & clouded)
    useful = is_useful(status)
    np.copyto(values, NOT_CLEAR, where=~useful)
    if not scene.radar:
        _check_offset(scene, values, useful)
    return ScenePixels(values, status)


def is_useful(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels show the ground.

    Parameters
    ----------
    status : numpy.ndarray of uint8
        As of ``ScenePixels``.

    Returns
    -------
    numpy.ndarray of bool
        ``CLEAR`` or ``UNKNOWN``.
    """
    useful: NDArray[np.bool_] = (status == CLEAR) | (status == UNKNOWN)
    return useful


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
    scene: Scene, bands: Sequence[str], area: Area, rule: CloudRule
) -> dict[str, tuple[float, float, float, float]]:
    """Bounds (EPSG:4326) to read of every band, those that tell clouds with a margin."""
    places = dict.fromkeys(bands, area.bounds)
    if "SCL" in scene.bands:
        places["SCL"] = _wider(area, rule.dilation).bounds
    elif not scene.ready and not scene.radar:
        places |= dict.fromkeys(cloud_mask.CLOUD_MODEL_BANDS, _coarse(area, rule)[0].bounds)
    return places


def _wider(area: Area, pixels: int) -> Area:
    return area.part(-pixels, -pixels, area.height + 2 * pixels, area.width + 2 * pixels)


def _coarse(area: Area, rule: CloudRule) -> tuple[Area, int]:
    """Whole coarse pixels, counted from the block's corner, around an area and its clouds."""
    step = cloud_mask.COARSE_PX
    margin = (cloud_mask.COARSE_MARGIN + -(-rule.dilation // step)) * step
    side = -(-(area.height + 2 * margin) // step) * step
    return area.part(-margin, -margin, side, side), margin


def _read(
    scene: Scene, places: dict[str, tuple[float, float, float, float]], limits: Limits
) -> dict[str, Numbers]:
    def read(name: str) -> Numbers:
        band = scene.bands[name]
        where = f"scene {scene.id}, band {name}"
        numbers = read_numbers(band, scene.provider, places[name], limits, where)
        if name in RADAR_BANDS:
            # No echo at all is no observation: no ground gives that.
            numbers.values[numbers.values <= 0] = np.nan
        return numbers

    if not is_remote(next(iter(scene.bands.values())).href):
        return {name: read(name) for name in places}
    # While one file's bytes are on their way, the others' can be asked for.
    return dict(zip(places, _threads(limits.connections).map(read, places), strict=True))


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    """Return threads that stay, and with them their connections, from one scene to the next."""
    return ThreadPoolExecutor(count)


def _physical(scene: Scene, name: str, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn digital numbers into steps of the stored values, in place; NaN stays NaN."""
    band = scene.bands[name]
    if name in RADAR_BANDS:
        np.log10(numbers, out=numbers)
        numbers *= np.float32(10 / DECIBEL_STEP)
        return numbers
    numbers *= np.float32(band.scale / REFLECTANCE_STEP)
    numbers += np.float32(band.offset / REFLECTANCE_STEP)
    return numbers


def _clouded(
    scene: Scene,
    read: dict[str, Numbers],
    area: Area,
    rule: CloudRule,
    resamplers: Resamplers,
) -> NDArray[np.bool_] | None:
    """Whether each pixel of the area is clouded; None where nothing tells clouds."""
    if "SCL" in scene.bands:
        margin = rule.dilation
        classes = _nearest(read["SCL"], _wider(area, margin), resamplers)
        mask = cloud_mask.scl_clouded(classes, rule.unclear, f"scene {scene.id}, band SCL")
        # Outside the scene there is no cloud to grow.
        mask |= cloud_mask.grown(mask & (classes > 0), margin)
    elif scene.ready or scene.radar:
        return None
    else:
        wide, margin = _coarse(area, rule)
        stack = np.stack(
            [
                _physical(scene, band, _bilinear(read[band], wide, resamplers))
                for band in cloud_mask.CLOUD_MODEL_BANDS
            ]
        )
        mask = cloud_mask.modelled_clouds(stack * np.float32(REFLECTANCE_STEP))
        mask = cloud_mask.grown(mask, rule.dilation)
    return mask[margin : margin + area.height, margin : margin + area.width]


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


def _bilinear(read: Numbers, area: Area, resamplers: Resamplers) -> NDArray[np.float32]:
    if not read.values.size:
        return np.full((area.height, area.width), np.nan, np.float32)
    return resamplers.between(read, area).bilinear(read.values)


def _nearest(read: Numbers, area: Area, resamplers: Resamplers) -> NDArray[np.float32]:
    if not read.values.size:
        return np.full((area.height, area.width), np.nan, np.float32)
    return resamplers.between(read, area, weighted=False).nearest(read.values)
