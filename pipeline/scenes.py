"""Find the scenes of a region and season: a deduplicated, dated and checked list, stored.

The stored list is an item collection with what was decided about every item beside it, so that
later stages, and other people (``SOURCE=`` its file), can start from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pystac
import shapely

from pipeline.config import Config, fingerprint
from pipeline.demo.folder import demo_folder
from pipeline.errors import (
    ConfigError,
    MissingBandError,
    MissingMetadataError,
    NoSceneError,
    SourceError,
    StageMissingError,
    UnsafeLinkError,
)
from pipeline.geo.grid import HALO_PX, PIXEL, Block
from pipeline.geo.seasons import season_windows
from pipeline.imagery import sources
from pipeline.imagery.cloud_mask import CLOUD_MODEL_BANDS
from pipeline.imagery.duplicates import deduplicate
from pipeline.imagery.hrefs import allowed_hosts, safe_href
from pipeline.imagery.items import (
    BANDS,
    RADAR_BANDS,
    Scene,
    describe,
)
from pipeline.imagery.providers import address_of, provider_of
from pipeline.imagery.retry import Limits
from pipeline.runtime.atomic import json_bytes, read_json
from pipeline.runtime.console import say
from pipeline.runtime.files import write_json
from pipeline.runtime.journal import journal
from pipeline.runtime.mirror import fetched
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context

USUAL_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", *RADAR_BANDS)

# Two satellites share an orbit; where neighbouring swaths overlap, a place is seen more often.
REVISIT_DAYS = 5


@dataclass(frozen=True)
class SceneList:
    """The scenes of one region and season.

    Parameters
    ----------
    scenes : tuple of Scene
        In order of date and id.
    bands : tuple of str
        Bands that every one of them has, radar's every radar scene, in the order of ``BANDS``.
    duplicates : int
        Items that were left out as repeated or superseded.
    clouded : int
        Items that were left out for their cloud cover.
    missing : int
        How many more the service said there are than it gave.
    """

    scenes: tuple[Scene, ...]
    bands: tuple[str, ...]
    duplicates: int
    clouded: int = 0
    missing: int = 0

    @property
    def level(self) -> str:
        """Processing level of all optical scenes; of radar if there is no other."""
        return next((scene.level for scene in self.scenes if not scene.radar), "RTC")

    @property
    def simulated(self) -> bool:
        """Whether any scene is simulated."""
        return any(scene.simulated for scene in self.scenes)

    @property
    def scaling(self) -> tuple[float, int]:
        """Reflectance at which the pixels saturate, and their steps; 0, 0 for neither."""
        return self.scenes[0].clip, self.scenes[0].steps

    def of_block(self, block: Block) -> list[Scene]:
        """Return the scenes whose footprint touches a block or its halo."""
        touching = self._footprints.query(_with_halo(block), predicate="intersects")
        return [self.scenes[index] for index in sorted(touching)]

    @cached_property
    def _footprints(self) -> shapely.STRtree:
        return shapely.STRtree(shapely.from_wkt([scene.footprint for scene in self.scenes]))


def find_scenes(context: Context) -> SceneList:
    """Search the source and store the list; or load it, where only a later stage may make anything.

    Raises
    ------
    NoSceneError
        If there is none for this region and season.
    MissingBandError, MissingMetadataError
        If a scene cannot be read as the others can.
    StageMissingError
        If the list is not stored and may not be made.
    """
    if not context.makes("scenes"):
        return load_scenes(context)
    result, items = search_scenes(context)
    source = source_of(context)
    limits = _limits(context.config, source)
    stored, manifest = fetched(_stored(context)), _manifest(result, items, source, limits)
    if not stored.is_file() or stored.read_bytes() != json_bytes(manifest):
        write_json(stored, manifest)
        journal.worked = True
    _report(context, result)
    return result


def search_scenes(context: Context) -> tuple[SceneList, list[pystac.Item]]:
    """Search the source, and leave nothing behind.

    Parameters
    ----------
    context : Context
        Region, season and source.

    Returns
    -------
    SceneList
        The scenes.
    list of pystac.Item
        Their items, in the same order.

    Raises
    ------
    NoSceneError
        If there is none for this region and season.
    MissingBandError, MissingMetadataError
        If a scene cannot be read as the others can.
    """
    config = context.config
    source = source_of(context)
    windows = season_windows(context.season)
    limits = _limits(config, source)
    # Whole blocks and their halo, whatever part of them the region takes: a cell's value must not
    # depend on the region that was asked for.
    ground = shapely.union_all([_with_halo(block) for block in context.region.blocks])
    found = sources.search(source, config.imagery.collections, ground, windows, limits)
    items = deduplicate(found.items)
    clear = [item for item in items if _cover(item) <= config.imagery.max_cloud]
    if not clear:
        why = (
            f"; {len(items)} are clouded more than {config.imagery.max_cloud:g} %" if items else ""
        )
        raise NoSceneError(
            f"no scene of {context.region.name} in the season {context.season or '(any)'}{why}",
            where=source,
            next_step="try another SEASON, or another SOURCE",
        )
    described = sorted(
        ((describe(item, source, limits.hosts), item) for item in clear),
        key=lambda pair: (pair[0].datetime, pair[0].id),
    )
    scenes = [scene for scene, _ in described]
    bands = _bands_of(scenes, config.imagery.bands)
    _check_alike(scenes)
    result = SceneList(
        tuple(scenes),
        bands,
        duplicates=found.repeated + len(found.items) - len(items),
        clouded=len(items) - len(clear),
        missing=found.missing,
    )
    return result, [item for _, item in described]


def load_scenes(context: Context) -> SceneList:
    """Return the list that ``find_scenes`` stored for this region, season and source.

    Raises
    ------
    StageMissingError
        If there is none.
    """
    path = fetched(_stored(context))
    if not path.is_file():
        raise StageMissingError(
            f"no scene list is stored for {context.region.name}",
            where=str(path),
            next_step=make_command("scenes", context.config, context.region),
        )
    value = read_json(path)
    return SceneList(
        tuple(Scene.from_dict(scene) for scene in value["scenes"]),
        tuple(value["bands"]),
        **{name: value[name] for name in ("duplicates", "clouded", "missing")},
    )


def reading_limits(context: Context) -> Limits:
    """Return how far the reader of this run's scenes may go."""
    return _limits(context.config, source_of(context))


def _limits(config: Config, source: str) -> Limits:
    reading = config.reading
    return Limits(
        hosts=allowed_hosts(address_of(source), provider_of(source), config.imagery.hosts),
        tries=reading.tries,
        seconds=reading.seconds,
        timeout=reading.timeout,
        backoff=reading.backoff,
        verify_bytes=reading.verify_mib << 20,
        connections=reading.connections,
    )


def source_of(context: Context) -> str:
    """Return where to search; the demo's imagery is written first if it is not there.

    Raises
    ------
    SourceError
        If neither the configuration nor the region names a source.
    """
    source = context.config.imagery.source
    if source == "auto":
        source = context.region.source
    if not source:
        raise SourceError(
            f"the region {context.region.name} does not say where its imagery is",
            next_step="SOURCE= planetary-computer, earth-search, copernicus, the address of "
            "another STAC API, or a folder with a static catalogue",
        )
    if source == "demo":
        return str(demo_folder(context))
    return source


def _with_halo(block: Block) -> shapely.Polygon:
    west, south, east, north = block.bounds
    halo = HALO_PX * PIXEL
    return shapely.box(west, south - halo, east + halo, north)


def _cover(item: pystac.Item) -> float:
    """Cloud cover in per cent; 0 where it is not stated: nothing is left out unseen."""
    try:
        return float(item.properties.get("eo:cloud_cover") or 0)
    except (TypeError, ValueError):
        return 0.0


def _bands_of(scenes: list[Scene], asked: str) -> tuple[str, ...]:
    if asked:
        wanted = [name.strip() for name in asked.split(",")]
        unknown = [name for name in wanted if name not in BANDS]
        if unknown:
            raise ConfigError(f"no Sentinel-2 or radar band is called {unknown[0]!r}")
    else:
        offered = {name for scene in scenes for name in scene.bands}
        wanted = [name for name in USUAL_BANDS if name in offered]
    if not wanted:
        raise MissingBandError(
            "no scene has a spectral band that is known by name",
            where=f"scene {scenes[0].id}: {', '.join(scenes[0].bands) or 'no band'}",
            next_step="name the bands in the catalogue (B02 ... B12)",
        )
    for radar in (False, True):
        needed = [name for name in wanted if (name in RADAR_BANDS) == radar]
        of_sensor = [scene for scene in scenes if scene.radar == radar]
        if needed and not of_sensor:
            raise MissingBandError(
                f"no scene of the sensor that has {', '.join(needed)}",
                next_step="name its collection too, such as sentinel-2-l2a,sentinel-1-rtc",
            )
        for scene in of_sensor:
            for name in needed:
                if name not in scene.bands:
                    raise MissingBandError(
                        f"a scene has no band {name}",
                        where=f"scene {scene.id} has {', '.join(scene.bands) or 'none'}",
                        next_step="mend the catalogue, or ask for fewer bands with BANDS=",
                    )
    return tuple(name for name in BANDS if name in wanted)


def _check_alike(scenes: list[Scene]) -> None:
    optical = [scene for scene in scenes if not scene.radar]
    for scene in optical:
        first = optical[0]
        if (scene.level, scene.clip, scene.steps) != (first.level, first.clip, first.steps):
            raise MissingMetadataError(
                "scenes of different level or scaling cannot make one composite",
                where=f"{first.id} is {first.level}, {scene.id} is {scene.level}",
                next_step="search them as two sources",
            )
        if "SCL" in scene.bands or scene.ready:
            continue
        lacking = [name for name in CLOUD_MODEL_BANDS if name not in scene.bands]
        if scene.level != "L1C" or lacking:
            raise MissingMetadataError(
                "the clouds of a scene cannot be told: it has no scene classification"
                + (f", and lacks {', '.join(lacking)}" if scene.level == "L1C" else "")
                + ", and is not said to be a ready composite",
                where=f"scene {scene.id}, asset SCL",
                next_step="use L2A imagery with SCL or L1C with all bands, or declare a ready "
                "composite with asm-atlas catalogue",
            )


def _stored(context: Context) -> Path:
    # Not ``source_of``, which would write the demo's imagery to look at a list.
    source = context.config.imagery.source
    key = fingerprint(
        {
            "geometry": shapely.to_wkt(context.region.geometry),
            "season": context.season,
            "source": context.region.source if source == "auto" else source,
            "collection": context.config.imagery.collection,
            "bands": context.config.imagery.bands,
            "max_cloud": context.config.imagery.max_cloud,
            "seed": context.config.run.seed,
        }
    )
    return context.store("scenes") / context.region.name / f"{key}.json"


def _manifest(
    found: SceneList, items: Sequence[pystac.Item], source: str, limits: Limits
) -> dict[str, Any]:
    """Return an item collection that others can search, and what was decided about each item."""
    features = []
    for scene, item in zip(found.scenes, items, strict=True):
        value = item.to_dict(include_self_link=False, transform_hrefs=False)
        # Only the files that are read, by addresses that hold no signature.
        used = {band.href for band in scene.bands.values()}
        assets = {}
        for key, asset in item.assets.items():
            with contextlib.suppress(UnsafeLinkError):
                href = safe_href(item, asset.href, source, limits.hosts)
                if href in used:
                    assets[key] = value["assets"][key] | {"href": href}
        features.append(value | {"assets": assets, "links": []})
    return {
        "type": "FeatureCollection",
        "features": features,
        "scenes": [asdict(scene) for scene in found.scenes],
        "bands": list(found.bands),
        "duplicates": found.duplicates,
        "clouded": found.clouded,
        "missing": found.missing,
    }


def revisits(found: SceneList, blocks: Sequence[Block]) -> list[int]:
    """Return how many acquisitions see each block, radar's aside.

    Parameters
    ----------
    found : SceneList
        The scenes.
    blocks : sequence of Block
        Of the region.

    Returns
    -------
    list of int
        One number a block.
    """
    return [
        len({scene.acquisition for scene in found.of_block(block) if not scene.radar})
        for block in blocks
    ]


def _report(context: Context, found: SceneList) -> None:
    scenes = found.scenes
    days = len({scene.acquisition for scene in scenes})
    left_out = f"{found.duplicates} repeated items left out"
    if found.clouded:
        left_out += f", {found.clouded} of more than {context.config.imagery.max_cloud:g} % cloud"
    say(
        "scenes",
        f"{len(scenes)} scenes of {days} acquisitions, "
        f"{scenes[0].datetime[:10]} to {max(scene.end for scene in scenes)[:10]}, {found.level}, "
        f"bands {' '.join(found.bands)}; {left_out}" + (" (SIMULATED)" if found.simulated else ""),
    )
    if found.missing:
        say("", f"the service says that there are {found.missing} more than it gave")
    seen = sorted(revisits(found, context.region.blocks))
    text = f"each block is seen by {seen[0]} to {seen[-1]} acquisitions"
    single = [scene for scene in scenes if not scene.radar and not scene.ready]
    if context.season and single:
        text += f"; a revisit every {REVISIT_DAYS} days makes {expected_revisits(context.season)}"
    say("", text)


def expected_revisits(season: str) -> int:
    """Return how often two satellites pass over a place in a season."""
    windows = season_windows(season)
    days = sum((date.fromisoformat(b) - date.fromisoformat(a)).days for a, b in windows)
    return days // REVISIT_DAYS
