"""The simulated landscape: what it writes, on a small frame across the two UTM zones."""

import csv
import hashlib
import json
import shutil

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.features import rasterize
from rasterio.warp import transform, transform_bounds
from shapely import Point

from pipeline.demo import make_demo
from pipeline.demo.canvas import BANDS, CLASSES
from pipeline.demo.clouds import PASSES
from pipeline.demo.frame import Frame
from pipeline.demo.landscape import develop, paint_landscape
from pipeline.demo.sensor import zones
from pipeline.demo.visits import COLUMNS

SMALL = Frame(5.975, 2.0, 6.025, 2.04, margin=60)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "one"
    make_demo(folder, 7, frame=SMALL)
    return folder


@pytest.fixture(scope="module")
def items(demo):
    catalogue = pystac.Catalog.from_file(str(demo / "catalog.json"))
    return sorted(catalogue.get_items(recursive=True), key=lambda item: item.id)


@pytest.fixture(scope="module")
def land():
    return develop(paint_landscape(SMALL, np.random.SeedSequence(7).spawn(4)[0]))


def read(item, band):
    with rasterio.open(item.assets[band].get_absolute_href()) as source:
        return source.read(1), source.profile, source.tags()


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_made_demo_is_left_alone_and_a_broken_one_is_made_again_the_same(demo, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(demo, folder)
    (folder / "mark").touch()
    make_demo(folder, 7, frame=SMALL)
    assert (folder / "mark").exists()
    (folder / "demo.json").write_text("{")
    make_demo(folder, 7, frame=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    original, again = files(demo), files(folder)
    assert original.keys() == again.keys()
    assert [name for name in original if original[name] != again[name]] == []


def test_another_seed_is_another_land(land):
    other = develop(paint_landscape(SMALL, np.random.SeedSequence(8).spawn(4)[0]))
    assert (other.reflectance != land.reflectance).mean() > 0.5


def test_a_failure_leaves_nothing_behind(tmp_path):
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", 7, frame=SMALL, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_manifest_lists_every_file_and_says_simulated(demo):
    manifest = json.loads((demo / "demo.json").read_text())
    assert manifest["simulated"] is True
    written = {p.relative_to(demo).as_posix() for p in demo.rglob("*") if p.is_file()}
    assert set(manifest["sha256"]) == written - {"demo.json"}
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((demo / name).read_bytes()).hexdigest() == digest
    assert "SIMULATED" in (demo / "README.txt").read_text()


def test_catalogue_reads_back_and_stays_in_its_folder(demo, items):
    assert len(items) == 2 * len(PASSES)
    for item in items:
        assert item.properties["asm:simulated"] is True
        assert "SIMULATED" in item.properties["title"]
        assert set(item.assets) == {*BANDS, "SCL"}
        assert item.properties["processing:level"] == "L2A"
        for band, asset in item.assets.items():
            path = (demo / asset.get_absolute_href()).resolve()
            assert asset.href.startswith("./") and path.is_relative_to(demo.resolve())
            image, profile, tags = read(item, band)
            assert item.properties["proj:code"] == str(profile["crs"])
            assert asset.extra_fields["proj:shape"] == list(image.shape)
            assert asset.extra_fields["proj:transform"] == list(profile["transform"])[:6]
            assert profile["nodata"] == 0 and profile["tiled"]
            assert "SIMULATED" in tags["TIFFTAG_IMAGEDESCRIPTION"]
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert asset.extra_fields["file:checksum"] == "1220" + digest
    assert len({item.properties["s2:datatake_id"] for item in items}) == len(PASSES)
    catalogue = json.loads((demo / "catalog.json").read_text())
    assert all(not link["href"].startswith("/") for link in catalogue["links"])


def test_offset_follows_the_baseline(items):
    dark = {}
    for item in items:
        new = item.properties["s2:processing_baseline"] >= "04.00"
        assert new == (item.datetime.date().isoformat() >= "2022-01-25")
        band = item.assets["B12"].extra_fields["bands"][0]
        assert band["raster:offset"] == (-0.1 if new else 0)
        assert band["raster:scale"] == 0.0001
        image = read(item, "B12")[0]
        dark[item.id] = np.percentile(image[image > 0], 1) - 1000 * new
    assert all(0 < value < 1000 for value in dark.values())
    assert {item.properties["s2:processing_baseline"] for item in items} == {"03.01", "04.00"}


def test_a_swath_edge_crosses_the_region(items):
    edges = 0
    for item in items:
        scl, red = read(item, "SCL")[0][20:-20, 20:-20], read(item, "B04")[0][40:-40, 40:-40]
        outside = np.repeat(np.repeat(scl == 0, 2, axis=0), 2, axis=1)
        assert (red[outside] == 0).all()
        edges += 0.02 < (scl == 0).mean() < 0.98
    assert edges >= 1


def test_scene_classes_are_known_ones(items):
    seen = set()
    for item in items:
        seen |= set(np.unique(read(item, "SCL")[0]).tolist())
    assert seen <= set(range(12))
    assert {3, 4, 5, 8, 9} <= seen


def test_every_pixel_is_clear_at_least_once(items):
    lon, lat = np.meshgrid(np.linspace(5.976, 5.999, 60), np.linspace(2.001, 2.039, 60))
    clear = np.zeros(lon.size, int)
    for item in items:
        if item.properties["proj:code"] != "EPSG:32631":
            continue
        scl, profile, _ = read(item, "SCL")
        x, y = transform("EPSG:4326", profile["crs"], lon.ravel(), lat.ravel())
        col, row = ~profile["transform"] @ (np.array(x), np.array(y))
        clear += np.isin(scl[row.astype(int), col.astype(int)], (2, 4, 5, 6, 7, 11))
    assert clear.min() >= 1
    assert np.median(clear) >= 3


def test_zones_overlap_and_agree(items):
    pair = [i for i in items if i.datetime.date().isoformat() == "2022-01-20"]
    assert [i.properties["proj:code"] for i in pair] == ["EPSG:32631", "EPSG:32632"]
    lon, lat = (
        v.ravel() for v in np.meshgrid(np.linspace(5.99, 6.01, 80), np.linspace(2.0, 2.04, 80))
    )
    values = []
    for item in pair:
        image, profile, _ = read(item, "B08")
        x, y = transform("EPSG:4326", profile["crs"], lon, lat)
        col, row = ~profile["transform"] @ (np.array(x), np.array(y))
        values.append(image[row.astype(int), col.astype(int)].astype(float))
        scl, _, _ = read(item, "SCL")
        clear = np.isin(scl[row.astype(int) // 2, col.astype(int) // 2], (4, 5))
    difference = (values[0] - values[1])[clear]
    assert clear.mean() > 0.5
    assert abs(np.median(difference)) < 25
    assert np.corrcoef(values[0][clear], values[1][clear])[0, 1] > 0.9


def test_truth_agrees_with_the_land_cover(demo, land):
    mines = geopandas.read_file(demo / "truth.gpkg", layer="mines")
    painted = land.cover == CLASSES.index("mine")
    burnt = rasterize(mines.geometry, painted.shape, transform=SMALL.transform).astype(bool)
    assert (burnt == painted).mean() > 0.9999
    assert mines.area_ha.min() >= 0.1 and mines.area_ha.max() <= 30
    kinds = set(geopandas.read_file(demo / "truth.gpkg", layer="lookalikes").kind)
    assert {"sandbar", "farm_pond", "industrial_pit", "village", "field"} <= kinds


def test_mines_share_their_colours(land):
    mine = land.reflectance[:, land.cover == CLASSES.index("mine")].astype(float)
    kinds = ("sandbar", "pool", "outcrop", "field", "farm_pond", "village", "quarry")
    other = np.isin(land.cover, [CLASSES.index(k) for k in (*kinds, "industrial_pit")])
    rest = land.reflectance[:, other].astype(float)
    low, high = np.percentile(rest, [1, 99], axis=1)
    within = ((mine >= low[:, None]) & (mine <= high[:, None])).all(axis=0)
    assert within.mean() > 0.8


def test_visits_have_the_form_of_ipis(demo):
    with (demo / "visits.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(COLUMNS) == 85 and tuple(rows[0]) == COLUMNS
    assert all(row["pcode"].startswith("simmine") and "Simulé" in row["name"] for row in rows)
    assert all("2019-01-01" <= row["visit_date"] <= "2022-12-31" for row in rows)
    assert len({row["vid"] for row in rows}) == len(rows)


def test_nothing_but_the_manifest_knows_the_truth(demo):
    for name, content in files(demo).items():
        if name.endswith((".json", ".csv")) and name != "demo.json":
            assert b"truth" not in content, name


def test_polygons_move_to_degrees(land):
    mine = land.mines[0]
    lon, lat = SMALL.to_degrees(mine.shape).centroid.coords[0]
    assert SMALL.west < lon < SMALL.east and SMALL.south < lat < SMALL.north


def test_mines_lie_where_they_are_asked_for():
    places = np.array([[100.0, 200.0], [400.0, 90.0]])
    frame = Frame(27.0, -2.04, 27.05, -2.0, margin=60)
    land = develop(paint_landscape(frame, np.random.SeedSequence(7), places))
    for mine, (col, row) in zip(land.mines, places, strict=True):
        assert mine.shape.distance(Point(col, row)) < 5


def test_tiles_are_those_of_the_utm_zones_that_a_place_lies_in():
    south, across = Frame(27.0, -2.04, 27.05, -2.0), Frame(29.95, 2.0, 30.1, 2.1)
    assert [(zone.name, zone.epsg) for zone in zones(south)] == [("SIM35", 32735)]
    assert [zone.epsg for zone in zones(across)] == [32635, 32636]
    for zone in zones(south):
        west, _, east, north = transform_bounds(zone.epsg, 4326, *zone.bounds)
        assert west <= south.bounds[0] and east >= south.bounds[2]
        assert north < 0 and zone.middle == pytest.approx(27.025)
