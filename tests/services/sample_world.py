"""A few small scenes as real COGs, and the same items for every kind of source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio.shutil
from imagery import SIZE, clear_scl, make_item, texture

REGION = "bbox:5.97,2.03,6.02,2.06"  # two blocks, on either side of a border of UTM zones
SEASON = "2021-12..2022-02"
# More items than any service gives on one page; only their metadata is looked at.
MANY_REGION = "bbox:7.02,3.02,7.04,3.04"
MANY = 250
BUCKET = "eodata"
COLLECTION = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "sentinel-2-l2a",
    "description": "Simulated scenes",
    "license": "other",
    "links": [],
    "extent": {
        "spatial": {"bbox": [[-180, -90, 180, 90]]},
        "temporal": {"interval": [["2015-06-23T00:00:00Z", None]]},
    },
}


@dataclass(frozen=True)
class World:
    """Scenes on disk.

    Parameters
    ----------
    files : pathlib.Path
        Folder of the COGs.
    items : tuple of pystac.Item
        With links relative to that folder.
    expected : tuple of str
        Ids of those that the region and season are made from, in order of date and id.
    """

    files: Path
    items: tuple[pystac.Item, ...]
    expected: tuple[str, ...]

    def linked(self, prefix: str) -> list[dict[str, Any]]:
        """Return the items with links that begin with ``prefix``."""
        made = []
        for item in self.items:
            value = as_json(item)
            for asset in value["assets"].values():
                asset["href"] = prefix + asset["href"].removeprefix("./")
            made.append(value)
        return made


def as_json(item: pystac.Item) -> dict[str, Any]:
    """Return an item of the collection, without links of its own."""
    value = item.to_dict(include_self_link=False, transform_hrefs=False)
    return value | {"collection": COLLECTION["id"], "links": []}


def make_world(files: Path) -> World:
    """Write the scenes.

    Two processings of one scene, two parts of one tile, two tiles of one overpass, a cloudy one,
    and one each outside the place and the time.
    """
    again = {"s2:generation_time": "2023-06-01T00:00:00Z"}
    east: dict[str, Any] = {"tile": "32NKF", "lon": 5.999}
    chosen: list[tuple[str, bool, dict[str, Any]]] = [
        ("2021-12-05", False, {"name": "superseded"}),
        ("2021-12-05", True, {"name": "newest", "baseline": "05.09", "properties": again}),
        ("2021-12-25", True, {"name": "north-part"}),
        ("2021-12-25", True, {"name": "south-part", "lat": 2.045}),
        ("2022-01-14", True, {"name": "west-tile"}),
        ("2022-01-14", True, {"name": "east-tile", **east}),
        ("2022-01-30", True, {"name": "cloudy"}),
        ("2022-02-28", True, {"name": "last-day", "baseline": "05.09", **east}),
        ("2022-03-01", False, {"name": "too-late"}),
        ("2022-01-20", False, {"name": "elsewhere", "tile": "32NKF", "lon": 6.5}),
    ]
    items, expected = [], []
    for number, (day, wanted, about) in enumerate(chosen):
        raised = np.uint16(1000 if about.get("baseline") == "05.09" else 0)
        bands: dict[str, Any] = {
            "B03": texture(2 * number) + raised,
            "B04": texture(2 * number + 1) + raised,
            "SCL": clear_scl(),
        }
        if about["name"] == "cloudy":
            bands["SCL"][: SIZE // 4] = 9
        item = make_item(files, bands, date=day, **about)
        for band, asset in item.assets.items():
            file = files / asset.href
            _make_cog(file)
            # Those without a checksum are read by ranges, those with one whole.
            if band != "B04":
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                asset.extra_fields["file:checksum"] = f"1220{digest}"
        items.append(item)
        if wanted:
            expected.append((day, item.id))
    return World(files, tuple(items), tuple(name for _, name in sorted(expected)))


def many_items() -> list[dict[str, Any]]:
    """Return ``MANY`` items of one place, on as many days."""
    nothing = {"B04": np.zeros((SIZE, SIZE), np.uint16), "SCL": clear_scl()}
    return [
        as_json(
            make_item(
                Path("nowhere"),
                nothing,
                name=f"many-{number:03d}",
                date=(date(2020, 1, 1) + timedelta(days=2 * number)).isoformat(),
                tile="32NKF",
                lon=7.02,
                lat=3.04,
                write=False,
            )
        )
        for number in range(MANY)
    ]


def save_collection(path: Path, items: Sequence[dict[str, Any]]) -> Path:
    """Write an item collection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}))
    return path


def save_lines(path: Path, values: Sequence[dict[str, Any]]) -> Path:
    """Write one JSON object a line, as pypgstac loads them."""
    path.write_text("\n".join(json.dumps(value) for value in values))
    return path


def _make_cog(file: Path) -> None:
    plain = file.rename(file.with_suffix(".plain"))
    rasterio.shutil.copy(plain, file, driver="COG", blocksize=128, compress="DEFLATE")
    plain.unlink()
