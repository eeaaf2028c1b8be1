"""The layer ``regions``: area estimates with their intervals, one outline a region or part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from pipeline.config import Config
from pipeline.errors import StoreCorruptError
from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.map.coarsening import multi_polygon, round_shapes
from pipeline.runtime.mirror import fetched

# A part of fewer cells than a 0.1-degree block would give single places away.
SMALLEST_PUBLIC_CELLS = 400


def stored_area(config: Config, region: str, predictions: str) -> Path:
    """Return where the estimates for a region's predictions are kept.

    Parameters
    ----------
    config : Config
        Where the workspace is.
    region : str
        Name of the region.
    predictions : str
        The predictions' sha256.

    Returns
    -------
    pathlib.Path
        A JSON file, there or not.
    """
    return config.workspace.interim / "area" / region / f"{predictions[:16]}.json"


def read_estimates(path: Path) -> dict[str, Any]:
    """Read the stored estimates for a region's predictions.

    Parameters
    ----------
    path : pathlib.Path
        Where ``asm-atlas area`` keeps them.

    Returns
    -------
    dict
        Empty if there are none.

    Raises
    ------
    StoreCorruptError
        If the file cannot be read.
    """
    if not fetched(path).is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["sample"], [one["outline"] for one in record["regions"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreCorruptError(
            f"the stored area estimates cannot be read: {error}",
            where=str(path),
            next_step="make area SAMPLE=sample.gpkg writes them again",
        ) from None
    return dict(record)


def regions_layer(record: dict[str, Any], region: Region, public: bool) -> gpd.GeoDataFrame:
    """Lay out estimates as outlines with their figures.

    Parameters
    ----------
    record : dict
        Of ``read_estimates``, not empty.
    region : Region
        The whole.
    public : bool
        Whether outlines are rounded to the public squares, and parts of fewer than
        ``SMALLEST_PUBLIC_CELLS`` cells left out.

    Returns
    -------
    geopandas.GeoDataFrame
        One row a region or part, EPSG:4326, multipolygons.
    """
    rows, shapes = [], []
    for one in record["regions"]:
        whole = one["kind"] == "region"
        if public and not whole and one["cells"] < SMALLEST_PUBLIC_CELLS:
            continue
        shape = region.geometry if whole else shapely.from_wkt(one["outline"])
        if public:
            shape = round_shapes(np.array([shape], object))[0]
        rows.append(_row(one) | {"sample": record["sample"]})
        shapes.append(multi_polygon(shape))
    return gpd.GeoDataFrame(rows, geometry=shapes, crs=grid.CRS)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {key: one[key] for key in ("name", "title", "kind", "area_km2")}
    names = {"value": "km2", "standard_error": "se_km2", "low": "low_km2", "high": "high_km2"}
    for prefix in ("cells_with_mining", "mined"):
        figure = one[f"{prefix}_km2"] or {}
        for part, name in names.items():
            value = figure.get(part)
            row[f"{prefix}_{name}"] = np.nan if value is None else float(value)
    for key in ("labelled", "cannot_tell", "not_estimated_km2", "how"):
        row[key] = one[key]
    return row
