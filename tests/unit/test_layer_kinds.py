"""A kind of geometry, a way to join and a type of value are one entry of a table each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_layers import AREAS, COLUMNS, SCHEMES, box, declare, layer
from sample_map import make_joined, make_run

from pipeline.errors import DeclarationError, LayerError
from pipeline.map.folder import publish
from pipeline.map.page.packed import unpack_places
from pipeline.map.page.report import write_report
from pipeline.sites import text_values
from pipeline.sites.layers import joins, kinds
from pipeline.sites.layers.attach import attach_columns
from pipeline.sites.layers.declare import load_declarations
from pipeline.sites.layers.joins import JoinKind, Query
from pipeline.sites.layers.kinds import GeometryKind
from pipeline.sites.layers.layer import KnownLayer
from pipeline.sites.layers.templates import explain
from pipeline.sites.text_values import ValueType

LINES = GeometryKind(
    "Lines",
    "lines",
    (shapely.GeometryType.LINESTRING, shapely.GeometryType.MULTILINESTRING),
    "MultiLineString",
    "line",
)
ROADS = SCHEMES | {"name": "roads", "kind": "line", "public": "rounded", "columns": COLUMNS}
ROAD = shapely.LineString([(5.803, 2.204), (5.911, 2.252), (6.004, 2.201)])
TRACK = shapely.LineString([(5.9001, 2.1001), (5.9003, 2.1002)])


@pytest.mark.parametrize("edition", ["public", "restricted"])
def test_a_kind_of_geometry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edition: str) -> None:
    with pytest.raises(DeclarationError):
        declare(ROADS)
    monkeypatch.setitem(kinds.GEOMETRIES, "line", LINES)
    roads = layer(tmp_path, declare(ROADS), [ROAD, TRACK], holder=["a", "b"])
    assert "Lines; the nearest within 3 km" in explain([roads.declaration])
    (tmp_path / "areas").mkdir()
    with pytest.raises(LayerError, match="must hold lines"):
        layer(tmp_path / "areas", declare(ROADS), [box(5, 1, 1)])
    folder = tmp_path / "run"
    joined, run = make_joined(), make_run(disclosure=edition)
    joined = replace(joined, known_layers=(roads,))
    publish(joined, run, folder)
    write_report(joined, run, folder)
    info = pyogrio.read_info(folder / "map.gpkg", layer="context_roads")
    assert info["geometry_type"] == "MultiLineString"
    shown = pyogrio.read_dataframe(folder / "map.gpkg", layer="context_roads")
    # A track that vanishes on the public squares has no outline to show.
    assert len(shown) == (1 if edition == "public" else 2)
    cells = pyogrio.read_dataframe(folder / "map.gpkg", layer="cells")
    near = shapely.distance(cells.geometry, shown.geometry.iloc[0]) < 0.005
    assert cells["roads_km"][near].notna().all() and cells["roads_km"].isna().any()
    assert set(cells["roads_title"].dropna()) == set(shown["title"])
    style = pyogrio.read_dataframe(
        folder / "map.gpkg",
        sql="SELECT styleQML FROM layer_styles WHERE f_table_name = 'context_roads'",
    )["styleQML"].iloc[0]
    assert "<layerGeometryType>1<" in style and 'type="line"' in style
    page = (folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</s")[0])
    drawn = next(one for one in data["layers"] if one["name"] == "context_roads")
    assert drawn["points"] is False
    ends = shapely.get_coordinates(shown.geometry)
    assert unpack_places(drawn["shapes"]) == pytest.approx(ends, abs=1e-4)


def test_a_way_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def longest(query: Query, found: KnownLayer) -> tuple[Any, Any]:
        areas = found.features.geometry.to_numpy()
        owner = np.full(len(query.spots), int(np.argmax(shapely.length(areas))))
        return owner, np.full(len(owner), shapely.length(areas).max())

    monkeypatch.setitem(joins.JOINS, "longest", JoinKind("km", "the longest", longest))
    zones = declare(AREAS, how="longest", distance_km=1.0)
    found = layer(tmp_path, zones, [box(5, 1, 1), box(5, 1, 2)], holder=["a", "b"])
    table = gpd.GeoDataFrame({"rank": [1]}, geometry=[box(7, 7, 1)], crs="EPSG:4326")
    joined = attach_columns(table, [found])
    assert joined[["zones_km", "zones_title", "zones_holder"]].to_numpy().tolist() == [
        [8.0, "zones 1", "b"]
    ]


def test_a_type_of_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(texts: pd.Series, choices: Any) -> tuple[pd.Series, Any]:
        return texts.str.count("#"), texts.notna() & ~texts.str.fullmatch("#*")

    monkeypatch.setitem(text_values.TYPES, "tally", ValueType("Int64", "must be signs #", read))
    column = {"name": "pits", "type": "tally", "english": "Pits", "french": "Puits"}
    zones = declare(AREAS, columns=[*COLUMNS, column])
    shapes = [box(5, 1, 1), box(6, 1, 1)]
    found = layer(tmp_path, zones, shapes, pits=["###", None])
    assert found.features["pits"].fillna(0).tolist() == [3, 0]
    with pytest.raises(LayerError, match="pits must be signs #: 1 features, the first with '#2'"):
        layer(tmp_path, zones, shapes, pits=["#2", None])


def test_every_entry_is_used_by_a_packaged_layer() -> None:
    packaged = load_declarations()
    assert {one.how for one in packaged} == set(joins.JOINS)
    assert {one.kind for one in packaged} == {*kinds.GEOMETRIES, kinds.ANY}
