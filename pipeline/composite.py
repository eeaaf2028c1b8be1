"""Blend a season's scenes into one cloud-free block.

The median (or another blend) of the clear observations of each pixel and band, with their number,
the numbers of clouded, failed and radar ones and the first and last date beside it. Scenes of one
acquisition are one observation; radar is blended apart and has a count of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.errors import (
    AsmAtlasError,
    NoClearPixelError,
    PartialError,
    ReadFailedError,
)
from pipeline.geo import grid
from pipeline.imagery.blend import NODATA, NOT_CLEAR, blend_named
from pipeline.imagery.cloud_mask import CLOUD_MODEL_BANDS, CloudRule
from pipeline.imagery.forecast import read_remotely, report_forecast
from pipeline.imagery.items import RADAR_BANDS, Scene
from pipeline.imagery.pixels import (
    CLOUD,
    FAILED,
    OUTSIDE,
    REFLECTANCE_STEP,
    SIZE_PX,
    UNKNOWN,
    ScenePixels,
    failed_pixels,
    is_useful,
    read_scene,
)
from pipeline.imagery.resample import Resamplers
from pipeline.imagery.retry import Limits
from pipeline.imagery.stack import Stack
from pipeline.imagery.windows import GDAL_LOCK
from pipeline.runtime.console import say
from pipeline.scenes import SceneList, reading_limits
from pipeline.workflow import ledger
from pipeline.workflow.blocks import BlockStage, run_blocks
from pipeline.workflow.context import Context
from pipeline.workflow.coverage import cell_counts, report_coverage

if TYPE_CHECKING:
    import xarray as xr

# Raise it when the pixels of a composite change, so that stored ones are not taken for new ones.
VERSION = 2
EPOCH = date(2000, 1, 1)
COUNTS = ("clear", "cloud", "failed", "unknown", "radar", "first_day", "last_day")
_SHAPE = (SIZE_PX, SIZE_PX)


@dataclass(frozen=True)
class Blending:
    """What decides a composite's pixels besides the scenes.

    Parameters
    ----------
    method : str
        As the configuration's ``blend``.
    clouds : CloudRule
        What counts as cloud.
    failed_scenes : str
        ``stop`` or ``mark``.
    """

    method: str = "median"
    clouds: CloudRule = field(default_factory=CloudRule)
    failed_scenes: str = "stop"

    @classmethod
    def of(cls, config: Config) -> Blending:
        """Return what a configuration asks for."""
        imagery = config.imagery
        unclear = tuple(int(number) for number in imagery.scl_unclear.split(","))
        clouds = CloudRule(unclear, imagery.cloud_dilation)
        return cls(imagery.blend, clouds, config.reading.failed_scenes)


@dataclass(frozen=True)
class Compositing(BlockStage[tuple[grid.Block, list[Scene]]]):
    """The stage ``composite``: the scenes of a block, blended.

    Parameters
    ----------
    bands : tuple of str
        To blend.
    blending : Blending
        How.
    limits : Limits
        How far the reader may go.
    """

    bands: tuple[str, ...]
    blending: Blending
    limits: Limits = field(default_factory=Limits)
    verb = store = "composite"
    suffix = ".tif"
    begins = True
    product = "composite of these scenes"

    @property
    def remakes(self) -> bool:
        """What could not be read the last time may be there now."""
        return self.blending.failed_scenes == "mark"

    def unit(self, item: tuple[grid.Block, list[Scene]]) -> str:
        """Return the name of the block."""
        return item[0].name

    def inputs(self, item: tuple[grid.Block, list[Scene]]) -> dict[str, Any]:
        """Return what the pixels depend on: not where the files lie, but what is in them."""
        block, scenes = item
        return {
            "stage": "composite",
            "version": VERSION,
            "block": block.name,
            "bands": list(self.bands),
            "blending": asdict(self.blending),
            # ``vars``, since ``asdict`` copies deeply: milliseconds for each block of a continent.
            "scenes": [
                vars(scene)
                | {
                    "provider": "",
                    "bands": {
                        name: vars(band) | {"href": band.href.rpartition("/")[2], "size": 0}
                        for name, band in scene.bands.items()
                        if name in (*self.bands, "SCL") or _tells_clouds(scene, name)
                    },
                }
                for scene in scenes
            ],
        }

    def write(self, path: Path, item: tuple[grid.Block, list[Scene]]) -> dict[str, Any]:
        """Blend the scenes and write the block."""
        return _write(path, *item, self.bands, self.blending, self.limits)

    def effort(self, item: tuple[grid.Block, list[Scene]]) -> int:
        """Return the number of scenes."""
        return len(item[1])

    def gaps(self, entry: ledger.Entry) -> int:
        """Return how many scenes could not be read."""
        return len(_gaps(entry))

    def prepared(
        self, context: Context, todo: Sequence[tuple[grid.Block, list[Scene]]]
    ) -> Compositing:
        """Say what is to be read, and how far the reader may go."""
        report_forecast(context.store(self.store), todo, self.bands)
        return replace(self, limits=reading_limits(context)) if todo else self

    def finished(self, context: Context, entries: Sequence[ledger.Entry]) -> None:
        """Report what the composites could see."""
        report_coverage(context, entries)

    def summary(self, entries: Sequence[ledger.Entry]) -> str:
        """Return the share of pixels observed."""
        return f"{_clear_share(entries):.1%} of their pixels observed" if entries else ""


def forecast_blocks(context: Context, scenes: SceneList) -> None:
    """Say what compositing a region will read, and leave it at that."""
    work = [(block, part) for block in context.region.blocks if (part := scenes.of_block(block))]
    report_forecast(context.store(Compositing.store), work, scenes.bands)


def composite_blocks(
    context: Context, scenes: SceneList, blocks: Sequence[grid.Block]
) -> list[ledger.Entry]:
    """Composite blocks and store them.

    Parameters
    ----------
    context : Context
        Where the store is, who works, and whether anything may be made.
    scenes : SceneList
        As found by the stage before.
    blocks : sequence of grid.Block
        Those without any scene get no entry.

    Returns
    -------
    list of ledger.Entry
        One for each block that has scenes, in the order of the blocks. ``facts["failed"]`` lists
        the scenes that could not be read, where the configuration asks to go on without them.

    Raises
    ------
    ReadFailedError
        If the pixels of a block could not be read; the other blocks are stored first.
    NoClearPixelError
        If no pixel of any block was ever clear.
    StageMissingError
        If a block is not stored and may not be made.
    """
    # A scene whose footprint only touches a block's halo still fills the halo.
    work = [(block, part) for block in blocks if (part := scenes.of_block(block))]
    entries = run_blocks(context, Compositing(scenes.bands, Blending.of(context.config)), work)
    if len(entries) < len(blocks):
        say("", f"{len(blocks) - len(entries)} blocks without a scene")
    if not _clear_share(entries):
        raise NoClearPixelError(
            f"no pixel of {context.region.name} was clear in any of {len(scenes.scenes)} scenes",
            next_step="choose a longer SEASON",
        )
    return entries


def _clear_share(entries: Sequence[ledger.Entry]) -> float:
    """Return the mean share of pixels that were ever clear."""
    shares = [entry.facts["clear_share"] for entry in entries if entry.facts]
    return sum(shares) / len(shares) if shares else 0.0


def raise_partial(entries: Sequence[ledger.Entry]) -> None:
    """Say with an exit code that scenes are missing from composites that were made without them.

    Raises
    ------
    PartialError
        If any is.
    """
    for entry in entries:
        for gap in _gaps(entry):
            blocks = sum(bool(_gaps(entry)) for entry in entries)
            raise PartialError(
                f"{len(failed_scenes(entries))} scenes could not be read and are missing from "
                f"{blocks} of {len(entries)} blocks; the first: {gap['cause']}: {gap['text']}",
                where=f"block {entry.unit}, scene {gap['scene']}",
                next_step="run the same command again: only those blocks are made anew",
            )


def failed_scenes(entries: Sequence[ledger.Entry]) -> set[str]:
    """Return the names of the scenes that could not be read and were left out."""
    return {gap["scene"] for entry in entries for gap in _gaps(entry)}


def _gaps(entry: ledger.Entry) -> list[dict[str, str]]:
    gaps: list[dict[str, str]] = (entry.facts or {}).get("failed", [])
    return gaps


def read_composite(path: str | Path) -> xr.Dataset:
    """Open a stored block.

    Returns
    -------
    xarray.Dataset
        ``reflectance`` float32 (band, y, x), NaN where never clear; ``clear`` and ``cloud`` int16
        (y, x) counts of observations; ``first_day`` and ``last_day`` int16 (y, x), days since
        2000-01-01, -32768 for none. Pixels of the grid, EPSG:4326, 1208 x 1208 with the halo.

    Raises
    ------
    ReadFailedError
        If the file cannot be read.
    """
    # Half a second that the workers which only write composites need not spend.
    import xarray as xr

    try:
        with rasterio.open(path, driver="GTiff") as file:
            names = list(file.descriptions)
            values = file.read()
            transform = file.transform
            tags = file.tags()
    except rasterio.errors.RasterioError as error:
        raise ReadFailedError(
            f"a stored composite cannot be read: {error}",
            where=str(path),
            next_step="delete this file: the same command makes it anew",
        ) from None
    bands = [name for name in names if name not in COUNTS]
    numbers = values[: len(bands)]
    reflectance = numbers * np.float32(REFLECTANCE_STEP)
    reflectance[numbers == NODATA] = np.nan
    counts = {name: (("y", "x"), values[names.index(name)]) for name in COUNTS}
    coords = {
        "band": bands,
        "x": transform.c + transform.a * (np.arange(values.shape[2]) + 0.5),
        "y": transform.f + transform.e * (np.arange(values.shape[1]) + 0.5),
    }
    return xr.Dataset(
        {"reflectance": (("band", "y", "x"), reflectance), **counts}, coords=coords, attrs=tags
    )


def _tells_clouds(scene: Scene, band: str) -> bool:
    return not (scene.ready or scene.radar or "SCL" in scene.bands) and band in CLOUD_MODEL_BANDS


class _Tally:
    """How often each pixel of a block was seen, and how."""

    def __init__(self) -> None:
        self.counts = {name: np.zeros(_SHAPE, np.int16) for name in COUNTS[:5]}
        self.first = np.full(_SHAPE, NODATA, np.int16)
        self.last = np.full(_SHAPE, NODATA, np.int16)

    def add(self, status: NDArray[np.uint8], scene: Scene) -> None:
        used = is_useful(status)
        self.counts["radar" if scene.radar else "clear"] += used
        self.counts["cloud"] += status == CLOUD
        self.counts["unknown"] += status == UNKNOWN
        self.counts["failed"] += status == FAILED
        begins, ends = (
            (date.fromisoformat(text[:10]) - EPOCH).days for text in (scene.datetime, scene.end)
        )
        np.copyto(self.first, begins, where=used & ((self.first == NODATA) | (self.first > begins)))
        np.copyto(self.last, ends, where=used & (self.last < ends))

    def bands(self) -> list[NDArray[np.int16]]:
        return [*self.counts.values(), self.first, self.last]


def _write(
    path: Path,
    block: grid.Block,
    scenes: Sequence[Scene],
    bands: tuple[str, ...],
    blending: Blending,
    limits: Limits,
) -> dict[str, Any]:
    tally, failed = _Tally(), list[dict[str, str]]()
    result = np.full((len(bands) + len(COUNTS), *_SHAPE), NODATA, np.int16)
    seen = np.ones(_SHAPE, bool)
    for radar in (False, True):
        places = [index for index, name in enumerate(bands) if (name in RADAR_BANDS) == radar]
        of_sensor = [scene for scene in scenes if scene.radar == radar]
        if places:
            names = [bands[index] for index in places]
            result[places] = _blended(block, of_sensor, names, blending, limits, tally, failed)
            seen &= tally.counts["radar" if radar else "clear"] > 0
    result[len(bands) :] = tally.bands()
    _save(path, block, result, bands, scenes)
    inside = seen[: grid.BLOCK_PX, : grid.BLOCK_PX]
    return {
        "clear_share": round(float(inside.mean()), 6),
        "scenes": len(scenes),
        "remote": read_remotely(scenes),
        "clear_cells": cell_counts(result[len(bands) + COUNTS.index("clear")]),
        "failed": failed,
    }


def _blended(
    block: grid.Block,
    scenes: Sequence[Scene],
    bands: Sequence[str],
    blending: Blending,
    limits: Limits,
    tally: _Tally,
    failed: list[dict[str, str]],
) -> NDArray[np.int16]:
    """Blend the scenes of one sensor, one acquisition in memory at a time."""
    acquisitions: dict[str, list[Scene]] = {}
    for scene in sorted(scenes, key=lambda scene: (scene.datetime, scene.id)):
        acquisitions.setdefault(scene.acquisition, []).append(scene)
    result = np.full((len(bands), *_SHAPE), NODATA, np.int16)
    resamplers = Resamplers()
    with closing(Stack(len(bands), *_SHAPE)) as layers:
        for parts in acquisitions.values():
            layer = np.full((len(bands), *_SHAPE), NOT_CLEAR, np.int16)
            status = np.zeros(_SHAPE, np.uint8)
            for scene in parts:
                try:
                    pixels = read_scene(scene, bands, block, limits, blending.clouds, resamplers)
                except AsmAtlasError as error:
                    if blending.failed_scenes == "stop":
                        raise
                    cause = {"scene": scene.id, "cause": type(error).__name__, "text": error.what}
                    failed.append(cause)
                    status[failed_pixels(scene, block) & ~is_useful(status)] = FAILED
                    continue
                if pixels is not None:
                    _lay(pixels, layer, status)
            tally.add(status, parts[0])
            if (layer[0] != NOT_CLEAR).any():
                layers.append(layer)
        if len(layers):
            blend = blend_named(blending.method)
            for rows, strip in layers.strips():
                result[:, rows] = blend(strip)
    return result


def _lay(pixels: ScenePixels, layer: NDArray[np.int16], status: NDArray[np.uint8]) -> None:
    """Put a scene into its acquisition: useful pixels first, the earlier scene where both are."""
    better = ~is_useful(status) & (pixels.status != OUTSIDE)
    better &= (status == OUTSIDE) | is_useful(pixels.status)
    np.copyto(status, pixels.status, where=better)
    np.copyto(layer, pixels.values, where=better)


def _save(
    path: Path,
    block: grid.Block,
    result: NDArray[np.int16],
    bands: tuple[str, ...],
    scenes: Sequence[Scene],
) -> None:
    with (
        GDAL_LOCK,
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=SIZE_PX,
            height=SIZE_PX,
            count=len(result),
            dtype="int16",
            crs=grid.CRS,
            transform=block.transform,
            nodata=NODATA,
            tiled=True,
            compress="zstd",
            zstd_level=1,
            predictor=2,
            interleave="band",
        ) as file,
    ):
        file.write(result)
        file.descriptions = (*bands, *COUNTS)
        file.update_tags(
            level=next((scene.level for scene in scenes if not scene.radar), "RTC"),
            reflectance_scale=REFLECTANCE_STEP,
            simulated=str(any(scene.simulated for scene in scenes)).lower(),
        )
