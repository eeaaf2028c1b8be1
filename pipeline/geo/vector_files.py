"""Vector files that somebody else made: points and polygons, checked before anything is believed.

GeoJSON is parsed as plain JSON and GeoPackages as plain SQLite, read-only, untrusted schema, real
tables only: no driver of GDAL gets to guess what a hostile file wants to be. Shapefiles alone go
through pyogrio, after a look at their first bytes. Everything comes back in EPSG:4326.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely

from pipeline.errors import InputFileError
from pipeline.geo.self_crossings import first_unrepairable
from pipeline.runtime.atomic import is_safe_path

SUFFIXES = (".geojson", ".json", ".gpkg", ".shp", ".csv")
MAX_BYTES = 64 * 1024 * 1024
MAX_FEATURES = 500_000
MAX_VERTICES = 5_000_000
# Degrees by which a vertex on the antimeridian or a pole may lie beyond it: Natural Earth's do.
_LAST_BITS = 1e-6
_LONGITUDES = ("longitude", "lon", "lng", "long", "x")
_LATITUDES = ("latitude", "lat", "y")
_SIDECARS = (".shx", ".dbf", ".prj", ".cpg")


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
    where = str(path)
    check_file(path, SUFFIXES)
    suffix = path.suffix.lower()
    try:
        if suffix == ".gpkg":
            frame = _read_geopackage(path, layer)
        elif suffix == ".shp":
            frame = _read_shapefile(path)
        elif suffix == ".csv":
            frame = _read_points(path)
        else:
            frame = _read_geojson(path)
    except InputFileError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
        OverflowError,
        sqlite3.Error,
        OSError,
        shapely.errors.ShapelyError,
        pyproj.exceptions.ProjError,
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
    ) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputFileError(f"the file cannot be read: {reason}", where=where) from None
    checked = _checked(frame, where, max_longitude)
    if every and (lost := frame.attrs.get("without_geometry", 0) + len(frame) - len(checked)):
        raise InputFileError(
            f"{lost:,} features have no geometry",
            where=where,
            next_step="give them one, or remove them",
        )
    return checked


def layer_names(path: str | Path) -> list[str]:
    """Return the layers of a GeoPackage; none for other kinds of files.

    Raises
    ------
    InputFileError
        If the file is not there, too large, or no GeoPackage.
    """
    path = Path(path)
    check_file(path, SUFFIXES)
    if path.suffix.lower() != ".gpkg":
        return []
    try:
        with _geopackage(path) as db:
            return list(_layers(db))
    except sqlite3.Error as error:
        raise InputFileError(f"the file cannot be read: {error}", where=str(path)) from None


def read_table(path: str | Path, name: str) -> pd.DataFrame:
    """Read a table without geometry of a GeoPackage.

    Parameters
    ----------
    path : str or pathlib.Path
        The GeoPackage.
    name : str
        The table.

    Returns
    -------
    pandas.DataFrame
        Its rows as they are.

    Raises
    ------
    InputFileError
        If the file is not there, too large, no GeoPackage, or has no such table.
    """
    path = Path(path)
    check_file(path, (".gpkg",))
    try:
        with _geopackage(path) as db:
            found = db.execute(
                "SELECT c.table_name FROM gpkg_contents c JOIN sqlite_master m "
                "ON m.name = c.table_name WHERE m.type = 'table' "
                "AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND c.table_name = ?",
                (name,),
            ).fetchone()
            if found is None:
                raise InputFileError(f"the file has no table {name!r}", where=str(path))
            _refuse_generated(db, name)
            cursor = db.execute(f"SELECT * FROM {_quoted(name)} LIMIT {MAX_FEATURES}")
            return pd.DataFrame(cursor.fetchall(), columns=[item[0] for item in cursor.description])
    except (ValueError, sqlite3.Error) as error:
        raise InputFileError(f"the file cannot be read: {error}", where=str(path)) from None


def table_names(path: str | Path) -> list[str]:
    """Return the tables without geometry of a GeoPackage.

    Parameters
    ----------
    path : str or pathlib.Path
        The GeoPackage.

    Returns
    -------
    list of str
        Names of real tables that the file lists as attributes.

    Raises
    ------
    InputFileError
        If the file is not there, too large, or no GeoPackage.
    """
    path = Path(path)
    check_file(path, (".gpkg",))
    try:
        with _geopackage(path) as db:
            rows = db.execute(
                "SELECT c.table_name FROM gpkg_contents c JOIN sqlite_master m "
                "ON m.name = c.table_name WHERE m.type = 'table' AND c.data_type = 'attributes' "
                "AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY c.rowid"
            ).fetchall()
            return [str(row[0]) for row in rows]
    except sqlite3.Error as error:
        raise InputFileError(f"the file cannot be read: {error}", where=str(path)) from None


def check_file(path: Path, suffixes: tuple[str, ...], max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is not a plain file of one of the kinds, or too large to be read whole.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    suffixes : tuple of str
        Kinds that are read, in lower case with their dots.
    max_bytes : int
        Largest size.

    Raises
    ------
    InputFileError
        If so.
    """
    where = str(path)
    if not is_safe_path(where):
        raise InputFileError(
            'a path may not hold $ ` " \\ | & ; < > * ? ! { }, an address or a /vsi prefix',
            where=ascii(where)[:200],
            next_step="copy the file into a folder with a plain name",
        )
    if not path.is_file():
        raise InputFileError(
            "there is no such file",
            where=where,
            next_step=f"check the path; without a leading / it is looked for in {Path.cwd()}",
        )
    if path.suffix.lower() not in suffixes:
        raise InputFileError(
            f"a file of this kind is not read: {path.suffix or 'no suffix'}",
            where=where,
            next_step="use one of " + ", ".join(suffixes),
        )
    if path.stat().st_size > max_bytes:
        raise InputFileError(
            f"the file is larger than {max_bytes // 2**20} MiB",
            where=where,
            next_step="cut it to the region of interest, or simplify it",
        )


def _read_geojson(path: Path) -> gpd.GeoDataFrame:
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
    present = [item for item in features if item.get("geometry")]
    shapes = shapely.from_geojson([json.dumps(item["geometry"]) for item in present])
    rows = [_flat(item.get("properties")) for item in present]
    frame = gpd.GeoDataFrame(rows, geometry=shapes, crs=_geojson_crs(content))
    frame.attrs["without_geometry"] = len(features) - len(present)
    return frame


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


@contextmanager
def _geopackage(path: Path) -> Iterator[sqlite3.Connection]:
    address = path.resolve().as_uri() + "?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as db:
        db.execute("PRAGMA trusted_schema=OFF")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
        # Ends a query that a crafted file keeps busy for ever.
        budget = iter(range(20_000))
        db.set_progress_handler(lambda: next(budget, None) is None, 100_000)
        yield db


def _layers(db: sqlite3.Connection) -> dict[str, tuple[str, int]]:
    """Geometry column and reference system of each layer; views and virtual tables are none."""
    rows = db.execute(
        "SELECT g.table_name, g.column_name, g.srs_id "
        "FROM gpkg_geometry_columns g JOIN sqlite_master m ON m.name = g.table_name "
        "WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY g.rowid"
    )
    return {str(table): (str(column), int(srs)) for table, column, srs in rows}


def _read_geopackage(path: Path, layer: str) -> gpd.GeoDataFrame:
    with _geopackage(path) as db:
        layers = _layers(db)
        if layer and layer not in layers:
            raise ValueError(
                f"it has no layer {layer!r}; its layers: {', '.join(layers) or 'none'}"
            )
        if not layers:
            raise ValueError("it has no layer of geometries")
        table = layer or next(iter(layers))
        column, srs = layers[table]
        _refuse_generated(db, table)
        cursor = db.execute(f"SELECT * FROM {_quoted(table)} LIMIT {MAX_FEATURES + 1}")
        names = [item[0] for item in cursor.description]
        rows = pd.DataFrame(cursor.fetchall(), columns=names)
        reference = db.execute(
            "SELECT organization || ':' || organization_coordsys_id, definition "
            "FROM gpkg_spatial_ref_sys WHERE srs_id = ?",
            (srs,),
        ).fetchone()
    if reference is None or srs <= 0:
        raise ValueError("its coordinates have no reference system")
    without = int(rows[column].isna().sum())
    rows = rows[rows[column].notna()].reset_index(drop=True)
    shapes = shapely.from_wkb([_wkb(blob) for blob in rows[column]])
    attributes = rows.drop(columns=[column])
    attributes = attributes.drop(columns=["geometry"], errors="ignore")
    frame = gpd.GeoDataFrame(attributes, geometry=shapes, crs=_srs(*reference))
    frame.attrs["without_geometry"] = without
    return frame


def _refuse_generated(db: sqlite3.Connection, table: str) -> None:
    # A generated column is a formula that runs on reading: a row may claim a gigabyte.
    if any(row[6] in (2, 3) for row in db.execute(f"PRAGMA table_xinfo({_quoted(table)})")):
        raise ValueError(f"the table {table!r} has generated columns, which are not read")


def _srs(code: str, definition: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(code)
    except pyproj.exceptions.CRSError:
        return pyproj.CRS.from_wkt(definition)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _wkb(blob: Any) -> bytes:
    # GeoPackage binary: "GP", version, flags, srs_id, an envelope of 0, 4, 6, 6 or 8 doubles.
    if not isinstance(blob, bytes) or blob[:2] != b"GP" or len(blob) < 8:
        raise ValueError("a geometry is not in the GeoPackage's form")
    envelope = (0, 32, 48, 48, 64)[min((blob[3] >> 1) & 7, 4)]
    return blob[8 + envelope :]


def _read_shapefile(path: Path) -> gpd.GeoDataFrame:
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
    known = frame[frame.geometry.notna()].reset_index(drop=True)
    known.attrs["without_geometry"] = len(frame) - len(known)
    return known


def _read_points(path: Path) -> gpd.GeoDataFrame:
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


def _checked(frame: gpd.GeoDataFrame, where: str, max_longitude: float) -> gpd.GeoDataFrame:
    shapes = frame.geometry.to_numpy()
    if len(frame) > MAX_FEATURES or shapely.get_num_coordinates(shapes).sum() > MAX_VERTICES:
        raise InputFileError(
            f"more than {MAX_FEATURES:,} features or {MAX_VERTICES:,} vertices",
            where=where,
            next_step="cut it to the region of interest, or simplify it",
        )
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
