from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from pipeline.errors import NoLabelsError
from pipeline.evaluation.compare import Evaluation, describe, evaluate
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.sites.truth import Truth, read_truth

THRESHOLDS = {"possible": 0.5, "likely": 0.8}
REGION = resolve_region("bbox:28.0,-2.3,28.3,-2.0", 10)
CELLS = np.sort(np.concatenate([REGION.cells(block) for block in REGION.blocks]))


def square(cell: int, hectares: float) -> shapely.Geometry:
    """A square of so many hectares around a cell's centre; 30.6 ha are the whole cell."""
    lon, lat = grid.cell_centres(cell)
    half = 0.0025 * np.sqrt(hectares / 30.6)
    return shapely.box(lon - half, lat - half, lon + half, lat + half)


def truth_of(path: Path, mines: dict[int, float], others: dict[int, str] | None = None) -> Truth:
    """Mines by cell (hectares) and look-alikes by cell (kind)."""
    frame = gpd.GeoDataFrame(geometry=[square(c, ha) for c, ha in mines.items()], crs="EPSG:4326")
    frame.to_file(path, layer="mines")
    if others:
        kinds = list(others.values())
        gpd.GeoDataFrame(
            {"kind": kinds, "name": [f"{kind} {i}" for i, kind in enumerate(kinds)]},
            geometry=[square(cell, 5) for cell in others],
            crs="EPSG:4326",
        ).to_file(path, layer="lookalikes", mode="a")
    return read_truth(path, CELLS)


def map_of(scores: dict[int, float], quiet: float = 0.1) -> pd.DataFrame:
    table = pd.DataFrame({"cell": CELLS, "probability": np.float32(quiet)})
    for cell, score in scores.items():
        table.loc[table["cell"] == cell, "probability"] = np.float32(score)
    return table


def check(evaluation: Evaluation) -> None:
    """Everything is plain JSON, every cell is counted once, and the table can be printed."""
    json.dumps(evaluation.to_dict(), allow_nan=False)
    assert evaluation.scores["n"] + sum(evaluation.left_out.values()) == len(CELLS)
    assert describe(evaluation).isprintable() or "\n" in describe(evaluation)


def test_recall_by_size(tmp_path: Path) -> None:
    sizes = {int(CELLS[100]): 0.2, int(CELLS[300]): 1.0, int(CELLS[500]): 3.0,
             int(CELLS[700]): 7.0, int(CELLS[900]): 20.0}  # fmt: skip
    truth = truth_of(tmp_path / "t.gpkg", sizes)
    scores = dict(zip(sizes, (0.2, 0.6, 0.4, 0.9, 0.8), strict=True))
    evaluation = evaluate(map_of(scores), truth, THRESHOLDS)
    check(evaluation)
    assert evaluation.scores["positives"] == 5
    assert evaluation.scores["auc"] == 1
    by_size = evaluation.mines["by size"]
    assert {name: row["mines"] for name, row in by_size.items()} == {
        "below 0.5 ha": 1, "0.5 to 2 ha": 1, "2 to 5 ha": 1, "5 to 10 ha": 1, "10 ha or more": 1
    }  # fmt: skip
    assert [row["possible"] for row in by_size.values()] == [0, 1, 0, 1, 1]
    assert evaluation.mines["2 ha or more"]["possible"] == pytest.approx(2 / 3)
    # 0.8 as float32 is likely here because the map calls it likely too.
    assert by_size["10 ha or more"]["likely"] == 1
    assert evaluation.mines["all"]["false_5_percent"] == 1


def test_a_mine_is_found_by_any_of_its_cells(tmp_path: Path) -> None:
    first = int(CELLS[100])
    frame = gpd.GeoDataFrame(
        geometry=[shapely.union_all([square(first, 30), square(first + 1, 30)])], crs="EPSG:4326"
    )
    frame.to_file(tmp_path / "t.gpkg", layer="mines")
    truth = read_truth(tmp_path / "t.gpkg", CELLS)
    evaluation = evaluate(map_of({first: 0.2, first + 1: 0.9}), truth, THRESHOLDS)
    assert evaluation.mines["all"] == {
        "mines": 1, "possible": 1.0, "likely": 1.0, "false_5_percent": 1.0
    }  # fmt: skip
    assert evaluation.scores["positives"] == 2


def test_cells_left_out_are_counted_by_reason(tmp_path: Path) -> None:
    mines = {int(CELLS[100]): 5.0, int(CELLS[200]): 0.05, int(CELLS[300]): 5.0}
    truth = truth_of(tmp_path / "t.gpkg", mines)
    table = map_of({int(CELLS[400]): np.nan}).assign(in_training=False)
    table.loc[300, "in_training"] = True
    region = resolve_region("bbox:28.0,-2.1,28.3,-2.0", 10)
    evaluation = evaluate(table, truth, THRESHOLDS, region)
    check(evaluation)
    outside = len(CELLS) - 3 * 400
    assert evaluation.left_out == {
        "outside the region": outside, "in the training table": 1, "cannot tell": 1,
        "ambiguous": 1, "unlabelled": 0
    }  # fmt: skip
    assert evaluation.scores["positives"] == 1
    # The mine in the cell that was trained on is not judged; the one of 0.05 ha is.
    assert evaluation.mines["all"]["mines"] == 2
    assert evaluation.mines["left out"] == 1
    assert evaluation.how["region"] == region.name


def test_lookalikes_are_listed_by_kind(tmp_path: Path) -> None:
    names = ["farm_pond", "farm_pond", "sandbar", "industrial_pit", "village", "farm_pond"]
    kinds = {int(CELLS[10 * i + 5]): kind for i, kind in enumerate(names)}
    ponds = list(kinds)
    truth = truth_of(tmp_path / "t.gpkg", {int(CELLS[500]): 5.0, ponds[5]: 9.0}, kinds)
    scores = {ponds[0]: 0.9, ponds[1]: 0.6, ponds[2]: 0.3, ponds[3]: 0.99, ponds[5]: 0.9}
    evaluation = evaluate(map_of(scores), truth, THRESHOLDS)
    check(evaluation)
    assert evaluation.lookalikes["kinds"]["farm_pond"] == {
        # The third lies in a cell that holds a mine too.
        "number": 3, "likely": 1, "possible": 1, "unlikely": 0, "not judged": 1
    }  # fmt: skip
    named = evaluation.lookalikes["named"]
    assert named[0] == {
        "kind": "industrial_pit", "name": "industrial_pit 3", "call": "likely",
        "probability": 0.99
    }  # fmt: skip
    assert {item["kind"] for item in named} == {"farm_pond", "sandbar", "industrial_pit"}
    assert "industrial_pit 3: likely, 0.99" in describe(evaluation)


def test_points_without_negatives_measure_recall(tmp_path: Path) -> None:
    lon, lat = grid.cell_centres(CELLS[[3, 50, 700]])
    table = pd.DataFrame({"lon": lon, "lat": lat})
    table.to_csv(tmp_path / "p.csv", index=False)
    truth = read_truth(tmp_path / "p.csv", CELLS)
    evaluation = evaluate(map_of({int(CELLS[50]): 0.9}), truth, THRESHOLDS)
    check(evaluation)
    assert evaluation.scores["auc"] is None
    assert evaluation.scores["at"]["possible"]["recall"] == pytest.approx(1 / 3)
    assert evaluation.left_out["unlabelled"] == len(CELLS) - 3
    assert evaluation.mines["all"]["mines"] == 3
    assert "not measured: every label is a mine" in describe(evaluation)


def test_five_percent_false_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = map_of({})
    table["probability"] = rng.random(len(CELLS)).astype(np.float32)
    mines = {int(cell): 3.0 for cell in CELLS[::97]}
    evaluation = evaluate(table, truth_of(tmp_path / "t.gpkg", mines), THRESHOLDS, REGION)
    check(evaluation)
    at = evaluation.scores["at"]["false_5_percent"]
    assert at["false_share"] == pytest.approx(0.05, abs=1e-3)
    assert at["false_share"] <= 0.05
    low, high = evaluation.scores["auc_interval"]
    assert low < 0.5 < high
    assert evaluation.how["groups"] == "0.1-degree blocks"


def test_the_same_seed_gives_the_same_answer(tmp_path: Path) -> None:
    table = map_of({})
    table["probability"] = np.random.default_rng(0).random(len(CELLS)).astype(np.float32)
    truth = truth_of(tmp_path / "t.gpkg", {int(cell): 3.0 for cell in CELLS[::97]})
    shuffled = table.sample(frac=1, random_state=3)
    first = evaluate(table, truth, THRESHOLDS).to_dict()
    assert first == evaluate(shuffled, truth, THRESHOLDS).to_dict()


def test_no_mine_left_is_an_error_with_a_reason(tmp_path: Path) -> None:
    truth = truth_of(tmp_path / "t.gpkg", {int(CELLS[5]): 5.0})
    table = map_of({}).assign(in_training=True)
    with pytest.raises(NoLabelsError) as caught:
        evaluate(table, truth, THRESHOLDS)
    assert "3,600 in the training table" in caught.value.next_step


def test_a_simulated_region_is_called_so(tmp_path: Path) -> None:
    demo = resolve_region("demo-heldout", 10)
    cells = np.concatenate([demo.cells(block) for block in demo.blocks])
    frame = gpd.GeoDataFrame(geometry=[square(int(cells[50]), 5)], crs="EPSG:4326")
    frame.to_file(tmp_path / "t.gpkg", layer="mines")
    table = pd.DataFrame({"cell": cells, "probability": np.float32(0.2)})
    evaluation = evaluate(table, read_truth(tmp_path / "t.gpkg", cells), THRESHOLDS, demo)
    assert describe(evaluation).startswith("SIMULATED landscape")
    assert evaluation.how["simulated"] is True
