"""One GeoPackage 1.3: layers, names of columns, default styles and the QGIS project inside.

GDAL writes the layers; what QGIS alone knows (``layer_styles``, ``qgis_projects``) and the names of
columns (the Schema extension) are added with SQLite. The file is complete only when
:func:`dress` returns; the caller writes into a folder that nobody looks at yet.
"""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from pipeline.errors import StoreCorruptError
from pipeline.geo.geopackage import FEATURE_ID, GEOMETRY, VERSION, column_names
from pipeline.map.files.qgis import style
from pipeline.map.files.views import LayerView, geometry_kind

_STYLES = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""
_PROJECTS = "CREATE TABLE qgis_projects (name TEXT PRIMARY KEY, metadata BLOB, content BLOB)"
_COLUMNS = """
CREATE TABLE gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT,
  mime_type TEXT, constraint_name TEXT,
  CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name))
"""
_CONSTRAINTS = """
CREATE TABLE gpkg_data_column_constraints (
  constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT, min NUMERIC,
  min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value))
"""
_SCHEMA = "http://www.geopackage.org/spec121/#extension_schema"


def write_layers(
    path: Path,
    layers: dict[str, gpd.GeoDataFrame],
    tables: dict[str, pd.DataFrame],
    descriptions: dict[str, str],
    metadata: dict[str, str],
    created: str,
) -> None:
    """Write layers and tables without geometry into a new GeoPackage.

    Parameters
    ----------
    path : pathlib.Path
        A file that does not exist yet.
    layers : dict of str to geopandas.GeoDataFrame
        EPSG:4326; NaN becomes NULL.
    tables : dict of str to pandas.DataFrame
        Tables without geometry.
    descriptions : dict of str to str
        One text for each layer and table.
    metadata : dict of str to str
        What the file says of itself.
    created : str
        ISO time that the file carries, so that one run writes the same bytes again.
    """
    with _settings(created):
        for name, frame in [*layers.items(), *tables.items()]:
            geometry = {}
            if isinstance(frame, gpd.GeoDataFrame):
                kind = geometry_kind(name, frame)
                geometry = {
                    "geometry_type": kind,
                    "promote_to_multi": kind.startswith("Multi"),
                    "GEOMETRY_NAME": GEOMETRY,
                }
            pyogrio.write_dataframe(
                _writable(frame).rename(columns=column_names(_columns(frame))),
                path,
                layer=name,
                driver="GPKG",
                append=path.exists(),
                dataset_options={"VERSION": VERSION},
                dataset_metadata=metadata,
                FID=FEATURE_ID,
                DESCRIPTION=descriptions[name],
                **geometry,
            )


def dress(
    path: Path,
    views: list[LayerView],
    notes: dict[str, dict[str, str]],
    project: bytes | None,
    project_name: str,
    created: str,
) -> None:
    """Add the names of columns, the default styles and the project.

    Parameters
    ----------
    path : pathlib.Path
        A GeoPackage of ``write_layers``.
    views : list of LayerView
        The layers as QGIS shows them.
    notes : dict of str to dict of str to str
        Layer, column: what the column holds.
    project : bytes or None
        A ``.qgz``; None: the file gets no project.
    project_name : str
        Its name in the list that QGIS shows.
    created : str
        ISO time, UTC.
    """
    stamp = f"{created[:19]}.000Z"
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("PRAGMA synchronous=OFF")
        for statement in (_STYLES, _COLUMNS, _CONSTRAINTS):
            base.execute(statement)
        # qgis_projects stays unregistered, as QGIS leaves it: its key is text.
        base.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
            (stamp,),
        )
        base.executemany(
            "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_schema', ?, 'read-write')",
            [("gpkg_data_columns", _SCHEMA), ("gpkg_data_column_constraints", _SCHEMA)],
        )
        for view in views:
            unique = _unique([view.aliases[column] for column in view.columns])
            base.executemany(
                "INSERT INTO gpkg_data_columns VALUES (?, ?, ?, ?, ?, NULL, NULL)",
                [
                    (view.name, c, alias, view.aliases[c], notes.get(view.name, {}).get(c, ""))
                    for c, alias in zip(view.columns, unique, strict=True)
                ],
            )
            base.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name,"
                " f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description,"
                " owner, ui, update_time) VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '', NULL, ?)",
                (
                    view.name,
                    GEOMETRY if view.geometry_type else "",
                    view.name,
                    style(view),
                    view.title,
                    stamp,
                ),
            )
        if project is not None:
            base.execute(_PROJECTS)
            base.execute(
                "INSERT INTO qgis_projects VALUES (?, ?, ?)",
                (
                    project_name,
                    json.dumps({"last_modified_time": created[:19], "last_modified_user": ""}),
                    project.hex(),
                ),
            )


def read_back(path: Path) -> dict[str, pd.DataFrame]:
    """Open a GeoPackage again and return every layer and table of it that users see.

    Raises
    ------
    StoreCorruptError
        If the file is damaged, a style is missing, or the project inside cannot be unpacked.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        base.execute("PRAGMA trusted_schema=OFF")
        state = base.execute("PRAGMA quick_check").fetchone()[0]
        names = [row[0] for row in base.execute("SELECT table_name FROM gpkg_contents")]
        styled = {row[0] for row in base.execute("SELECT f_table_name FROM layer_styles")}
        content = base.execute("SELECT content FROM qgis_projects").fetchone()
    own = [name for name in names if name != "layer_styles"]
    if state != "ok" or not set(own) <= styled or content is None:
        raise StoreCorruptError("the map that was written is not whole", where=str(path))
    with zipfile.ZipFile(io.BytesIO(bytes.fromhex(content[0]))) as archive:
        archive.read("map.qgs")
    return {name: pyogrio.read_dataframe(path, layer=name) for name in own}


def _unique(aliases: list[str]) -> list[str]:
    """Return names that differ, whatever two layers were declared to be called."""
    told: dict[str, int] = {}
    names = []
    for alias in aliases:
        told[alias] = told.get(alias, 0) + 1
        names.append(alias if told[alias] == 1 else f"{alias} ({told[alias]})")
    return list(column_names(names).values())


def _columns(frame: pd.DataFrame) -> list[str]:
    geometry = frame.geometry.name if isinstance(frame, gpd.GeoDataFrame) else None
    return [str(column) for column in frame.columns if column != geometry]


def _writable(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn dates, and columns that mix kinds, into text; nothing stays nothing."""
    changed = {}
    for column in _columns(frame):
        values = frame[column]
        if pd.api.types.is_datetime64_any_dtype(values):
            changed[column] = values.dt.strftime("%Y-%m-%d")
        elif values.dtype == object:
            changed[column] = values.map(str, na_action="ignore")
    return frame.assign(**changed)


@contextmanager
def _settings(created: str) -> Iterator[None]:
    """Let GDAL stamp a file with the run's time; the caller flushes it to disk once, at the end."""
    options = {"OGR_CURRENT_DATE": f"{created[:19]}.000Z", "OGR_SQLITE_SYNCHRONOUS": "OFF"}
    pyogrio.set_gdal_config_options(options)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(options))
