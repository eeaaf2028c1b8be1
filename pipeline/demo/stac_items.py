"""The simulated imagery's static STAC catalogue, written with pystac."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
from affine import Affine
from rasterio.warp import transform_bounds
from shapely.geometry import box, mapping

from pipeline.demo.clouds import Pass
from pipeline.demo.sensor import SIMULATED, Zone

COLLECTION = "simulated-sentinel-2-l2a"
_EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
# Common name, centre wavelength and width in micrometres.
_SPECTRUM = {
    "B02": ("blue", 0.492, 0.066),
    "B03": ("green", 0.560, 0.036),
    "B04": ("red", 0.665, 0.031),
    "B08": ("nir", 0.833, 0.106),
    "B11": ("swir16", 1.614, 0.091),
    "B12": ("swir22", 2.202, 0.175),
}


def datatake(over: Pass) -> str:
    """Return the identifier of an overpass's datatake, the same for all its tiles."""
    stamp = over.date.replace("-", "")
    return f"GS2{over.unit.upper()}_{stamp}T100411_SIM000_N{over.baseline}"


def item_id(over: Pass, zone: Zone) -> str:
    """Return the identifier of one date's item of one tile."""
    return f"S2{over.unit.upper()}_{zone.name}_{over.date.replace('-', '')}_0_L2A"


def build_item(
    over: Pass, zone: Zone, cloud_cover: float, files: dict[str, tuple[str, int, str]]
) -> pystac.Item:
    """Describe one date's bands of one tile.

    Parameters
    ----------
    over : Pass
        The overpass.
    zone : Zone
        The tile.
    cloud_cover : float
        Per cent of the observed pixels.
    files : dict
        Band to (file name beside the item, metres per pixel, sha256).

    Returns
    -------
    pystac.Item
        Without links.
    """
    bounds = transform_bounds(f"EPSG:{zone.epsg}", "EPSG:4326", *zone.bounds)
    taken = datetime.fromisoformat(f"{over.date}T10:04:11+00:00")
    properties: dict[str, Any] = {
        "title": f"SIMULATED Sentinel-2 L2A of {over.date}, tile {zone.name}",
        "description": SIMULATED,
        "asm:simulated": True,
        "platform": f"sentinel-2{over.unit}-simulated",
        "constellation": "sentinel-2-simulated",
        "instruments": ["msi"],
        "gsd": 10,
        "eo:cloud_cover": round(cloud_cover, 2),
        "proj:code": f"EPSG:{zone.epsg}",
        "processing:level": "L2A",
        "processing:software": {"asm-atlas demo": "1"},
        "s2:processing_baseline": over.baseline,
        "s2:datatake_id": datatake(over),
        "s2:mgrs_tile": zone.name,
        "s2:generation_time": f"{over.date}T14:00:00Z",
    }
    item = pystac.Item(
        id=item_id(over, zone),
        geometry=mapping(box(*bounds)),
        bbox=list(bounds),
        datetime=taken,
        properties=properties,
        stac_extensions=list(_EXTENSIONS),
    )
    for band, (name, metres, digest) in files.items():
        item.add_asset(band, _asset(band, name, metres, digest, over, zone))
    return item


def _asset(band: str, name: str, metres: int, digest: str, over: Pass, zone: Zone) -> pystac.Asset:
    rows, cols = (n * 10 // metres for n in zone.shape)
    matrix: Affine = zone.transform(metres)
    extra: dict[str, Any] = {
        "gsd": metres,
        "proj:shape": [rows, cols],
        "proj:transform": list(matrix)[:6],
        "data_type": "uint8" if band == "SCL" else "uint16",
        "nodata": 0,
        "raster:spatial_resolution": metres,
        "file:checksum": "1220" + digest,
    }
    if band == "SCL":
        extra["bands"] = [{"name": "SCL", "description": "Scene classification, 0 to 11"}]
        title = "SIMULATED scene classification"
    else:
        common, centre, width = _SPECTRUM[band]
        extra["bands"] = [
            {
                "name": band,
                "eo:common_name": common,
                "eo:center_wavelength": centre,
                "eo:full_width_half_max": width,
                "raster:scale": 0.0001,
                "raster:offset": -over.offset / 10_000 if over.offset else 0,
                "nodata": 0,
                "data_type": "uint16",
            }
        ]
        title = f"SIMULATED reflectance, {common}"
    return pystac.Asset(
        href=f"./{name}",
        title=title,
        media_type=pystac.MediaType.COG,
        roles=["data"] if band != "SCL" else ["data", "classification"],
        extra_fields=extra,
    )


def write_catalogue(folder: Path, items: list[pystac.Item]) -> None:
    """Write ``catalog.json``, the collection and the items, with relative links, into a folder."""
    west = min(item.bbox[0] for item in items if item.bbox)
    south = min(item.bbox[1] for item in items if item.bbox)
    east = max(item.bbox[2] for item in items if item.bbox)
    north = max(item.bbox[3] for item in items if item.bbox)
    dates = sorted(item.datetime for item in items if item.datetime)
    catalogue = pystac.Catalog(
        id="asm-atlas-demo",
        title="SIMULATED imagery of the demo landscape",
        description=f"{SIMULATED}. Written by the demo of asm-atlas.",
    )
    collection = pystac.Collection(
        id=COLLECTION,
        title="SIMULATED Sentinel-2 L2A",
        description=SIMULATED,
        license="CC0-1.0",
        extent=pystac.Extent(
            pystac.SpatialExtent([[west, south, east, north]]),
            pystac.TemporalExtent([[dates[0].astimezone(UTC), dates[-1].astimezone(UTC)]]),
        ),
        extra_fields={"asm:simulated": True},
    )
    catalogue.add_child(collection)
    collection.add_items(items)
    catalogue.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
