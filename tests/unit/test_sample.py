"""A sample is stratified, blind, in random order, the same again, and marked for what it is."""

from __future__ import annotations

import sqlite3
import xml.etree.ElementTree as ElementTree
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_region import THRESHOLDS, make_world

from pipeline.config import Config
from pipeline.errors import (
    ConfigError,
    DisclosureError,
    InputFileError,
    StageMissingError,
    StoreCorruptError,
)
from pipeline.evaluation import sample
from pipeline.geo import grid
from pipeline.predict import read_predictions


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def stored(world, monkeypatch) -> None:
    monkeypatch.setattr(sample, "predict_region", lambda context, only: world[1])


@pytest.fixture(scope="module")
def file(world) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "predict_region", lambda context, only: world[1])
        return sample.sample_region(world[0])


def cells_of(world: Any) -> pd.DataFrame:
    return read_predictions(world[1].entry.path)


def test_strata_follow_the_maps_classes(world) -> None:
    cells = cells_of(world)
    stratum = sample.strata_of(cells, THRESHOLDS)
    score, trained = cells["probability"], cells["in_training"]
    assert set(stratum[score.isna()]) == {"cannot_tell"}
    learned = trained & score.notna()
    assert set(stratum[learned & (score >= 0.21)]) == {"trained_called"}
    assert set(stratum[learned & (score < 0.19)]) == {"trained_rest"}
    plain = ~trained
    edges = {"likely": (0.6, 1.01), "possible": (0.2, 0.6), "near_miss": (0.1, 0.2)}
    for name, (low, high) in (edges | {"unlikely": (0.0, 0.1)}).items():
        inside = plain & (score >= np.float32(low)) & (score < np.float32(high))
        assert set(stratum[inside]) == {name}
    assert set(stratum) == set(sample.STRATA) - {sample.UNLIKE}, "nothing here is unlike"


def test_every_stratum_is_sampled_and_low_scores_are(world) -> None:
    drawn = sample.draw_cells(cells_of(world), THRESHOLDS, 300)
    counts = drawn[drawn["number"] > 0]["stratum"].value_counts()
    assert counts.sum() == 300
    assert "cannot_tell" not in counts
    assert (counts >= 10).all() and len(counts) == 6
    # Most of the ground is there, and so is most of what may be missed.
    assert counts["unlikely"] > 60
    numbers = drawn["number"][drawn["number"] > 0]
    assert sorted(numbers) == list(range(1, 301))


def test_cells_that_cannot_be_told_are_sampled_on_request(world) -> None:
    drawn = sample.draw_cells(cells_of(world), THRESHOLDS, 300, cannot_tell=True)
    counts = drawn[drawn["number"] > 0]["stratum"].value_counts()
    assert counts["cannot_tell"] >= 30


def test_the_same_draw_is_the_same_and_another_is_not(world) -> None:
    first, again, other = (
        sample.draw_cells(cells_of(world), THRESHOLDS, 200, draw) for draw in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    both = (first["number"] > 0) & (other["number"] > 0)
    assert both.sum() < 150


def test_numbers_tell_nothing_of_the_score(world) -> None:
    drawn = sample.draw_cells(cells_of(world), THRESHOLDS, 300)
    score = cells_of(world)["probability"].fillna(0)
    picked = drawn["number"] > 0
    assert abs(np.corrcoef(drawn["number"][picked], score[picked])[0, 1]) < 0.2
    first = drawn[picked & (drawn["number"] <= 150)]["stratum"].value_counts(normalize=True)
    every = drawn[picked]["stratum"].value_counts(normalize=True)
    assert (first - every).abs().max() < 0.1


def test_the_draw_gives_every_cell_of_a_stratum_its_chance(world) -> None:
    cells = cells_of(world)
    times = np.zeros(len(cells))
    for draw in range(60):
        times += sample.draw_cells(cells, THRESHOLDS, 400, draw)["number"].to_numpy() > 0
    group = sample.strata_of(cells, THRESHOLDS)
    for name in ("possible", "unlikely"):
        share = times[group == name] / 60
        spread = np.sqrt(share.mean() * (1 - share.mean()) / 60)
        assert share.std() == pytest.approx(spread, rel=0.25)


def test_a_sample_that_is_too_small_says_how_many(world) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        sample.draw_cells(cells_of(world), THRESHOLDS, 100)


def test_the_file_is_blind(file) -> None:
    layers = {str(name) for name, _ in pyogrio.list_layers(file)}
    assert {"sample", "strata", "about"} <= layers
    layer = pyogrio.read_dataframe(file, layer="sample")
    assert set(layer.columns) == {
        "number", "cell", "label", "share", "source", "date", "labeller", "note", "geometry",
    }  # fmt: skip
    assert layer["label"].isna().all()
    assert layer["number"].tolist() == list(range(1, 301))
    assert (np.diff(layer["cell"]) > 0).mean() == pytest.approx(0.5, abs=0.12)
    wanted = shapely.box(*grid.cell_bounds(layer["cell"]))
    assert shapely.equals_exact(
        shapely.normalize(layer.geometry.to_numpy()), shapely.normalize(wanted), tolerance=1e-9
    ).all()
    strata = pyogrio.read_dataframe(file, layer="strata")
    assert list(strata.columns) == ["stratum", "cells", "area_km2", "drawn"]
    assert strata["cells"].sum() == 4800 and strata["drawn"].sum() == 300


def test_the_file_says_what_it_is(file, world) -> None:
    about = pyogrio.read_dataframe(file, layer="about").set_index("item")["value"]
    assert about["disclosure"] == "restricted" and about["simulated"] == "yes"
    assert about["words"].startswith("SIMULATED") and "RESTRICTED" in about["words"]
    assert about["model"] == "here-ridge" and about["region"] == "demo"
    assert (about["first_image"], about["last_image"]) == ("2021-12-06", "2022-02-24")
    stored = sample.load_drawn(world[0].store("samples"), "demo", about["sample"])
    assert (stored.cells["number"] > 0).sum() == 300
    tags = pyogrio.read_info(file, layer="sample")["dataset_metadata"]
    assert tags["DISCLOSURE"] == "restricted" and tags["SIMULATED"] == "yes"


def test_the_form_offers_the_three_labels(file) -> None:
    with closing(sqlite3.connect(file)) as base:
        ((qml, default),) = base.execute("SELECT styleQML, useAsDefault FROM layer_styles")
        kinds = {row[1]: row[2] for row in base.execute("PRAGMA table_info(sample)")}
    assert default == 1
    assert kinds["label"] == "TEXT(16)" and kinds["date"] == "DATE" and kinds["share"] == "DOUBLE"
    tree = ElementTree.fromstring(qml.split("\n", 1)[1])
    form = {field.get("name"): field.find("editWidget") for field in tree.iter("field")
            if field.find("editWidget") is not None}  # fmt: skip
    options = [one.get("value") for one in form["label"].iter("Option") if one.get("value")]
    assert options == ["mine", "no mine", "cannot tell"]
    assert form["share"].get("type") == "Range" and form["date"].get("type") == "DateTime"
    locked = [one.get("name") for one in tree.iter("field") if one.get("editable") == "0"]
    assert locked == ["number", "cell"]


def test_the_form_is_french_where_the_map_is(world, tmp_path) -> None:
    context = replace(world[0], config=world[0].config.with_keys(map_lang="fr"))
    path = sample.sample_region(context, tmp_path / "s.gpkg")
    with zipfile.ZipFile(tmp_path / "s.qgz") as archive:
        assert b"./s.gpkg|layername=sample" in archive.read("map.qgs")
    with closing(sqlite3.connect(path)) as base:
        ((qml,),) = base.execute("SELECT styleQML FROM layer_styles")
    assert 'name="pas de mine" value="no mine"' in qml


def test_a_file_that_is_there_is_never_overwritten(world, file) -> None:
    before = file.read_bytes()
    with pytest.raises(InputFileError, match="may hold labels"):
        sample.sample_region(world[0])
    assert file.read_bytes() == before


def test_exact_places_are_asked_for_by_name(world, tmp_path) -> None:
    public = replace(world[0], config=Config().with_keys(region="demo", workspace=str(tmp_path)))
    with pytest.raises(DisclosureError) as caught:
        sample.sample_region(public, tmp_path / "s.gpkg")
    assert "DISCLOSURE=restricted" in caught.value.next_step
    with pytest.raises(InputFileError):
        sample.sample_region(world[0], tmp_path / "s.csv")
    with pytest.raises(ConfigError):
        sample.sample_region(world[0], tmp_path / "s.gpkg", draw=-1)
    assert list(tmp_path.iterdir()) == []


def test_a_stored_sample_that_is_missing_or_damaged_is_named(world, tmp_path) -> None:
    context, predicted, _ = world
    elsewhere = replace(context, config=context.config.with_keys(workspace=str(tmp_path)))
    store = elsewhere.store("samples")
    with pytest.raises(StageMissingError, match="has not drawn"):
        sample.load_drawn(store, "demo", "0" * 16)
    drawn = sample.draw_sample(elsewhere, predicted, 200, 1, False)
    path = store / "demo" / f"{drawn.id}.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreCorruptError):
        sample.load_drawn(store, "demo", drawn.id)


def test_the_squares_are_where_the_cells_are(file) -> None:
    layer: gpd.GeoDataFrame = pyogrio.read_dataframe(file, layer="sample")
    inside = layer.geometry.representative_point()
    np.testing.assert_array_equal(grid.cell_of(inside.x, inside.y), layer["cell"])
