"""From a STAC item to a scene: of every band the file, and how its numbers become values.

How is decided item by item (``offsets``); the rule is recorded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
import shapely

from pipeline.errors import MissingMetadataError
from pipeline.imagery.hrefs import is_remote, safe_href
from pipeline.imagery.offsets import Decoding, baseline_of, declared_of, optical
from pipeline.imagery.providers import Provider, provider_of

SENTINEL_2_BANDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
_COMMON_NAMES = {
    "coastal": "B01", "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05",
    "rededge2": "B06", "rededge3": "B07", "nir": "B08", "nir08": "B8A", "nir09": "B09",
    "cirrus": "B10", "swir16": "B11", "swir22": "B12", "scl": "SCL", "vv": "VV", "vh": "VH",
}  # fmt: skip
RADAR_BANDS = ("VV", "VH")
# The order of bands wherever several stand together.
BANDS = (*SENTINEL_2_BANDS, *RADAR_BANDS)
_PICTURES = ("visual", "thumbnail", "preview", "overview", "rendered_preview")
# Days are counted in 16 bits from 2000 on.
_YEARS = range(2000, 2089)
# A datatake's name ends with the baseline that it was processed with: the same overpass has another
# one after reprocessing.
_PROCESSED_WITH = re.compile(r"_N\d\d\.\d\d$")
# Some services offer a band in several resolutions, as B02_10m, B02_20m and B02_60m.
_METRES = re.compile(r"_(\d+)m$")


@dataclass(frozen=True)
class SceneBand:
    """One band's place in a file and the way from its numbers to reflectance, or to radar power.

    Parameters
    ----------
    href : str
        Address of the file.
    index : int
        Number of the band in the file, from 1.
    scale, offset : float
        Reflectance, or the power that radar saw come back, is ``scale * number + offset``.
    nodata : float or None
        Number that is no observation; None where every number counts.
    version : str
        Changes when the file does.
    checksum : str
        Multihash of the file, empty where the catalogue does not give it.
    size : int
        Bytes of the file, 0 where the catalogue does not say.
    """

    href: str
    index: int
    scale: float
    offset: float
    nodata: float | None
    version: str
    checksum: str = ""
    size: int = 0


@dataclass(frozen=True)
class Scene:
    """One item, as the later stages need it.

    Parameters
    ----------
    id, collection, platform : str
        As in the catalogue.
    datetime : str
        ISO; for a composite over a period, its start.
    end : str
        ISO; the same as ``datetime`` for a single acquisition.
    acquisition : str
        Scenes of one acquisition are one observation (tiles of one overpass).
    baseline : str
        Processing baseline, empty if not stated.
    level : str
        ``L1C`` or ``L2A``; ``RTC``: radar, terrain-corrected.
    clip, steps : float, int
        Reflectance at which the pixels saturate and the steps in which they come; 0: neither.
    ready : bool
        A composite that was cloud-masked by whoever made it.
    simulated : bool
        Not an image of the Earth.
    offset_rule : str
        What decided the offsets.
    footprint : str
        WKT, EPSG:4326.
    bands : dict of str to SceneBand
        By Sentinel-2 name, or ``VV`` and ``VH``; ``SCL`` among them where there is one.
    provider : str
        Name of the service's row in the table of providers, empty if it has none.
    cloud_cover : float or None
        Per cent of the scene, as the catalogue says.
    """

    id: str
    collection: str
    platform: str
    datetime: str
    end: str
    acquisition: str
    baseline: str
    level: str
    clip: float
    steps: int
    ready: bool
    simulated: bool
    offset_rule: str
    footprint: str
    bands: dict[str, SceneBand]
    provider: str = ""
    cloud_cover: float | None = None

    @property
    def radar(self) -> bool:
        """Whether it is an image by radar, which clouds do not hide the ground from."""
        return self.level == "RTC"

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Scene:
        """Read a scene from a stored list."""
        bands = {name: SceneBand(**band) for name, band in value["bands"].items()}
        return cls(**(value | {"bands": bands}))

    def facts(self) -> dict[str, Any]:
        """Return what products tell of the scene: identity, baseline, and the offset taken off."""
        first = next(iter(self.bands.values()))
        return {
            "id": self.id,
            "datetime": self.datetime,
            "platform": self.platform,
            "processing_baseline": self.baseline,
            "offset": first.offset,
            "offset_rule": self.offset_rule,
            "collection": self.collection,
        }


def describe(item: pystac.Item, source: str, hosts: tuple[str, ...] = ()) -> Scene:
    """Read from an item all that its pixels need to be understood.

    Parameters
    ----------
    item : pystac.Item
        With a geometry.
    source : str
        Where it was found: its files may lie below there only.
    hosts : tuple of str
        Origins where its files may lie besides.

    Returns
    -------
    Scene
        The scene.

    Raises
    ------
    MissingMetadataError
        If the date, the level or a band's scale is not stated and cannot be derived.
    UnsafeLinkError
        If an asset's link leads elsewhere.
    """
    try:
        return _describe(item, source, hosts)
    except (TypeError, ValueError, AttributeError, KeyError, shapely.errors.ShapelyError) as error:
        raise MissingMetadataError(
            f"an item's fields are not what STAC says they are: {error}",
            where=f"item {item.id}",
            next_step="mend the catalogue",
        ) from None


def datatake(item: pystac.Item) -> str:
    """Return the name of an item's overpass, without the baseline; empty if it is not stated."""
    said = item.properties.get("s2:datatake_id") or item.properties.get("eopf:datatake_id")
    return _PROCESSED_WITH.sub("", str(said or ""))


def provider_behind(item: pystac.Item, source: str) -> Provider:
    """Return the row of the service that an item is from, also where it was saved to a file."""
    return provider_of(str(item.properties.get("asm:provider") or source))


def _describe(item: pystac.Item, source: str, hosts: tuple[str, ...]) -> Scene:
    properties = item.properties
    provider = provider_behind(item, source)
    level = _level(item)
    bands: dict[str, SceneBand] = {}
    rules = set()
    # The asset that is called after a band comes first: some catalogues list other copies of it;
    # and of several resolutions the finest.
    named = sorted(item.assets.items(), key=lambda pair: (_by_name(pair[0]) is None, _metres(pair)))
    for key, asset in named:
        for index, name in enumerate(band_names(key, asset), start=1):
            if name in bands:
                continue
            decoding = _decoding(item, asset, name, index, provider)
            rules.add(decoding.rule)
            href = safe_href(item, asset.href, source, hosts)
            bands[name] = SceneBand(
                href,
                index,
                decoding.scale,
                decoding.offset,
                decoding.nodata,
                version=_version(asset, href, properties),
                checksum=str(asset.extra_fields.get("file:checksum") or ""),
                size=int(asset.extra_fields.get("file:size") or 0),
            )
    start = item.common_metadata.start_datetime or item.datetime
    end = item.common_metadata.end_datetime or item.datetime
    if level == "RTC":
        # An acquisition by radar lasts seconds, which no later stage asks about.
        start = end = item.datetime or start
    if start is None or end is None or not {start.year, end.year} <= set(_YEARS):
        raise MissingMetadataError(
            f"an item has no date between {_YEARS.start} and {_YEARS.stop}",
            where=f"item {item.id}, field datetime",
            next_step="add the date to the catalogue",
        )
    scaling = properties.get("asm:scaling") or {}
    cover = properties.get("eo:cloud_cover")
    return Scene(
        id=item.id,
        collection=item.collection_id or "",
        platform=str(properties.get("platform", "")),
        datetime=start.isoformat(),
        end=end.isoformat(),
        acquisition=_acquisition(item) or f"{start.date()}/{end.date()}",
        baseline=baseline_of(item),
        level=level,
        clip=float(scaling.get("clip", 0)),
        steps=int(scaling.get("steps", 0)),
        ready=bool(properties.get("asm:ready_composite", False)),
        simulated=bool(properties.get("asm:simulated", False)),
        offset_rule="; ".join(sorted(rules - {""})),
        footprint=shapely.to_wkt(shapely.geometry.shape(item.geometry)),  # type: ignore[arg-type]
        bands=bands,
        provider=provider.name,
        cloud_cover=None if cover is None else float(cover),
    )


def _acquisition(item: pystac.Item) -> str:
    """Return what the tiles of one overpass have in common, empty if it is not stated."""
    orbit = item.properties.get("sat:absolute_orbit")
    platform = item.properties.get("platform")
    if _is_radar(item) and orbit is not None and platform:
        return f"{platform}-{orbit}"
    return datatake(item)


def _decoding(
    item: pystac.Item, asset: pystac.Asset, name: str, index: int, provider: Provider
) -> Decoding:
    if name == "SCL":
        return Decoding(1.0, 0.0, 0.0, "")
    if name in RADAR_BANDS:
        return Decoding(1.0, 0.0, declared_of(asset, index)[2], "")
    return optical(item, asset, name, index, provider)


def _level(item: pystac.Item) -> str:
    collection = str(item.collection_id).upper().replace("-", "")
    if _is_radar(item):
        product = str(item.properties.get("sar:product_type") or "").upper()
        if "RTC" in collection or product in ("RTC", "NRB"):
            return "RTC"
        raise MissingMetadataError(
            "a radar item is not terrain-corrected",
            where=f"item {item.id}, field sar:product_type",
            next_step="use a collection of RTC products, such as sentinel-1-rtc",
        )
    level = str(item.properties.get("processing:level", "")).upper().removeprefix("LEVEL-")
    if not level:
        level = next((name for name in ("L2A", "L1C") if name in collection), "")
    level = {"L2": "L2A", "L1": "L1C"}.get(level, level)
    if level not in ("L1C", "L2A"):
        raise MissingMetadataError(
            "an item does not state its processing level (L1C or L2A)",
            where=f"item {item.id}, field processing:level",
            next_step="add the field to the catalogue",
        )
    return level


def _is_radar(item: pystac.Item) -> bool:
    return str(item.properties.get("platform") or "").lower().startswith("sentinel-1")


def band_names(key: str, asset: pystac.Asset) -> list[str]:
    """Return the names of an asset's bands (``BANDS`` or ``SCL``), empty if it has none.

    A picture for the eye has bands too, stretched: assets of several bands count only if every one
    of them has a Sentinel-2 name, which pictures (red, green, blue) do not.
    """
    declared = asset.extra_fields.get("eo:bands") or asset.extra_fields.get("bands") or []
    if len(declared) > 1:
        names = [str(band.get("name")) for band in declared]
        picture = key in _PICTURES or not set(asset.roles or ["data"]) & {"data", "reflectance"}
        return names if not picture and set(names) <= set(SENTINEL_2_BANDS) else []
    words = declared[0] if declared else {}
    for word in (key, words.get("name"), words.get("eo:common_name"), words.get("common_name")):
        name = _by_name(str(word))
        if name is not None:
            return [name]
    return []


def _by_name(word: str) -> str | None:
    """Return the Sentinel-2 name of a band that is called by it or by its common name."""
    word = _METRES.sub("", word)
    return word if word in (*BANDS, "SCL") else _COMMON_NAMES.get(word.lower())


def _metres(pair: tuple[str, pystac.Asset]) -> int:
    match = _METRES.search(pair[0])
    return int(match[1]) if match else 0


def _version(asset: pystac.Asset, href: str, properties: dict[str, Any]) -> str:
    """Name what changes when the file does: its checksum, size and time, or the item's time."""
    checksum = asset.extra_fields.get("file:checksum")
    if checksum:
        return str(checksum)
    if not is_remote(href):
        try:
            about = Path(href).stat()
        except OSError:
            return "missing"
        return f"{about.st_size}-{about.st_mtime_ns}"
    return str(properties.get("updated") or properties.get("s2:generation_time") or "")
