"""Area estimates as `asm-atlas area` keeps them, written in code."""

from __future__ import annotations

from typing import Any

import shapely


def one(name: str, kind: str, cells: int, shape: Any = None, mined: bool = False) -> dict[str, Any]:
    figure = {"value": 12.3, "standard_error": 2.0, "low": 8.9, "high": 17.5}
    return {
        "name": name,
        "title": name.title(),
        "kind": kind,
        "cells": cells,
        "area_km2": cells * 0.309,
        "cells_with_mining_km2": figure,
        "mined_km2": figure if mined else None,
        "labelled": 280,
        "cannot_tell": 4,
        "not_estimated_km2": 1.5,
        "how": "stratified estimate",
        "outline": "" if shape is None else shape.wkt,
    }


RECORD = {
    "sample": "0123456789abcdef",
    "regions": [
        one("demo", "region", 4800, mined=True),
        one("west", "part", 2400, shapely.box(5.8, 2.0, 6.00321, 2.3)),
        one("pit", "part", 9, shapely.box(5.9, 2.1, 5.915, 2.115)),
    ],
}
