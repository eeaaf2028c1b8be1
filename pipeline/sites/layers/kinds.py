"""The kinds of geometry that a layer may have: one entry each.

A new kind is an entry of ``GEOMETRIES``: reading, joining, rounding, the GeoPackage, QGIS and the
page all ask here. How a layer is joined is another table (:mod:`pipeline.sites.layers.joins`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely import GeometryType, get_type_id

# What a declaration says of a layer that may be of either kind.
ANY = "any"


@dataclass(frozen=True)
class GeometryKind:
    """A kind of geometry.

    Parameters
    ----------
    title, words : str
        What people call features of it, and shapes.
    types : tuple of shapely.GeometryType
        Of one shape and of several together.
    stored : str
        Type of a GeoPackage's geometry column.
    symbol : str
        What QGIS draws: ``fill``, ``line`` or ``marker``.
    """

    title: str
    words: str
    types: tuple[GeometryType, ...]
    stored: str
    symbol: str

    def holds(self, shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Say which shapes are of this kind."""
        return np.isin(get_type_id(shapes), self.types)


GEOMETRIES = {
    "polygon": GeometryKind(
        "Areas",
        "polygons",
        (GeometryType.POLYGON, GeometryType.MULTIPOLYGON),
        "MultiPolygon",
        "fill",
    ),
    "point": GeometryKind("Points", "points", (GeometryType.POINT,), "Point", "marker"),
}


def kinds_of(name: str) -> list[GeometryKind]:
    """Return the kinds of which a declared kind allows one: its own, or every one there is."""
    return list(GEOMETRIES.values()) if name == ANY else [GEOMETRIES[name]]


def kind_of(shapes: NDArray[np.object_]) -> GeometryKind:
    """Return the kind that shapes are of.

    Parameters
    ----------
    shapes : numpy.ndarray of shapely geometries, shape (n,)
        All of one kind.

    Returns
    -------
    GeometryKind
        Theirs.
    """
    return next(kind for kind in GEOMETRIES.values() if kind.holds(shapes).all())
