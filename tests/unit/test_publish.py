"""What lands in the run's folder: whole, agreeing with itself, and marked for what it is."""

import hashlib
import io
import json
import os
import re
import sqlite3
import xml.etree.ElementTree as ElementTree
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pystac
import pytest
import rasterio
import shapely
from sample_map import make_joined, make_run

from pipeline.errors import DisclosureError, StoreCorruptError
from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.map import disclosure
from pipeline.map import folder as map_folder
from pipeline.map.files import geopackage, qgis
from pipeline.map.files.crate import CRATE
from pipeline.map.manifest import record_file
from pipeline.runtime import atomic
from pipeline.sites.join import join_cells
from pipeline.sites.visits import read_visits

FILES = {
    "map.gpkg", "map.qgz", "probability.tif", "coverage.tif", "item.json", "manifest.json",
    "ro-crate-metadata.json",
    "inspection.csv", "inspection.geojson", "inspection.gpx", "inspection.gpkg", "inspection.qgz",
}  # fmt: skip


@pytest.fixture(scope="module")
def joined():
    return make_joined(rows=24, cols=32)


@pytest.fixture(scope="module", params=["public", "restricted"])
def made(request, joined, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "demo"
    run = make_run(disclosure=request.param)
    return folder, run, map_folder.publish(joined, run, folder)


def test_nothing_else_is_left(made):
    folder, _, _ = made
    # GDAL 3.12 lays a .aux.xml beside a GeoPackage that another test has read.
    assert {path.name for path in folder.iterdir() if path.suffix != ".xml"} == FILES
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_manifest_names_every_file_by_its_hash(made):
    folder, run, counts = made
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == FILES - {"manifest.json", "ro-crate-metadata.json"}
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert manifest["disclosure"] == run.config.map.disclosure and manifest["simulated"] is True
    assert manifest["counts"]["cells"] == counts["cells"]
    assert [scene["offset"] for scene in manifest["scenes"]] == [0, 0, 0, -1000, -1000]
    visits, titles = manifest["tables"]
    assert visits["fetched"].startswith("2022-11-01") and len(titles["sha256"]) == 64
    # Where a table of sites lies is for those who may see it.
    assert ("service" in visits) == (run.config.map.disclosure == "restricted")


def test_the_page_lists_what_the_manifest_holds(made):
    page = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
    (part,) = re.findall(r"^## Run: .*?(?=^## )", page, re.M | re.S)
    manifest = json.loads((made[0] / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest) == re.findall(r"^\| (\w+) \|", part, re.M)[1:]


def test_the_crate_tells_what_the_manifest_tells(made):
    folder, _, _ = made
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    record = json.loads((folder / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    found = {entity["@id"]: entity for entity in record["@graph"]}
    assert len(found) == len(record["@graph"]), "no name twice"
    assert found["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    for entity in record["@graph"]:
        for value in entity.values():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict) and not part["@id"].startswith("https://"):
                    assert part["@id"] in found, "what is pointed at is there"
    for name, digest in manifest["files"].items():
        assert found[name]["sha256"] == digest["sha256"]
    parts = {part["@id"] for part in found["./"]["hasPart"]}
    assert parts == {*manifest["files"], "manifest.json"}
    assert {part["@id"] for part in found["#run"]["result"]} == parts
    scenes = [e for e in record["@graph"] if e["@id"].startswith("#scene-")]
    assert [(e["name"], e["version"]) for e in scenes] == [
        (scene["id"], scene["processing_baseline"]) for scene in manifest["scenes"]
    ]
    assert found["#table-visits"]["sha256"] == manifest["tables"][0]["sha256"]
    assert {"@id": "#table-visits"} in found["#run"]["object"]
    assert found["#asm-atlas"]["version"] == manifest["code_commit"]
    assert found["./"]["description"].count("SIMUL") == 2


def test_a_file_that_comes_later_is_in_both_records(made):
    folder, _, _ = made
    before = {name: (folder / name).read_bytes() for name in ("manifest.json", CRATE)}
    try:
        (folder / "inspection.pdf").write_bytes(b"%PDF-1.7")
        record_file(folder, folder / "inspection.pdf")
        for name in before:
            assert "inspection.pdf" in (folder / name).read_text(encoding="utf-8")
    finally:
        (folder / "inspection.pdf").unlink()
        for name, content in before.items():
            (folder / name).write_bytes(content)


def test_counts_are_those_of_the_layers(made):
    folder, _, counts = made
    found = pyogrio.read_dataframe(folder / "map.gpkg", layer="candidates")["kind"].value_counts()
    assert counts["candidates"] == found["candidate"]
    assert counts["drawn_at_random"] == found["random"]
    for layer in ("cells", "sites", "coverage"):
        assert counts[layer] == pyogrio.read_info(folder / "map.gpkg", layer=layer)["features"]
    kinds = ("likely", "possible", "unlikely", "cannot_tell")
    assert sum(counts[kind] for kind in kinds) == counts["cells"]


def test_raster_and_cells_agree_cell_for_cell(made):
    folder, _, _ = made
    cells = pyogrio.read_dataframe(folder / "map.gpkg", layer="cells")
    centres = cells.geometry.representative_point()
    with rasterio.open(folder / "probability.tif") as source:
        assert source.crs == grid.CRS and source.dtypes == ("float32",) and np.isnan(source.nodata)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert "SIMULATED" in source.descriptions[0] and source.tags()["SIMULATED"] == "yes"
        image = source.read(1)
        rows, cols = rasterio.transform.rowcol(source.transform, centres.x, centres.y)
    np.testing.assert_array_equal(image[rows, cols], cells["probability"].to_numpy(np.float32))
    assert np.isfinite(image).sum() == cells["probability"].notna().sum()


def test_the_coverage_raster_and_its_layer_agree_cell_for_cell(made):
    folder, run, _ = made
    strips = pyogrio.read_dataframe(folder / "map.gpkg", layer="coverage")
    cells = pyogrio.read_dataframe(folder / "map.gpkg", layer="cells")
    centres = cells.geometry.representative_point()
    with (
        rasterio.open(folder / "coverage.tif") as source,
        rasterio.open(folder / "probability.tif") as score,
    ):
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and source.nodata == -1
        assert source.tags()["DISCLOSURE"] == run.config.map.disclosure
        assert (source.transform, source.shape) == (score.transform, score.shape)
        looks, unknown = source.read()
        rows, cols = rasterio.transform.rowcol(source.transform, centres.x, centres.y)
    tree = shapely.STRtree(strips.geometry.to_numpy())
    at, strip = tree.query(centres.to_numpy(), predicate="within")
    assert at.tolist() == list(range(len(cells)))
    np.testing.assert_array_equal(looks[rows, cols], strips["clear_observations"].iloc[strip])
    np.testing.assert_array_equal(unknown[rows, cols], strips["cannot_tell"].iloc[strip])
    np.testing.assert_array_equal(unknown[rows, cols] == 1, cells["class"] == "cannot_tell")
    assert (looks >= 0).sum() == len(cells)


def test_the_item_is_a_stac_item_of_the_run(made):
    folder, run, _ = made
    item = pystac.Item.from_file(str(folder / "item.json"))
    assert item.id == run.run_id and item.bbox == [5.8, 2.18, 5.96, 2.3]
    assert item.properties["asm:simulated"] is True
    assert item.properties["asm:disclosure"] == run.config.map.disclosure
    assert item.properties["start_datetime"].startswith("2021-12-03")
    assert "not evidence of illegality" in item.properties["description"]
    for asset in item.assets.values():
        content = (folder / asset.href).read_bytes()
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_the_project_beside_and_the_one_inside_are_the_same(made):
    folder, _, _ = made
    with closing(sqlite3.connect(folder / "map.gpkg")) as base:
        (inside,) = base.execute("SELECT content FROM qgis_projects").fetchone()
    beside = (folder / "map.qgz").read_bytes()
    assert bytes.fromhex(inside) == beside
    with zipfile.ZipFile(io.BytesIO(beside)) as archive:
        assert archive.namelist() == ["map.qgs"]
        tree = ElementTree.fromstring(archive.read("map.qgs").split(b"\n", 1)[1])
    assert "SIMULATED" in tree.findtext("title")
    layers = list(tree.iter("maplayer"))
    assert {one.findtext("datasource").split("=")[1] for one in layers} == {
        "sites", "candidates", "cells", "coverage", "provenance", "matching",
    }  # fmt: skip
    assert all(one.findtext("datasource").startswith("./map.gpkg|") for one in layers)
    assert all(len(one.findtext("id")) > 10 for one in layers)


def test_every_layer_and_file_says_simulated_and_which_edition(made):
    folder, run, _ = made
    edition = "Public" if run.config.map.disclosure == "public" else "RESTRICTED"
    for name, _ in pyogrio.list_layers(folder / "map.gpkg"):
        if name != "layer_styles":
            table = pyogrio.read_dataframe(folder / "map.gpkg", layer=name)
            assert table["simulated"].all(), name
    metadata = pyogrio.read_info(folder / "map.gpkg", layer="cells")["dataset_metadata"]
    assert metadata["SIMULATED"] == "yes" and edition in metadata["DISCLAIMER"]
    assert "not evidence of illegality" in metadata["DISCLAIMER"]
    assert "ne prouve aucune illégalité" in metadata["DISCLAIMER"]


def test_no_path_and_no_secret_is_in_the_public_product(joined, tmp_path):
    map_folder.publish(joined, make_run(), tmp_path / "a")
    for path in (tmp_path / "a").iterdir():
        content = path.read_bytes()
        for secret in (b"/home/someone", b"token=secret", b"PMH", b"armed", b"childunder"):
            assert secret not in content, (path.name, secret)


def test_the_same_run_writes_the_same_bytes(joined, tmp_path):
    for name in ("a", "b"):
        map_folder.publish(joined, make_run(), tmp_path / name)
    for name in sorted(FILES):
        same = (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert same, name


def test_publishing_again_replaces_the_map_and_drops_the_old_page(joined, tmp_path):
    folder = tmp_path / "a"
    map_folder.publish(joined, make_run(disclosure="restricted"), folder)
    (folder / "report.html").write_text("of the restricted map")
    left = tmp_path / f".a.{atomic.mark().replace(str(os.getpid()), '4194305')}"
    left.mkdir()
    (left / "left.over").write_text("by a run that was killed")
    map_folder.publish(joined, make_run(), folder)
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("broken", ["write_probability", "write_layers"])
def test_a_failure_leaves_the_earlier_map_and_nothing_half_written(
    joined, tmp_path, monkeypatch, broken
):
    folder = tmp_path / "a"
    map_folder.publish(joined, make_run(), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(path, *_args, **_kwargs):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    owner = map_folder.raster if broken == "write_probability" else geopackage
    monkeypatch.setattr(owner, broken, fail)
    with pytest.raises(OSError, match="No space"):
        map_folder.publish(joined, make_run(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_denied_column_that_slips_through_is_caught_and_removed(joined, tmp_path, monkeypatch):
    real = disclosure.disclose

    def careless(joined, run, policy):
        product = real(joined, run, policy)
        layers = dict(product.layers, sites=product.layers["sites"].assign(workers_numb=3))
        return replace(product, layers=layers)

    monkeypatch.setattr(map_folder.rules, "disclose", careless)
    with pytest.raises(DisclosureError, match="workers_numb"):
        map_folder.publish(joined, make_run(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", ["cells", "sites", "candidates"])
def test_a_geometry_that_slips_through_is_caught_and_removed(joined, tmp_path, monkeypatch, layer):
    real = disclosure.disclose

    def careless(joined, run, policy):
        product = real(joined, run, policy)
        moved = product.layers[layer].copy()
        moved.geometry = [shapely.transform(g, lambda xy: xy + 0.005) for g in moved.geometry]
        return replace(product, layers=dict(product.layers, **{layer: moved}))

    monkeypatch.setattr(map_folder.rules, "disclose", careless)
    with pytest.raises(DisclosureError, match="finer"):
        map_folder.publish(joined, make_run(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_lost_rows_are_noticed(joined, tmp_path, monkeypatch):
    real = geopackage.read_back
    monkeypatch.setattr(
        map_folder.geopackage, "read_back", lambda p: {k: v.iloc[1:] for k, v in real(p).items()}
    )
    with pytest.raises(StoreCorruptError, match="lost"):
        map_folder.publish(joined, make_run(), tmp_path / "a")


@pytest.mark.parametrize("thresholds", [{}, {"possible": 0.6, "likely": 0.2}, {"possible": "x"}])
def test_a_model_without_usable_thresholds_is_refused(joined, tmp_path, thresholds):
    run = make_run()
    run = replace(run, model=replace(run.model, thresholds=thresholds))
    with pytest.raises(StoreCorruptError, match="thresholds"):
        map_folder.publish(joined, run, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("thresholds", [(0.0, 0.4), (0.3, 0.3), (0.5, 1.0), (0.0312, 0.0313)])
def test_thresholds_at_the_edge_still_make_a_map(joined, tmp_path, thresholds):
    run = make_run()
    cuts = dict(zip(("possible", "likely"), thresholds, strict=True))
    run = replace(run, model=replace(run.model, thresholds=cuts))
    counts = map_folder.publish(joined, run, tmp_path / "a")
    assert counts["cells"] > 0
    assert (tmp_path / "a" / "map.gpkg").is_file()


def test_no_candidates_and_no_sites_still_make_a_map(joined, tmp_path):
    bare = replace(joined, sites=None, candidates=joined.candidates.head(0))
    counts = map_folder.publish(bare, make_run(), tmp_path / "a")
    assert counts["candidates"] == 0 and "sites" not in counts
    counts = map_folder.publish(
        replace(bare, sites=joined.sites.head(0)), make_run(), tmp_path / "b"
    )
    assert counts["sites"] == 0


def test_hostile_titles_stay_text_in_the_project(joined):
    run = make_run()
    title = "\x00</title><x/>&\"'\ufffe]]> ${1+1}"
    run = replace(run, region=replace(run.region, title=title))
    product = disclosure.disclose(joined, run)
    content = qgis.project(product, [], run, "map.gpkg")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        tree = ElementTree.fromstring(archive.read("map.qgs").split(b"\n", 1)[1])
    assert tree.findtext("title").startswith("</title><x/>&\"']]> ${1+1}")


def test_numbers_that_json_cannot_hold_become_null(joined, tmp_path):
    run = make_run()
    pooled = replace(run.model.scores.pooled, auc=float("nan"), n=np.int64(3))
    model = replace(run.model, scores=replace(run.model.scores, pooled=pooled))
    map_folder.publish(joined, replace(run, model=model), tmp_path / "a")
    text = (tmp_path / "a" / "manifest.json").read_text(encoding="utf-8")
    told = json.loads(text, parse_constant=pytest.fail)["model"]["scores"]["pooled"]
    assert (told["auc"], told["n"]) == (None, 3)


@pytest.mark.parametrize("edition", ["public", "restricted"])
def test_real_visits_go_through_the_real_join(tmp_path, edition):
    data = os.environ.get("ASM_ATLAS_TEST_DATA")
    if not data:
        pytest.skip("ASM_ATLAS_TEST_DATA does not name the folder of real data")
    region = Region("kivu", "South Kivu", shapely.box(28.3, -3.4, 28.8, -2.9))
    cells = make_joined(west=28.3, north=-2.9, rows=100, cols=100).cells
    predictions = cells.drop(columns=["class", "sites", "nearest_site_km"])
    visits = read_visits(Path(data) / "ipis" / "visits.csv")
    joined = join_cells(predictions, visits, region, make_run().model.thresholds)
    assert len(joined.sites) > 20
    run = replace(make_run(disclosure=edition), region=region, created="2024-06-01T00:00:00Z")
    counts = map_folder.publish(joined, run, tmp_path / "a")
    assert counts["sites"] == len(joined.sites)
    written = pyogrio.read_dataframe(tmp_path / "a" / "map.gpkg", layer="sites")
    assert written["name"].tolist() == joined.sites["name"].tolist()
    assert ("armed_group1" in written) == (edition == "restricted")
    assert ("latitude" in written) == (edition == "restricted")
