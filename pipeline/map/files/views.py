"""What QGIS needs to know of a layer: its names, rules, labels and form."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import geopandas as gpd

from pipeline.map.files import symbology
from pipeline.sites.layers.kinds import kind_of

TABLES = ("provenance", "matching", "visits", "scorecard", "scorecard_summary")
_PLAIN = {*TABLES, "change_areas", "series"}
_KINDS = {
    "sites": "Point", "inspection": "Point", "candidates": "MultiPolygon",
    "regions": "MultiPolygon", "change_places": "MultiPolygon",
}  # fmt: skip
# What QGIS calls kinds of geometry, and their numbers.
_QGIS = {"Point": ("Point", 0), "LineString": ("Line", 1), "Polygon": ("Polygon", 2),
         "": ("No geometry", 4)}  # fmt: skip


@dataclass(frozen=True)
class LayerView:
    """What the templates ask of a layer.

    Parameters
    ----------
    name : str
        Of the layer in the GeoPackage.
    title : str
        What the legend calls it.
    columns : sequence of str
        In the table's order.
    aliases : dict of str to str
        What the map calls the columns.
    rules : list of symbology.Rule
        How features are drawn.
    extent : tuple of float
        West, south, east, north; EPSG:4326.
    visible : bool
        Whether it is shown at first.
    label : str
        Column of the features' labels; empty: none.
    label_when : str
        QGIS expression of what is labelled; empty: all.
    label_size : float
        Points.
    label_placement : int
        QGIS's number of the way of placing.
    label_scale : int
        Denominator above which labels are left out; 0: never.
    sort : str
        QGIS expression that the table is sorted by; empty: none.
    sort_order : int
        0 rising, 1 falling.
    widgets : dict
        How columns are filled in: ``share``, ``date``, ``file``, ``long`` (text of several lines),
        or a dict of values with their texts; the others as text.
    locked : sequence of str
        Columns that the form does not let anybody change.
    kind : str
        Type of the geometry column; empty: what the name says.
    """

    name: str
    title: str
    columns: Sequence[str]
    aliases: dict[str, str]
    rules: list[symbology.Rule]
    extent: tuple[float, float, float, float]
    visible: bool
    label: str = ""
    label_when: str = ""
    label_size: float = 9
    label_placement: int = 1
    label_scale: int = 0
    sort: str = ""
    sort_order: int = 0
    widgets: Mapping[str, str | dict[str, str]] = field(default_factory=dict)
    locked: Sequence[str] = ()
    kind: str = ""

    @property
    def id(self) -> str:
        """Layer identifier; QGIS opens ids of ten characters or fewer as an empty map."""
        return f"asm_atlas_{self.name}_layer"

    @property
    def label_text(self) -> str:
        """QGIS expression of the labels."""
        return f'CASE WHEN {self.label_when} THEN "{self.label}" END'

    @property
    def opacity(self) -> float:
        """Squares let the imagery beneath them through."""
        return 0.85 if self.name in ("cells", "coverage", "changes") else 1.0

    @property
    def geometry(self) -> str:
        """QGIS's word for the geometry."""
        return _QGIS[self.geometry_type.removeprefix("Multi")][0]

    @property
    def geometry_type(self) -> str:
        """Type of the geometry column, empty for a table without one."""
        return "" if self.name in _PLAIN else self.kind or _KINDS.get(self.name, "Polygon")

    @property
    def geometry_code(self) -> int:
        """QGIS's number for the geometry."""
        return _QGIS[self.geometry_type.removeprefix("Multi")][1]

    def key(self, number: int) -> str:
        """Return a rule's identifier, the same in every run."""
        return f"{{{uuid.uuid5(uuid.NAMESPACE_URL, f'asm-atlas/{self.name}/{number}')}}}"


def geometry_kind(name: str, frame: gpd.GeoDataFrame) -> str:
    """Return the type of a layer's geometry column; that of a context layer is what it holds."""
    if name.startswith("context_"):
        return kind_of(frame.geometry.to_numpy()).stored
    return _KINDS.get(name, "Polygon")
