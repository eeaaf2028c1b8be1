"""SIMULATED Sentinel-2 L2A scenes of real places and dates, described as a real service does.

The demo's landscape and sensor, moved to where the visits lie, with a mine painted at each of them:
what the land there really looks like is not in it. The items have the shape of the Planetary
Computer's: no offset is declared, the processing baseline decides it, and no level but the
collection's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.demo.clouds import Pass, Sky, build_skies
from pipeline.demo.frame import PIXEL_METRES, Frame
from pipeline.demo.landscape import develop, paint_landscape
from pipeline.demo.sensor import Ground, observe, project, weather, write_cog, zones
from pipeline.demo.stac_items import build_item, item_id
from pipeline.sites.visits import all_sites

COLLECTION = "sentinel-2-l2a"
# Two dry seasons six years apart: before and after the offset of baseline 04.00.
SEASONS = {
    "2016-12..2017-02": (
        Pass("2016-12-11", "a", "02.04", 0.15),
        Pass("2017-01-10", "a", "02.04", 0.30, 0.62),
        Pass("2017-02-09", "a", "02.04", 0.10),
    ),
    "2022-12..2023-02": (
        Pass("2022-12-05", "b", "04.00", 0.30),
        Pass("2023-01-04", "a", "05.09", 0.10),
        Pass("2023-02-08", "b", "05.09", 0.20, -0.35),
    ),
}
# A visitor's fix is taken at the edge of the workings.
_AWAY_M = 60.0
# What the demo's catalogue tells and the Planetary Computer's does not.
_OWN = ("bands", "nodata", "data_type", "file:checksum", "raster:spatial_resolution")


def mines_of(visits: pd.DataFrame, frame: Frame, rng: np.random.Generator) -> NDArray[np.float64]:
    """Columns and rows of a mine at every site in the frame that is known by GPS."""
    sites = all_sites(visits)
    lon, lat = (sites[name].to_numpy(float) for name in ("longitude", "latitude"))
    inside = (lon > frame.west) & (lon < frame.east) & (lat > frame.south) & (lat < frame.north)
    inside &= (sites["precision"] == "gps").to_numpy()
    places = np.column_stack((~frame.transform) @ (lon[inside], lat[inside]))
    return places + rng.normal(0, _AWAY_M / PIXEL_METRES, places.shape)


def simulate(folder: Path, visits: pd.DataFrame, frame: Frame, seed: int) -> list[dict[str, Any]]:
    """Write the scenes of both seasons below a folder; return their items.

    An asset's link is the file's path in the folder, for the server to complete.
    """
    land_seed, mine_seed, sky_seed, scene_seed = np.random.SeedSequence(seed).spawn(4)
    mines = mines_of(visits, frame, np.random.default_rng(mine_seed))
    land = develop(paint_landscape(frame, land_seed, mines))
    grounds = [project(frame, land.reflectance, zone) for zone in zones(frame)]
    items = []
    for passes, skies in zip(SEASONS.values(), sky_seed.spawn(len(SEASONS)), strict=True):
        for when, (over, sky) in enumerate(
            zip(passes, build_skies(frame, skies, passes), strict=True)
        ):
            shared, *own = scene_seed.spawn(1 + len(grounds))
            for ground, seed_of_tile in zip(grounds, own, strict=True):
                dryness = when / (len(passes) - 1)
                seeds = shared, seed_of_tile
                items.append(_scene(folder, frame, ground, over, sky, dryness, seeds))
    return items


def _scene(
    folder: Path,
    frame: Frame,
    ground: Ground,
    over: Pass,
    sky: Sky,
    dryness: float,
    seeds: tuple[np.random.SeedSequence, np.random.SeedSequence],
) -> dict[str, Any]:
    zone = ground.zone
    air = weather(frame, sky, zone)
    home = Path(COLLECTION) / item_id(over, zone)
    (folder / home).mkdir(parents=True)
    files = {}
    for band, image, metres in observe(ground, air, over, dryness, *seeds):
        path = home / f"{band}.tif"
        tags = {"DATE": over.date, "BAND": band}
        digest = write_cog(folder / path, image, zone, metres, tags)
        files[band] = (path.as_posix(), metres, digest)
    hidden = np.maximum(air.cloud, air.cirrus)[air.seen > 0] > 0.10
    item = build_item(over, zone, 100 * float(hidden.mean()), files)
    return _as_the_service_tells(item.to_dict(include_self_link=False), frame)


def _as_the_service_tells(item: dict[str, Any], frame: Frame) -> dict[str, Any]:
    # The ground that has data, and not the tile; a hair less, so that no block beside it is meant.
    ground = shapely.box(*frame.bounds).buffer(-1e-6, join_style="mitre")
    place = {"geometry": shapely.geometry.mapping(ground), "bbox": list(ground.bounds)}
    properties = {k: v for k, v in item["properties"].items() if k != "processing:level"}
    assets = {}
    for name, asset in item["assets"].items():
        kept = {key: value for key, value in asset.items() if key not in _OWN}
        kept["href"] = asset["href"].removeprefix("./")
        assets[name] = kept if name == "SCL" else kept | {"eo:bands": [{"name": name}]}
    told = {"collection": COLLECTION, "properties": properties, "assets": assets}
    return item | told | place
