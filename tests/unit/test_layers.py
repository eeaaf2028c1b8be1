"""Context layers: declarations, files that fit and that do not, hostile ones, and the joins."""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_layers import AREAS, COLUMNS, REPORTS, SCHEMES, box, declare, layer

from pipeline.config import Config
from pipeline.errors import DeclarationError, InputFileError, LayerError
from pipeline.geo import grid
from pipeline.map.coarsening import coarse_layers
from pipeline.sites.layers.attach import (
    attach_columns,
    in_industrial,
    layers_near,
)
from pipeline.sites.layers.declare import load_declarations
from pipeline.sites.layers.joins import JOINS
from pipeline.sites.layers.read import load_layers, read_layer
from pipeline.sites.layers.templates import list_layers, write_templates
from pipeline.sites.text_values import plain_text

NAMED = {
    "mining_titles", "protected_areas", "countries", "admin_units", "other_detections",
    "industrial_mines", "incidents", "traceability_schemes", "site_assessments", "due_diligence",
    "impact_indicators", "project_areas",
}  # fmt: skip


def test_every_layer_that_we_name_is_declared_and_has_an_empty_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {one.name for one in load_declarations()} == NAMED
    folder = tmp_path / "forms"
    write_templates(folder, Config().with_keys(workspace=str(tmp_path)))
    assert {path.stem for path in folder.glob("*.gpkg")} == NAMED
    text = (folder / "README.md").read_text(encoding="utf-8")
    for one in load_declarations():
        info = pyogrio.read_info(folder / f"{one.name}.gpkg")
        assert info["fields"].tolist() == [column.source for column in one.columns]
        assert info["features"] == 0 and info["crs"] == grid.CRS
        assert all(f"| {column.source} |" in text for column in one.columns)
    config = Config().with_keys(layers=str(folder))
    assert load_layers(config) == ()
    list_layers(config)
    said = capsys.readouterr().out
    assert all(name in said for name in NAMED)
    # A form that somebody has begun to fill is not overwritten.
    before = (folder / "incidents.gpkg").read_bytes()
    (folder / "incidents.gpkg").write_bytes(before + b"x")
    write_templates(folder, Config().with_keys(workspace=str(tmp_path)))
    assert (folder / "incidents.gpkg").read_bytes() == before + b"x"


@pytest.mark.parametrize(
    ("base", "changes", "cause"),
    [
        (AREAS, {"colour": "red"}, "unknown key 'colour'"),
        (AREAS, {"licence": None}, "lacks licence"),
        (AREAS, {"credit": ""}, "lacks credit"),
        (AREAS, {"industrial": "yes"}, "industrial must be true or false"),
        (AREAS, {"name": "Zones"}, "no name of a layer"),
        (AREAS, {"name": "a; DROP TABLE cells"}, "no name of a layer"),
        (AREAS, {"how": "inside"}, "how is 'inside'"),
        (AREAS, {"kind": "point"}, "within needs areas"),
        (AREAS, {"distance_km": 3.0}, "distance_km belongs"),
        (AREAS, {"along": ["titel"]}, "a column along is 'titel'"),
        (AREAS, {"public": "yes"}, "public is 'yes'"),
        (AREAS, {"public": "none"}, "columns of a layer that is not public"),
        (AREAS, {"public": "counts"}, "columns of a layer that is not public"),
        (AREAS, {"id": "number"}, "id is 'number'"),
        (AREAS, {"file": "../secrets.gpkg"}, "file must be a name in the folder"),
        (AREAS, {"file": "/etc/passwd.gpkg"}, "file must be a name in the folder"),
        (AREAS, {"file": "a$(id).gpkg"}, "file must be a name in the folder"),
        (AREAS, {"columns": [{**COLUMNS[0], "typ": "text"}]}, "unknown key 'typ'"),
        (AREAS, {"columns": [{**COLUMNS[0], "type": "integer"}]}, "its type is 'integer'"),
        (AREAS, {"columns": [{**COLUMNS[0], "type": "choice"}]}, "choices belong"),
        (AREAS, {"columns": [{**COLUMNS[0], "disclosure": "secret"}]}, "its disclosure is"),
        (AREAS, {"columns": [{**COLUMNS[0], "name": "geom"}]}, "no name of a column"),
        (AREAS, {"columns": [COLUMNS[0], COLUMNS[0]]}, "each of its own name"),
        (AREAS, {"columns": ["title"]}, "column must be a table"),
        (REPORTS, {"days": -1}, "days must be"),
        (REPORTS, {"date": None}, "days belong to count"),
        (REPORTS, {"date": "title"}, "date must be a column of dates"),
        (REPORTS, {"distance_km": 0.0}, "need a distance_km"),
        (REPORTS, {"distance_km": 1e9}, "need a distance_km"),
        (REPORTS, {"along": ["title"]}, "a count takes no column along"),
        (SCHEMES, {"public": "counts"}, "counted in public only if"),
        (SCHEMES, {"industrial": True}, "industrial areas are joined by within"),
    ],
)
def test_a_slip_in_a_declaration_is_an_error(base: Any, changes: Any, cause: str) -> None:
    with pytest.raises(DeclarationError, match=cause) as caught:
        declare(base, **changes)
    assert "test.toml" in caught.value.where
    assert DeclarationError.exit_code == 47


def test_declarations_of_ones_own_come_beside_and_instead(tmp_path: Path) -> None:
    own = (
        'name = "incidents"\nenglish = "Ours"\nfrench = "Les nôtres"\nkind = "point"\n'
        'how = "count"\ndistance_km = 2\npublic = "none"\ncredit = "us"\nlicence = "ours"\n'
    )
    (tmp_path / "ours.toml").write_text(own, encoding="utf-8")
    found = {one.name: one for one in load_declarations(tmp_path)}
    assert set(found) == NAMED and found["incidents"].title("en") == "Ours"
    (tmp_path / "again.toml").write_text(own, encoding="utf-8")
    with pytest.raises(DeclarationError, match="declared twice"):
        load_declarations(tmp_path)
    (tmp_path / "again.toml").write_bytes(b"\xff\xfe = [")
    with pytest.raises(DeclarationError, match="cannot be read"):
        load_declarations(tmp_path)


def test_what_is_dropped_in_is_read_and_what_does_not_fit_is_named(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame(
        {"project": ["b", "a"], "extra": [1, 2]},
        geometry=[box(5, 1, 0.5), box(6, 1, 0.5)],
        crs="EPSG:4326",
    )
    config = Config().with_keys(workspace=str(tmp_path))
    assert load_layers(config) == ()
    folder = tmp_path / "layers"
    folder.mkdir()
    frame.to_file(folder / "project_areas.geojson")
    (found,) = load_layers(config)
    # Ordered by its id; what is not declared stays out.
    assert found.features["project"].tolist() == ["a", "b"]
    assert "extra" not in found.features and found.features["partner"].isna().all()
    frame.to_file(folder / "project_areas.gpkg")
    with pytest.raises(LayerError, match="several files"):
        load_layers(config)
    (folder / "project_areas.gpkg").unlink()
    frame.rename(columns={"project": "projet"}).to_file(folder / "project_areas.geojson")
    with pytest.raises(LayerError, match="lacks the column 'project'") as caught:
        load_layers(config)
    assert "projet, extra" in caught.value.next_step
    assert LayerError.exit_code == 48
    with pytest.raises(LayerError, match="no such folder"):
        load_layers(Config().with_keys(layers=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("since", "01/02/2020", "must be YYYY-MM-DD"), ("since", "2020-02-31", "YYYY-MM-DD"),
        ("title", "x" * 1001, "longer than 1,000"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_named(
    tmp_path: Path, column: str, value: str, cause: str
) -> None:
    with pytest.raises(LayerError, match=cause) as caught:
        layer(tmp_path, declare(), [box(5, 1, 1)] * 2, **{column: [None, value]})
    assert "feature 2" in caught.value.where and len(str(caught.value)) < 1000


def test_types(tmp_path: Path) -> None:
    kinds = {"n": "number", "w": "whole", "yes": "yes_no", "c": "choice"}
    columns = [
        {"name": f"{name}_col", "type": kind, "english": "e", "french": "f", "from": name,
         **({"choices": ["IRMA 50", "none"]} if kind == "choice" else {})}
        for name, kind in kinds.items()
    ]  # fmt: skip
    made = declare(columns=columns, along=[], public="none")
    good = {"n": ["1.5", None], "w": [3, 4], "yes": ["Oui", "no"], "c": ["irma 50", ""]}
    found = layer(tmp_path, made, [box(5, 1, 1)] * 2, **good).features
    assert found["n_col"].tolist()[0] == 1.5 and found["w_col"].tolist() == [3, 4]
    assert found["yes_col"].tolist() == [True, False]
    assert found["c_col"].tolist()[0] == "IRMA 50" and pd.isna(found["c_col"].iloc[1])
    for name, bad in {"n": "many", "w": 1.5, "yes": "perhaps", "c": "gold"}.items():
        with pytest.raises(LayerError, match=name):
            layer(tmp_path, made, [box(5, 1, 1)] * 2, **{**good, name: [None, bad]})


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("+1+1", "'+1+1"), ("@SUM(A1)", "'@SUM(A1)"),
        ("-2.5", "-2.5"), ("a\x00b\x1bc", "a b c"), ("\u202egpj.exe", "gpj.exe"),
        ("Mine d'Ékole", "Mine d'Ékole"), ("../../etc", "../../etc"), ("\t=1", "'=1"),
        ("a\u200fb\ufeff", "a b"), ("<script>x</script>", "<script>x</script>"),
    ],
)  # fmt: skip
def test_texts_lose_what_could_act_on_their_reader(text: str, plain: str) -> None:
    assert plain_text(text) == plain


def hostile_files(folder: Path) -> dict[str, Path]:
    """Return files that no honest holder of data would send."""
    good = gpd.GeoDataFrame({"title": ["a"]}, geometry=[box(5, 1, 1)], crs="EPSG:4326")
    files: dict[str, Path] = {}

    def path(name: str) -> Path:
        files[name] = folder / f"{name.replace(' ', '_')}.gpkg"
        return files[name]

    good.to_file(path("a view as a layer"))
    with sqlite3.connect(files["a view as a layer"]) as db:
        table = db.execute("SELECT table_name FROM gpkg_geometry_columns").fetchone()[0]
        db.execute(f"CREATE VIEW evil AS SELECT *, load_extension('x') FROM {table}")
        db.execute("UPDATE gpkg_geometry_columns SET table_name = 'evil'")
    good.to_file(path("a generated column"))
    with sqlite3.connect(files["a generated column"]) as db:
        table = db.execute("SELECT table_name FROM gpkg_geometry_columns").fetchone()[0]
        db.execute(f"ALTER TABLE {table} ADD COLUMN boom AS (zeroblob(900000000)) VIRTUAL")
    path("no file at all").write_bytes(os.urandom(3000))
    path("an empty file").write_bytes(b"")
    good.to_crs("EPSG:32631").set_crs("EPSG:4326", allow_override=True).to_file(
        path("metres called degrees")
    )
    good.set_geometry([shapely.Point(5, 1)]).to_file(path("points for areas"))
    mixed = pd.concat([good, good.set_geometry([shapely.LineString([(0, 0), (1, 1)])])])
    gpd.GeoDataFrame(mixed, crs="EPSG:4326").to_file(path("a line among areas"))
    gpd.GeoDataFrame({"title": ["a", "b"]}, geometry=[box(5, 1, 1), None], crs="EPSG:4326").to_file(
        path("a feature without a shape")
    )
    for name, vertex in {
        "infinity": "1e999",
        "off the globe": "999",
        "not a number": "NaN",
    }.items():
        files[name] = folder / f"{name.replace(' ', '_')}.geojson"
        files[name].write_text(
            '{"type": "Feature", "properties": {"title": "a"}, "geometry": {"type": "Polygon",'
            f' "coordinates": [[[0, 0], [1, 0], [{vertex}, 1], [0, 0]]]}}}}'
        )
    files["deep nesting"] = folder / "deep.geojson"
    files["deep nesting"].write_text('{"type":"Feature","geometry":' + "[" * 200_000)
    files["an unknown reference system"] = folder / "crs.geojson"
    files["an unknown reference system"].write_text(
        json.dumps(
            json.loads(good.to_json())
            | {"crs": {"type": "name", "properties": {"name": "EPSG:999999"}}}
        )
    )
    bomb = folder / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.geojson", b"\0" * 50_000_000)
    files["a zip bomb"] = bomb
    files["a bomb by another name"] = folder / "bomb.gpkg"
    files["a bomb by another name"].write_bytes(bomb.read_bytes())
    files["a driver's trick"] = folder / "vrt.shp"
    files["a driver's trick"].write_bytes(b"<OGRVRTDataSource/>")
    return files


def test_hostile_files_are_named_errors(tmp_path: Path) -> None:
    files = hostile_files(tmp_path)
    assert len(files) > 15
    for name, path in files.items():
        with pytest.raises((LayerError, InputFileError)) as caught:
            read_layer(declare(), path)
        assert str(path) in str(caught.value), name


def test_triggers_do_not_run_and_a_crossed_polygon_is_mended(tmp_path: Path) -> None:
    bow = shapely.Polygon([(5, 1), (6, 2), (6, 1), (5, 2)])
    path = tmp_path / "zones.gpkg"
    gpd.GeoDataFrame({"title": ["bow"]}, geometry=[bow], crs="EPSG:4326").to_file(path)
    with sqlite3.connect(path) as db:
        table = db.execute("SELECT table_name FROM gpkg_geometry_columns").fetchone()[0]
        db.execute("CREATE TABLE log (what TEXT)")
        db.execute(
            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN INSERT INTO log VALUES('x');END"
        )
    before = path.read_bytes()
    found = read_layer(declare(), path).features
    assert found.geometry.is_valid.all() and shapely.area(found.geometry).sum() == pytest.approx(
        0.5
    )
    assert path.read_bytes() == before


def cells_of(west: float, south: float) -> gpd.GeoDataFrame:
    """A block's cells with a number and their squares."""
    owner = int(grid.cell_of(west + 0.05, south + 0.05))
    cells = grid.block_of_cell(owner).cells().reshape(-1)
    squares = shapely.box(*grid.cell_bounds(cells))
    return gpd.GeoDataFrame({"cell": cells}, geometry=squares, crs=grid.CRS)


def test_every_row_comes_out_once_with_every_column(tmp_path: Path) -> None:
    cells = cells_of(5.0, 1.0)
    layers = [
        # Overlapping, and sharing a border through cell centres.
        layer(tmp_path, declare(), [box(5, 1, 0.06), box(5.05, 1, 0.06), box(5.0, 1.0, 0.2)],
              holder=["=1", "b", None]),
        layer(tmp_path, declare(REPORTS), [shapely.Point(5.05, 1.05)] * 3,
              since=["2021-12-31", "2021-01-01", None]),
        layer(tmp_path, declare(SCHEMES), [shapely.Point(5.01, 1.01)]),
    ]  # fmt: skip
    sites = gpd.GeoDataFrame(
        {"pcode": list("abcde")},
        geometry=shapely.points([5.01, 5.05, 5.06, 9.0, 5.0], [1.01, 1.0, 1.03, 9.0, 1.2]),
        crs=grid.CRS,
    )
    outlines = gpd.GeoDataFrame({"rank": [1]}, geometry=[box(5.04, 1.0, 0.03)], crs=grid.CRS)
    for table in (cells, sites, outlines, sites.iloc[:0]):
        joined = attach_columns(table, layers, "2022-02-21")
        assert len(joined) == len(table)
        assert joined.index.equals(table.index)
        assert joined.geometry.equals(table.geometry)
        names = {one.declaration.name: one.declaration for one in layers}
        wanted = {
            f"{name}_{column}"
            for name, about in names.items()
            for column in (*about.along, JOINS[about.how].column)
        }
        assert not len(table) or wanted == set(joined.columns) - set(table.columns)
    joined = attach_columns(sites, layers, "2022-02-21")
    owners = joined["zones_title"].fillna("-").tolist()
    assert owners == ["zones 0", "zones 0", "zones 0", "-", "zones 2"]
    assert joined["zones_count"].tolist() == [2, 3, 3, 0, 1]
    assert joined["zones_holder"].tolist()[0] == "'=1"
    assert joined["reports_count"].tolist() == [0, 0, 1, 0, 0]
    assert joined["schemes_title"].fillna("-").tolist() == ["schemes 0", "-", "-", "-", "-"]
    assert joined["schemes_km"].tolist()[0] == 0 and joined["schemes_km"].isna().sum() == 4
    every = attach_columns(sites, [layers[1]], "")
    assert every["reports_count"].max() == 3
    assert attach_columns(outlines, layers, "2022-02-21")["zones_count"].tolist() == [3]


def test_the_public_knows_no_exact_place(tmp_path: Path) -> None:
    shapes = [box(5.0034, 1.0071, 0.2), box(5.5001, 1.5001, 0.0005)]
    reports = [shapely.Point(5.0512, 1.0523), shapely.Point(5.0999, 1.0001),
               shapely.Point(5.1, 1.05), shapely.Point(5.3, 1.3)]  # fmt: skip
    layers = [
        layer(tmp_path, declare(), shapes, holder=["a person", "b"]),
        layer(tmp_path, declare(REPORTS), reports,
              since=["2020-01-01", "2020-01-01", "2020-01-01", "2022-02-01"]),
        layer(tmp_path, declare(SCHEMES), [shapely.Point(5, 1)]),
    ]  # fmt: skip
    zones, counted = coarse_layers(layers, "2021-08-21")
    assert list(zones.features.columns) == ["title", "since", "geometry"]
    assert zones.declaration.along == ("title",)
    for one in (zones, counted):
        hundredths = shapely.get_coordinates(one.features.geometry) * 100
        np.testing.assert_allclose(hundredths, np.round(hundredths), atol=1e-9)
        assert one.features.is_valid.all()
    # An area smaller than a square is the square around it.
    assert zones.features.geometry.iloc[1].equals(shapely.box(5.5, 1.5, 5.51, 1.51))
    # Half-open blocks: 5.1 belongs to the next one; the young report to none.
    assert counted.features["count"].tolist() == [2, 1]
    assert counted.features.total_bounds.tolist() == pytest.approx([5.0, 1.0, 5.2, 1.1])
    joined = attach_columns(cells_of(5.0, 1.0), [zones, counted], "2021-12-31", public=True)
    assert set(joined["reports_count"]) == {2}
    assert set(attach_columns(cells_of(5.2, 1.0), [counted], public=True)["reports_count"]) == {0}
    assert "zones_holder" not in joined


def test_layers_without_public_dates_stay_out(tmp_path: Path) -> None:
    made = declare(date="since")
    young = layer(tmp_path, made, [box(5, 1, 1)] * 2, since=["2022-01-01", None])
    assert coarse_layers([young], "2021-08-21") == []
    assert len(coarse_layers([young], "2022-06-01")[0].features) == 1


def test_only_what_lies_around_a_region_is_kept(tmp_path: Path) -> None:
    near, far = shapely.Point(5.14, 1.05), shapely.Point(8, 1)
    found = layer(tmp_path, declare(REPORTS), [near, far])
    (kept,) = layers_near([found], (5.0, 1.0, 5.1, 1.1))
    assert kept.features.geometry.tolist() == [near]
    assert layers_near([found], (20, 1, 20.1, 1.1)) == []


def test_cells_in_an_industrial_mine(tmp_path: Path) -> None:
    cells = cells_of(5.0, 1.0)["cell"].to_numpy()
    mine = layer(tmp_path, declare(industrial=True), [box(5.0, 1.0, 0.0499)])
    plain = layer(tmp_path, declare(name="others"), [box(5.0, 1.0, 1)])
    inside = in_industrial(cells, [mine, plain])
    assert inside.sum() == 100
    lon, lat = grid.cell_centres(cells[inside])
    assert (lon < 5.05).all() and (lat < 1.05).all()
    assert not in_industrial(cells, [plain]).any()


REAL = {
    "mining_titles": ("mining_titles_drc/titles_2016.geojson", 2973),
    "zones": ("mining_polygons/guinea_2024.geojson", 2411),
    "detections": ("africa_mining_watch/detection_points.csv", 12874),
    "affected": ("africa_mining_watch/detections_affected_areas.geojson", 994),
}


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
def test_real_layers_and_real_sites(tmp_path: Path) -> None:
    from pipeline.sites.join import site_points
    from pipeline.sites.visits import all_sites, read_visits

    data = Path(os.environ["ASM_ATLAS_TEST_DATA"])

    def text(name: str) -> dict[str, Any]:
        return {"name": name, "type": "text", "english": name, "french": name}

    titles = [text("type"), text("statut"), {**text("title"), "from": "name", "required": True}]
    declared = {
        "mining_titles": declare(name="mining_titles", columns=titles, along=["title", "type"],
                                 public="none", id="title"),
        "zones": declare(columns=[], along=[], public="none"),
        "detections": declare(SCHEMES, name="detections", along=["det_id"], distance_km=2.0,
                              columns=[text("det_id")]),
        "affected": declare(name="affected", columns=[text("iso3")], along=["iso3"],
                            public="none"),
    }  # fmt: skip
    layers = []
    for name, (file, count) in REAL.items():
        found = read_layer(declared[name], data / file)
        assert len(found.features) == count and found.features.is_valid.all()
        layers.append(found)
    sites = site_points(all_sites(read_visits(data / "ipis" / "visits.csv")))
    shapefiles = {
        "parks": ("cod_conservation.zip", "Conservation/RDC_aire_protegee_2013.shp", "NOM_AP", 50),
        "countries": (
            "ne_110m_admin_0_countries.zip",
            "ne_110m_admin_0_countries.shp",
            "name",
            177,
        ),
    }
    for name, (archive, file, column, count) in shapefiles.items():
        zipfile.ZipFile(data / "boundaries" / archive).extractall(tmp_path)
        about = declare(name=name, columns=[text(column.lower()) | {"from": column}],
                        along=[column.lower()], public="none")  # fmt: skip
        layers.append(read_layer(about, tmp_path / file))
        assert len(layers[-1].features) == count
    joined = attach_columns(sites, layers)
    # Coarse outlines of countries put a few of the sites at the eastern border on its other side.
    assert (joined["countries_name"] == "Dem. Rep. Congo").mean() > 0.98
    # What another tool says of the same polygons.
    parks = gpd.sjoin(sites[["pcode", "geometry"]], layers[-2].features)
    assert (joined["parks_count"] > 0).sum() == parks["pcode"].nunique() == 167
    # One of the parks has no name.
    assert joined["parks_nom_ap"].notna().sum() == 164
    assert len(joined) == 3409 and joined["pcode"].is_unique
    assert joined["pcode"].tolist() == sites["pcode"].tolist()
    # The dictionary's count, by great circle to the points.
    assert abs(int(joined["detections_km"].notna().sum()) - 871) <= 5
    held = joined["mining_titles_title"].notna()
    assert (held == (joined["mining_titles_count"] > 0)).all() and 500 < held.sum() < 3409
