"""The GeoPackage is version 1.3, styled, named in two languages and sound inside."""

import sqlite3
import xml.etree.ElementTree as ElementTree
from contextlib import closing

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_map import HOSTILE, make_joined, make_run

from pipeline.errors import StoreCorruptError
from pipeline.map.files import geopackage
from pipeline.map.folder import publish


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "demo"
    publish(make_joined(rows=24, cols=32), make_run(disclosure="restricted", map_lang="fr"), folder)
    return folder / "map.gpkg"


def ask(path, question):
    with closing(sqlite3.connect(path)) as base:
        return base.execute(question).fetchall()


def test_it_is_version_1_3(package):
    assert ask(package, "PRAGMA user_version") == [(10300,)]
    assert ask(package, "PRAGMA application_id") == [(0x47504B47,)]
    assert ask(package, "PRAGMA integrity_check") == [("ok",)]
    assert ask(package, "PRAGMA foreign_key_check") == []


def test_every_table_is_registered(package):
    contents = dict(ask(package, "SELECT table_name, data_type FROM gpkg_contents"))
    assert contents == {
        "cells": "features", "candidates": "features", "sites": "features",
        "coverage": "features", "provenance": "attributes", "matching": "attributes",
        "layer_styles": "attributes",
    }  # fmt: skip
    kinds = dict(ask(package, "SELECT table_name, geometry_type_name FROM gpkg_geometry_columns"))
    assert kinds == {
        "cells": "POLYGON", "candidates": "MULTIPOLYGON", "sites": "POINT", "coverage": "POLYGON",
    }  # fmt: skip
    indexed = ask(
        package, "SELECT count(*) FROM gpkg_extensions WHERE extension_name LIKE '%rtree%'"
    )
    assert indexed == [(4,)]
    described = ask(package, "SELECT description FROM gpkg_contents WHERE data_type='features'")
    assert all("SIMUL" in text and "RESTREINT" in text for (text,) in described)


def test_names_of_columns_are_in_the_schema_extension(package):
    names = dict(
        ask(package, "SELECT column_name, title FROM gpkg_data_columns WHERE table_name='cells'")
    )
    assert names["probability"] == "Score du modèle"
    columns = {row[1] for row in ask(package, "PRAGMA table_info(cells)")} - {"fid", "geom"}
    assert set(names) == columns
    marked = dict(
        ask(
            package,
            "SELECT column_name, description FROM gpkg_data_columns WHERE table_name='sites'",
        )
    )
    assert marked["armed_group1"].startswith("RESTRICTED")
    assert not marked["name"].startswith("RESTRICTED")


def test_each_layer_has_a_default_style_that_names_what_exists(package):
    rows = ask(
        package, "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
    )
    tables = {"provenance", "matching"}
    assert {row[0] for row in rows} == {"cells", "candidates", "sites", "coverage"} | tables
    for table, geometry, default, qml in rows:
        assert default == 1
        assert geometry == ("" if table in tables else "geom")
        columns = {row[1] for row in ask(package, f'PRAGMA table_info("{table}")')}
        tree = ElementTree.fromstring(qml.split("\n", 1)[1])
        assert {alias.get("field") for alias in tree.iter("alias")} <= columns
        symbols = {symbol.get("name") for symbol in tree.find("renderer-v2/symbols") or []}
        assert {rule.get("symbol") for rule in tree.iter("rule")} == symbols


def test_missing_scores_are_null_and_hostile_names_are_text(package):
    cells = pyogrio.read_dataframe(package, layer="cells", columns=["probability", "class"])
    assert (cells["probability"].isna() == (cells["class"] == "cannot_tell")).all()
    nulls = ask(package, "SELECT count(*) FROM cells WHERE probability IS NULL")[0][0]
    assert nulls == cells["probability"].isna().sum() > 0
    assert HOSTILE in pyogrio.read_dataframe(package, layer="sites")["name"].tolist()


def test_reserved_names_get_out_of_the_way():
    names = geopackage.column_names(["FID", "geom", "Name", "name", "source_FID"])
    assert names["FID"] == "source_FID" and names["geom"] == "source_geom"
    lowered = [name.lower() for name in names.values()]
    assert len(set(lowered)) == 5 and {"fid", "geom"}.isdisjoint(lowered)


def test_columns_that_mix_kinds_are_written_as_text(tmp_path):
    frame = gpd.GeoDataFrame(
        {
            "mixed": [1, "two", None],
            "day": pd.to_datetime(["2020-05-01", None, "2021-01-01"]),
        },
        geometry=shapely.points([0, 1, 2], [0, 1, 2]),
        crs="EPSG:4326",
    )
    path = tmp_path / "a.gpkg"
    created = "2022-11-05T10:00:00Z"
    geopackage.write_layers(path, {"sites": frame}, {}, {"sites": ""}, {}, created)
    back = pyogrio.read_dataframe(path)
    assert back["mixed"].tolist()[:2] == ["1", "two"] and back["mixed"].isna()[2]
    assert back["day"][0] == "2020-05-01" and back["day"].isna()[1]


def test_a_damaged_package_is_not_read_back(package, tmp_path):
    content = bytearray(package.read_bytes())
    content[4096 * 3 : 4096 * 3 + 2048] = b"\xff" * 2048
    broken = tmp_path / "broken.gpkg"
    broken.write_bytes(content)
    with pytest.raises((StoreCorruptError, sqlite3.DatabaseError)):
        geopackage.read_back(broken)
