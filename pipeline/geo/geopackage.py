"""GeoPackage 1.3: what our files call its parts, and the reading of files that others made.

Those are read as plain SQLite, read-only, untrusted schema, real tables only: no driver of GDAL
gets to guess what a hostile file wants to be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyproj
import shapely

from pipeline.errors import InputFileError
from pipeline.geo.input_files import MAX_BYTES, MAX_FEATURES, cannot_read, check_file

VERSION = "1.3"
GEOMETRY, FEATURE_ID = "geom", "fid"


def column_names(columns: list[str]) -> dict[str, str]:
    """Return names that a layer can hold: none reserved, none that differ in case alone."""
    taken = {GEOMETRY, FEATURE_ID}
    names = {}
    for column in columns:
        name = column if column.lower() not in taken else f"source_{column}"
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names[column] = name
    return names


def layer_names(path: str | Path) -> list[str]:
    """Return the layers of a GeoPackage; none for other kinds of files.

    Raises
    ------
    InputFileError
        If the file is too large, or no GeoPackage.
    """
    if Path(path).suffix.lower() != ".gpkg":
        return []
    with _opened(Path(path)) as db:
        return list(_layers(db))


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
    with _opened(Path(path)) as db:
        return _tables(db, "c.data_type = 'attributes'")


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
    with _opened(Path(path)) as db:
        if name not in _tables(db):
            raise InputFileError(f"the file has no table {name!r}", where=str(path))
        return _rows(db, name)


def read_geopackage(path: Path, layer: str = "") -> gpd.GeoDataFrame:
    """Read a layer of a GeoPackage, features without a geometry too.

    Parameters
    ----------
    path : pathlib.Path
        The GeoPackage.
    layer : str, optional
        The layer; default: its first one.

    Returns
    -------
    geopandas.GeoDataFrame
        In the file's own reference system, nothing checked.

    Raises
    ------
    InputFileError
        If the file is no GeoPackage, or has no such layer.
    """
    with _opened(path) as db:
        layers = _layers(db)
        if layer and layer not in layers:
            raise ValueError(
                f"it has no layer {layer!r}; its layers: {', '.join(layers) or 'none'}"
            )
        if not layers:
            raise ValueError("it has no layer of geometries")
        table = layer or next(iter(layers))
        column, srs = layers[table]
        rows = _rows(db, table)
        reference = db.execute(
            "SELECT organization || ':' || organization_coordsys_id, definition "
            "FROM gpkg_spatial_ref_sys WHERE srs_id = ?",
            (srs,),
        ).fetchone()
        if reference is None or srs <= 0:
            raise ValueError("its coordinates have no reference system")
        shapes = shapely.from_wkb([None if pd.isna(blob) else _wkb(blob) for blob in rows[column]])
    attributes = rows.drop(columns=[column]).drop(columns="geometry", errors="ignore")
    return gpd.GeoDataFrame(attributes, geometry=shapes, crs=_srs(*reference))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file read-only; what cannot be read in it is an ``InputFileError``."""
    check_file(path, (".gpkg",))
    address = path.resolve().as_uri() + "?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as db:
            db.execute("PRAGMA trusted_schema=OFF")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
            # Ends a query that a crafted file keeps busy for ever.
            budget = iter(range(20_000))
            db.set_progress_handler(lambda: next(budget, None) is None, 100_000)
            yield db
    except (ValueError, sqlite3.Error, shapely.errors.ShapelyError) as error:
        raise cannot_read(path, error) from None


def _tables(db: sqlite3.Connection, which: str = "TRUE") -> list[str]:
    """Return the listed tables, in the file's order; views and virtual tables are none."""
    rows = db.execute(
        "SELECT c.table_name FROM gpkg_contents c JOIN sqlite_master m ON m.name = c.table_name "
        f"WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND {which} ORDER BY c.rowid"
    )
    return [str(row[0]) for row in rows]


def _layers(db: sqlite3.Connection) -> dict[str, tuple[str, int]]:
    """Geometry column and reference system of each layer; views and virtual tables are none."""
    rows = db.execute(
        "SELECT g.table_name, g.column_name, g.srs_id "
        "FROM gpkg_geometry_columns g JOIN sqlite_master m ON m.name = g.table_name "
        "WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY g.rowid"
    )
    return {str(table): (str(column), int(srs)) for table, column, srs in rows}


def _rows(db: sqlite3.Connection, table: str) -> pd.DataFrame:
    quoted = '"' + table.replace('"', '""') + '"'
    # A generated column is a formula that runs on reading: a row may claim a gigabyte.
    if any(row[6] in (2, 3) for row in db.execute(f"PRAGMA table_xinfo({quoted})")):
        raise ValueError(f"the table {table!r} has generated columns, which are not read")
    cursor = db.execute(f"SELECT * FROM {quoted} LIMIT {MAX_FEATURES + 1}")
    return pd.DataFrame(cursor.fetchall(), columns=[item[0] for item in cursor.description])


def _srs(code: str, definition: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(code)
    except pyproj.exceptions.CRSError:
        return pyproj.CRS.from_wkt(definition)


def _wkb(blob: Any) -> bytes:
    # GeoPackage binary: "GP", version, flags, srs_id, an envelope of 0, 4, 6, 6 or 8 doubles.
    if not isinstance(blob, bytes) or blob[:2] != b"GP" or len(blob) < 8:
        raise ValueError("a geometry is not in the GeoPackage's form")
    envelope = (0, 32, 48, 48, 64)[min((blob[3] >> 1) & 7, 4)]
    return blob[8 + envelope :]
