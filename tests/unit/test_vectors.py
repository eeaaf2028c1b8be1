from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from pipeline.errors import InputFileError
from pipeline.geo import vector_files
from pipeline.geo.geopackage import layer_names
from pipeline.geo.vector_files import read_vector
from pipeline.runtime.atomic import is_safe_path


@pytest.fixture
def frame() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {"name": ["a", "b"], "size": [1, 2]},
        geometry=[shapely.box(5, 1, 5.1, 1.1), shapely.box(6, 1, 6.1, 1.1)],
        crs="EPSG:4326",
    )


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32631", "EPSG:3857"])
@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.geojson"])
def test_every_kind_comes_back_in_degrees(
    tmp_path: Path, frame: gpd.GeoDataFrame, name: str, crs: str
) -> None:
    frame.to_crs(crs).to_file(tmp_path / name)
    back = read_vector(tmp_path / name)
    assert back.crs.equals("EPSG:4326")
    assert back["name"].tolist() == ["a", "b"]
    assert back["size"].tolist() == [1, 2]
    assert back.total_bounds == pytest.approx(frame.total_bounds, abs=1e-5)


def test_points_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,Lon,LAT,geometry\n7,5.5,-1.5,x\n")
    points = read_vector(tmp_path / "a.csv")
    assert points.geometry.iloc[0].equals(shapely.Point(5.5, -1.5))
    assert points["id"].tolist() == [7]


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2\n", "lon,lat\n1,\n", "lon,lat\nx,1\n", "lon,lat\n200,1\n",
                "lon,lat\n1,inf\n"],
)  # fmt: skip
def test_tables_without_places(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputFileError) as caught:
        read_vector(tmp_path / "a.csv")
    assert str(tmp_path) in caught.value.where


@pytest.mark.parametrize("degrees", ["180.00000000000003", "-180.0000001", "180.1"])
def test_the_last_bits_beyond_the_antimeridian(tmp_path: Path, degrees: str) -> None:
    (tmp_path / "a.csv").write_text(f"lon,lat\n{degrees},1\n")
    if degrees == "180.1":
        with pytest.raises(InputFileError, match="off the globe"):
            read_vector(tmp_path / "a.csv")
        return
    assert abs(read_vector(tmp_path / "a.csv").geometry.iloc[0].x) == 180


def test_layers_of_a_geopackage(tmp_path: Path, frame: gpd.GeoDataFrame) -> None:
    path = tmp_path / "a.gpkg"
    frame.to_file(path, layer="mines")
    frame.iloc[:1].to_file(path, layer="lookalikes", mode="a")
    assert layer_names(path) == ["mines", "lookalikes"]
    assert len(read_vector(path, "lookalikes")) == 1
    with pytest.raises(InputFileError, match="no layer 'x'"):
        read_vector(path, "x")


def test_a_name_cannot_be_sql(tmp_path: Path, frame: gpd.GeoDataFrame) -> None:
    path, name = tmp_path / "a.gpkg", 'x"; DROP TABLE gpkg_contents; --'
    frame.to_file(path, layer="plain")
    with sqlite3.connect(path) as db:
        quoted = name.replace('"', '""')
        db.execute(f'CREATE TABLE "{quoted}" AS SELECT * FROM plain')
        db.execute("UPDATE gpkg_geometry_columns SET table_name = ?", (name,))
    db.close()
    assert layer_names(path) == [name]
    assert len(read_vector(path)) == 2
    assert layer_names(path) == [name]


def test_broken_geometries_of_a_geopackage(tmp_path: Path, frame: gpd.GeoDataFrame) -> None:
    path = tmp_path / "a.gpkg"
    frame.to_file(path, layer="plain")
    good = path.read_bytes()
    for blob in (b"", b"GP", b"XX" * 40, b"GP\x00\x01" + b"\xff" * 60, b"GP\x00\x0f" + b"\0" * 9):
        path.write_bytes(good)
        with sqlite3.connect(path) as db:
            for (trigger,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='plain'"
            ).fetchall():
                db.execute(f'DROP TRIGGER "{trigger}"')
            db.execute("UPDATE plain SET geom = ?", (blob,))
        db.close()
        with pytest.raises(InputFileError):
            read_vector(path)


def test_a_truncated_geopackage(tmp_path: Path, frame: gpd.GeoDataFrame) -> None:
    path = tmp_path / "a.gpkg"
    frame.to_file(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputFileError):
        read_vector(path)


@pytest.mark.parametrize("content", [b"", b"<OGRVRTDataSource/>", b"\x00\x00\x27\x0a", b"\0" * 99])
def test_files_that_only_claim_to_be_shapefiles(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.shp").write_bytes(content)
    with pytest.raises(InputFileError):
        read_vector(tmp_path / "a.shp")


def test_a_property_cannot_replace_the_shapes(tmp_path: Path) -> None:
    feature = {
        "type": "Feature",
        "properties": {"geometry": "POINT (0 0)", "list": [1, {"a": 2}], "ok": 1},
        "geometry": {"type": "Point", "coordinates": [5, 1, 99]},
    }
    (tmp_path / "a.geojson").write_text(json.dumps(feature))
    back = read_vector(tmp_path / "a.geojson")
    assert back.geometry.iloc[0].equals(shapely.Point(5, 1))
    assert not back.geometry.has_z.any()
    assert back["list"].iloc[0] == '[1, {"a": 2}]'


def test_features_without_a_geometry_are_left_out(tmp_path: Path) -> None:
    features = [{"type": "Feature", "properties": {}, "geometry": None}]
    content = {"type": "FeatureCollection", "features": features}
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    assert len(read_vector(tmp_path / "a.geojson")) == 0


def test_sizes_are_capped(
    tmp_path: Path, frame: gpd.GeoDataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.gpkg", "a.geojson", "a.shp"):
        frame.to_file(tmp_path / name)
        monkeypatch.setattr(vector_files, "MAX_FEATURES", 1)
        with pytest.raises(InputFileError, match="more than 1 "):
            read_vector(tmp_path / name)
        monkeypatch.undo()
        monkeypatch.setattr(vector_files, "MAX_VERTICES", 3)
        with pytest.raises(InputFileError, match="3 vertices"):
            read_vector(tmp_path / name)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("data/Zone d'étude (1).geojson", True), ("/tmp/a-b_c.gpkg", True), ("a b.csv", True),
        ("", False), ("a;b.csv", False), ("$HOME/a.csv", False), ("a`id`.csv", False),
        ("a\nb.csv", False), ("/vsizip/a.gpkg", False), ("vsicurl/a.gpkg", False),
        ("http://a/b.csv", False), ("~/a.csv", False), ("-a.csv", False), ("a\u202e.csv", False),
    ],
)  # fmt: skip
def test_safe_paths(path: str, safe: bool) -> None:
    assert is_safe_path(path) is safe


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("africa_mining_watch/detection_points.csv", 12874),
        ("mining_polygons/ghana_2024.geojson", 685),
        ("mining_polygons/guinea_2024.geojson", 2411),
        ("asm_map_west_africa/gt_asm_shapes.shp", 449),
        ("mining_titles_drc/titles_2016.geojson", 2973),
    ],
)
def test_real_files(file: str, count: int) -> None:
    found = read_vector(Path(os.environ["ASM_ATLAS_TEST_DATA"]) / file)
    assert len(found) == count
    assert found.is_valid.all()


def test_an_outline_that_no_one_could_mend_is_refused_in_time(tmp_path: Path) -> None:
    places = np.random.default_rng(1).uniform(0, 1, (3_000, 2)).tolist()
    path = tmp_path / "tangle.geojson"
    shape = {"type": "Polygon", "coordinates": [[*places, places[0]]]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    begun = time.monotonic()
    with pytest.raises(InputFileError, match="crosses itself"):
        read_vector(path)
    assert time.monotonic() - begun < 10


def test_an_outline_that_crosses_itself_here_and_there_is_mended(tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 5_000)
    radius = 1 + 0.0008 * np.random.default_rng(1).standard_normal(len(angle))
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).tolist()
    path = tmp_path / "coast.geojson"
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_vector(path).geometry.is_valid.all()
