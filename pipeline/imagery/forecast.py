"""What reading will cost, told before it begins: scenes, dates, gigabytes, minutes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import shapely

from pipeline.geo import grid
from pipeline.imagery.hrefs import is_remote
from pipeline.imagery.items import Scene
from pipeline.runtime.commits import Record
from pipeline.runtime.console import say

# Compressed bytes of a 10 m pixel in a Sentinel-2 COG: a band of 10,980 x 10,980 px and 120 to
# 260 MB. Coarser bands hold fewer pixels.
_BYTES_A_PIXEL = 1.6
_METRES = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "VV": 10, "VH": 10}
_METRES |= {"B01": 60, "B09": 60, "B10": 60}
_OTHER_METRES = 20
# A degree of latitude, and of longitude at the equator.
_METRES_A_DEGREE = 111_320
# Until this workspace has rates of its own: seconds for a scene's six bands in a block, with the
# blend, on one core, measured from files here and from a server on the same machine.
_SECONDS_A_SCENE = 1.0
_LATEST = 60


@dataclass(frozen=True)
class Forecast:
    """What is to be read.

    Parameters
    ----------
    blocks, scenes, dates : int
        How many are still to be made, and from what.
    gigabytes : float
        Compressed, about.
    hours : float
        Of one core, about.
    measured : bool
        Whether the time is from rates of this workspace, of the same kind of source.
    remote : bool
        Whether it comes over the network.
    """

    blocks: int
    scenes: int
    dates: int
    gigabytes: float
    hours: float
    measured: bool
    remote: bool


def forecast(
    store: Path, work: Sequence[tuple[grid.Block, list[Scene]]], bands: Sequence[str]
) -> Forecast:
    """Estimate what compositing costs.

    Parameters
    ----------
    store : pathlib.Path
        The composites' store, whose entries tell what earlier ones took.
    work : sequence of tuple
        Blocks to make, with their scenes.
    bands : sequence of str
        To be read of each scene that has them.

    Returns
    -------
    Forecast
        Rough: the bytes from file sizes in the catalogue or from usual ones.
    """
    scenes = {scene.id: scene for _, some in work for scene in some}
    ground = dict(
        zip(scenes, shapely.from_wkt([s.footprint for s in scenes.values()]), strict=True)
    )
    total = 0.0
    for block, some in work:
        box = shapely.box(*block.bounds)
        for scene in some:
            footprint = ground[scene.id]
            common = shapely.intersection(footprint, box).area
            for name in (*bands, "SCL"):
                if name in scene.bands:
                    total += _bytes(scene, name, common, footprint.area)
    far = any(read_remotely(some) for _, some in work)
    seen = seen_rates(store, far)
    count = sum(len(some) for _, some in work)
    return Forecast(
        blocks=len(work),
        scenes=len(scenes),
        dates=len({scene.acquisition for scene in scenes.values()}),
        gigabytes=total / 1e9,
        hours=count * (seen[0] if seen else _SECONDS_A_SCENE) / 3600,
        measured=seen is not None,
        remote=far,
    )


def report_forecast(
    store: Path, work: Sequence[tuple[grid.Block, list[Scene]]], bands: Sequence[str]
) -> None:
    """Say what compositing will cost, unless nothing is left to do.

    Parameters
    ----------
    store : pathlib.Path
        The composites' store.
    work : sequence of tuple
        Blocks to make, with their scenes.
    bands : sequence of str
        To be read.
    """
    if not work:
        return
    about = forecast(store, work, bands)
    usual = "; what the network takes comes on top" if about.remote else ""
    usual = f" (from usual rates, none of such a source measured here yet{usual})"
    say(
        "",
        f"to read: {about.scenes} scenes of {about.dates} acquisitions for {about.blocks} blocks, "
        f"about {about.gigabytes:.2g} GB {'over the network' if about.remote else 'of files'} and "
        f"{_duration(about.hours)} of one core{'' if about.measured else usual}",
    )


def _bytes(scene: Scene, name: str, common: float, area: float) -> float:
    """Bytes of the part of a scene's band that lies in a block."""
    band = scene.bands[name]
    if band.size and area:
        return band.size * common / area
    metres = _METRES.get(name, _OTHER_METRES)
    return common * _METRES_A_DEGREE**2 / metres**2 * _BYTES_A_PIXEL


def usual_bytes(name: str, side: int) -> float:
    """Return the compressed bytes of a band of one scene in a square.

    Parameters
    ----------
    name : str
        Of the band.
    side : int
        Of the square, pixels of 10 m.

    Returns
    -------
    float
        About.
    """
    return side**2 * (10 / _METRES.get(name, _OTHER_METRES)) ** 2 * _BYTES_A_PIXEL


def read_remotely(scenes: Sequence[Scene]) -> bool:
    """Return whether any band of some scenes is read over the network."""
    return any(is_remote(band.href) for scene in scenes for band in scene.bands.values())


def seen_rates(store: Path, remote: bool) -> tuple[float, float] | None:
    """Return what composites took in this workspace.

    Parameters
    ----------
    store : pathlib.Path
        The composites' store, whose entries tell.
    remote : bool
        Of imagery over the network, or of files here: the one says nothing of the other.

    Returns
    -------
    tuple of float or None
        Medians over the entries at hand: seconds a scene, and bytes a block that were stored. None
        where there is no entry of that kind.
    """
    seconds, sizes = [], []
    for path in itertools.islice(store.glob("*/*.json"), _LATEST):
        entry = Record.read(path)
        facts = entry.facts or {}
        if facts.get("remote") is not remote:
            continue
        with contextlib.suppress(OSError, KeyError, TypeError):
            rate = (entry.seconds or 0.0) / max(1, facts["scenes"])
            sizes.append(path.with_suffix(".tif").stat().st_size)
            seconds.append(rate)
    return (median(seconds), median(sizes)) if seconds and sizes else None


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(hours * 60))} min"
