"""The layer ``regions`` shows estimates with their intervals, coarse where the map is public."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from sample_estimates import RECORD
from sample_map import make_joined, make_run

from pipeline.errors import StoreCorruptError
from pipeline.map.area_layer import read_estimates, regions_layer
from pipeline.map.column_rules import load_policy
from pipeline.map.disclosure import disclose
from pipeline.map.folder import publish
from pipeline.map.page.report import write_report


def test_the_public_layer_is_coarse_and_leaves_small_parts_out() -> None:
    product = disclose(make_joined(), make_run(area=RECORD))
    layer = product.layers["regions"]
    assert layer["name"].tolist() == ["demo", "west"]
    hundredths = shapely.get_coordinates(layer.geometry) * 100
    np.testing.assert_allclose(hundredths, np.round(hundredths), atol=1e-7)
    assert layer["cells_with_mining_km2"].tolist() == [12.3, 12.3]
    assert layer["mined_high_km2"].isna().tolist() == [False, True]
    assert layer["simulated"].all()


def test_the_restricted_layer_is_exact() -> None:
    layer = disclose(make_joined(), make_run(area=RECORD, disclosure="restricted")).layers[
        "regions"
    ]
    assert layer["name"].tolist() == ["demo", "west", "pit"]
    assert layer.geometry.iloc[2].equals(shapely.box(5.9, 2.1, 5.915, 2.115))


def test_every_column_has_its_names() -> None:
    layer = regions_layer(RECORD, make_run().region, public=False)
    assert set(layer.columns) - {"geometry"} <= set(load_policy()["regions"])


@pytest.mark.parametrize("disclosure", ["public", "restricted"])
def test_it_is_published(tmp_path: Path, disclosure: str) -> None:
    run = make_run(area=RECORD, disclosure=disclosure)
    counts = publish(make_joined(rows=24, cols=32), run, tmp_path / "run")
    layer = pyogrio.read_dataframe(tmp_path / "run" / "map.gpkg", layer="regions")
    assert counts["regions"] == len(layer) == (2 if disclosure == "public" else 3)
    assert set(layer.geom_type) == {"MultiPolygon"}
    assert layer["cells_with_mining_low_km2"].tolist()[0] == 8.9


@pytest.mark.parametrize(("lang", "number"), [("en", "12.3"), ("fr", "12,3")])
def test_the_page_shows_it(tmp_path: Path, lang: str, number: str) -> None:
    page = write_report(
        make_joined(rows=24, cols=32), make_run(area=RECORD, map_lang=lang), tmp_path
    )
    text = page.read_text(encoding="utf-8")
    section = text[text.index(f'id="areas-{lang}"') : text.index(f'id="saw-{lang}"')]
    assert number in section and "stratified estimate" in section
    assert "West" in section and "Pit" not in section
    without = write_report(make_joined(rows=24, cols=32), make_run(), tmp_path)
    assert 'id="areas-' not in without.read_text(encoding="utf-8")


def test_a_map_without_estimates_has_no_such_layer(tmp_path: Path) -> None:
    assert "regions" not in disclose(make_joined(), make_run()).layers
    assert read_estimates(tmp_path / "none.json") == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sample": "x", "regions": [{}]}', "\xff"])
def test_estimates_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "area.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreCorruptError, match="area estimates"):
        read_estimates(path)
    path.write_text(json.dumps(RECORD))
    assert read_estimates(path) == RECORD
