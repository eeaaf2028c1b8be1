"""What is known of a layer: its declaration, its columns, and its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import geopandas as gpd

from pipeline.config import fingerprint
from pipeline.words.catalogue import pick

PREFIX = "context_"
# What of the layer the public product may hold: its outlines rounded to 0.01 degree, how many
# features each square of 0.1 degree has, or nothing.
PUBLIC = ("rounded", "counts", "none")


@dataclass(frozen=True)
class Column:
    """One column of a context layer.

    Parameters
    ----------
    name : str
        In the map.
    type : str
        One of ``pipeline.sites.text_values.TYPES``.
    texts : mapping of str to str
        What the map calls it, by language.
    source : str
        Its name in the file.
    required : bool
        Whether a file without it is an error.
    choices : tuple of str
        Values that a ``choice`` may have.
    disclosure : str
        ``public`` or ``restricted``.
    note : str
        What a reader needs to know.
    """

    name: str
    type: str
    texts: Mapping[str, str]
    source: str
    required: bool = False
    choices: tuple[str, ...] = ()
    disclosure: str = "restricted"
    note: str = ""


@dataclass(frozen=True)
class Declaration:
    """One context layer.

    Parameters
    ----------
    name : str
        Of the layer; the map calls it ``context_<name>``, its columns elsewhere ``<name>_...``.
    texts : mapping of str to str
        What the legend calls it, by language.
    kind : str
        Of ``pipeline.sites.layers.kinds.GEOMETRIES``, or ``any`` of them.
    how : str
        Of ``pipeline.sites.layers.joins.JOINS``.
    columns : tuple of Column
        In order.
    along : tuple of str
        Columns that cells, candidates and sites get.
    public : str
        One of ``PUBLIC``.
    credit, licence : str
        Whose it is, and on what terms.
    distance_km : float
        Reach of ``nearest`` and ``count``.
    days : int
        Of ``count``: only features of the last so many days before the newest image; 0: all.
    date : str
        Column of dates, if there is one: the public product leaves the last six months out.
    id : str
        Column by which features are ordered: where several hold a spot, the first owns it.
    file, layer, service : str
        File in the folder (default: called as the layer), layer of a GeoPackage, address of a WFS.
    industrial : bool
        Whether the areas are industrial mines, so that their cells are not called artisanal.
    note : str
        What a reader needs to know.
    where : str
        The file that declares it.
    """

    name: str
    texts: Mapping[str, str]
    kind: str
    how: str
    columns: tuple[Column, ...]
    along: tuple[str, ...]
    public: str
    credit: str
    licence: str
    distance_km: float = 0.0
    days: int = 0
    date: str = ""
    id: str = ""
    file: str = ""
    layer: str = ""
    service: str = ""
    industrial: bool = False
    note: str = ""
    where: str = ""

    @property
    def table(self) -> str:
        """Name of the layer in the map."""
        return f"{PREFIX}{self.name}"

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return next(column for column in self.columns if column.name == name)

    def title(self, lang: str) -> str:
        """Return what the legend calls the layer."""
        return pick(self.texts, lang)


@dataclass(frozen=True)
class KnownLayer:
    """A context layer as it was read.

    Parameters
    ----------
    declaration : Declaration
        What it is.
    features : geopandas.GeoDataFrame
        The declared columns and polygons or points, EPSG:4326, in the order that decides which area
        owns a spot; index 0..n-1.
    sha256 : str
        Of the file.
    came : dict of str to str
        ``service`` and ``fetched``, where a service sent it.
    """

    declaration: Declaration
    features: gpd.GeoDataFrame
    sha256: str
    came: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What a result that used the layer depends on."""
        about = {**asdict(self.declaration), "where": ""}
        return fingerprint([about, self.sha256])
