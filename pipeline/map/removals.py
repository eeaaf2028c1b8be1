"""Requests to be left out: what they name leaves the public product, whole.

Somebody may ask that a site, a place or an area is not shown. A gap in the map tells that something
was taken out, so the gap around a site or a place is a square of 0.05 degree of a fixed grid, in
which the place may be anywhere; not a ring around it. The list itself is never published.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.errors import DisclosureError, RemovalsError
from pipeline.geo import grid
from pipeline.sites.join import Joined

COLUMNS = (
    "site", "longitude", "latitude", "west", "south", "east", "north", "since", "why",
)  # fmt: skip
# Side, in public squares, of the area that leaves with a site or a place.
GAP_SQUARES = 5
WITHHELD = "withheld"
# The files of public folders that hold squares, and their layers.
_SQUARES_IN = {"map.gpkg": "cells", "changes.gpkg": "changes"}
_LARGEST_FILE = 10_000_000
_FORM = f"its columns are {','.join(COLUMNS)}; a row names a site, or a place, or a box"


@dataclass(frozen=True)
class Removals:
    """What must not be shown.

    Parameters
    ----------
    sites : frozenset of str
        Codes of sites.
    boxes : numpy.ndarray of float64, shape (n, 4)
        West, south, east, north of areas, degrees, on the edges of public squares.
    sha256 : str
        Of the list.
    """

    sites: frozenset[str]
    boxes: NDArray[np.float64]
    sha256: str


def removals_file(config: Config) -> Path | None:
    """Return the list of requests: the configured one, else the workspace's, else none.

    Parameters
    ----------
    config : Config
        ``removals`` and the workspace.

    Returns
    -------
    pathlib.Path or None
        The file; a configured one need not be there.
    """
    if config.map.removals:
        return Path(config.map.removals)
    own = config.workspace.home / "removals.csv"
    return own if own.exists() or own.is_symlink() else None


def read_removals(config: Config) -> Removals | None:
    """Read the list of requests.

    Parameters
    ----------
    config : Config
        Says where it is.

    Returns
    -------
    Removals or None
        None: there is no list.

    Raises
    ------
    RemovalsError
        If the list cannot be read, or a row names nothing, or more than one thing, or has no date;
        nothing is published then.
    """
    path = removals_file(config)
    if path is None:
        return None
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            raise RemovalsError("there is no such file, or it has more than 10 MB", where=str(path))
        content = path.read_bytes()
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' and Unicode's own errors are of these
        what = f"the list of removal requests cannot be read: {error}"
        raise RemovalsError(what, where=str(path), next_step=_FORM) from None
    if tuple(table.columns) != COLUMNS:
        raise RemovalsError("the list has other columns", where=str(path), next_step=_FORM)
    sites, boxes = set(), []
    for line, row in enumerate(table.to_dict("records"), 2):
        where = f"{path}, line {line}"
        given: dict[str, str] = {str(key): value.strip() for key, value in row.items()}
        try:
            _check_date(given["since"])
            site, box = _area(given)
        except ValueError as error:
            raise RemovalsError(str(error), where=where, next_step=_FORM) from None
        if site:
            sites.add(site)
        else:
            boxes.append(box)
    digest = hashlib.sha256(content).hexdigest()
    return Removals(frozenset(sites), np.array(boxes, float).reshape(-1, 4), digest)


def _check_date(text: str) -> None:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(
            "since must be the day of the request, YYYY-MM-DD: it is "
            + (ascii(text)[:40] if text else "empty")
        ) from None


def _area(row: dict[str, str]) -> tuple[str, tuple[float, ...]]:
    """Return the code of a site, or the box of a place or an area."""
    place = [row["longitude"], row["latitude"]]
    box = [row["west"], row["south"], row["east"], row["north"]]
    if [bool(row["site"]), any(place), any(box)].count(True) != 1:
        raise ValueError("a row must name one site, one place or one box")
    if row["site"]:
        return row["site"], ()
    degrees = [float(text) for text in (place if any(place) else box)]
    lon, lat = np.array(degrees[::2]), np.array(degrees[1::2])
    if not ((np.abs(lon) <= 180) & (np.abs(lat) <= 90)).all():
        raise ValueError("longitudes lie within 180 degrees and latitudes within 90")
    if any(place):
        return "", gap_around(*degrees)
    west, south, east, north = degrees
    if west > east or south > north:
        raise ValueError("a box must have its west before its east and its south before its north")
    per_degree = round(1 / grid.PUBLIC_DEGREES)
    low, high = np.round(np.array([[west, south], [east, north]]) * per_degree, 6)
    low = np.floor(low)
    edges = np.concatenate([low, np.maximum(np.ceil(high), low + 1)]) / per_degree
    return "", tuple(edges.tolist())


def gap_around(lon: float, lat: float) -> tuple[float, float, float, float]:
    """Return the square of 0.05 degree that holds a place.

    Parameters
    ----------
    lon, lat : float
        Degrees.

    Returns
    -------
    tuple of float
        West, south, east, north; multiples of 0.05 degree.
    """
    per_degree = round(1 / (GAP_SQUARES * grid.PUBLIC_DEGREES))
    col, row = (int(np.floor(round(x * per_degree, 6))) for x in (lon, lat))
    return col / per_degree, row / per_degree, (col + 1) / per_degree, (row + 1) / per_degree


def remove_requested(joined: Joined, removals: Removals) -> Joined:
    """Return a run without what the requests name, for the public product.

    Parameters
    ----------
    joined : Joined
        The run.
    removals : Removals
        The requests.

    Returns
    -------
    Joined
        Without the named sites, and without cells, sites, candidates and whole features of context
        layers in the named areas and around the named sites. Candidates are numbered anew, since a
        missing number would tell.

    Raises
    ------
    DisclosureError
        If no cell is left.
    """
    areas = requested_areas(joined, removals)
    requested = _requested(joined, removals, areas)
    if requested["cells"].all():
        raise DisclosureError(
            "the removal requests cover the whole region: there is nothing to publish",
            next_step="choose a larger REGION",
        )
    kept = {name: getattr(joined, name)[~out] for name, out in requested.items()}
    candidates = kept["candidates"]
    numbers = {"candidate": candidates["candidate"].rank(method="first").astype(int)}
    if "part_of" in candidates:
        large = candidates["part_of"].where(candidates["part_of"] > 0)
        numbers["part_of"] = large.rank(method="dense").fillna(0).astype(int)
    kept["candidates"] = candidates.assign(**numbers)
    layers = []
    for layer in joined.known_layers:
        features = layer.features[~_within(layer.features.geometry.to_numpy(), areas)]
        if len(features):
            layers.append(replace(layer, features=features.reset_index(drop=True)))
    return replace(joined, **kept, known_layers=layers)


def mark_requested(joined: Joined, removals: Removals) -> Joined:
    """Return a run in which what the requests name is marked, for the restricted product.

    Parameters
    ----------
    joined : Joined
        The run.
    removals : Removals
        The requests.

    Returns
    -------
    Joined
        With a column ``withheld`` (bool) in cells, sites and candidates.
    """
    requested = _requested(joined, removals, requested_areas(joined, removals))
    marked = {
        name: getattr(joined, name).assign(**{WITHHELD: out}) for name, out in requested.items()
    }
    return replace(joined, **marked)


def requested_areas(joined: Joined, removals: Removals) -> NDArray[np.object_]:
    """Return what the requests take out of the map.

    Parameters
    ----------
    joined : Joined
        Where the named sites lie.
    removals : Removals
        The requests.

    Returns
    -------
    numpy.ndarray of shapely.Polygon
        Boxes, EPSG:4326: those asked for, and those around places and sites.
    """
    boxes = [*removals.boxes.tolist()]
    if joined.sites is not None:
        points = joined.sites.geometry[_named(joined, removals)]
        boxes += [gap_around(point.x, point.y) for point in points]
    areas = np.asarray(shapely.box(*np.array(boxes, float).reshape(-1, 4).T), object)
    shapely.prepare(areas)
    return areas


def summarise_requests(joined: Joined, removals: Removals) -> str:
    """Say how many of the requests name something here, and what they take out.

    Parameters
    ----------
    joined : Joined
        The run.
    removals : Removals
        The requests.

    Returns
    -------
    str
        One line; it names no place.
    """
    points = _centres(joined)
    taken = _within(points, requested_areas(joined, removals))
    squares = len(np.unique(grid.coarse_cell_of(joined.cells["cell"].to_numpy()[taken])))
    sites = 0 if joined.sites is None else joined.sites["pcode"][_named(joined, removals)].nunique()
    boxes = np.asarray(shapely.box(*removals.boxes.T), object)
    places = sum(bool(_within(points, boxes[[n]]).any()) for n in range(len(boxes)))
    asked = len(removals.sites) + len(removals.boxes)
    return (
        f"{asked} requests: {sites + places} name something in this region, {squares} squares; "
        f"{asked - sites - places} name nothing here"
    )


def shows_requested(folder: Path, areas: NDArray[np.object_]) -> bool:
    """Tell whether a public folder holds squares that the requests take out.

    Parameters
    ----------
    folder : pathlib.Path
        Of a map, of a comparison of seasons, or of one square that was explained.
    areas : numpy.ndarray of shapely.Polygon
        Of ``requested_areas``.

    Returns
    -------
    bool
        True too where its file cannot be read: what is in it is not known.
    """
    for name, layer in _SQUARES_IN.items():
        if (folder / name).is_file():
            try:
                squares = pyogrio.read_dataframe(folder / name, layer=layer, columns=[])
            except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError):
                return True
            return bool(_within(shapely.centroid(squares.geometry.to_numpy()), areas).any())
    number = folder.name.removeprefix("square-")
    if not number.isdigit():
        return False
    west, south, east, north = grid.coarse_cell_bounds(np.array([int(number)]))
    middle = np.asarray(shapely.points((west + east) / 2, (south + north) / 2), object)
    return bool(_within(middle, areas).any())


def _named(joined: Joined, removals: Removals) -> NDArray[np.bool_]:
    """Say which of the sites, if there are any, the requests name by their code."""
    if joined.sites is None:
        return np.zeros(0, bool)
    codes = joined.sites["pcode"].astype(str).str.strip()
    return np.asarray(codes.isin(removals.sites), bool)


def _requested(
    joined: Joined, removals: Removals, areas: NDArray[np.object_]
) -> dict[str, NDArray[np.bool_]]:
    """Say which rows of the cells, sites and candidates the requests name."""
    # The public product draws whole squares around a candidate.
    wide = shapely.buffer(areas, grid.PUBLIC_DEGREES - 1e-9, join_style="mitre")
    outlines = joined.candidates.geometry.to_numpy()
    requested = {
        "cells": _within(_centres(joined), areas),
        "candidates": _within(outlines, wide, shapely.intersects),
    }
    if joined.sites is not None:
        inside = _within(joined.sites.geometry.to_numpy(), areas)
        requested["sites"] = inside | _named(joined, removals)
    return requested


def _centres(joined: Joined) -> NDArray[np.object_]:
    centres = shapely.points(*grid.cell_centres(joined.cells["cell"].to_numpy(np.int64)))
    return np.asarray(centres, object)


def _within(
    shapes: NDArray[np.object_],
    areas: NDArray[np.object_],
    relation: Callable[..., NDArray[np.bool_]] = shapely.covered_by,
) -> NDArray[np.bool_]:
    """Say which shapes are so to any of the areas."""
    hits = [np.zeros(len(shapes), bool), *(relation(shapes, area) for area in areas)]
    return np.asarray(np.logical_or.reduce(hits), bool)
