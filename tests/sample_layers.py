"""Context layers for tests, built in code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely

from pipeline.sites.layers.declare import parse
from pipeline.sites.layers.layer import Declaration, KnownLayer
from pipeline.sites.layers.read import read_layer

COLUMNS = [
    {"name": "title", "type": "text", "english": "Title", "french": "Titre", "required": True,
     "disclosure": "public"},
    {"name": "holder", "type": "text", "english": "Holder", "french": "Titulaire"},
    {"name": "since", "type": "date", "english": "Since", "french": "Depuis",
     "disclosure": "public"},
]  # fmt: skip
AREAS: dict[str, Any] = {
    "name": "zones", "english": "Zones", "french": "Zones", "kind": "polygon", "how": "within",
    "along": ["title", "holder"], "public": "rounded", "credit": "nobody", "licence": "none",
    "columns": COLUMNS,
}  # fmt: skip
REPORTS: dict[str, Any] = {
    "name": "reports", "english": "Reports", "french": "Signalements", "kind": "point",
    "how": "count", "distance_km": 5.0, "days": 365, "date": "since", "public": "counts",
    "credit": "nobody", "licence": "none",
    "columns": [{**column, "disclosure": "restricted"} for column in COLUMNS],
}  # fmt: skip
SCHEMES: dict[str, Any] = {
    "name": "schemes", "english": "Schemes", "french": "Systèmes", "kind": "point",
    "how": "nearest", "distance_km": 3.0, "along": ["title"], "public": "none",
    "credit": "nobody", "licence": "none",
    "columns": [{**column, "disclosure": "restricted"} for column in COLUMNS],
}  # fmt: skip


def declare(base: dict[str, Any] = AREAS, **changes: Any) -> Declaration:
    """Return a declaration with what differs from a base; None takes a key away."""
    content = {k: v for k, v in {**base, **changes}.items() if v is not None}
    return parse(content, "test.toml")


def layer(
    folder: Path, declaration: Declaration, shapes: list[Any], **columns: list[Any]
) -> KnownLayer:
    """Write shapes with a title each, and whatever else, and read them as a layer."""
    table = {"title": [f"{declaration.name} {n}" for n in range(len(shapes))], **columns}
    path = folder / f"{declaration.name}.gpkg"
    gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326").to_file(path)
    return read_layer(declaration, path)


def box(west: float, south: float, side: float) -> shapely.Polygon:
    """Return a square."""
    return shapely.box(west, south, west + side, south + side)
