"""Small Sentinel-2-like scenes and their catalogue, built in code around lon 6.0, lat 2.05.

Two UTM zones (31N and 32N) meet at lon 6.0, between the blocks N02.0E005.9 and N02.0E006.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from scipy.ndimage import gaussian_filter

from pipeline.config import Config
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.imagery.items import Scene, describe
from pipeline.runtime.cluster import Workers
from pipeline.workflow.context import Context

WEST = grid.Block.from_name("N02.0E005.9")
EAST = grid.Block.from_name("N02.0E006.0")
METRES = 10.0
SIZE = 240
ZONES = {"31NHA": 32631, "32NKF": 32632}


def utm_corner(lon: float, lat: float, epsg: int = 32631) -> tuple[float, float]:
    """Upper-left corner of a scene whose upper left is at a place, on whole pixels."""
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    return round(x / METRES) * METRES, round(y / METRES) * METRES


def texture(seed: int = 1, shape: tuple[int, int] = (SIZE, SIZE), mean: float = 1500) -> Any:
    """Digital numbers of a landscape, uint16, never 0."""
    rough = np.random.default_rng(seed).standard_normal(shape)
    smooth = gaussian_filter(rough, 2)
    return (mean + 400 * smooth / smooth.std()).clip(50, 9_000).astype(np.uint16)


def write_raster(
    path: Path,
    values: NDArray[Any],
    corner: tuple[float, float],
    epsg: int = 32631,
    metres: float = METRES,
    nodata: float | None = None,
) -> Path:
    """Write a GeoTIFF; values of shape (h, w) or (bands, h, w)."""
    values = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype,
        crs=f"EPSG:{epsg}",
        transform=from_origin(*corner, metres, metres),
        nodata=nodata,
        tiled=True,
        blockxsize=64,
        blockysize=64,
        compress="deflate",
    ) as file:
        file.write(values)
    return path


def make_item(
    root: Path,
    bands: Mapping[str, NDArray[Any]],
    *,
    name: str = "",
    date: str = "2021-12-05",
    baseline: str | None = "03.01",
    tile: str = "31NHA",
    lon: float = 5.97,
    lat: float = 2.06,
    extra: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    write: bool = True,
) -> pystac.Item:
    """Write the bands of one scene and describe them as an item.

    ``extra`` holds further fields of every spectral asset, ``properties`` those of the item; None
    removes one.
    """
    name = name or f"S2_{tile}_{date.replace('-', '')}_{baseline or ''}"
    epsg = ZONES[tile]
    corner = utm_corner(lon, lat, epsg)
    height, width = next(iter(bands.values())).shape
    bounds = (
        corner[0],
        corner[1] - height * METRES,
        corner[0] + width * METRES,
        corner[1],
    )
    box = shapely.box(*transform_bounds(f"EPSG:{epsg}", grid.CRS, *bounds))
    about: dict[str, Any] = {
        "platform": "sentinel-2a",
        "processing:level": "L2A",
        "s2:mgrs_tile": tile,
        "s2:datatake_id": f"GS2A_{date.replace('-', '')}T100411_000001_N{baseline or '00.00'}",
        "s2:generation_time": f"{date}T14:00:00Z",
        "datetime": f"{date}T10:04:11Z",
    }
    if baseline:
        about["s2:processing_baseline"] = baseline
    about |= properties or {}
    assets = {}
    for band, values in bands.items():
        file = root / name / f"{band}.tif"
        if write:
            write_raster(file, values, corner, epsg, METRES * height / values.shape[0])
        assets[band] = {"href": f"./{name}/{band}.tif", "roles": ["data"]}
        if band != "SCL":
            assets[band] |= extra or {}
    return pystac.Item.from_dict(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "geometry": shapely.geometry.mapping(box),
            "bbox": list(box.bounds),
            "properties": {key: value for key, value in about.items() if value is not None},
            "links": [],
            "assets": assets,
        }
    )


def save_items(root: Path, items: Sequence[pystac.Item]) -> Path:
    """Write a static source of items, one file in a folder."""
    root.mkdir(parents=True, exist_ok=True)
    features = [item.to_dict(include_self_link=False, transform_hrefs=False) for item in items]
    text = json.dumps({"type": "FeatureCollection", "features": features})
    (root / "items.json").write_text(text)
    return root


def scene_of(item: pystac.Item, root: Path) -> Scene:
    """Describe an item of a source in a folder."""
    item.set_self_href(str(root.resolve() / f"{item.id}.json"))
    return describe(item, str(root))


def clear_scl(shape: tuple[int, int] = (SIZE // 2, SIZE // 2), value: int = 4) -> NDArray[np.uint8]:
    """A scene classification (20 m) of one class; 4 is vegetation."""
    return np.full(shape, value, np.uint8)


def make_context(folder: Path, region: str = "bbox:5.97,2.04,5.99,2.06", **keys: Any) -> Context:
    """Surroundings of a stage in this process, one small bank of filters."""
    usual: dict[str, Any] = {
        "region": region,
        "workspace": str(folder / "work"),
        "source": str(folder / "source"),
        "cluster": "none",
        "filters": 6,
        "patches": "3",
    }
    config = Config().with_keys(**(usual | keys))
    return Context(config, resolve_region(region, config.run.max_blocks), Workers("none"))


def warped_by_hand(
    values: NDArray[Any], corner: tuple[float, float], block: grid.Block, epsg: int = 32631
) -> NDArray[np.float64]:
    """Bilinear values of an image at the block's pixels with its halo, NaN outside.

    Written with pyproj and plain arithmetic, so that it shares nothing with the warp under test.
    """
    rows, cols = np.mgrid[0 : grid.BLOCK_PX + grid.HALO_PX, 0 : grid.BLOCK_PX + grid.HALO_PX]
    west, _, _, north = block.bounds
    lon = west + (cols + 0.5) * grid.PIXEL
    lat = north - (rows + 0.5) * grid.PIXEL
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    across = (np.asarray(x) - corner[0]) / METRES - 0.5
    down = (corner[1] - np.asarray(y)) / METRES - 0.5
    left, top = np.floor(across).astype(int), np.floor(down).astype(int)
    height, width = values.shape
    inside = (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1)
    left, top = np.where(inside, left, 0), np.where(inside, top, 0)
    u, v = across - left, down - top
    numbers = values.astype(float)
    result = (
        numbers[top, left] * (1 - u) * (1 - v)
        + numbers[top, left + 1] * u * (1 - v)
        + numbers[top + 1, left] * (1 - u) * v
        + numbers[top + 1, left + 1] * u * v
    )
    return np.where(inside, result, np.nan)


def with_bands(scene: Scene, **changes: Any) -> Scene:
    """Return a scene with fields of every band changed."""
    return replace(
        scene, bands={name: replace(band, **changes) for name, band in scene.bands.items()}
    )
