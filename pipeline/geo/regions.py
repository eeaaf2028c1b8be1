"""Where to work: a region's name, a file or a box becomes a polygon and its blocks.

A region's text comes from outside (make, the environment, a command line), so nothing in it is
believed: names are matched against the packaged ones, boxes against a pattern of plain numbers, and
files are read by :mod:`pipeline.geo.vector_files`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.errors import (
    AntimeridianRegionError,
    EmptyRegionError,
    HugeRegionError,
    InputFileError,
    InvertedRegionError,
    RegionFileError,
    UnknownRegionError,
)
from pipeline.geo import grid
from pipeline.geo.grid import Block
from pipeline.runtime.atomic import is_safe_path, read_json
from pipeline.runtime.package_data import data_folder

FILE_SUFFIXES = (".geojson", ".json", ".gpkg")
MAX_VERTICES = 500_000
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_NUMBER = re.compile(r"[-+]?\d{1,3}(\.\d{0,15})?")
# A block is the region's if they share more than a strip of this width (0.1 mm): neighbours that
# only touch along an edge do not, whatever the last bit of a coordinate says.
_TOUCH = 1e-9


@dataclass(frozen=True)
class Region:
    """A polygon to map, with what is known about it.

    Parameters
    ----------
    name : str
        Slug of ``[a-z0-9-]{1,64}``, safe as a folder's name.
    title : str
        What people read.
    geometry : shapely Polygon or MultiPolygon
        Valid, EPSG:4326, degrees, within -180..180 and -90..90.
    simulated : bool
        True for the demo: everything made from it must say so.
    source, season, training : str
        Imagery source, season and training region that the region itself names; empty: none.
    note : str
        How the outline was made and what is uncertain about it.
    """

    name: str
    title: str
    geometry: BaseGeometry
    simulated: bool = False
    source: str = ""
    season: str = ""
    training: str = ""
    note: str = ""

    @cached_property
    def blocks(self) -> list[Block]:
        """The blocks that share area with the region, sorted from the north-west, row by row."""
        return sorted(Block(int(row), int(col)) for row, col in _blocks_of(self.geometry))

    def surrounded(self) -> Region:
        """Return the region of this one's whole blocks and of every block that touches them."""
        # A little smaller, so that rounding adds no block beyond.
        boxes = [
            shapely.box(*block.bounds).buffer(-grid.PIXEL / 4, join_style="mitre")
            for block in grid.with_neighbours(self.blocks)
        ]
        name = f"{self.name[:53]}-surrounded"
        return replace(self, name=name, geometry=shapely.union_all(boxes))

    def cells(self, block: Block) -> NDArray[np.int64]:
        """Return the block's cells whose centre lies in the region, shape (n,), ascending."""
        cells = block.cells().ravel()
        return cells[self.contains(cells)]

    def contains(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which cells, shape (n,), have their centre in the region."""
        shapely.prepare(self.geometry)
        return np.asarray(shapely.contains_xy(self.geometry, *grid.cell_centres(cells)), bool)


def region_names() -> list[str]:
    """Return the names of the packaged regions, sorted."""
    return sorted(_packaged())


def resolve_region(text: str, max_blocks: int = 50_000) -> Region:
    """Turn a region's name, file or box into a checked region.

    Parameters
    ----------
    text : str
        A packaged name, ``bbox:west,south,east,north`` in degrees, or the path of a GeoJSON or
        GeoPackage file (its polygons together are the region).
    max_blocks : int, optional
        A region of more 0.1-degree blocks is refused.

    Returns
    -------
    Region
        Not empty, and no larger than allowed.

    Raises
    ------
    UnknownRegionError
        If there is no such name or file, or the text holds characters that neither may hold.
    RegionFileError
        If a file or a box cannot be read as polygons on the globe.
    InvertedRegionError, AntimeridianRegionError, EmptyRegionError, HugeRegionError
        If the region is one that cannot be mapped.
    """
    text = text.strip()
    if text.startswith("bbox:"):
        region = _from_box(text.removeprefix("bbox:"))
    elif _NAME.fullmatch(text):
        region = _from_name(text)
    elif not is_safe_path(text):
        raise UnknownRegionError(
            "this cannot be a region: it is empty or holds characters that no region may hold",
            where=ascii(text)[:200],
            next_step="give a name, a .geojson or .gpkg file, or bbox:west,south,east,north",
        )
    elif Path(text).suffix.lower() in FILE_SUFFIXES:
        region = _from_file(Path(text))
    else:
        raise _unknown(text)
    return _checked(region, max_blocks)


def _from_name(name: str) -> Region:
    packaged = _packaged()
    if name not in packaged:
        raise _unknown(name)
    properties = packaged[name][0]
    known = {key: properties[key] for key in _OPTIONAL if key in properties}
    # A group of regions has members instead of an outline of its own.
    shape = shapely.union_all([_outline(part) for part in properties.get("members", [name])])
    return Region(name, properties["title"], shape, **known)


_OPTIONAL = ("simulated", "source", "season", "training", "note")


def packaged_outlines(around: BaseGeometry) -> list[tuple[str, str, BaseGeometry]]:
    """Return the packaged regions that share ground with a polygon, but not boxes drawn by hand.

    Parameters
    ----------
    around : shapely geometry
        EPSG:4326.

    Returns
    -------
    list of (str, str, shapely geometry)
        Name, title and outline of each, sorted by name.
    """
    found = []
    for name, (properties, geometry) in sorted(_packaged().items()):
        # A box around a province is not the province.
        if geometry is not None and "box" not in properties.get("note", "").lower():
            shape = _outline(name)
            if shape.intersects(around):
                found.append((name, properties["title"], shape))
    return found


def countries_of(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return the packaged country that holds each place.

    Parameters
    ----------
    lon, lat : numpy.ndarray of float64, shape (n,)
        EPSG:4326, degrees; NaN where a place is not known.

    Returns
    -------
    numpy.ndarray of str, shape (n,)
        Names as ``region_names`` has them; empty for a place that is not known, or in none.
    """
    found = np.full(len(lon), "", "<U64")
    placed = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    points: Any = shapely.points(lon[placed], lat[placed])
    tree = shapely.STRtree(points)
    for name, (properties, _) in _packaged().items():
        if "iso_numeric" in properties:
            found[placed[tree.query(_outline(name), predicate="contains")]] = name
    return found


@cache
def _outline(name: str) -> BaseGeometry:
    return shapely.from_geojson(json.dumps(_packaged()[name][1]))


@cache
def _packaged() -> Mapping[str, tuple[dict[str, Any], dict[str, Any]]]:
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for file in sorted((data_folder() / "regions").glob("*.geojson")):
        for feature in read_json(file)["features"]:
            found[feature["properties"]["name"]] = feature["properties"], feature["geometry"]
    return found


def _unknown(text: str) -> UnknownRegionError:
    wanted = _slug(text)
    titles = {name: _slug(properties["title"]) for name, (properties, _) in _packaged().items()}
    near: list[str] = []
    if len(wanted) >= 3:
        near += [name for name in titles if wanted in name or wanted in titles[name]]
    near += difflib.get_close_matches(wanted, titles, n=5, cutoff=0.6)
    near += [name for name in titles if len(name) >= 4 and name in wanted]
    names = list(dict.fromkeys(near))[:8]
    return UnknownRegionError(
        f"there is no region called {ascii(text)[1:-1][:100]!r}",
        where="data/regions",
        next_step=("near names: " + ", ".join(names) if names else "`make regions` lists all")
        + "; or give a .geojson or .gpkg file, or bbox:west,south,east,north",
    )


def _from_box(numbers: str) -> Region:
    parts = [part.strip() for part in numbers.split(",")]
    if len(parts) != 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise RegionFileError(
            "a box is four plain numbers in degrees: west, south, east, north",
            where=ascii("bbox:" + numbers)[1:-1][:200],
            next_step="for example REGION=bbox:28.1,-2.6,28.5,-2.2",
        )
    west, south, east, north = (float(part) for part in parts)
    where = f"bbox:{west:g},{south:g},{east:g},{north:g}"
    if max(abs(south), abs(north)) > 90 or max(abs(west), abs(east)) > 360:
        raise RegionFileError(
            "the box lies off the globe: latitudes end at 90",
            where=where,
            next_step="write bbox:west,south,east,north, degrees, longitude first",
        )
    # 170 to -170 is 20 degrees across the antimeridian; 6 to -6 is two numbers in the wrong order.
    if max(abs(west), abs(east)) > 180 or (west > east and east + 360 - west <= 180):
        raise _crossing(where)
    if west > east or south > north:
        raise InvertedRegionError(
            "the box is inverted: west must be less than east, and south less than north",
            where=where,
            next_step=f"did you mean bbox:{min(west, east):g},{min(south, north):g},"
            f"{max(west, east):g},{max(south, north):g}?",
        )
    name = "-".join(
        ["bbox", _side(west, "we"), _side(south, "sn"), _side(east, "we"), _side(north, "sn")]
    )
    return Region(name, where, shapely.box(west, south, east, north))


def with_public_name(region: Region, square: float) -> Region:
    """Return a region whose name tells no finer box than the public map's squares.

    Parameters
    ----------
    region : Region
        As it was asked for.
    square : float
        Degrees.

    Returns
    -------
    Region
        The same ground; the name and the title of a box are those of the squares around it.
    """
    if not region.title.startswith("bbox:"):
        return region
    edges = (float(part) / square for part in region.title.removeprefix("bbox:").split(","))
    # A border that lies on a square's, but for rounding, stays where it is.
    west, south, east, north = (
        round((math.floor(edge + 1e-6) if low else math.ceil(edge - 1e-6)) * square, 6)
        for edge, low in zip(edges, (True, True, False, False), strict=True)
    )
    around = _from_box(f"{west:.6f},{south:.6f},{east:.6f},{north:.6f}")
    return replace(region, name=around.name, title=around.title)


def _side(degrees: float, letters: str) -> str:
    number = f"{abs(degrees):.6f}".rstrip("0").rstrip(".").replace(".", "d")
    return letters[degrees >= 0] + number


def _from_file(path: Path) -> Region:
    if not path.is_file():
        raise UnknownRegionError(
            "there is no such region file",
            where=str(path),
            next_step="check the path; `make regions` lists the names that need no file",
        )
    # A second and 100 MB that workers, who need a region's blocks only, do not spend.
    from pipeline.geo.vector_files import read_vector

    try:
        shapes = read_vector(path, max_longitude=360).geometry.to_numpy()
    except InputFileError as error:
        raise RegionFileError(error.what, where=error.where, next_step=error.next_step) from None
    if shapely.get_num_coordinates(shapes).sum() > MAX_VERTICES:
        raise RegionFileError(
            f"the region has more than {MAX_VERTICES:,} vertices",
            where=str(path),
            next_step="simplify it to about 100 m: a cell is 550 m wide",
        )
    # Points and lines have no area; a polygon without any has become one when it was made valid.
    parts = shapely.get_parts(shapely.get_parts(shapes))
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    geometry = shapely.union_all(polygons)
    digest = hashlib.sha256(shapely.to_wkb(shapely.normalize(geometry))).hexdigest()[:6]
    stem = _slug(path.stem)[:56].strip("-") or "region"
    title = "".join(char for char in path.stem if char.isprintable())[:80]
    return Region(f"{stem}-{digest}", title, geometry, note=f"from the file {path.name}")


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _crossing(where: str) -> AntimeridianRegionError:
    return AntimeridianRegionError(
        "the region crosses the 180 degree meridian, or spans more than half of the globe",
        where=where,
        next_step="map its two sides one after the other: one box that ends at 180, another that "
        "begins at -180",
    )


def _checked(region: Region, max_blocks: int) -> Region:
    where = region.title if region.title.startswith("bbox:") else region.name
    if region.geometry.is_empty or region.geometry.area == 0:
        raise _empty(where, "the region has no area: it holds no polygon, or one without extent")
    west, _, east, _ = region.geometry.bounds
    if west < -180 or east > 180 or east - west > 180:
        raise _crossing(where)
    count = len(_blocks_of(region.geometry))
    if count > max_blocks:
        raise HugeRegionError(
            f"the region holds {count:,} blocks of 0.1 degree, more than max_blocks = "
            f"{max_blocks:,}",
            where=where,
            next_step="choose a smaller region, or raise max_blocks in the configuration",
        )
    if not any(region.cells(block).size for block in region.blocks):
        raise _empty(where, "the region covers the centre of no cell (0.005 degree, about 550 m)")
    return region


def _empty(where: str, what: str) -> EmptyRegionError:
    return EmptyRegionError(
        what, where=where, next_step="draw it larger; check that its numbers are degrees"
    )


def _blocks_of(geometry: BaseGeometry) -> NDArray[np.int64]:
    """Rows and columns of the blocks that share area with a geometry, shape (n, 2).

    1-degree squares first: what lies wholly inside needs no look at its hundred blocks.
    """
    west, south, east, north = geometry.bounds
    shapely.prepare(geometry)
    rows = np.arange(int(np.floor(90 - north)), int(np.ceil(90 - south)))
    cols = np.arange(int(np.floor(west + 180)), int(np.ceil(east + 180)))
    squares = _pairs(rows, cols)
    squares = squares[shapely.intersects(geometry, _boxes(squares, 1.0))]
    inside = shapely.contains(geometry, _boxes(squares, 1.0))
    tenths = _pairs(np.arange(10), np.arange(10))
    whole = _expand(squares[inside], tenths)
    edge = _expand(squares[~inside], tenths)
    return np.concatenate([whole, edge[shapely.intersects(geometry, _boxes(edge, 0.1))]])


def _pairs(rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)


def _expand(squares: NDArray[np.int64], tenths: NDArray[np.int64]) -> NDArray[np.int64]:
    return (squares[:, None, :] * 10 + tenths[None, :, :]).reshape(-1, 2)


def _boxes(squares: NDArray[np.int64], size: float) -> Any:
    per_degree = round(1 / size)
    row, col = squares[:, 0], squares[:, 1]
    return shapely.box(
        col / per_degree - 180 + _TOUCH,
        90 - (row + 1) / per_degree + _TOUCH,
        (col + 1) / per_degree - 180 - _TOUCH,
        90 - row / per_degree - _TOUCH,
    )
