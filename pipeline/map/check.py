"""Opens every file of a product and holds it against the rules of disclosure.

Nothing here asks the program what it meant to write: files are read as a stranger would read them.
A file of a kind that nobody here can read is refused, since nobody can vouch for it.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from numpy.typing import ArrayLike

from pipeline.errors import DisclosureError, StoreCorruptError
from pipeline.map import column_rules, editions
from pipeline.map.column_rules import Policy
from pipeline.map.files import geopackage
from pipeline.map.page import packed

# Tables of a GeoPackage that are not layers.
_OWN_TABLES = re.compile(r"(gpkg|rtree|sqlite|ogr)_.*|gdal_aspatial|layer_styles|qgis_projects")
# What a style or a project calls a column by: an attribute, or quotes in an expression.
_COLUMN = re.compile(r'\b(?:field|fieldName|attributeName)="([^"]*)"|&quot;([^&]*?)&quot;')
_PLACES = ("bbox", "coordinates", "proj:transform")
# Parts of a manifest or a STAC item, and the rows of the rules that say what they may hold.
_PARTS = {"configuration": "config", "model": "model", "scenes": "scenes", "tables": "tables"}
_LAYER = re.compile(r"layername=(\w+)")


def check_folder(folder: Path, disclosure: str, policy: Policy) -> dict[str, pd.DataFrame]:
    """Check every file of a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the files of one product, and no folder.
    disclosure : str
        ``public`` or ``restricted``.
    policy : mapping
        The columns' rules.

    Returns
    -------
    dict of str to pandas.DataFrame
        Layers and tables of the GeoPackage, as read.

    Raises
    ------
    DisclosureError
        If a file holds a column that is denied, or a place finer than allowed, or is of a kind
        that cannot be checked.
    StoreCorruptError
        If a file is not whole.
    """
    tables: dict[str, pd.DataFrame] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(".aux.xml"):
            continue  # GDAL lays it beside what it reads; it is not published
        if path.is_symlink() or not path.is_file() or path.suffix not in _CHECKS:
            raise DisclosureError("a file of a kind that is not checked", where=path.name)
        try:
            found = _CHECKS[path.suffix](path, disclosure, policy)
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile, ElementTree.ParseError) as e:
            what = f"what was written cannot be read again: {e!r}"
            raise StoreCorruptError(what, where=path.name) from None
        tables |= found or {}
    return tables


def check_page(path: Path, disclosure: str, policy: Policy) -> None:
    """Check the page: what its data hold, and that nothing but its own parts may run.

    Parameters
    ----------
    path : pathlib.Path
        The HTML file.
    disclosure : str
        ``public`` or ``restricted``.
    policy : mapping
        The columns' rules.

    Raises
    ------
    DisclosureError
        If its data hold a denied column or a place finer than allowed.
    StoreCorruptError
        If it lacks its data or its policy, or holds an element that could run or load something.
    """
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    _page_tables(page, disclosure, policy, path.name)
    # A page without a script has no data either: its tables say which columns they show.
    still = page.scripts == 0 and not page.data and page.tables
    alive = page.scripts == 1 and page.data
    if page.strange or not (still or alive) or "default-src 'none'" not in page.policy:
        what = f"the page is not as it was made: {', '.join(page.strange) or 'its own parts'}"
        raise StoreCorruptError(what, where=path.name)
    if still:
        return
    data = json.loads(page.data)
    where = f"{path.name}, data"
    if 1 / data["squares"]["per_degree"] < editions.SQUARE_DEGREES[disclosure] - 1e-9:
        raise DisclosureError("the page's squares are finer than allowed", where=where)
    for table in (data["cells"], *data["layers"]):
        name = table.get("rules", table["name"])
        _refuse_columns((c["name"] for c in table["columns"]), name, disclosure, policy, where)
        for column in table["columns"]:
            if column["name"] in ("longitude", "latitude"):
                values = [v for v in packed.unpack_column(column) if v is not None]
                refuse_finer(values, disclosure, f"{where}, {name}")
        if "shapes" in table:
            refuse_finer(packed.unpack_places(table["shapes"]), disclosure, f"{where}, {name}")


def _page_tables(page: _Page, disclosure: str, policy: Policy, where: str) -> None:
    """Check the tables of a page that name their layer."""
    for layer, columns, rows in page.tables:
        if layer not in policy:
            raise DisclosureError(f"a table of an unknown layer {layer}", where=where)
        _refuse_columns(columns, layer, disclosure, policy, f"{where}, {layer}")
        for row in rows:
            told = dict(zip(columns, row, strict=True))
            places = [told[name] for name in ("longitude", "latitude") if name in told]
            refuse_finer([float(text.replace(",", ".")) for text in places], disclosure, where)


def refuse_finer(degrees: ArrayLike, disclosure: str, where: str) -> None:
    """Refuse places that do not lie on the public product's squares of 0.01 degree.

    Parameters
    ----------
    degrees : array_like of float
        Longitudes and latitudes.
    disclosure : str
        ``public`` or ``restricted``, in which any place may stand.
    where : str
        File and layer.

    Raises
    ------
    DisclosureError
        If one does not.
    """
    steps = np.asarray(degrees, float) / editions.SQUARE_DEGREES[editions.PUBLIC]
    if disclosure == editions.PUBLIC and not np.allclose(steps, np.round(steps), atol=1e-6):
        raise DisclosureError("a geometry is finer than the public map allows", where=where)


def _refuse_columns(
    columns: Iterable[str], layer: str, disclosure: str, policy: Policy, where: str
) -> None:
    out = column_rules.denied(policy, disclosure, layer, [str(column) for column in columns])
    if out:
        raise DisclosureError(f"the {disclosure} map would show {', '.join(out)}", where=where)


def _frame(frame: pd.DataFrame, layer: str, disclosure: str, policy: Policy, where: str) -> None:
    """Check a layer or table: its columns, its geometry, and columns that hold places."""
    columns = [str(column) for column in frame.columns if column != "geometry"]
    _refuse_columns(columns, layer, disclosure, policy, where)
    if isinstance(frame, gpd.GeoDataFrame):
        refuse_finer(shapely.get_coordinates(frame.geometry), disclosure, where)
    for column in columns:
        if re.search(r"(^|_)(lon|lat|longitude|latitude)($|_)", column.lower()):
            values = pd.to_numeric(frame[column], errors="coerce").dropna()
            refuse_finer(values, disclosure, f"{where}, {column}")


def _geopackage(path: Path, disclosure: str, policy: Policy) -> dict[str, pd.DataFrame]:
    tables = geopackage.read_back(path)
    for name, frame in tables.items():
        _frame(frame, name, disclosure, policy, f"{path.name}, {name}")
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        base.execute("PRAGMA trusted_schema=OFF")
        kinds = base.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view')")
        strange = [
            name
            for kind, name in kinds
            if kind == "view" or not (name in tables or _OWN_TABLES.fullmatch(name))
        ]
        if strange:
            raise DisclosureError(f"nobody asked for {', '.join(strange)}", where=path.name)
        told = base.execute("SELECT table_name, column_name FROM gpkg_data_columns").fetchall()
        styles = base.execute(
            "SELECT f_table_name, styleQML, styleSLD FROM layer_styles"
        ).fetchall()
        projects = base.execute("SELECT content FROM qgis_projects").fetchall()
    for name, column in told:
        _refuse_columns([column], name, disclosure, policy, f"{path.name}, gpkg_data_columns")
    for name, *texts in styles:
        for text in texts:
            _style(text or "", name, disclosure, policy, f"{path.name}, style of {name}")
    for (content,) in projects:
        _project(bytes.fromhex(content), disclosure, policy, f"{path.name}, project")
    return tables


def _style(text: str, layer: str, disclosure: str, policy: Policy, where: str) -> None:
    columns = {column for pair in _COLUMN.findall(text) for column in pair if column}
    known = set().union(*(set(columns) for columns in policy.values()))
    _refuse_columns(sorted(columns & known), layer, disclosure, policy, where)


def _project(content: bytes, disclosure: str, policy: Policy, where: str) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.namelist() != ["map.qgs"]:
            raise DisclosureError("the project holds more than itself", where=where)
        text = archive.read("map.qgs").decode("utf-8")
    # What our own writer made holds no entity; the doctype names no file.
    for layer in ElementTree.fromstring(text.split("\n", 1)[1]).iter("maplayer"):
        found = _LAYER.search(layer.findtext("datasource") or "")
        if found is None:
            raise DisclosureError("a layer of the project lies somewhere else", where=where)
        part = ElementTree.tostring(layer, encoding="unicode")
        _style(part, found[1], disclosure, policy, f"{where}, {found[1]}")


def _raster(path: Path, disclosure: str, policy: Policy) -> None:
    with rasterio.open(path) as source:
        if min(source.res) < editions.SQUARE_DEGREES[disclosure] - 1e-9:
            raise DisclosureError("the raster is finer than allowed", where=path.name)
        refuse_finer(list(source.bounds), disclosure, path.name)
        _refuse_words([*source.tags(), *source.tags(1)], policy, disclosure, path.name)
        source.read(1)


def _json(path: Path, disclosure: str, policy: Policy) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    _refuse_words(value, policy, disclosure, path.name)
    for key, part in _members(value):
        if key in _PLACES:
            numbers = [float(n) for n in _numbers(part)]
            refuse_finer(numbers, disclosure, f"{path.name}, {key}")
        if key in _PARTS and isinstance(part, dict | list):
            for record in part if isinstance(part, list) else [part]:
                _refuse_columns(record, _PARTS[key], disclosure, policy, f"{path.name}, {key}")


def _refuse_words(keys: Iterable[str], policy: Policy, disclosure: str, where: str) -> None:
    """Refuse names of columns that no layer of the public product may have."""
    layers = [columns for name, columns in policy.items() if name not in _PARTS.values()]
    shown = {c for columns in layers for c, rule in columns.items() if rule.disclosure == "public"}
    hidden = {c for columns in layers for c in columns} - shown
    found = sorted(hidden & set(keys)) if disclosure == editions.PUBLIC else []
    if found:
        raise DisclosureError(f"the public map would show {', '.join(found)}", where=where)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from _members(part)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float):
        yield value


def _features(path: Path, disclosure: str, policy: Policy) -> None:
    _frame(pyogrio.read_dataframe(path), path.stem, disclosure, policy, path.name)


def _rows(path: Path, disclosure: str, policy: Policy) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    _frame(table, path.stem, disclosure, policy, path.name)


def _waypoints(path: Path, disclosure: str, policy: Policy) -> None:
    places = [
        float(element.attrib[side])
        for element in ElementTree.parse(path).iter()
        for side in ("lat", "lon", "minlat", "minlon", "maxlat", "maxlon")
        if side in element.attrib
    ]
    refuse_finer(places, disclosure, path.name)


class _Page(HTMLParser):
    """What a browser would run, load and read."""

    _LOADED = frozenset(
        {"iframe", "object", "embed", "form", "link", "base", "svg", "audio", "video"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.strange: list[str] = []
        self.scripts, self.policy, self.data, self._inside = 0, "", "", False
        # Layer, columns and rows of the tables that say what they show.
        self.tables: list[tuple[str, list[str], list[list[str]]]] = []
        self._table = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attributes}
        if tag in self._LOADED or any(key.startswith("on") or key == "style" for key in given):
            self.strange.append(tag)
        if any(
            not given[key].startswith("data:image/png;") for key in ("src", "href") if key in given
        ):
            self.strange.append(f"{tag} that loads something")
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given.get("content", "")
        if tag == "table":
            self._table = "data-layer" in given
            if self._table:
                self.tables.append((given["data-layer"], [], []))
        if self._table and tag == "th":
            self.tables[-1][1].append(given.get("data-column", ""))
        if self._table and tag == "tr":
            self.tables[-1][2].append([])
        if self._table and tag == "td":
            self.tables[-1][2][-1].append("")
        self._inside = tag == "script" and given.get("type") == "application/json"
        self.scripts += tag == "script" and not self._inside

    def handle_endtag(self, tag: str) -> None:
        self._inside = False
        if tag == "thead" and self._table:
            self.tables[-1][2].clear()
        self._table = self._table and tag != "table"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data += data
        if self._table and self.tables[-1][2] and self.tables[-1][2][-1]:
            self.tables[-1][2][-1][-1] += data.strip()


_CHECKS: dict[str, Callable[[Path, str, Policy], dict[str, pd.DataFrame] | None]] = {
    ".gpkg": _geopackage,
    ".qgz": lambda path, disclosure, policy: _project(
        path.read_bytes(), disclosure, policy, path.name
    ),
    ".tif": _raster,
    ".json": _json,
    ".html": check_page,
    ".geojson": _features,
    ".csv": _rows,
    ".gpx": _waypoints,
}
