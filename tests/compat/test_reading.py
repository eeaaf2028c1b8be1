"""What 24f73d1 wrote is read: tables, models, manifests, journals, samples and their areas."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from models.registry import load_model, registered
from pipeline.change.series import Series
from pipeline.cli.status import status_lines
from pipeline.composite import composite_blocks
from pipeline.demo import make_demo
from pipeline.errors import MixedModelsError
from pipeline.evaluation.area import area_region
from pipeline.evaluation.sample import load_drawn
from pipeline.featurize import featurize_blocks
from pipeline.geo.grid import Block
from pipeline.imagery.forecast import seen_rates
from pipeline.map.area_layer import read_estimates, stored_area
from pipeline.map.files.content_hash import content_hashes
from pipeline.map.manifest import record_file
from pipeline.predict import read_predictions
from pipeline.publish import tell_older, tell_without_visits
from pipeline.runtime.atomic import read_json
from pipeline.scenes import load_scenes
from pipeline.sites import service
from pipeline.sites.samples import read_sample
from pipeline.sites.visits import read_visits
from pipeline.training.model_choice import choose_model
from pipeline.training.model_table import list_models
from pipeline.workflow.cells import read_features
from pipeline.workflow.context import Context

BLOCK = "N02.0E005.8"
RUN, PUBLIC_RUN = "1c64cc4ca798", "2c3890494267"
SEASON = "2021-12..2022-02"


def test_a_model_says_of_stored_features_what_it_said(
    workspace: Path, context_of: Callable[..., Context]
) -> None:
    context = context_of()
    found = load_scenes(context)
    model, why = choose_model(context, found)
    assert why.text == "asked for by name"
    blocks = [block for block in context.region.blocks if block.name == BLOCK]
    features = featurize_blocks(context, composite_blocks(context, found, blocks), model.bank)
    cells = read_features(features, model.bank)
    assert np.array_equal(cells.cell, Block.from_name(BLOCK).cells().reshape(-1))
    (stored,) = workspace.glob("interim/predictions/demo/*.parquet")
    before = read_predictions(stored).set_index("cell").loc[cells.cell]
    now = model.predict(cells.features, model.bank.hash, cells.quarters)
    np.testing.assert_allclose(now.probability, before["probability"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(now.low, before["low"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(now.high, before["high"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(now.dissimilarity, before["dissimilarity"], rtol=1e-3)
    assert (now.labels == before["labels"].to_numpy(str)).mean() > 0.99
    assert (now.applicable == before["applicable"]).mean() > 0.99
    assert np.array_equal(np.isin(cells.cell, model.cells), before["in_training"])


def test_models_of_each_kind_are_compared(workspace: Path) -> None:
    lines = list_models(workspace)
    told = {line.split(":")[0] for line in lines if line.startswith("demo-1-")}
    assert {"demo-1-forest", "demo-1-mean", "demo-1-ridge"} <= told
    assert not any("cannot be used" in line for line in lines)
    (row,) = [line for line in lines if line.startswith("demo-1-ridge  ")]
    assert row.split()[1:4] == ["ridge", "1124", "44"]
    assert load_model(registered([workspace / "models"])["demo-1-ridge"]).name == "demo-1-ridge"


def test_a_journal_is_summed_up(context_of: Callable[..., Context]) -> None:
    context = context_of()
    lines = status_lines(context.config, context.region)
    assert lines[0] == "predict demo: process 20640 on node1 since 2026-11-30 21:47"
    rows = [line.split()[:7] for line in lines[2:4]]
    assert rows == [
        ["composite", "demo", "4", "4", "0", "0", "0"],
        ["featurize", "demo", "4", "3", "1", "0", "0"],
    ]
    assert lines[-1].startswith("ended 2026-11-30 21:47: predict demo: done in 2 s; 1 blocks made")


def test_entries_say_what_composites_took(workspace: Path) -> None:
    rates = seen_rates(workspace / "interim" / "composite", remote=False)
    assert rates is not None and 0.05 < rates[0] < 5
    assert seen_rates(workspace / "interim" / "composite", remote=True) is None


def test_the_demo_is_not_written_again(workspace: Path) -> None:
    folder = workspace / "raw" / "demo" / "seed-1"
    before = (folder / "demo.json").stat()
    make_demo(folder, 1)
    assert (folder / "demo.json").stat() == before


def test_a_labelled_sample_still_estimates_areas(
    workspace: Path, context_of: Callable[..., Context], tmp_path: Path
) -> None:
    labelled = read_sample(workspace / "sample.gpkg")
    assert labelled.region == "demo" and len(labelled.cells) == 180
    drawn = load_drawn(workspace / "interim" / "samples", "demo", labelled.id)
    assert drawn.facts["model"] == "demo-1-ridge" and drawn.facts["version"] == 1
    before = read_json(workspace / "processed" / "demo" / "area.json")
    record = area_region(context_of().config, workspace / "sample.gpkg", out=tmp_path / "now.json")
    assert record["labels"] == before["labels"]
    region, was = record["regions"][0], before["regions"][0]
    assert region["mined_km2"].pop("how_codes")[-1]["code"] == "fullest", "newer than that record"
    for quantity in ("cells_with_mining_km2", "mined_km2", "not_estimated_km2", "how"):
        assert region[quantity] == was[quantity]


def test_stored_areas_are_shown(workspace: Path, context_of: Callable[..., Context]) -> None:
    (entry,) = workspace.glob("interim/predictions/demo/*.json")
    path = stored_area(context_of().config, "demo", read_json(entry)["sha256"])
    record = read_estimates(path)
    assert record["model"] == "demo-1-ridge"
    assert [one["kind"] for one in record["regions"]][:1] == ["region"]


def test_a_season_of_a_series_is_kept(workspace: Path, context_of: Callable[..., Context]) -> None:
    model = load_model(workspace / "models" / "demo-1-ridge")
    series = Series.of(context_of(), model)
    assert series.seasons() == [SEASON]
    series.check("make monitor")
    table = series.read()
    assert len(table) == 1600 and set(table["season"]) == {SEASON}
    assert set(table["class"]) <= {"likely", "possible", "unlikely", "cannot_tell"}
    (stored,) = workspace.glob("interim/predictions/demo/*.parquet")
    said = read_predictions(stored).set_index("cell").loc[table["cell"], "probability"]
    np.testing.assert_array_equal(table["probability"], said)
    with pytest.raises(MixedModelsError, match="by model demo-1-ridge"):
        Series.of(context_of(min_observed=0.5), model).check("make monitor")


def test_folders_of_maps_are_known_by_their_manifests(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = workspace / "processed" / "demo"
    tell_without_visits(home)
    assert "joined with a table of visits" in capsys.readouterr().out.replace("\n", " ")
    # Of these folders only the manifests are here: what no layer holds is not shown any more.
    tell_older(home, np.array([shapely.Point(5.9, 2.1).buffer(0.1)], object))
    assert "still shows" not in capsys.readouterr().out
    for run in (RUN, PUBLIC_RUN):
        assert set(content_hashes(home / run)) == {"manifest.json"}
    changes = next((home / "changes").iterdir())
    assert set(content_hashes(changes)) == {"manifest.json"}


def test_a_file_is_entered_into_a_manifest(workspace: Path) -> None:
    folder = workspace / "processed" / "demo" / RUN
    before = read_json(folder / "manifest.json")
    sheets = folder / "sheets.pdf"
    sheets.write_bytes(b"%PDF-1.7")
    record_file(folder, sheets)
    after = read_json(folder / "manifest.json")
    assert after["files"].pop("sheets.pdf")["bytes"] == 8
    assert after == before
    crate = json.loads((folder / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    assert any(part.get("@id") == "sheets.pdf" for part in crate["@graph"])


def test_a_model_of_another_format_is_named(workspace: Path) -> None:
    folder = workspace / "models" / "demo-1-ridge"
    shutil.copytree(folder, workspace / "models" / "older")
    manifest = read_json(folder / "manifest.json") | {"id": "older", "format": 1}
    (workspace / "models" / "older" / "manifest.json").write_text(json.dumps(manifest))
    (line,) = [line for line in list_models(workspace) if line.startswith("older:")]
    assert "cannot be used" in line and "train it again" in line


def test_predictions_are_read(workspace: Path) -> None:
    (stored,) = workspace.glob("interim/predictions/demo/*.parquet")
    table = read_predictions(stored)
    assert list(table.columns) == [
        "cell", "probability", "low", "high", "labels", "dissimilarity", "dispute", "applicable",
        "observed", "clear_observations", "first_image", "last_image", "scenes", "in_training",
    ]  # fmt: skip
    assert pd.to_datetime(table["first_image"]).min() >= pd.Timestamp("2021-12-01")
    assert int((table["dissimilarity"] > 1).sum()) == 8


def test_the_saved_answer_of_a_service_serves_while_it_is_away(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_fetched", {})
    folder = workspace / "raw" / "services"
    (saved,) = folder.glob("*.csv")
    # Nobody listens on port 9.
    address = "http://127.0.0.1:9/geoserver/public/ows?typeName=public:cod_mines"
    path = service.fetch_saved(address, folder, ".csv", read_visits)
    assert path == saved
    assert read_visits(path)["name"].tolist() == ["Mayi-Tatu", "second"]
    came = service.came_from(path)
    assert came["service"].endswith("/geoserver/public/ows, layer public:cod_mines")
    assert came["fetched"].startswith("2026-")
