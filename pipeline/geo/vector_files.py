"""Vector files that somebody else made: points and polygons, checked before anything is believed.

GeoJSON is parsed as plain JSON and GeoPackages as plain SQLite (:mod:`pipeline.geo.geopackage`): no
driver of GDAL gets to guess what a hostile file wants to be. Shapefiles alone go through pyogrio,
after a look at their first bytes. Everything comes back in EPSG:4326.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely

from pipeline.errors import InputFileError
from pipeline.geo.geopackage import read_geopackage
from pipeline.geo.input_files import MAX_BYTES, MAX_FEATURES, cannot_read, check_file
from pipeline.geo.self_crossings import first_unrepairable

MAX_VERTICES = 5_000_000
# Degrees by which a vertex on the antimeridian or a pole may lie beyond it: Natural Earth's do.
_LAST_BITS = 1e-6
_LONGITUDES = ("longitude", "lon", "lng", "long", "x")
_LATITUDES = ("latitude", "lat", "y")
_SIDECARS = (".shx", ".dbf", ".prj", ".cpg")
_UNREADABLE = (
    ValueError, TypeError, KeyError, RecursionError, OverflowError, OSError,
    shapely.errors.ShapelyError, pyproj.exceptions.ProjError, pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
)  # fmt: skip


def read_vector(
    path: str | Path, layer: str = "", max_longitude: float = 180.0, *, every: bool = False
) -> gpd.GeoDataFrame:
    """Read points, lines or polygons with their attributes.

    Parameters
    ----------
    path : str or pathlib.Path
        A ``.geojson``, ``.json``, ``.gpkg``, ``.shp`` or ``.csv`` file; the last with columns of
        longitudes and latitudes in degrees.
    layer : str, optional
        Layer of a GeoPackage; default: its first one.
    max_longitude : float, optional
        Largest longitude accepted; 360 where the caller judges what lies beyond 180 itself.
    every : bool, optional
        Whether a feature without a geometry is an error, rather than left out.

    Returns
    -------
    geopandas.GeoDataFrame
        EPSG:4326, valid geometries, none of them missing; index 0..n-1.

    Raises
    ------
    InputFileError
        If the file is not there, too large, of another kind, or holds coordinates off the globe.
    """
    path = Path(path)
    check_file(path, SUFFIXES)
    try:
        frame = _READERS[path.suffix.lower()](path, layer)
    except _UNREADABLE as error:
        raise cannot_read(path, error) from None
    checked = _checked(frame, str(path), max_longitude)
    if every and (lost := len(frame) - len(checked)):
        raise InputFileError(
            f"{lost:,} features have no geometry",
            where=str(path),
            next_step="give them one, or remove them",
        )
    return checked


def _read_geojson(path: Path, _: str) -> gpd.GeoDataFrame:
    content = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    if not isinstance(content, dict):
        raise ValueError("this is not GeoJSON")
    kind = content.get("type")
    if kind == "FeatureCollection":
        features = content.get("features")
    elif kind == "Feature":
        features = [content]
    else:
        features = [{"type": "Feature", "properties": {}, "geometry": content}]
    if not isinstance(features, list) or not all(isinstance(item, dict) for item in features):
        raise ValueError("this is not GeoJSON: it has no list of features")
    if len(features) > MAX_FEATURES:
        raise ValueError(f"more than {MAX_FEATURES} features")
    texts = [json.dumps(item["geometry"]) if item.get("geometry") else None for item in features]
    rows = [_flat(item.get("properties")) for item in features]
    return gpd.GeoDataFrame(rows, geometry=shapely.from_geojson(texts), crs=_geojson_crs(content))


def _flat(properties: Any) -> dict[str, Any]:
    # A property called "geometry" would replace the shapes; nested values become text.
    items = properties.items() if isinstance(properties, dict) else ()
    return {
        str(key): value if isinstance(value, str | int | float | None) else json.dumps(value)
        for key, value in items
        if key != "geometry"
    }


def _geojson_crs(content: dict[str, Any]) -> Any:
    # RFC 7946 knows only WGS 84; older files carry a "crs" member.
    try:
        name = content["crs"]["properties"]["name"]
    except (KeyError, TypeError):
        return "EPSG:4326"
    return "EPSG:4326" if "CRS84" in str(name) else pyproj.CRS.from_user_input(str(name))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a coordinate")


def _read_shapefile(path: Path, _: str) -> gpd.GeoDataFrame:
    with path.open("rb") as file:
        if file.read(4) != b"\x00\x00\x27\x0a":
            raise ValueError("this is not a shapefile")
    for suffix in _SIDECARS:
        sidecar = path.with_suffix(suffix)
        if sidecar.exists() and sidecar.stat().st_size > MAX_BYTES:
            raise ValueError(f"its {suffix} file is larger than {MAX_BYTES // 2**20} MiB")
    frame = pyogrio.read_dataframe(path, max_features=MAX_FEATURES + 1)
    if not isinstance(frame, gpd.GeoDataFrame) or frame.crs is None:
        raise ValueError("it has no geometries, or no .prj file that says where they are")
    return frame


def _read_points(path: Path, _: str) -> gpd.GeoDataFrame:
    table = pd.read_csv(path, encoding="utf-8-sig", nrows=MAX_FEATURES + 1, low_memory=False)
    lower = {str(name).strip().lower(): name for name in table.columns}
    lon = next((lower[name] for name in _LONGITUDES if name in lower), None)
    lat = next((lower[name] for name in _LATITUDES if name in lower), None)
    if lon is None or lat is None:
        names = ", ".join(map(str, table.columns))[:200]
        raise ValueError(f"no columns of longitudes and latitudes among {names}")
    x, y = pd.to_numeric(table[lon]), pd.to_numeric(table[lat])
    if x.isna().any() or y.isna().any():
        bad = int(np.flatnonzero((x.isna() | y.isna()).to_numpy())[0])
        raise ValueError(f"line {bad + 2} has no coordinates")
    return gpd.GeoDataFrame(
        table.drop(columns=["geometry"], errors="ignore"),
        geometry=gpd.points_from_xy(x, y),
        crs="EPSG:4326",
    )


_READERS: dict[str, Callable[[Path, str], gpd.GeoDataFrame]] = {
    ".geojson": _read_geojson,
    ".json": _read_geojson,
    ".gpkg": read_geopackage,
    ".shp": _read_shapefile,
    ".csv": _read_points,
}
SUFFIXES = tuple(_READERS)


def _checked(frame: gpd.GeoDataFrame, where: str, max_longitude: float) -> gpd.GeoDataFrame:
    shapes = frame.geometry.to_numpy()
    if len(frame) > MAX_FEATURES or shapely.get_num_coordinates(shapes).sum() > MAX_VERTICES:
        raise InputFileError(
            f"more than {MAX_FEATURES:,} features or {MAX_VERTICES:,} vertices",
            where=where,
            next_step="cut it to the region of interest, or simplify it",
        )
    frame = frame[frame.geometry.notna()]
    if frame.crs is not None and not frame.crs.equals("EPSG:4326"):
        frame = frame.to_crs("EPSG:4326")
    shapes = shapely.force_2d(frame.geometry.to_numpy())
    xy = shapely.get_coordinates(shapes)
    # Written so that a coordinate which is not a number fails as well.
    over = np.abs(xy) - (max_longitude, 90.0)
    off = ~(over <= _LAST_BITS).all(axis=1)
    if off.any():
        x, y = xy[off][0]
        raise InputFileError(
            f"a vertex lies off the globe: {_text(x)}, {_text(y)}",
            where=where,
            next_step="store it in EPSG:4326, longitude first, or name its reference system",
        )
    if (over > 0).any():
        limits = (max_longitude, 90.0)
        shapes = shapely.transform(shapes, lambda at: np.clip(at, np.negative(limits), limits))
    if (place := first_unrepairable(shapes)) >= 0:
        raise InputFileError(
            f"the outline of feature {place + 1} crosses itself too often to be mended",
            where=where,
            next_step="draw it again, or repair it in QGIS (Fix geometries)",
        )
    frame = frame.set_geometry(shapely.make_valid(shapes), crs="EPSG:4326")
    return frame[~frame.geometry.is_empty].reset_index(drop=True)


def _text(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else "not a number"
