"""Catalogues at random, and what a search of them must give, known from how they were made.

Nothing here asks the code under test: an overpass is put inside or outside the place and the time
asked for, so what is to be found is written down as the items are made.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shapely
from stac_server import NEXT_LINKS, Page

REGION = "bbox:5.97,2.04,5.99,2.06"  # one block: 5.9 to 6.0 E, 2.0 to 2.1 N
TILES = ("31NHA", "31NHB", "32NKF", "32NKG")
WINTERS = {"2020-12..2021-02": 2020, "2021-12..2022-02": 2021}
BASELINES = ("02.14", "03.00", "03.01", "04.00", "05.09", "05.10", "05.11")


@dataclass
class Catalogue:
    """Items, the pages that a service shows them on, and what is to be found.

    Parameters
    ----------
    season : str
        What to ask for; empty: any time.
    tile_field : str
        Where the items name their tile.
    items : list of dict
        Each item once, as a folder holds them.
    expected : list of str
        Ids that a search must give, in order.
    pages : list of Page
        The items, some of them several times.
    leads_back : bool
        Whether the last page has a link to an earlier one, so that the pages never end.
    """

    season: str
    tile_field: str
    items: list[dict[str, Any]] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    leads_back: bool = False


def make_catalogue(seed: int) -> Catalogue:
    """Make the catalogue of this number."""
    rng = random.Random(seed)
    season = rng.choice(("", *WINTERS, ",".join(WINTERS)))
    made = Catalogue(season, rng.choice(("s2:mgrs_tile", "grid:code")))
    for number in range(rng.choice((0, 1, 2, 3, 4, 6))):
        _add_overpass(made, rng, number)
    made.expected.sort()
    _put_on_pages(made, rng)
    return made


def _add_overpass(made: Catalogue, rng: random.Random, number: int) -> None:
    """Add what one overpass left: its tiles, their parts, and all that each was processed to."""
    when, in_time = _moment(rng, made.season)
    datatake = f"GS2{rng.choice('AB')}_{when:%Y%m%dT%H%M%S}_{number:06d}"
    # Without a datatake's name nothing says that one item supersedes another: all are kept.
    named = rng.random() < 0.85
    for tile in rng.sample(TILES, rng.choice((1, 1, 2))):
        for place, in_place in _places(rng):
            versions = rng.choice((1, 1, 2, 3)) if named else 1
            baselines = sorted(rng.choices(BASELINES, k=versions))
            for version, baseline in enumerate(baselines):
                about = {
                    "datetime": f"{when.isoformat(timespec='milliseconds')[:-6]}Z",
                    "processing:level": "L2A",
                    "s2:processing_baseline": baseline,
                    "s2:generation_time": f"{2022 + version}-04-01T{rng.randrange(24):02d}:00:00Z",
                }
                about |= {
                    made.tile_field: f"MGRS-{tile}" if made.tile_field == "grid:code" else tile
                }
                if named:
                    about["s2:datatake_id"] = f"{datatake}_N{baseline}"
                item = _item(f"S2_{tile}_{rng.getrandbits(40):010x}", _moved(place, rng), about)
                made.items.append(item)
                if in_time and in_place and version == versions - 1:
                    made.expected.append(item["id"])


def _moment(rng: random.Random, season: str) -> tuple[datetime, bool]:
    """A moment within a winter or just outside one, and whether the season asked for holds it."""
    winter = rng.choice(list(WINTERS))
    first = datetime(WINTERS[winter], 12, 1, tzinfo=UTC)
    after = datetime(WINTERS[winter] + 1, 3, 1, tzinfo=UTC)
    instant = timedelta(milliseconds=1)
    inside = [first, after - instant, first + rng.random() * (after - first - instant)]
    outside = [first - instant, after, after + timedelta(days=rng.randrange(1, 90))]
    within = rng.random() < 0.8
    return rng.choice(inside if within else outside), not season or (within and winter in season)


def _places(rng: random.Random) -> list[tuple[shapely.Polygon, bool]]:
    """Where an overpass saw a tile, and whether that touches the block.

    A service looks at bounding boxes only, so some touch by their box and not by their outline.
    """
    west, south = 5.85 + 0.1 * rng.random(), 1.95 + 0.1 * rng.random()
    kind = rng.choice(("whole", "whole", "whole", "edge", "beside", "corner"))
    if kind == "whole":
        return [(shapely.box(west, south, west + 0.1, south + 0.1), True)]
    if kind == "edge":
        # Two parts of one tile and datatake, where one recording ends and the next begins.
        cut = south + 0.04 * rng.random()
        return [
            (shapely.box(west, south - 0.1, west + 0.1, cut + 0.06), True),
            (shapely.box(west, cut, west + 0.1, south + 0.15), True),
        ]
    if kind == "beside":
        return [(shapely.box(west + 1, south, west + 1.1, south + 0.1), False)]
    return [(shapely.Polygon([(5.5, 1.9), (6.3, 1.9), (6.3, 1.3)]), False)]


def _moved(place: shapely.Polygon, rng: random.Random) -> shapely.Polygon:
    """Return the outline as another processing would give it: its corners some 50 m elsewhere."""
    return shapely.transform(
        place, lambda corners: corners + [rng.uniform(-5e-4, 5e-4) for _ in range(2)]
    )


def _item(name: str, place: shapely.Polygon, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(place),
        "bbox": list(place.bounds),
        "properties": properties,
        "links": [],
        "assets": {band: {"href": f"./{name}/{band}.tif"} for band in ("B04", "SCL")},
    }


def _put_on_pages(made: Catalogue, rng: random.Random) -> None:
    shown = list(made.items)
    rng.shuffle(shown)
    for item in rng.sample(made.items, len(made.items) // 3 if rng.random() < 0.5 else 0):
        shown.insert(rng.randrange(len(shown) + 1), item)
    parts: list[list[dict[str, Any]]] = []
    while shown:
        size = rng.randint(1, 7)
        parts.append(shown[:size])
        shown = shown[size:]
    for _ in range(rng.choice((0, 0, 1, 3)) if parts else 1):
        parts.insert(rng.randrange(len(parts) + 1), [])
    claimed = _claims(rng, sum(map(len, parts)))
    for number, part in enumerate(parts):
        failures = rng.choices((429, 500, 503), k=rng.choice((0, 0, 0, 0, 1, 2)))
        following = number + 1 if number + 1 < len(parts) else None
        link = rng.choice(NEXT_LINKS)
        made.pages.append(Page(part, following, link, failures, claimed | _returned(rng, part)))
    if rng.random() < 0.05:
        made.leads_back = True
        made.pages[-1].next_page = rng.randrange(len(parts))


def _claims(rng: random.Random, total: int) -> dict[str, Any]:
    """What the service says of the number of its items: the truth, nothing, or something else."""
    number = rng.choice((total, total, 0, total + 3, max(0, total - 1), None))
    return rng.choice(({}, {"numberMatched": number}, {"context": {"matched": number}}))


def _returned(rng: random.Random, part: list[dict[str, Any]]) -> dict[str, Any]:
    return rng.choice(({}, {"numberReturned": len(part)}, {"numberReturned": len(part) + 1}))


def save_as_file(made: Catalogue, path: Path) -> Path:
    """Write the items as one item collection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made.items}))
    return path


def save_as_folder(made: Catalogue, folder: Path) -> Path:
    """Write the items as a static catalogue, one file each."""
    folder.mkdir(parents=True)
    links = [{"rel": "item", "href": f"./{item['id']}.json"} for item in made.items]
    about = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "Items"}
    (folder / "catalog.json").write_text(json.dumps(about | {"links": links}))
    for item in made.items:
        (folder / f"{item['id']}.json").write_text(json.dumps(item))
    return folder
