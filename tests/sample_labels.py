"""A labelled sample in the form of ``asm-atlas sample``, for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from pipeline.geo import grid


def draw_labels(
    path: Path,
    cells: np.ndarray,
    labels: Sequence[str | None],
    name: str = "abc123",
    **columns: Any,
) -> Path:
    """A GeoPackage with the layer ``sample`` and the table ``about``."""
    frame = {"cell": cells, "label": labels, "date": None, "source": "image of 2022"} | columns
    shapes = shapely.box(*grid.cell_bounds(cells))
    gpd.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326").to_file(path, layer="sample")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE about (item TEXT, value TEXT)")
        db.execute("INSERT INTO about VALUES ('sample', ?)", (name,))
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('about', 'attributes', 'about')"
        )
    return path
