"""The checker reads what was published as a stranger would, and refuses what it should."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from sample_known import HELD, SECRET, make_known
from sample_map import make_joined, make_run

from models.manifest import Manifest
from pipeline.errors import DisclosureError, StoreCorruptError
from pipeline.map import column_rules
from pipeline.map import folder as map_folder
from pipeline.map.check import check_folder
from pipeline.map.page.packed import unpack_column, unpack_numbers
from pipeline.map.page.report import write_report

EXACT = 5.9137241


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("public") / "run"
    joined = make_joined(rows=24, cols=32)
    map_folder.publish(joined, make_run(), made)
    write_report(joined, make_run(), made)
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def check(folder: Path, edition: str = "public") -> set[str]:
    return set(check_folder(folder, edition, column_rules.load_policy()))


def sql(statement: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "map.gpkg")) as base, base:
            # The file's own triggers call functions that only GDAL has.
            base.create_function("ST_IsEmpty", 1, lambda _: 0)
            for name in ("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
                base.create_function(name, 1, lambda _: 6.0)
            base.execute(statement)

    return change


def change_project(folder: Path) -> None:
    with zipfile.ZipFile(folder / "map.qgz") as archive:
        text = archive.read("map.qgs").decode()
    at = text.index('field="')
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("map.qgs", text[:at] + 'field="workers_numb" other="' + text[at + 7 :])
    (folder / "map.qgz").write_bytes(content.getvalue())


def change_json(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return write


def change_page(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        page = folder / "report.html"
        head, mid, tail = page.read_text().partition('id="data">')
        text, end, rest = tail.partition("</script>")
        value = json.loads(text)
        change(value)
        page.write_text(head + mid + json.dumps(value).replace("<", "\\u003c") + end + rest)

    return write


def finer_raster(folder: Path) -> None:
    with rasterio.open(folder / "probability.tif") as source:
        profile = source.profile | {"driver": "GTiff"}
    profile["transform"] = rasterio.transform.from_origin(5.8, 2.3, 0.005, 0.005)
    with rasterio.open(folder / "probability.tif", "w", **profile):
        pass


def tagged(folder: Path) -> None:
    with rasterio.open(folder / "probability.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as source:
        source.update_tags(workers_numb="300")


def text_file(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None  # type: ignore[func-returns-value]


DENIED: dict[str, Callable[[Path], None]] = {
    "column in a layer": sql("ALTER TABLE cells ADD COLUMN workers_numb INTEGER"),
    "name of a column": sql(
        "INSERT INTO gpkg_data_columns VALUES ('cells', 'armed_group1', 'a', 'a', '', NULL, NULL)"
    ),
    "place in a column": sql("UPDATE candidates SET longitude = 5.9137241"),
    "style in the file": sql(
        "UPDATE layer_styles SET styleQML = styleQML || '<x field=\"childunder15\"/>'"
        " WHERE f_table_name = 'sites'"
    ),
    "expression of a style": sql(
        "UPDATE layer_styles SET styleQML = styleQML || '<x f=\"&quot;workers_numb&quot;\"/>'"
    ),
    "table that nobody knows": sql("CREATE TABLE visits_copy AS SELECT * FROM sites"),
    "view": sql("CREATE VIEW more AS SELECT * FROM sites"),
    "project": change_project,
    "box of the item": change_json("item.json", lambda v: v.update(bbox=[EXACT, 2, 6, 2.3])),
    "outline of the item": change_json(
        "item.json", lambda v: v["geometry"].update(coordinates=[[[EXACT, 2.0], [6, 2], [6, 3]]])
    ),
    "setting in the manifest": change_json(
        "manifest.json", lambda v: v["configuration"].update(labels="/home/someone")
    ),
    "model in the manifest": change_json("manifest.json", lambda v: v["model"].update(ground={})),
    "scene in the manifest": change_json(
        "manifest.json", lambda v: v["scenes"][0].update(href="x")
    ),
    "column on the page": change_page(
        lambda v: v["layers"][1]["columns"].append(
            v["layers"][1]["columns"][0] | {"name": "armed_group1"}
        )
    ),
    "place on the page": change_page(
        lambda v: v["layers"][0]["shapes"].update(digits=5, data=_packed([1, 1, 591372, 200000]))
    ),
    "squares of the page": change_page(lambda v: v["squares"].update(per_degree=200)),
    "raster": finer_raster,
    "tag of the raster": tagged,
    "column of a table": text_file("sites.csv", "pcode,village\nx,y\n"),
    "place in a table": text_file("candidates.csv", "rank,longitude,latitude\n1,5.91372,2.0\n"),
    "place in GeoJSON": text_file(
        "candidates.geojson",
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"rank":1},'
        '"geometry":{"type":"Point","coordinates":[5.91372,2.0]}}]}',
    ),
    "place in GPX": text_file("candidates.gpx", '<gpx><wpt lat="2.0" lon="5.91372"/></gpx>'),
    "file of another kind": text_file("chip.png", "x"),
    "link": lambda folder: (folder / "more.json").symlink_to("/etc/hostname"),
}


def _packed(numbers: list[int]) -> str:
    from pipeline.map.page.packed import pack_numbers

    return pack_numbers(numbers)


def test_what_was_published_passes(folder: Path) -> None:
    assert {"cells", "candidates", "sites", "coverage", "provenance"} <= check(folder)


@pytest.mark.parametrize("what", DENIED)
def test_what_is_denied_is_found_wherever_it_is(copy: Path, what: str) -> None:
    DENIED[what](copy)
    with pytest.raises(DisclosureError):
        check(copy)


@pytest.mark.parametrize("name", ["map.gpkg", "map.qgz", "item.json", "report.html"])
def test_a_file_that_is_not_whole_is_noticed(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises((StoreCorruptError, sqlite3.DatabaseError)):
        check(copy)


@pytest.mark.parametrize(
    "markup",
    ["<script>alert(1)</script>", "<p onclick='x()'>", "<img src='https://example.org/x.png'>",
     "<iframe></iframe>", "<p style='color: red'>"],
)  # fmt: skip
def test_a_page_that_runs_or_loads_more_is_refused(copy: Path, markup: str) -> None:
    page = copy / "report.html"
    page.write_text(page.read_text().replace("</main>", f"{markup}</main>"))
    with pytest.raises(StoreCorruptError, match="not as it was made"):
        check(copy)


def searched(folder: Path) -> dict[str, bytes]:
    """Every byte of every file, packed ones unpacked too."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    with zipfile.ZipFile(folder / "map.qgz") as archive:
        found["map.qgz, unpacked"] = archive.read("map.qgs")
    with closing(sqlite3.connect(folder / "map.gpkg")) as base:
        found["project, unpacked"] = (
            base.execute("SELECT content FROM qgis_projects").fetchone()[0].encode()
        )
    with rasterio.open(folder / "probability.tif") as source:
        found["raster, unpacked"] = source.read(1).astype("<f8").tobytes()
    data = json.loads(
        found["report.html"].decode().partition('id="data">')[2].partition("</script>")[0]
    )
    for layer in (data["cells"], *data["layers"]):
        for column in layer["columns"]:
            found[f"page, {layer['name']}.{column['name']}"] = json.dumps(
                unpack_column(column)
            ).encode()
        if "shapes" in layer:
            found[f"page, {layer['name']}"] = (
                unpack_numbers(layer["shapes"]["data"]).astype("<f8").tobytes()
            )
    return found


def test_denied_values_planted_upstream_are_in_no_byte_of_the_public_product(
    tmp_path: Path,
) -> None:
    """A marked name and an exact place, put wherever the program keeps anything."""
    name, lon, lat = "Kwibuka-Planted-Name", 5.9137241, 2.1384629
    joined = make_known(tmp_path)
    sites: Any = joined.sites
    plain = {c: name for c in sites.columns if c not in column_rules.load_policy()["sites"]}
    hidden = [
        c for c, rule in column_rules.load_policy()["sites"].items() if rule.disclosure != "public"
    ]
    for column in hidden:
        if column in sites and not pd.api.types.is_numeric_dtype(sites[column]):
            plain[column] = name
    for column in ("geometry", "visit_date"):
        plain.pop(column, None)
    places = sites.geometry.to_numpy(copy=True)
    places[0] = shapely.Point(lon, lat)
    planted = sites.assign(**plain, planted=name, planted_lon=lon).set_geometry(
        np.asarray(places), crs=sites.crs
    )
    run = make_run()
    run = replace(
        run,
        model=Manifest.from_record(
            run.model.record
            | {"ground": {"description": name, "squares": [[lon, lat]]}, "note": name}
        ),
        scenes=[scene | {"href": name, "bbox": [lon, lat]} for scene in run.scenes],
        config=run.config.with_keys(labels=f"/home/{name}", region=f"bbox:{lon},{lat},6,3",
                       hosts=name, workspace=f"/home/{name}", cluster=name, searched=name),
    )  # fmt: skip
    planted_run = replace(
        joined,
        sites=planted,
        cells=joined.cells.assign(planted=name, labels=name, planted_lon=lon),
        candidates=joined.candidates.assign(planted=name, planted_lat=lat),
        visits=joined.visits.assign(planted=name),  # type: ignore[union-attr]
        answers=joined.answers.assign(planted=name),  # type: ignore[union-attr]
    )
    map_folder.publish(planted_run, run, tmp_path / "run")
    write_report(planted_run, run, tmp_path / "run")
    secrets = [name, SECRET, HELD, str(lon), str(lat)]
    marks = [s.encode() for s in secrets] + [s.encode("utf-16-le") for s in secrets]
    marks += [np.float64(v).tobytes() for v in (lon, lat)]
    marks += [np.float64(v).astype(">f8").tobytes() for v in (lon, lat)]
    marks += [np.int32(round(v * 1e5)).tobytes() for v in (lon, lat)]
    marks += [name.encode().hex().encode()]
    files = searched(tmp_path / "run")
    assert len(files) > 20
    for where, content in files.items():
        for mark in marks:
            assert mark not in content, (where, mark)
    # The search finds what is there: the same in the restricted product.
    restricted = replace(run, config=run.config.with_keys(disclosure="restricted"))
    map_folder.publish(planted_run, restricted, tmp_path / "all")
    content = (tmp_path / "all" / "map.gpkg").read_bytes()
    for mark in (name.encode(), SECRET.encode(), np.float64(lon).tobytes()):
        assert mark in content


def test_zlib_is_what_the_page_inflates() -> None:
    # The browser's "deflate" is zlib's format (RFC 1950), not the raw one.
    assert zlib.decompress(__import__("base64").b64decode(_packed([7]))) == b"\x07\0\0\0"
