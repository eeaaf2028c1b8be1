"""Find the scenes of a region and season: a deduplicated, dated and checked list, stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pystac
import shapely

from pipeline.config import fingerprint, season_months
from pipeline.context import Context
from pipeline.errors import (
    ConfigError,
    MissingBandError,
    MissingMetadataError,
    NoSceneError,
    SourceError,
    StageMissingError,
)
from pipeline.grid import HALO_PX, PIXEL, Block
from pipeline.imagery import sources
from pipeline.imagery.items import SENTINEL_2_BANDS, Scene, datatake, describe
from pipeline.runtime.console import say
from pipeline.runtime.files import read_json, write_json

USUAL_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")


@dataclass(frozen=True)
class SceneList:
    """The scenes of one region and season.

    Parameters
    ----------
    scenes : tuple of Scene
        In order of date and id.
    bands : tuple of str
        Bands that every one of them has, in Sentinel-2 order.
    duplicates : int
        Items that were left out as repeated or superseded.
    """

    scenes: tuple[Scene, ...]
    bands: tuple[str, ...]
    duplicates: int

    @property
    def level(self) -> str:
        """Processing level of all scenes."""
        return self.scenes[0].level

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
        box = _with_halo(block)
        footprints = shapely.from_wkt([scene.footprint for scene in self.scenes])
        return [
            scene
            for scene, touches in zip(self.scenes, shapely.intersects(footprints, box), strict=True)
            if touches
        ]


def find_scenes(context: Context) -> SceneList:
    """Search the source and store the list.

    Raises
    ------
    NoSceneError
        If there is none for this region and season.
    MissingBandError, MissingMetadataError
        If a scene cannot be read as the others can.
    """
    source = source_of(context)
    dates = season_months(context.season) if context.season else None
    # Whole blocks and their halo, whatever part of them the region takes: a cell's value must not
    # depend on the region that was asked for.
    ground = shapely.union_all([_with_halo(block) for block in context.region.blocks])
    found = list(sources.search(source, context.config.collection, ground, dates))
    if not found:
        raise NoSceneError(
            f"no scene of {context.region.name} in the season {context.season or '(any)'}",
            where=source,
            next_step="try another SEASON, or another SOURCE",
        )
    items = deduplicate(found)
    scenes = sorted(
        (describe(item, source) for item in items), key=lambda scene: (scene.datetime, scene.id)
    )
    bands = _bands_of(scenes, context.config.bands)
    _check_alike(scenes)
    result = SceneList(tuple(scenes), bands, len(found) - len(items))
    write_json(
        _stored(context),
        {
            "scenes": [asdict(scene) for scene in scenes],
            "bands": list(bands),
            "duplicates": result.duplicates,
        },
    )
    days = len({scene.acquisition for scene in scenes})
    say(
        "scenes",
        f"{len(scenes)} scenes of {days} acquisitions, "
        f"{scenes[0].datetime[:10]} to {scenes[-1].end[:10]}, {result.level}, "
        f"bands {' '.join(bands)}; {result.duplicates} repeated items left out"
        + (" (SIMULATED)" if result.simulated else ""),
    )
    return result


def load_scenes(context: Context) -> SceneList:
    """Return the list that ``find_scenes`` stored for this region, season and source.

    Raises
    ------
    StageMissingError
        If there is none.
    """
    path = _stored(context)
    if not path.is_file():
        raise StageMissingError(
            f"no scene list is stored for {context.region.name}",
            where=str(path),
            next_step=f"make scenes REGION={context.region.name}",
        )
    value = read_json(path)
    return SceneList(
        tuple(Scene.from_dict(scene) for scene in value["scenes"]),
        tuple(value["bands"]),
        value["duplicates"],
    )


def source_of(context: Context) -> str:
    """Return where to search; the demo's imagery is written first if it is not there.

    Raises
    ------
    SourceError
        If neither the configuration nor the region names a source.
    """
    source = context.config.source
    if source == "auto":
        source = context.region.source
    if not source:
        raise SourceError(
            f"the region {context.region.name} does not say where its imagery is",
            next_step="SOURCE= a folder with a static catalogue, or the address of a STAC API",
        )
    if source == "demo":
        return str(demo_folder(context))
    return source


def demo_folder(context: Context) -> Path:
    """Return the folder of the simulated landscape, written now if it is not there."""
    # Here and not above: every worker reads this module, and none of them simulates anything.
    from pipeline.demo import make_demo

    folder = context.config.raw / "demo" / f"seed-{context.config.seed}"
    make_demo(folder, context.config.seed)
    return folder


def deduplicate(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Leave out repeated items, and all but the newest processing of a tile's datatake.

    Two items of one tile and datatake are both kept when their footprints differ.
    """
    kept: dict[str, pystac.Item] = {}
    for item in items:
        kept.setdefault(item.id, item)
    newest: dict[tuple[str, str, str], pystac.Item] = {}
    for item in sorted(kept.values(), key=lambda item: (_processed(item), item.id)):
        # Reprocessing moves a footprint's corners a little; another part of the tile is elsewhere.
        bounds = shapely.geometry.shape(item.geometry or {}).bounds
        place = " ".join(f"{degrees:.2f}" for degrees in bounds)
        newest[(*_tile_and_datatake(item), place)] = item
    return list(newest.values())


def _with_halo(block: Block) -> shapely.Polygon:
    west, south, east, north = block.bounds
    halo = HALO_PX * PIXEL
    return shapely.box(west, south - halo, east + halo, north)


def _bands_of(scenes: list[Scene], asked: str) -> tuple[str, ...]:
    if asked:
        wanted = [name.strip() for name in asked.split(",")]
        unknown = [name for name in wanted if name not in SENTINEL_2_BANDS]
        if unknown:
            raise ConfigError(f"no Sentinel-2 band is called {unknown[0]!r}")
    else:
        offered = {name for scene in scenes for name in scene.bands}
        wanted = [name for name in USUAL_BANDS if name in offered]
    if not wanted:
        raise MissingBandError(
            "no scene has a spectral band that is known by name",
            where=f"scene {scenes[0].id}: {', '.join(scenes[0].bands) or 'no band'}",
            next_step="name the bands in the catalogue (B02 ... B12)",
        )
    for scene in scenes:
        for name in wanted:
            if name not in scene.bands:
                raise MissingBandError(
                    f"a scene has no band {name}",
                    where=f"scene {scene.id} has {', '.join(scene.bands) or 'none'}",
                    next_step="mend the catalogue, or ask for fewer bands with BANDS=",
                )
    return tuple(name for name in SENTINEL_2_BANDS if name in wanted)


def _check_alike(scenes: list[Scene]) -> None:
    first = scenes[0]
    for scene in scenes:
        if (scene.level, scene.clip, scene.steps) != (first.level, first.clip, first.steps):
            raise MissingMetadataError(
                "scenes of different level or scaling cannot make one composite",
                where=f"{first.id} is {first.level}, {scene.id} is {scene.level}",
                next_step="search them as two sources",
            )
        if "SCL" not in scene.bands and not scene.ready:
            raise MissingMetadataError(
                "a scene has no cloud classification and is not said to be a ready composite",
                where=f"scene {scene.id}, asset SCL",
                next_step="use L2A imagery, or declare a ready composite with asm-atlas catalogue",
            )


def _tile_and_datatake(item: pystac.Item) -> tuple[str, str]:
    properties = item.properties
    tile = properties.get("s2:mgrs_tile") or properties.get("grid:code")
    # Without both, an item is its own: better one observation twice than one lost.
    return (str(tile), datatake(item)) if tile and datatake(item) else (item.id, "")


def _processed(item: pystac.Item) -> str:
    properties = item.properties
    return (
        f"{properties.get('s2:processing_baseline', '')} "
        f"{properties.get('s2:generation_time') or properties.get('updated') or ''}"
    )


def _stored(context: Context) -> Path:
    # Not ``source_of``, which would write the demo's imagery to look at a list.
    source = context.config.source
    key = fingerprint(
        {
            "geometry": shapely.to_wkt(context.region.geometry),
            "season": context.season,
            "source": context.region.source if source == "auto" else source,
            "collection": context.config.collection,
            "bands": context.config.bands,
            "seed": context.config.seed,
        }
    )
    return context.store("scenes") / context.region.name / f"{key}.json"
