"""The simulated scenes that the fault suite serves: small COGs in 24 blocks of 0.1 degree.

Every block has scenes of its own, which reach no other block, so that a file's fault can be laid at
one block's door. Each date has three files: one band alone, a stack of bands, and the classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.shutil
import shapely
from imagery import texture, utm_corner
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from pipeline.geo import grid
from pipeline.geo.regions import resolve_region

REGION = "bbox:5.4,2.0,6.0,2.4"
DATES = ("2021-12-05", "2022-02-03")
FILES = {"B04": ("B04",), "stack": ("B02", "B03", "B08"), "SCL": ("SCL",)}
BANDS = "B04,B08"
# Large enough that the stack is read in several requests; the other files come in one.
SIZE, METRES, EPSG = 256, 10.0, 32631
# Far enough from a block's edge that no neighbour's halo sees the scene.
_MARGIN = 0.008
_SPAN = SIZE * METRES / 110_000
_TAKEN = {"simulated": "SIMULATED, not an image of the Earth"}


@dataclass(frozen=True)
class Files:
    """What the server serves: content by path, and how the items describe it.

    ``lacking`` holds the stacks once more, without their last band.
    """

    content: dict[str, bytes]
    lacking: dict[str, bytes]
    scenes: list[dict[str, Any]]

    def items(self, base: str, checksums: bool) -> list[dict[str, Any]]:
        """The scenes as STAC items with their files below an address."""
        return [self._item(scene, base, checksums) for scene in self.scenes]

    def _item(self, scene: dict[str, Any], base: str, checksums: bool) -> dict[str, Any]:
        assets = {}
        for file, bands in FILES.items():
            path = f"{scene['id']}/{file}.tif"
            assets[file] = {
                "href": f"{base}{path}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "eo:bands": [{"name": band} for band in bands],
            }
            if checksums:
                assets[file]["file:checksum"] = "1220" + sha256(self.content[path])
        return scene | {"assets": assets}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blocks() -> list[grid.Block]:
    """The region's blocks."""
    return resolve_region("bbox:5.4,2.0,6.0,2.4").blocks


def simulate(seed: int) -> Files:
    """Write the scenes of every block into memory."""
    content: dict[str, bytes] = {}
    lacking: dict[str, bytes] = {}
    scenes = []
    place = np.random.default_rng(seed)
    land = texture(seed, (3 * SIZE, 3 * SIZE))
    for block in blocks():
        west, _, _, north = block.bounds
        for date in DATES:
            room = 0.1 - 2 * _MARGIN - _SPAN
            lon = west + _MARGIN + room * place.random()
            lat = north - _MARGIN - room * place.random()
            corner = utm_corner(lon, lat, EPSG)
            scene = f"SIM_{block.name}_{date.replace('-', '')}"
            ground = [_cut(land, place) for _ in range(4)]
            content[f"{scene}/B04.tif"] = cog(ground[:1], corner, METRES)
            content[f"{scene}/stack.tif"] = cog(ground[1:], corner, METRES)
            lacking[f"{scene}/stack.tif"] = cog(ground[1:3], corner, METRES)
            content[f"{scene}/SCL.tif"] = cog([_classes(_cut(land, place))], corner, 2 * METRES)
            scenes.append(_scene(scene, block, date, corner))
    return Files(content, lacking, scenes)


def cog(layers: list[NDArray[Any]], corner: tuple[float, float], metres: float) -> bytes:
    """Cloud-optimised GeoTIFF of layers of one shape, in tiles of 128 pixels."""
    profile = {
        "count": len(layers),
        "height": len(layers[0]),
        "width": layers[0].shape[1],
        "dtype": layers[0].dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": from_origin(*corner, metres, metres),
    }
    with MemoryFile() as plain, MemoryFile() as memory:
        with plain.open(driver="GTiff", **profile) as file:
            file.write(np.stack(layers))
            file.update_tags(**_TAKEN)
        with plain.open() as file:
            # deflate carries a checksum of its own: bytes that are not its bytes do not decode.
            rasterio.shutil.copy(
                file, memory.name, driver="COG", compress="deflate", blocksize=128, level=1
            )
        return bytes(memory.read())


def _cut(land: NDArray[Any], place: np.random.Generator) -> NDArray[Any]:
    top, left = place.integers(0, 2 * SIZE, 2)
    return land[top : top + SIZE, left : left + SIZE]


def _classes(ground: NDArray[Any]) -> NDArray[np.uint8]:
    """Scene classification at 20 m: vegetation with patches of cloud and shadow."""
    field = ground[::2, ::2].astype(float)
    field = (field - field.mean()) / field.std()
    classes = np.full(field.shape, 4, np.uint8)
    classes[field > 1] = 9
    classes[field < -1.5] = 3
    return classes


def _scene(name: str, block: grid.Block, date: str, corner: tuple[float, float]) -> dict[str, Any]:
    west, north = corner
    far = SIZE * METRES
    bounds = transform_bounds(f"EPSG:{EPSG}", grid.CRS, west, north - far, west + far, north)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
        "bbox": list(bounds),
        "properties": {
            "asm:simulated": True,
            "title": f"SIMULATED scene of {date}",
            "platform": "sentinel-2a-simulated",
            "processing:level": "L2A",
            "datetime": f"{date}T10:04:11Z",
            "eo:cloud_cover": 20.0,
            "s2:processing_baseline": "05.09" if date > "2022-01-25" else "03.01",
            # Each block's scene is an observation of its own.
            "s2:mgrs_tile": block.name,
            "s2:datatake_id": f"SIM_{date.replace('-', '')}T100411_{block.name}",
            "s2:generation_time": f"{date}T14:00:00Z",
        },
        "links": [],
    }
