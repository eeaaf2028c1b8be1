"""Blend a season's scenes into one cloud-free block.

The median (or another blend) of the clear observations of each pixel and band, with their number,
the numbers of clouded, failed and radar ones and the first and last date beside it. Scenes of one
acquisition are one observation; radar is blended apart and has a count of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
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
    StageMissingError,
)
from pipeline.geo import grid
from pipeline.imagery.blend import NODATA, blend_named
from pipeline.imagery.clouds import CLOUD_MODEL_BANDS
from pipeline.imagery.forecast import read_remotely, report_forecast
from pipeline.imagery.items import RADAR_BANDS, Scene
from pipeline.imagery.limits import Limits
from pipeline.imagery.pixels import (
    CLOUD,
    FAILED,
    NOT_CLEAR,
    OUTSIDE,
    REFLECTANCE_STEP,
    SIZE_PX,
    UNKNOWN,
    CloudRule,
    ScenePixels,
    failed_pixels,
    is_useful,
    read_scene,
)
from pipeline.imagery.resample import Resamplers
from pipeline.imagery.stack import Layers
from pipeline.imagery.windows import GDAL_LOCK
from pipeline.runtime.console import bar, say
from pipeline.runtime.survey import survey
from pipeline.scenes import SceneList, reading_limits
from pipeline.workflow import ledger
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context
from pipeline.workflow.coverage import cell_counts, report_coverage
from pipeline.workflow.progress import blocks_of, check_tried, to_do

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
        unclear = tuple(int(number) for number in config.scl_unclear.split(","))
        return cls(config.blend, CloudRule(unclear, config.cloud_dilation), config.failed_scenes)


def composite_blocks(
    context: Context, scenes: SceneList, blocks: Sequence[grid.Block]
) -> list[ledger.Entry]:
    """Composite blocks and store them.

    Parameters
    ----------
    context : Context
        Where the store is and who works.
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
    """
    # A scene whose footprint only touches a block's halo still fills the halo.
    work = [(block, part) for block in blocks if (part := scenes.of_block(block))]
    store = context.store("composite")
    blending = Blending.of(context.config)
    results: dict[str, ledger.Entry | None] = {}
    partial = set()
    known = survey(store, (block.name for block, _ in work))
    for block, part in work:
        inputs = _inputs(block, part, scenes.bands, blending)
        found = ledger.find(store, block.name, inputs, ".tif", known)
        # What could not be read the last time may be there now.
        if found is not None and _gaps(found):
            partial.add(block.name)
            found = None
        results[block.name] = found
    # Only what is missing goes to the workers, which are not even started for nothing; what takes
    # long goes first, so that no worker is left alone with it at the end.
    missing = [item for item in work if results[item[0].name] is None]
    missing.sort(key=lambda item: -len(item[1]))

    def has_failed(item: tuple[grid.Block, list[Scene]]) -> bool:
        name, inputs = item[0].name, _inputs(*item, scenes.bands, blending)
        return name in partial or ledger.has_failed(store, name, inputs, ".tif", known)

    todo = to_do(context, missing, has_failed)
    report_forecast(store, todo, scenes.bands)
    limits = reading_limits(context) if todo else Limits()
    done = context.workers.map(_composite_task, todo, scenes.bands, str(store), blending, limits)
    with blocks_of(context, "composite", len(work), len(missing)) as told:
        for (block, part), entry in bar(done, "composite", len(todo)):
            if isinstance(entry, AsmAtlasError):
                inputs = _inputs(block, part, scenes.bands, blending)
                entry = ledger.fail(store, block.name, inputs, ".tif", entry)
            results[block.name] = entry
            told(entry)
    entries = [entry for entry in results.values() if entry is not None]
    report_coverage(context, entries)
    raise_failed(entries, "composite")
    check_tried(context, "composite", results.values())
    clear = sum(entry.facts["clear_share"] for entry in entries if entry.facts)
    if clear == 0:
        raise NoClearPixelError(
            f"no pixel of {context.region.name} was clear in any of {len(scenes.scenes)} scenes",
            next_step="choose a longer SEASON",
        )
    reused = sum(entry.reused for entry in entries)
    say(
        "composite",
        f"{len(entries)} blocks: {len(entries) - reused} made, {reused} reused; "
        f"{clear / len(entries):.1%} of their pixels observed; "
        f"{len(blocks) - len(entries)} blocks without a scene",
    )
    return entries


def raise_failed(entries: Sequence[ledger.Entry], stage: str) -> None:
    """Raise the first failure among the entries, and say how many there were.

    Raises
    ------
    AsmAtlasError
        Of the class of the first block that failed.
    """
    failed = [entry for entry in entries if entry.error is not None]
    if failed and failed[0].error is not None:
        first = failed[0].error
        raise type(first)(
            f"{first.what} ({len(failed)} of {len(entries)} blocks failed in {stage})",
            where=f"block {failed[0].unit}; {first.where}",
            next_step=first.next_step,
        )


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


def load_composites(
    context: Context, scenes: SceneList, blocks: Sequence[grid.Block]
) -> list[ledger.Entry]:
    """Return the stored composites of the blocks that have scenes.

    Parameters
    ----------
    context : Context
        Where the store is.
    scenes : SceneList
        What the composites are made from.
    blocks : sequence of grid.Block
        The region's blocks.

    Returns
    -------
    list of ledger.Entry
        One for each block that has scenes, in their order.

    Raises
    ------
    StageMissingError
        If one is not stored or is not what was written.
    """
    entries = []
    store = context.store("composite")
    known = survey(store, (block.name for block in blocks))
    for block in blocks:
        part = scenes.of_block(block)
        if not part:
            continue
        inputs = _inputs(block, part, scenes.bands, Blending.of(context.config))
        entry = ledger.find(store, block.name, inputs, ".tif", known)
        if entry is None:
            raise StageMissingError(
                f"block {block.name} has no stored composite of these scenes",
                next_step=make_command("composite", context.config, context.region),
            )
        entries.append(entry)
    return entries


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


def _composite_task(
    item: tuple[grid.Block, list[Scene]],
    bands: tuple[str, ...],
    store: str,
    blending: Blending,
    limits: Limits,
) -> ledger.Entry:
    block, scenes = item
    return ledger.build(
        Path(store),
        block.name,
        _inputs(block, scenes, bands, blending),
        ".tif",
        lambda path: _write(path, block, scenes, bands, blending, limits),
        again=blending.failed_scenes == "mark",
    )


def _inputs(
    block: grid.Block, scenes: Sequence[Scene], bands: tuple[str, ...], blending: Blending
) -> dict[str, Any]:
    # Where the files lie does not matter, what is in them does.
    return {
        "stage": "composite",
        "version": VERSION,
        "block": block.name,
        "bands": list(bands),
        "blending": asdict(blending),
        # ``vars``, since ``asdict`` copies deeply: milliseconds for each block of a continent.
        "scenes": [
            vars(scene)
            | {
                "provider": "",
                "bands": {
                    name: vars(band) | {"href": band.href.rpartition("/")[2], "size": 0}
                    for name, band in scene.bands.items()
                    if name in (*bands, "SCL") or _tells_clouds(scene, name)
                },
            }
            for scene in scenes
        ],
    }


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
    with Layers(len(bands), *_SHAPE) as layers:
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
