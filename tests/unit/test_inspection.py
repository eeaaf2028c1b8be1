"""The inspection list: what is in it, what cannot run, and the way back to labels."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import shapely
from sample_map import make_joined, make_run

from pipeline.errors import DisclosureError, LabelsError, StoreCorruptError
from pipeline.geo.regions import Region
from pipeline.map import folder as map_folder
from pipeline.map.files import inspection
from pipeline.sites.labels.inspections import label_inspections

GPX = "{http://www.topografix.com/GPX/1/1}"
DEMO = Region("demo", "Demo", shapely.box(5.8, 2.0, 6.2, 2.3), simulated=True)
ICGLR = {
    "icglrId", "addressCountry", "nationalId", "certificationStatus", "activityStatus", "mineral",
}  # fmt: skip


@pytest.fixture(scope="module", params=["public", "restricted"])
def made(request, tmp_path_factory):
    joined = make_joined()
    folder = tmp_path_factory.mktemp("run") / "demo"
    map_folder.publish(joined, make_run(disclosure=request.param), folder)
    return folder, request.param, joined


def rows_of(folder):
    with (folder / "inspection.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_form_holds_the_same_places(made):
    folder, edition, joined = made
    rows = rows_of(folder)
    assert len(rows) == len(joined.candidates)
    places = [(float(row["longitude"]), float(row["latitude"])) for row in rows]
    collection = json.loads((folder / "inspection.geojson").read_text(encoding="utf-8"))
    assert [tuple(f["geometry"]["coordinates"]) for f in collection["features"]] == places
    form = pyogrio.read_dataframe(folder / "inspection.gpkg", layer="inspection")
    assert [(p.x, p.y) for p in form.geometry] == places
    marks = pyogrio.read_dataframe(folder / "inspection.gpx", layer="waypoints")
    assert [(p.x, p.y) for p in marks.geometry] == places
    digits = 2 if edition == "public" else 4
    assert np.allclose(places, np.round(places, digits))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert [row["kind"] for row in rows[-3:]] == ["random"] * 3
    if edition == "restricted":
        cells = joined.candidates.sort_values("rank").geometry
        assert all(shape.contains(shapely.Point(place))
                   for shape, place in zip(cells, places, strict=True))  # fmt: skip


def test_the_icglr_fields_are_there_and_empty(made):
    folder, edition, _ = made
    for row in rows_of(folder):
        assert set(row) >= ICGLR | {"label", "date", "note", "photo"} - {"note"}
        assert {row[name] for name in ICGLR} == {""}
        assert row["edition"] == edition
    assert ("inspector" in rows_of(folder)[0]) == (edition == "restricted")


def test_the_geojson_is_rfc_7946(made):
    folder, _, _ = made
    collection = json.loads(
        (folder / "inspection.geojson").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert collection["type"] == "FeatureCollection" and "crs" not in collection
    assert "not evidence of illegality" in collection["about"]
    for feature in collection["features"]:
        assert feature["type"] == "Feature" and feature["geometry"]["type"] == "Point"
        assert isinstance(feature["properties"], dict)
    assert str(pyogrio.read_info(folder / "inspection.geojson")["crs"]) == "EPSG:4326"


def test_the_gpx_keeps_the_order_of_its_schema(made):
    folder, _, _ = made
    root = ElementTree.parse(folder / "inspection.gpx").getroot()
    assert root.tag == f"{GPX}gpx" and root.attrib == {"version": "1.1", "creator": "asm-atlas"}
    assert root[0].tag == f"{GPX}metadata"
    assert [child.tag for child in root[0]] == [f"{GPX}{n}" for n in ("name", "desc", "time")]
    for mark in root[1:]:
        names = [child.tag.removeprefix(GPX) for child in mark]
        assert mark.tag == f"{GPX}wpt" and names == ["name", "cmt", "desc", "sym", "type"]
        assert -90 <= float(mark.attrib["lat"]) <= 90
        assert -180 <= float(mark.attrib["lon"]) < 180
    assert root[1].findtext(f"{GPX}name") == "C001"
    assert root[-1].findtext(f"{GPX}sym") == "Flag, Blue"


def test_texts_that_would_run_stay_texts(tmp_path):
    joined = make_joined()
    product = map_folder.rules.disclose(joined, make_run())
    evil = ["=1+1", "+2", "-2+3", "@SUM(A1)", "\t=1", "<x>&\"']]>\x00\u202e"]
    layer = product.layers["candidates"].head(len(evil)).assign(reasons_en=evil, reasons_fr=evil)
    points = inspection.inspection_points(layer, "public")
    about = {"title": "=T<x>", "words": "&", "edition": "public", "run": "r",
             "created": "2022-11-05T10:00:00Z", "simulated": "yes"}  # fmt: skip
    policy = map_folder.rules.policy_of(joined)
    inspection.write_inspection(tmp_path, points, about, policy, "en")
    with (tmp_path / "inspection.csv").open(encoding="utf-8", newline="") as stream:
        told = [row["reasons_en"] for row in csv.DictReader(stream)]
    assert told[:5] == ["'=1+1", "+2", "'-2+3", "'@SUM(A1)", "'=1"]
    assert not any(sign in told[5] for sign in "\x00\u202e")
    root = ElementTree.parse(tmp_path / "inspection.gpx").getroot()
    assert root[0].findtext(f"{GPX}name") == "=T<x>"
    assert root[6].findtext(f"{GPX}desc").startswith("<x>&\"']]>")


def filled(folder, labels):
    """The form with labels, as another program would store it."""
    form = pyogrio.read_dataframe(folder / "inspection.gpkg", layer="inspection")
    form["label"] = form["rank"].map(labels)
    form["date"] = "2022-01-15"
    pyogrio.write_dataframe(form, folder.parent / "filled.gpkg", layer="inspection")
    return folder.parent / "filled.gpkg"


def test_what_is_filled_in_becomes_labels(made):
    folder, edition, joined = made
    path = filled(folder, {1: "mine", 2: "no mine", 3: "look-alike", 4: "cannot tell"})
    if edition == "public":
        with pytest.raises(LabelsError, match=r"3 of the labelled points .* rounded"):
            label_inspections(path, DEMO, "2021-12..2022-02")
        return
    labels = label_inspections(path, DEMO, "2021-12..2022-02")
    ranked = joined.candidates.set_index("rank")["cell"]
    rows = labels.rows.set_index("cell")
    assert rows.loc[ranked[1], "label"] == 1
    assert rows.loc[ranked[2], "label"] == 0 and rows.loc[ranked[2], "what"] == "inspection"
    assert rows.loc[ranked[3], "what"] == "look-alike"
    assert len(rows) == 3
    assert labels.left_out["inspected_unsure"] == len(ranked) - 3


def test_no_candidates_still_make_a_list(tmp_path):
    joined = make_joined()
    bare = replace(joined, candidates=joined.candidates.head(0))
    map_folder.publish(bare, make_run(), tmp_path / "a")
    assert rows_of(tmp_path / "a") == []
    empty = json.loads((tmp_path / "a" / "inspection.geojson").read_text(encoding="utf-8"))
    assert empty["features"] == []


@pytest.mark.parametrize("fault", ["column", "place", "row"])
def test_a_careless_list_is_caught_and_nothing_stays(tmp_path, monkeypatch, fault):
    joined = make_joined()
    real = inspection.inspection_points

    def careless(candidates, edition):
        points = real(candidates, edition)
        if fault == "column":
            return points.assign(inspector="Somebody")
        if fault == "row":
            return points.iloc[1:]
        moved = points.assign(longitude=points["longitude"] + 0.0025)
        return moved.set_geometry(shapely.points(moved["longitude"], moved["latitude"]), crs=4326)

    monkeypatch.setattr(inspection, "inspection_points", careless)
    expected = StoreCorruptError if fault == "row" else DisclosureError
    with pytest.raises((expected, KeyError)):
        map_folder.publish(joined, make_run(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
