from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from pipeline.errors import (
    AntimeridianRegionError,
    AsmAtlasError,
    EmptyRegionError,
    HugeRegionError,
    InvertedRegionError,
    RegionFileError,
    UnknownRegionError,
)
from pipeline.geo import grid, regions
from pipeline.geo.regions import region_names, resolve_region, with_public_name

SQUARE = [[5.0, 1.0], [5.2, 1.0], [5.2, 1.1], [5.0, 1.1], [5.0, 1.0]]


def geojson(path: Path, *rings: list[list[float]], kind: str = "Polygon") -> Path:
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": kind, "coordinates": [ring]}}
        for ring in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def all_cells(region: regions.Region) -> np.ndarray:
    return np.concatenate([region.cells(block) for block in region.blocks])


# --- packaged names


def test_every_packaged_region_can_be_mapped_or_says_why_not() -> None:
    refused = []
    for name, (properties, outline) in regions._packaged().items():
        if outline is None:
            assert set(properties["members"]) <= set(region_names())
            continue
        geometry = shapely.from_geojson(json.dumps(outline))
        west, south, east, north = geometry.bounds
        assert regions._NAME.fullmatch(name)
        assert properties["title"]
        assert shapely.is_valid(geometry)
        if (east - west) * (north - south) < 20 or east - west > 180:
            try:
                assert resolve_region(name, 2_000).blocks
            except AntimeridianRegionError:
                refused.append(name)
            except EmptyRegionError:  # smaller than a cell
                assert name in {"vatican", "ashmore-and-cartier-islands"}
    assert set(refused) == {"fiji", "kiribati", "new-zealand", "russia",
                            "united-states-of-america"}  # fmt: skip


def test_there_are_countries_provinces_projects_and_test_areas() -> None:
    names = set(region_names())
    assert {"democratic-republic-of-the-congo", "ghana", "cote-divoire", "peru"} <= names
    assert {"ituri", "nord-kivu", "sud-kivu", "kasai-central", "haut-uele"} <= names
    assert {"choco", "kakamega", "migori", "bangka-belitung", "zimbabwe-gwanda"} <= names
    assert {"amazon-w067-n03", "amazon-w079-s05", "amazon-w068-s16", "amazon-w055-n04"} <= names
    provinces = regions.data_folder() / "regions" / "drc-provinces.geojson"
    assert len(json.loads(provinces.read_text(encoding="utf-8"))["features"]) == 26


def test_the_demo_is_simulated_and_lies_in_the_open_sea() -> None:
    demo = resolve_region("demo", 100)
    assert demo.simulated
    assert (demo.source, demo.season, demo.training) == ("demo", "2021-12..2022-02", "demo-train")
    assert len(demo.blocks) == 12
    assert all_cells(demo).size == 4800
    train, held = resolve_region("demo-train", 100), resolve_region("demo-heldout", 100)
    assert train.simulated
    assert held.training == "demo-train"
    cells = np.concatenate([all_cells(train), all_cells(held)])
    assert np.array_equal(np.sort(cells), np.sort(all_cells(demo)))
    for name, (_, geometry) in regions._packaged().items():
        if geometry is None or name.startswith("demo"):
            continue
        assert not shapely.intersects(shapely.from_geojson(json.dumps(geometry)), demo.geometry)


def test_degree_squares_bear_their_corners_name() -> None:
    assert resolve_region("amazon-w067-n03", 100).geometry.bounds == (-67, 3, -66, 4)
    assert resolve_region("amazon-w079-s05", 100).geometry.bounds == (-79, -5, -78, -4)
    assert len(resolve_region("amazon-w068-s16", 100).blocks) == 100


def test_a_country_has_the_blocks_that_its_area_asks_for() -> None:
    country = resolve_region("democratic-republic-of-the-congo", 50_000)
    # 2.34 million km2, of about 123 km2 a block near the equator.
    assert 19_000 < len(country.blocks) < 20_500
    assert country.blocks == sorted(country.blocks)


def test_a_region_travels_to_a_worker() -> None:
    demo = resolve_region("demo", 100)
    again = pickle.loads(pickle.dumps(demo))  # noqa: S301
    assert again == demo
    assert again.blocks == demo.blocks


def test_every_packaged_file_has_its_provenance() -> None:
    folder = regions.data_folder()
    text = (folder / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in (folder / "regions").iterdir()]
    assert len(files) >= 5
    assert [name for name in files if f"`regions/{name}`" not in text] == []
    assert (folder / "regions" / "countries.geojson").stat().st_size < 1_400_000


# --- blocks and cells


def test_blocks_that_only_touch_are_not_the_regions() -> None:
    region = resolve_region("bbox:5.8,2.0,6.2,2.3", 12)
    assert [block.name for block in region.blocks][::11] == ["N02.2E005.8", "N02.0E006.1"]


def test_blocks_are_those_that_share_area() -> None:
    triangle = shapely.Polygon([(0.05, 0.05), (1.95, 0.05), (0.05, 1.95)])
    region = regions.Region("triangle", "", triangle)
    expected = {
        block
        for block in (grid.Block(row, col) for row in range(880, 900) for col in range(1800, 1820))
        if shapely.box(*block.bounds).intersection(triangle).area > 1e-9
    }
    assert set(region.blocks) == expected


def test_a_hole_is_not_the_regions() -> None:
    outer = shapely.box(0, 0, 3, 3)
    region = regions.Region("ring", "", outer.difference(shapely.box(0.5, 0.5, 2.5, 2.5)))
    assert len(region.blocks) == 900 - 400
    assert not region.contains(grid.cell_of([1.5], [1.5])).any()


def test_cells_are_those_whose_centre_lies_inside() -> None:
    region = resolve_region("bbox:5.8,2.0,5.8101,2.0026", 10)
    lon, lat = grid.cell_centres(all_cells(region))
    assert lon == pytest.approx([5.8025, 5.8075])
    assert lat == pytest.approx([2.0025, 2.0025])


# --- boxes


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bbox:2,2,1,3", InvertedRegionError),
        ("bbox:1,3,2,2", InvertedRegionError),
        ("bbox:6,2,-6,3", InvertedRegionError),
        ("bbox:1,1,1,2", EmptyRegionError),
        ("bbox:1,1,2,1", EmptyRegionError),
        ("bbox:1,1,1.001,1.001", EmptyRegionError),
        ("bbox:170,-20,-170,-10", AntimeridianRegionError),
        ("bbox:170,-20,190,-10", AntimeridianRegionError),
        ("bbox:-179,-20,179,-10", AntimeridianRegionError),
        ("bbox:0,0,60,60", HugeRegionError),
        ("bbox:nan,0,1,1", RegionFileError),
        ("bbox:0,0,inf,1", RegionFileError),
        ("bbox:0,0,1,91", RegionFileError),
        ("bbox:0,0,1e0,1", RegionFileError),
        ("bbox:1_0,0,11,1", RegionFileError),
        ("bbox:0,0,1", RegionFileError),
        ("bbox:0,0,1,1,2", RegionFileError),
        ("bbox:$(id),0,1,1", RegionFileError),
        ("bbox:", RegionFileError),
        ("bbox:999,0,999,1", RegionFileError),
    ],
)
def test_boxes_that_cannot_be_mapped(text: str, error: type[AsmAtlasError]) -> None:
    with pytest.raises(error) as caught:
        resolve_region(text, 50_000)
    assert caught.value.where
    assert caught.value.next_step or error is RegionFileError
    assert "$" not in str(caught.value.what)


def test_each_refusal_has_its_own_exit_code() -> None:
    errors = [UnknownRegionError, EmptyRegionError, HugeRegionError, InvertedRegionError,
              AntimeridianRegionError, RegionFileError]  # fmt: skip
    assert len({error.exit_code for error in errors}) == len(errors)


def test_a_box_is_named_by_its_sides() -> None:
    region = resolve_region("bbox: -67.25, 3, -66.9, 3.5", 100)
    assert region.name == "bbox-w67d25-n3-w66d9-n3d5"
    assert region.geometry.bounds == (-67.25, 3, -66.9, 3.5)
    long = resolve_region("bbox:-179.123456,-89.123456,-178.123457,-88.123457", 10_000)
    assert len(long.name) <= 64


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("bbox:28.1234,-2.6,28.505,-2.201", "bbox:28.12,-2.6,28.51,-2.2"),
        ("bbox:28.12,-2.6,28.51,-2.2", "bbox:28.12,-2.6,28.51,-2.2"),
        ("bbox:-0.29,-0.001,0.07,0.58", "bbox:-0.29,-0.01,0.07,0.58"),
    ],
)
def test_a_public_map_names_no_finer_box_than_its_squares(asked: str, told: str) -> None:
    region = resolve_region(asked, 100)
    public = with_public_name(region, 0.01)
    assert (public.title, public.name) == (told, resolve_region(told, 100).name)
    assert public.geometry == region.geometry


def test_a_named_region_keeps_its_name_in_public() -> None:
    region = resolve_region("rwanda", 1_000)
    assert with_public_name(region, 0.01) is region


# --- unknown and hostile text


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("drc", "democratic-republic-of-the-congo"),
        ("nord-kivou", "nord-kivu"),
        ("congo", "republic-of-the-congo"),
        ("ghanna", "ghana"),
        ("Ghana", "ghana"),
        ("Côte d'Ivoire", "cote-divoire"),
        ("amazon", "amazon-w067-n03"),
    ],
)
def test_an_unknown_name_lists_the_near_ones(text: str, near: str) -> None:
    with pytest.raises(UnknownRegionError) as caught:
        resolve_region(text, 100)
    assert near in caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "$(shell id)", "`id`", "a;id", "a|b", "a&b", "../../etc/passwd", "/etc/passwd",
        "x" * 65, "DEMO", "demo\n", "demo\x00", "-rf", "a b", "%s%n", "{0}", "~/a.geojson",
        "http://example.org/a.geojson", "/vsicurl/http://example.org/a.gpkg", "vsizip/a.gpkg",
        "/VSIMEM/a.gpkg", "$HOME/a.geojson", "a\u202eb.geojson", "missing.geojson", "a" * 5000,
        "bbox", "<OGRVRTDataSource>.gpkg", "demo.zip",
    ],
)  # fmt: skip
def test_hostile_names_are_unknown(text: str) -> None:
    if text == "demo\n":  # white space around a name is harmless
        assert resolve_region(text, 100).name == "demo"
        return
    with pytest.raises(UnknownRegionError) as caught:
        resolve_region(text, 100)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 1000


# --- files


def test_a_geojson_file(tmp_path: Path) -> None:
    region = resolve_region(str(geojson(tmp_path / "Zone d'essai.geojson", SQUARE)), 10)
    assert region.name.startswith("zone-d-essai-")
    assert region.title == "Zone d'essai"
    assert len(region.blocks) == 2
    other = [[x + 1, y] for x, y in SQUARE]
    again = resolve_region(str(geojson(tmp_path / "Zone d'essai.geojson", other)), 10)
    assert again.name != region.name


def test_a_geopackage_in_another_reference_system(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame(geometry=[shapely.Polygon(SQUARE)], crs="EPSG:4326")
    frame.to_crs("EPSG:32631").to_file(tmp_path / "area.gpkg", driver="GPKG")
    region = resolve_region(str(tmp_path / "area.gpkg"), 20)
    assert region.geometry.bounds == pytest.approx((5.0, 1.0, 5.2, 1.1), abs=1e-3)


@pytest.mark.parametrize(
    ("ring", "error"),
    [
        ([[1, 1], [2, 1], [1, 1], [1, 1]], EmptyRegionError),
        ([[170, 0], [190, 0], [190, 5], [170, 5], [170, 0]], AntimeridianRegionError),
        ([[-179, 0], [179, 0], [179, 5], [-179, 5], [-179, 0]], AntimeridianRegionError),
        ([[0, 0], [20, 0], [20, 20], [0, 20], [0, 0]], HugeRegionError),
        ([[0, 0], [1, 0], [1, 95], [0, 0]], RegionFileError),
        ([[500_000, 100_000], [600_000, 100_000], [600_000, 200_000], [500_000, 100_000]],
         RegionFileError),
    ],
)  # fmt: skip
def test_files_that_cannot_be_mapped(
    tmp_path: Path, ring: list[list[float]], error: type[AsmAtlasError]
) -> None:
    with pytest.raises(error):
        resolve_region(str(geojson(tmp_path / "a.geojson", ring)), 1000)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[1, 2]", b"null", b"{}", b"\xff\xfe\x00", b"PK\x03\x04",
        b'{"type": "FeatureCollection"}',
        b'{"type": "FeatureCollection", "features": [1]}',
        b'{"type": "Polygon", "coordinates": [[[0, 0], [NaN, 1], [1, 1], [0, 0]]]}',
        b'{"type": "Polygon", "coordinates": [[[0, 0], [1e999, 1], [1, 1], [0, 0]]]}',
        b'{"type": "Polygon", "coordinates": "x"}',
        b'{"type": "Point", "coordinates": [1, 1]}',
        b'{"type": "Nonsense", "coordinates": [1, 1]}',
        b"[" * 100_000,
        b"<OGRVRTDataSource><OGRVRTLayer name='a'/></OGRVRTDataSource>",
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".geojson", ".json", ".gpkg"])
def test_files_that_are_no_regions(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises((RegionFileError, EmptyRegionError)) as caught:
        resolve_region(str(path), 1000)
    assert caught.value.where


def test_an_empty_collection_is_an_empty_region(tmp_path: Path) -> None:
    with pytest.raises(EmptyRegionError):
        resolve_region(str(geojson(tmp_path / "a.geojson")), 1000)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    with pytest.raises(RegionFileError, match="64 MiB"):
        resolve_region(str(path), 1000)


def test_too_many_vertices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "MAX_VERTICES", 4)
    with pytest.raises(RegionFileError, match="vertices"):
        resolve_region(str(geojson(tmp_path / "a.geojson", SQUARE)), 1000)


def test_views_and_triggers_of_a_geopackage_do_not_run(tmp_path: Path) -> None:
    path = tmp_path / "area.gpkg"
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Polygon(SQUARE)], crs="EPSG:4326")
    frame.to_file(path, driver="GPKG", layer="plain")
    with sqlite3.connect(path) as db:
        db.execute("CREATE VIEW trap AS SELECT 1 AS fid, zeroblob(1000000000) AS geom")
        db.execute("UPDATE gpkg_geometry_columns SET table_name = 'trap'")
    db.close()
    before = path.read_bytes()
    with pytest.raises(RegionFileError, match="no layer"):
        resolve_region(str(path), 1000)
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["area.gpkg"]


def test_the_country_of_a_place() -> None:
    lon = np.array([15.3, 32.58, -63.3, 5.5, np.nan])
    lat = np.array([-4.4, 0.32, -17.9, 2.1, 0.0])
    assert regions.countries_of(lon, lat).tolist() == [
        "democratic-republic-of-the-congo",
        "uganda",
        "bolivia",
        "",
        "",
    ]
