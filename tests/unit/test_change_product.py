"""What a comparison publishes: two products, their rules, the page, the tables, the check."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_changes import SEASONS, make_changes
from sample_map import HOSTILE, make_run

from pipeline.change.folder import check_changes, write_changes
from pipeline.change.layers import Changes, disclose_changes
from pipeline.change.legend import COLOURS
from pipeline.config import Config
from pipeline.errors import DisclosureError, StoreCorruptError
from pipeline.map.check import check_folder, check_page
from pipeline.map.column_rules import policy_of
from pipeline.map.removals import COLUMNS as REMOVAL_COLUMNS
from pipeline.words.catalogue import say

LAYERS = {"changes", "change_places"}
TABLES = {"change_areas", "series", "provenance"}


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Changes:
    return make_changes(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module", params=["public", "restricted"])
def made(request: Any, changes: Changes, tmp_path_factory: Any) -> tuple[str, Any, Path]:
    lang = "en" if request.param == "public" else "fr"
    run = make_run(disclosure=request.param, map_lang=lang, images=("2020-12-06", "2022-02-21"))
    folder = tmp_path_factory.mktemp("made") / "run"
    policy = policy_of(changes.joined)
    product = disclose_changes(changes, run, policy)
    write_changes(product, run, policy, SEASONS, folder)
    return request.param, product, folder


def test_the_folder_holds_everything_and_is_checked(made: Any, changes: Changes) -> None:
    disclosure, _product, folder = made
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "changes.gpkg", "changes.qgz", "changes.html", "change_areas.csv", "series.csv",
        "manifest.json",
    }  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seasons"] == list(SEASONS)
    assert set(manifest["files"]) == names - {"manifest.json"}
    layers = {str(name) for name, _ in pyogrio.list_layers(folder / "changes.gpkg")}
    assert {*LAYERS, *TABLES} <= layers
    assert set(check_folder(folder, disclosure, policy_of(changes.joined))) == {*LAYERS, *TABLES}
    with zipfile.ZipFile(folder / "changes.qgz") as archive:
        project = archive.read("map.qgs").decode()
    assert all(f"layername={name}" in project for name in (*LAYERS, *TABLES))
    assert ("Changement" in project) == (disclosure == "restricted")


def test_squares_and_places_say_what_happened(made: Any) -> None:
    disclosure, _product, folder = made
    cells = gpd.read_file(folder / "changes.gpkg", layer="changes")
    places = gpd.read_file(folder / "changes.gpkg", layer="change_places")
    assert places["change_class"].tolist() == ["new", "growing", "fading", "persisting"]
    counts = cells["change_class"].value_counts().to_dict()
    if disclosure == "restricted":
        assert len(cells) == 400
        assert counts == {"none": 394, "new": 2, "persisting": 2, "fading": 1, "cannot_tell": 1}
        assert {"cell", "longitude"} <= set(places.columns)
        return
    assert len(cells) == 100
    # The square of the mine that grew is persisting: it is no new place.
    assert counts == {"none": 95, "new": 1, "persisting": 2, "fading": 1, "cannot_tell": 1}
    assert "cell" not in places.columns
    corners = shapely.get_coordinates(pd.concat([cells.geometry, places.geometry])) * 100
    np.testing.assert_allclose(corners, np.round(corners), atol=1e-6)
    hidden = cells[cells["change_class"] == "cannot_tell"].iloc[0]
    assert hidden["change_reason"] == "clouds_to"
    assert str(hidden["last_image_from"])[:10] == "2021-02-21"


def test_the_series_and_the_areas_are_tables(made: Any) -> None:
    disclosure, _product, folder = made
    series = pd.read_csv(folder / "series.csv")
    assert len(series) == (200 if disclosure == "public" else 800)
    assert set(series["season"]) == set(SEASONS)
    assert not series.duplicated(["cell", "season"]).any()
    areas = pd.read_csv(folder / "change_areas.csv")
    assert areas["area"].tolist() == ["zones 0"], "an area far away is no row"
    assert areas["new_places"][0] == 1 and areas["growing_places"][0] == 1
    assert areas["fading_places"][0] == 0


def test_the_page_is_whole_without_a_script_and_in_two_languages(made: Any) -> None:
    _, _product, folder = made
    text = (folder / "changes.html").read_text(encoding="utf-8")
    assert "<script" not in text and "http:" not in text and "https:" not in text
    for lang in ("en", "fr"):
        for key in ("title", "where_note", "places_note", "limits", "limit_2", "clouds_to"):
            assert say(f"change.{key}", lang).replace("'", "&#39;") in text, key
    assert text.count('data-layer="change_places"') == 2
    assert "SIMULATED" in text and "SIMULÉ" in text


def test_a_page_that_shows_more_is_refused(made: Any, changes: Changes, tmp_path: Path) -> None:
    disclosure, _product, folder = made
    policy = policy_of(changes.joined)
    text = (folder / "changes.html").read_text(encoding="utf-8")
    bad = {
        'data-column="longitude"': 'data-column="cell"',
        'data-layer="change_places"': 'data-layer="somewhere"',
        "</body>": "<script>alert(1)</script></body>",
    }
    if disclosure == "public":
        bad["<bdi>5.9"] = "<bdi>5.91234"
    for old, new in bad.items():
        path = tmp_path / "changes.html"
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert old in text
        fails = disclosure == "public" or "column" not in old
        if fails:
            with pytest.raises((DisclosureError, StoreCorruptError)):
                check_page(path, disclosure, policy)


def test_a_season_younger_than_six_months_is_refused_twice(
    changes: Changes, made: Any, tmp_path: Path
) -> None:
    disclosure, product, folder = made
    policy = policy_of(changes.joined)
    run = make_run(disclosure="public", created="2022-08-20T10:00:00Z")
    with pytest.raises(DisclosureError, match="newest image is of 2022-02-21"):
        disclose_changes(changes, run, policy)
    # A season that a restricted run has kept beside them is left out.
    young = changes.series[changes.series["season"] == SEASONS[1]].assign(
        season="2022-06..2022-07", last_image="2022-07-30"
    )
    more = replace(changes, series=pd.concat([changes.series, young], ignore_index=True))
    public = disclose_changes(more, make_run(), policy).tables["series"]
    assert set(public["season"]) == set(SEASONS)
    restricted = disclose_changes(more, make_run(disclosure="restricted"), policy).tables["series"]
    assert "2022-06..2022-07" in set(restricted["season"])
    if disclosure == "public":
        with pytest.raises(DisclosureError, match="6 months"):
            check_changes(product, run, policy, folder)


def test_who_asked_not_to_be_shown_leaves_every_file(changes: Changes, tmp_path: Path) -> None:
    path = tmp_path / "removals.csv"
    path.write_text(",".join(REMOVAL_COLUMNS) + "\nm1,,,,,,,2022-01-01,asked\n")
    policy = policy_of(changes.joined)
    for disclosure in ("public", "restricted"):
        run = make_run(disclosure=disclosure)
        run = replace(run, config=run.config.with_keys(removals=str(path)))
        product = disclose_changes(changes, run, policy)
        places, cells = product.layers["change_places"], product.layers["changes"]
        if disclosure == "restricted":
            assert places["withheld"].any() and cells["withheld"].sum() == 100
            continue
        gap = shapely.box(5.9, 2.05, 5.95, 2.1)
        assert not shapely.intersects(gap.buffer(-1e-6), cells.geometry.to_numpy()).any()
        assert places["place"].tolist() == list(range(1, len(places) + 1))
        assert len(places) < 4 and "new" not in set(places["change_class"])
        assert len(product.tables["series"]) == 2 * len(cells)


def test_hostile_names_stay_text(changes: Changes, tmp_path: Path) -> None:
    run = make_run(disclosure="restricted")
    run = replace(run, region=replace(run.region, title=HOSTILE))
    policy = policy_of(changes.joined)
    write_changes(disclose_changes(changes, run, policy), run, policy, SEASONS, tmp_path / "run")
    text = (tmp_path / "run" / "changes.html").read_text(encoding="utf-8")
    assert "<script" not in text and "&lt;script&gt;" in text


def test_nothing_half_written_is_left(
    changes: Changes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise DisclosureError("no")

    monkeypatch.setattr("pipeline.change.folder.check_changes", fail)
    run, policy = make_run(), policy_of(changes.joined)
    with pytest.raises(DisclosureError):
        write_changes(disclose_changes(changes, run, policy), run, policy, SEASONS, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_every_word_has_a_colour_and_both_languages() -> None:
    for word in COLOURS:
        assert say(f"change.{word}", "en") != say(f"change.{word}", "fr")
    assert Config().map.disclosure == "public"
