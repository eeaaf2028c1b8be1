"""From a STAC item to a scene: of every band the file, and how its numbers become reflectance.

The offset from digital number to reflectance is decided item by item; the rule is recorded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
import shapely

from pipeline.errors import MissingMetadataError
from pipeline.imagery.sources import safe_href

SENTINEL_2_BANDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
_COMMON_NAMES = {
    "coastal": "B01", "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05",
    "rededge2": "B06", "rededge3": "B07", "nir": "B08", "nir08": "B8A", "nir09": "B09",
    "cirrus": "B10", "swir16": "B11", "swir22": "B12", "scl": "SCL",
}  # fmt: skip
_PICTURES = ("visual", "thumbnail", "preview", "overview", "rendered_preview")
DN_SCALE = 1e-4
# From processing baseline 04.00 on, digital numbers are 1000 higher (ESA, January 2022).
OFFSET_SINCE_0400 = -0.1
# Days are counted in 16 bits from 2000 on.
_YEARS = range(2000, 2089)
_BASELINE = re.compile(r"\d{1,2}\.\d{1,2}")
# A datatake's name ends with the baseline that it was processed with: the same overpass has another
# one after reprocessing.
_PROCESSED_WITH = re.compile(r"_N\d\d\.\d\d$")


@dataclass(frozen=True)
class SceneBand:
    """One band's place in a file and the way from its numbers to reflectance.

    Reflectance is ``scale * number + offset``; ``index`` counts the file's bands from 1. ``nodata``
    is None where every number counts. ``version`` changes when the file does.

    Parameters
    ----------
    href : str
        Address of the file.
    index : int
        Number of the band in the file, from 1.
    scale, offset : float
        Reflectance is ``scale * number + offset``.
    nodata : float or None
        Number that is no observation; None where every number counts.
    version : str
        Changes when the file does.
    """

    href: str
    index: int
    scale: float
    offset: float
    nodata: float | None
    version: str


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
        ``L1C`` or ``L2A``.
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
        By Sentinel-2 name; ``SCL`` among them where there is one.
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

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Scene:
        """Read a scene from a stored list."""
        bands = {name: SceneBand(**band) for name, band in value["bands"].items()}
        return cls(**(value | {"bands": bands}))


def describe(item: pystac.Item, source: str) -> Scene:
    """Read from an item all that its pixels need to be understood.

    Parameters
    ----------
    item : pystac.Item
        With a geometry.
    source : str
        Where it was found: its files may lie below there only.

    Returns
    -------
    Scene
        The scene.

    Raises
    ------
    MissingMetadataError
        If the date, the level or a band's scale is not stated and cannot be derived.
    UnsafeLinkError
        If an asset's link leads outside the catalogue.
    """
    try:
        return _describe(item, source)
    except (TypeError, ValueError, AttributeError, KeyError, shapely.errors.ShapelyError) as error:
        raise MissingMetadataError(
            f"an item's fields are not what STAC says they are: {error}",
            where=f"item {item.id}",
            next_step="mend the catalogue",
        ) from None


def datatake(item: pystac.Item) -> str:
    """Return the name of an item's overpass, without the baseline; empty if it is not stated."""
    return _PROCESSED_WITH.sub("", str(item.properties.get("s2:datatake_id") or ""))


def _describe(item: pystac.Item, source: str) -> Scene:
    properties = item.properties
    baseline = str(properties.get("s2:processing_baseline") or "")
    bands: dict[str, SceneBand] = {}
    rules = set()
    # The asset that is called after a band comes first: some catalogues list other copies of it.
    named = sorted(item.assets.items(), key=lambda pair: _by_name(pair[0]) is None)
    for key, asset in named:
        for index, name in enumerate(band_names(key, asset), start=1):
            if name in bands:
                continue
            scale, offset, nodata, rule = _decode(item, asset, name, index, baseline)
            rules.add(rule)
            href = safe_href(item, asset.href, source)
            version = _version(asset, href, properties)
            bands[name] = SceneBand(href, index, scale, offset, nodata, version)
    start = item.common_metadata.start_datetime or item.datetime
    end = item.common_metadata.end_datetime or item.datetime
    if start is None or end is None or not {start.year, end.year} <= set(_YEARS):
        raise MissingMetadataError(
            f"an item has no date between {_YEARS.start} and {_YEARS.stop}",
            where=f"item {item.id}, field datetime",
            next_step="add the date to the catalogue",
        )
    scaling = properties.get("asm:scaling") or {}
    return Scene(
        id=item.id,
        collection=item.collection_id or "",
        platform=str(properties.get("platform", "")),
        datetime=start.isoformat(),
        end=end.isoformat(),
        acquisition=datatake(item) or f"{start.date()}/{end.date()}",
        baseline=baseline,
        level=_level(item),
        clip=float(scaling.get("clip", 0)),
        steps=int(scaling.get("steps", 0)),
        ready=bool(properties.get("asm:ready_composite", False)),
        simulated=bool(properties.get("asm:simulated", False)),
        offset_rule="; ".join(sorted(rules - {""})),
        footprint=shapely.to_wkt(shapely.geometry.shape(item.geometry)),  # type: ignore[arg-type]
        bands=bands,
    )


def _level(item: pystac.Item) -> str:
    level = str(item.properties.get("processing:level", "")).upper().removeprefix("LEVEL-")
    if not level:
        collection = str(item.collection_id).upper().replace("-", "")
        level = next((name for name in ("L2A", "L1C") if name in collection), "")
    if level not in ("L1C", "L2A"):
        raise MissingMetadataError(
            "an item does not state its processing level (L1C or L2A)",
            where=f"item {item.id}, field processing:level",
            next_step="add the field to the catalogue",
        )
    return level


def band_names(key: str, asset: pystac.Asset) -> list[str]:
    """Return the Sentinel-2 names (or ``SCL``) of an asset's bands, empty if it has none.

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
    return word if word in (*SENTINEL_2_BANDS, "SCL") else _COMMON_NAMES.get(word.lower())


def _decode(
    item: pystac.Item, asset: pystac.Asset, name: str, index: int, baseline: str
) -> tuple[float, float, float | None, str]:
    """Scale, offset, nodata and the rule that decided: provider's, declared, or by baseline."""
    if name == "SCL":
        return 1.0, 0.0, 0.0, ""
    scale, declared, nodata = _declared(asset, index)
    by_baseline = None
    if _BASELINE.fullmatch(baseline):
        by_baseline = OFFSET_SINCE_0400 if float(baseline) >= 4 else 0.0
    applied = item.properties.get("earthsearch:boa_offset_applied")
    rule = f"processing baseline {baseline}"
    offset = by_baseline
    if applied is True or (applied is False and by_baseline is not None):
        # "Not applied" is also said of old baselines, which have none to apply.
        offset, rule = (0.0 if applied else by_baseline), "provider's rule"
    elif scale is not None and declared is not None:
        offset, rule = declared, "declared with the band"
        if by_baseline is not None and not math.isclose(offset, by_baseline, abs_tol=1e-9):
            rule += (
                f" ({offset:g}, where processing baseline {baseline} alone says {by_baseline:g})"
            )
    if offset is None:
        raise MissingMetadataError(
            "a band states neither scale and offset nor a processing baseline",
            where=f"item {item.id}, band {name}, fields raster:scale and raster:offset",
            next_step="add them to the catalogue; a guess would shift every reflectance",
        )
    scale = DN_SCALE if scale is None else scale
    if not (math.isfinite(offset) and 0 < scale < math.inf):
        raise MissingMetadataError(
            f"a band's scale {scale:g} and offset {offset:g} give no reflectance",
            where=f"item {item.id}, band {name}",
            next_step="mend the catalogue",
        )
    return scale, offset, nodata, rule


def _declared(asset: pystac.Asset, index: int) -> tuple[float | None, float | None, float | None]:
    """Scale, offset and nodata as STAC 1.0 (``raster:bands``) or 1.1 (``bands``) declares them."""
    bands = asset.extra_fields.get("raster:bands") or asset.extra_fields.get("bands") or []
    band = bands[index - 1] if len(bands) >= index else {}
    values = []
    for part in ("scale", "offset", "nodata"):
        places = ((band, part), (band, f"raster:{part}"), (asset.extra_fields, f"raster:{part}"))
        values.append(next((float(at[key]) for at, key in places if at.get(key) is not None), None))
    scale, offset, nodata = values
    if nodata is None:
        nodata = asset.extra_fields.get("nodata")
    # Sentinel-2 products mean 0 by no data, whether or not they say so.
    nodata = 0.0 if nodata is None else float(nodata)
    return scale, offset, None if math.isnan(nodata) else nodata


def _version(asset: pystac.Asset, href: str, properties: dict[str, Any]) -> str:
    """Name what changes when the file does: its checksum, size and time, or the item's time."""
    checksum = asset.extra_fields.get("file:checksum")
    if checksum:
        return str(checksum)
    if "://" not in href:
        try:
            about = Path(href).stat()
        except OSError:
            return "missing"
        return f"{about.st_size}-{about.st_mtime_ns}"
    return str(properties.get("updated") or properties.get("s2:generation_time") or "")
