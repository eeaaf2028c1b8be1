"""From the scenes of two seasons to what changed, on a small landscape with mines planted in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
from imagery import clear_scl, make_item, save_items, texture
from sample_visits import write_visits
from test_end_to_end import NORTH, SEASON, SHAPE, TILES, context_in, landscape, mine_cells

from pipeline.errors import ConfigError, MixedModelsError, NoSceneError
from pipeline.geo import grid
from pipeline.monitor import monitor_region
from pipeline.train import train_region

LATER = "2023-12..2024-02"
# In the second year the mines east of 6 degrees are plain ground again.


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two-years")
    items = []
    for number, tile in enumerate(TILES):
        bands = landscape(tile, 10 * number + 1)
        without = {
            name: texture(10 * number + 1 + index, SHAPE, mean=1200 + 200 * index)
            for index, name in enumerate(bands)
        }
        days = [("2021-12-05", bands), ("2022-01-14", bands), ("2022-02-08", bands)]
        later = without if tile == "32NKF" else bands
        days += [("2023-12-15", later), ("2024-01-14", later), ("2024-02-08", later)]
        for day, seen in days:
            scl = clear_scl((SHAPE[0] // 2, SHAPE[1] // 2))
            items.append(
                make_item(
                    folder / "source", seen | {"SCL": scl}, date=day, tile=tile, lon=TILES[tile],
                    lat=NORTH,
                )
            )  # fmt: skip
    save_items(folder / "source", items)
    lon, lat = grid.cell_centres(mine_cells())
    write_visits(
        folder / "visits.csv",
        *(
            {"pcode": f"m{i:03d}", "longitude": x, "latitude": y, "visit_date": "2022-01-10"}
            for i, (x, y) in enumerate(zip(lon, lat, strict=True))
        ),
    )
    return folder


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, list[str]]:
    context = context_in(tmp_path_factory.mktemp("work"), source, disclosure="restricted")
    names = [manifest.name for manifest in train_region(context)]
    context = replace(context, config=context.config.with_keys(model=names[0]))
    return context, monitor_region(context, SEASON, LATER), names


def test_mines_that_are_gone_fade_and_the_others_stay(made: Any) -> None:
    _, folder, _ = made
    cells = gpd.read_file(folder / "changes.gpkg", layer="changes").set_index("cell")
    word = cells["change_class"]
    lon = grid.cell_centres(mine_cells())[0]
    # The cell west of 6 degrees is seen by both tiles.
    kept, gone = mine_cells()[lon < 5.995], mine_cells()[lon > 6]
    assert not word[kept].isin(["new", "fading"]).any()
    assert (word[gone] == "fading").mean() > 0.8
    assert (cells["last_image_from"].astype(str).str[:10] == "2022-02-08").all()
    assert (cells["first_image_to"].astype(str).str[:10] == "2023-12-15").all()
    assert not (word == "new").any()


def test_a_second_run_redoes_nothing(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    context, folder, _ = made
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert monitor_region(context, SEASON, LATER) == folder
    said = capsys.readouterr().out
    assert "0 made" in said and "nothing to do" in said
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert (folder.parent / "latest").resolve() == folder.resolve()


def test_another_model_is_refused_until_the_past_is_made_anew(made: Any) -> None:
    context, folder, names = made
    other = replace(context, config=context.config.with_keys(model=names[1]))
    with pytest.raises(MixedModelsError, match="RERUN=yes") as caught:
        monitor_region(other, SEASON, LATER)
    assert names[0] in str(caught.value) and names[1] in str(caught.value)
    again = monitor_region(other, SEASON, LATER, rerun=True)
    assert again != folder
    manifest = json.loads((again / "manifest.json").read_text())
    assert manifest["model"]["id"] == names[1]
    series = pd.read_csv(again / "series.csv")
    assert sorted(set(series["season"])) == [SEASON, LATER]
    # And back.
    assert monitor_region(context, SEASON, LATER, rerun=True) == folder


def test_seasons_between_are_kept_where_there_is_imagery(
    made: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    context, _, _ = made
    folder = monitor_region(context, SEASON, LATER, "year")
    assert "2022-12..2023-02 is left out" in " ".join(capsys.readouterr().out.split())
    assert json.loads((folder / "manifest.json").read_text())["seasons"] == [SEASON, LATER]
    with pytest.raises(NoSceneError):
        monitor_region(context, "2020-12..2021-02", LATER)
    with pytest.raises(ConfigError, match="after"):
        monitor_region(context, LATER, SEASON)
