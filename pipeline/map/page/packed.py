"""A product's tables and shapes as small JSON that the page carries, and back.

A quarter of a million squares as plain JSON would be 100 MB. So each column is one array of int32
(little-endian; a number times a power of ten, or the place of a text in a list), deflated
and written in base64; a browser inflates it without a library.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from pipeline.words.catalogue import languages

if TYPE_CHECKING:
    from pipeline.map.column_rules import Policy

# What stands for "no value".
NOTHING = -(2**31)
_LARGEST = 2**31 - 1
_LARGEST_ARRAY = 50_000_000
# Decimals of numbers; of places in the restricted product 5, about a metre.
_DIGITS, PLACE_DIGITS = 3, 5


def pack_numbers(values: ArrayLike) -> str:
    """Return whole numbers as base64 of deflated little-endian int32.

    Parameters
    ----------
    values : array_like of int, shape (n,)
        Each within int32.

    Returns
    -------
    str
        ASCII.
    """
    raw = np.asarray(values).astype("<i4").tobytes()
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def unpack_numbers(text: str) -> NDArray[np.int32]:
    """Return what ``pack_numbers`` was given.

    Parameters
    ----------
    text : str
        Of ``pack_numbers``.

    Returns
    -------
    numpy.ndarray of int32, shape (n,)
        The numbers.

    Raises
    ------
    ValueError
        If the text is no such array, or would be larger than 50 million numbers.
    """
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(base64.b64decode(text, validate=True), 4 * _LARGEST_ARRAY)
    except zlib.error as error:
        raise ValueError(f"the numbers cannot be inflated: {error}") from None
    if not inflate.eof or len(raw) % 4:
        raise ValueError("the numbers are not whole")
    return np.frombuffer(raw, "<i4")


def pack_column(values: pd.Series[Any]) -> dict[str, Any]:
    """Return a column as JSON.

    Parameters
    ----------
    values : pandas.Series, shape (n,)
        Numbers, truths, dates or texts; None and NaN are nothing.

    Returns
    -------
    dict
        ``kind`` (``number``, ``truth`` or ``text``), ``data`` (see :func:`pack_numbers`), and
        ``digits`` (numbers were multiplied by ten to this power) or ``texts``.
    """
    kind = values.dtype
    missing = values.isna().to_numpy()
    if pd.api.types.is_bool_dtype(kind):
        truth = np.where(missing, NOTHING, values.fillna(False).astype(bool))
        return {"kind": "truth", "data": pack_numbers(truth)}
    if pd.api.types.is_numeric_dtype(kind):
        plain = values.astype("float64").to_numpy(copy=True)
        plain[~np.isfinite(plain)] = np.nan
        digits = PLACE_DIGITS if values.name in ("longitude", "latitude") else _DIGITS
        digits = 0 if pd.api.types.is_integer_dtype(kind) else digits
        largest = np.nanmax(np.abs(plain), initial=0.0)
        while digits and largest * 10**digits > _LARGEST:
            digits -= 1
        if largest <= _LARGEST:
            whole = np.where(np.isnan(plain), NOTHING, np.round(plain * 10.0**digits))
            return {"kind": "number", "digits": digits, "data": pack_numbers(whole)}
    if pd.api.types.is_datetime64_any_dtype(kind):
        values = values.dt.strftime("%Y-%m-%d")
    codes, texts = pd.factorize(values.map(str, na_action="ignore"))
    found = np.where(codes < 0, NOTHING, codes)
    return {"kind": "text", "texts": [str(text) for text in texts], "data": pack_numbers(found)}


def unpack_column(column: Mapping[str, Any]) -> list[Any]:
    """Return the values of a packed column; None where there is none.

    Parameters
    ----------
    column : mapping
        Of ``pack_column``.

    Returns
    -------
    list
        Numbers, truths or texts.
    """
    numbers = unpack_numbers(column["data"]).tolist()
    if column["kind"] == "text":
        texts = column["texts"]
        return [None if n == NOTHING else texts[n] for n in numbers]
    if column["kind"] == "truth":
        return [None if n == NOTHING else bool(n) for n in numbers]
    scale: float = 10 ** column["digits"]
    return [None if n == NOTHING else n / scale for n in numbers]


def pack_shapes(shapes: NDArray[np.object_], digits: int) -> dict[str, Any]:
    """Return points or polygons as JSON.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        Points or lines, or polygons whose rings are told one after the other; degrees.
    digits : int
        Decimals of a degree.

    Returns
    -------
    dict
        ``digits`` and ``data``: for each shape the number of its rings (a point has one of one
        place), for each ring the number of its places, then longitude and latitude of each.
    """
    stream: list[NDArray[np.int64]] = []
    for shape in shapes:
        parts = shapely.get_parts(shape)
        areas = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        rings = shapely.get_rings(areas) if len(areas) else parts[~shapely.is_empty(parts)]
        stream.append(np.array([len(rings)]))
        for ring in rings:
            places = np.round(shapely.get_coordinates(ring) * 10**digits).astype(np.int64)
            stream += [np.array([len(places)]), places.ravel()]
    return {
        "digits": digits,
        "data": pack_numbers(np.concatenate(stream) if stream else np.empty(0, np.int64)),
    }


def unpack_places(packed: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return every place of packed shapes.

    Parameters
    ----------
    packed : mapping
        Of ``pack_shapes``.

    Returns
    -------
    numpy.ndarray of float64, shape (n, 2)
        Longitude and latitude, degrees.

    Raises
    ------
    ValueError
        If the numbers do not come out even.
    """
    stream = unpack_numbers(packed["data"])
    found, at = [np.empty((0, 2))], 0
    while at < len(stream):
        rings, at = int(stream[at]), at + 1
        for _ in range(rings):
            end = at + 1 + 2 * int(stream[at]) if at < len(stream) else len(stream) + 1
            if end > len(stream) or end <= at:
                raise ValueError("the shapes are not whole")
            found.append(stream[at + 1 : end].reshape(-1, 2) / 10.0 ** packed["digits"])
            at = end
    return np.concatenate(found)


def pack_table(
    name: str, layer: gpd.GeoDataFrame, policy: Policy, left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a layer's columns with their names in every language; no shapes.

    Parameters
    ----------
    name : str
        Of the layer.
    layer : geopandas.GeoDataFrame
        As the product holds it.
    policy : mapping
        The columns' rules.
    left_out : tuple of str
        Columns that the page tells otherwise.

    Returns
    -------
    dict
        ``name``, ``rows`` and ``columns`` (see :func:`pack_column`), each with its ``name``, and by
        the code of each language what it is called there.
    """
    known = policy.get(name, {})
    columns = []
    for column in layer.columns:
        if column == layer.geometry.name or column in left_out or layer[column].isna().all():
            continue
        rule = known.get(str(column))
        names = {lang: rule.alias(lang) if rule else str(column) for lang in languages()}
        columns.append({"name": str(column), **names, **pack_column(layer[column])})
    return {"name": name, "rows": len(layer), "columns": columns}


def pack_squares(cells: pd.Series[Any], per_degree: int) -> dict[str, Any]:
    """Return where the squares lie: their places in the box around them.

    Parameters
    ----------
    cells : pandas.Series of int64, shape (n,)
        Numbers of squares, rising.
    per_degree : int
        Squares of a degree, 100 or 200.

    Returns
    -------
    dict
        ``top, left, rows, cols`` (squares from 90 N and 180 W), ``per_degree`` and ``steps``: for
        each square how far, row by row, from the one before.
    """
    row, col = np.divmod(cells.to_numpy(np.int64), 360 * per_degree)
    top, left = int(row.min()), int(col.min())
    rows, cols = int(row.max()) - top + 1, int(col.max()) - left + 1
    place = (row - top) * cols + col - left
    if rows * cols > _LARGEST or (np.diff(place) <= 0).any():
        raise ValueError("the squares are not in order, or lie too far apart for one page")
    box = {"top": top, "left": left, "rows": rows, "cols": cols, "per_degree": per_degree}
    return {**box, "steps": pack_numbers(np.diff(place, prepend=0))}
