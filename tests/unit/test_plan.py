"""What a run will need: counted at the source, by rates that were measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from imagery import clear_scl, make_context, make_item, save_items, texture

from pipeline import plan
from pipeline.errors import NoSceneError, SourceError
from pipeline.geo.regions import resolve_region
from pipeline.plan import HERE, Prices, plan_region
from pipeline.workflow import ledger

BOX = "bbox:5.95,1.95,6.05,2.06"


@pytest.fixture
def source(tmp_path: Path) -> str:
    root = tmp_path / "source"
    items = [
        make_item(
            root, {"B04": texture(n), "B08": texture(n), "SCL": clear_scl()},
            date=f"2021-12-{5 + 5 * n:02d}", tile="31NHA", lon=5.985, lat=2.01,
        )
        for n in range(3)
    ]  # fmt: skip
    return str(save_items(root, items))


def test_it_counts_what_the_source_has(tmp_path: Path, source: str) -> None:
    context = make_context(tmp_path, region=BOX, source=source, bands="B04,B08")
    told = plan_region(context)
    assert told["blocks"] == 4 and told["cells"] == 1600
    # Three scenes, which reach into the western or into all blocks, by their footprint.
    assert 0 < told["imagery"]["scenes_a_block"] <= 3
    assert told["imagery"]["how"] == "every block asked for at the source"
    # A tenth of a degree of two 10 m bands and a 20 m one, three times, at 1.6 bytes a pixel.
    assert 0 < told["gigabytes_read"] < 4 * 3 * 1240**2 * 2.25 * 1.6 / 1e9
    assert told["cost"] is None
    written = context.config.workspace.processed / context.region.name / "plan.json"
    assert json.loads(written.read_text()) == json.loads(json.dumps(told))
    assert not (context.config.workspace.interim / "scenes").exists(), (
        "nothing of the search is left"
    )


def test_it_adds_up(tmp_path: Path, source: str) -> None:
    context = make_context(tmp_path, region=BOX, source=source, workers=3)
    told = plan_region(context, Prices(core_hour=2.0, gigabyte_read=0.5, gigabyte_month=0.25))
    steps = told["steps"]
    assert [step["stage"] for step in steps] == ["composite", "featurize", "predict", "publish"]
    assert told["core_hours"] == pytest.approx(sum(step["core_hours"] for step in steps))
    assert told["hours"] == pytest.approx(told["core_hours"] / 3)
    columns, load = told["bank"]["columns"], told["bank"]["load"]
    assert steps[1]["gigabytes"] == pytest.approx(4 * 400 * 4 * columns * 4 / 1e9)
    assert columns == 6 * 6 and load == told["bank"]["bands"] * 8 * 6 * 9
    expected = 2 * told["core_hours"] + 0.5 * told["gigabytes_read"]
    assert told["cost"] == pytest.approx(expected + 0.25 * told["gigabytes_stored"])


def test_what_this_workspace_has_seen_counts_more(tmp_path: Path, source: str) -> None:
    context = make_context(tmp_path, region=BOX, source=source)
    usual = plan_region(context)["steps"][0]

    def write(path: Path) -> dict[str, Any]:
        path.write_bytes(b"0" * 5_000_000)
        return {"scenes": 2, "remote": remote}

    for remote in (True, False):
        entry = ledger.build(
            context.store("composite"), "N02.0E005.9", {"a": remote}, ".tif", write
        )
        record = Path(entry.path).with_suffix(".json")
        record.write_text(json.dumps(json.loads(record.read_text()) | {"seconds": 60.0}))
        if remote:
            assert plan_region(context)["steps"][0] == usual, "a network says nothing of files here"
    seen = plan_region(context)
    first = seen["steps"][0]
    assert first["rate"] == HERE != usual["rate"]
    scenes = seen["imagery"]["scenes_a_block"] * 4
    assert first["core_hours"] == pytest.approx(scenes * 30 / 3600)
    assert first["gigabytes"] == pytest.approx(4 * 5e6 / 1e9)


def test_a_large_region_is_judged_by_some_of_its_blocks(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SAMPLED", 2)
    context = make_context(tmp_path, region=BOX, source=source)
    told = plan_region(context)
    assert told["imagery"]["how"].startswith("2 blocks drawn at random")
    assert plan_region(context) == told, "the same blocks again"


def test_without_a_source_the_calendar_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = make_context(tmp_path, region=BOX, source="auto", season="2021-12..2022-02")
    told = plan_region(context)
    assert told["imagery"]["scenes_a_block"] == 18
    assert "no source was named" in told["imagery"]["how"]
    said = " ".join(capsys.readouterr().out.split())
    assert "what the network takes for" in said and "CORE_HOUR=" in said


def test_a_source_that_was_named_and_is_not_there_is_no_plan(tmp_path: Path) -> None:
    context = make_context(
        tmp_path, region=BOX, source=str(tmp_path / "nowhere"), season="2021-12..2022-02"
    )
    with pytest.raises(SourceError, match="nowhere") as caught:
        plan_region(context)
    assert "leave SOURCE out" in caught.value.next_step


def test_a_season_without_scenes_is_said(tmp_path: Path, source: str) -> None:
    context = make_context(tmp_path, region=BOX, source=source, season="2019-01..2019-02")
    with pytest.raises(NoSceneError, match="not one of 4 blocks"):
        plan_region(context)


def test_every_rate_says_how_it_was_measured() -> None:
    with (Path(plan.__file__).parents[1] / "data" / "rates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len({(row["stage"], row["what"]) for row in rows}) == len(rows) == 9
    assert all(float(row["value"]) > 0 and row["unit"] and row["how"] for row in rows)


def test_a_continent_is_its_countries() -> None:
    region = resolve_region("sub-saharan-africa", 10_000_000)
    assert len(region.blocks) > 180_000
    parts = ("ghana", "madagascar", "democratic-republic-of-the-congo")
    for part in parts:
        inside = resolve_region(part).geometry.representative_point()
        assert region.geometry.contains(inside)
    assert not region.geometry.contains(resolve_region("egypt").geometry.representative_point())
