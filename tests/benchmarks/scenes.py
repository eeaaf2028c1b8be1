"""Six simulated dates of one tile as COGs, and their items, for the benchmark of the imagery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pystac
import rasterio
from rasterio.transform import from_origin
from scipy.ndimage import gaussian_filter, zoom

from pipeline.geo.grid import PIXEL

BANDS = ("B02", "B03", "B04", "B08")
DATES = 6
_EPSG = 32635
_MARGIN = 40


def write_scenes(
    folder: Path, address: str, west: float, north: float, side: int
) -> pystac.ItemCollection:
    """Write the files of a square of ``side`` pixels and return the items that point to them."""
    rng = np.random.default_rng(20)
    x, y = pyproj.Transformer.from_crs(4326, _EPSG, always_xy=True).transform(west, north)
    size = -(-int(side * PIXEL * 111_320 / 10 + 2 * _MARGIN) // 24) * 24
    corner = round(x / 60) * 60 - 10 * _MARGIN, round(y / 60) * 60 + 10 * _MARGIN
    ground = zoom(gaussian_filter(rng.standard_normal((size // 4, size // 4)), 3), 4, order=1)
    ground *= 300 / ground.std()
    back = pyproj.Transformer.from_crs(_EPSG, 4326, always_xy=True)
    lon0, lat1 = back.transform(*corner)
    lon1, lat0 = back.transform(corner[0] + 10 * size, corner[1] - 10 * size)
    box = [lon0, lat0, lon1, lat1]
    ring = [[lon0, lat0], [lon1, lat0], [lon1, lat1], [lon0, lat1], [lon0, lat0]]
    items = []
    for date in range(DATES):
        assets = {}
        for band in (*BANDS, "SCL"):
            metres = 20 if band == "SCL" else 10
            if band == "SCL":
                clouds = gaussian_filter(rng.standard_normal((size // 2, size // 2)), 20)
                values = np.where(clouds > clouds.std(), 9, 4).astype(np.uint8)
            else:
                noise = rng.normal(2500, 60, ground.shape)
                values = (ground + noise).clip(1, 20_000).astype(np.uint16)
            name = f"{date}_{band}.tif"
            with rasterio.open(
                folder / name, "w", driver="COG", width=values.shape[1], height=values.shape[0],
                count=1, dtype=values.dtype, crs=f"EPSG:{_EPSG}", nodata=0, blocksize=1024,
                transform=from_origin(*corner, metres, metres), compress="deflate",
                predictor=2, overviews="NONE",
            ) as file:  # fmt: skip
                file.write(values, 1)
            assets[band] = {
                "href": f"{address}/{name}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "proj:shape": list(values.shape),
                "proj:transform": [metres, 0, corner[0], 0, -metres, corner[1]],
                "raster:bands": [{"nodata": 0, "data_type": str(values.dtype)}],
            }
        items.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "stac_extensions": [
                    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
                    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
                ],
                "id": f"scene-{date}",
                "collection": "sentinel-2-l2a",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "bbox": box,
                "links": [],
                "properties": {
                    "datetime": f"2024-12-{1 + 5 * date:02d}T08:00:00Z",
                    "platform": "sentinel-2a",
                    "processing:level": "L2A",
                    "s2:processing_baseline": "05.11",
                    "s2:mgrs_tile": "35NPA",
                    "s2:datatake_id": f"GS2A_{date}_N05.11",
                    "proj:epsg": _EPSG,
                    "proj:code": f"EPSG:{_EPSG}",
                    "asm:simulated": True,
                },
                "assets": assets,
            }
        )
    return pystac.ItemCollection.from_dict({"type": "FeatureCollection", "features": items})
