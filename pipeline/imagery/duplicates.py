"""Items that several answers, or several processings, give twice."""

from __future__ import annotations

from collections.abc import Iterable

import pystac
import shapely

from pipeline.imagery.items import datatake
from pipeline.imagery.offsets import baseline_of

_SAME_GROUND = 0.9


def deduplicate(items: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Leave out repeated items, and all but the newest processing of a tile's datatake.

    Two items of one tile and datatake are both kept when their footprints differ.
    """
    kept: dict[tuple[str, str], pystac.Item] = {}
    for item in items:
        kept.setdefault((item.collection_id or "", item.id), item)
    newest: dict[tuple[str, str], list[pystac.Item]] = {}
    for item in sorted(kept.values(), key=lambda item: (_processed(item), item.id)):
        same = newest.setdefault(_tile_and_datatake(item), [])
        same[:] = [older for older in same if not _same_ground(older, item)] + [item]
    return [item for same in newest.values() for item in same]


def _same_ground(one: pystac.Item, other: pystac.Item) -> bool:
    """Whether two footprints differ by what reprocessing moves, not by another part of a tile."""
    a, b = (shapely.geometry.shape(item.geometry or {}) for item in (one, other))
    return bool(
        shapely.equals(a, b)
        or shapely.intersection(a, b).area >= _SAME_GROUND * shapely.union(a, b).area
    )


def _tile_and_datatake(item: pystac.Item) -> tuple[str, str]:
    properties = item.properties
    tile = properties.get("s2:mgrs_tile") or properties.get("grid:code")
    # Without both, an item is its own: better one observation twice than one lost.
    return (str(tile), datatake(item)) if tile and datatake(item) else (item.id, "")


def _processed(item: pystac.Item) -> tuple[list[int], str]:
    properties = item.properties
    made = properties.get("s2:generation_time") or properties.get("updated") or ""
    # 05.00 and 5.9 as numbers: the higher one is the newer.
    parts = [int(part) for part in baseline_of(item).split(".") if part.isdigit()]
    return parts, str(made)
