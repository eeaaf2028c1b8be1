"""Visits become positives, everything far from them background, and the rest is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_visits import write_visits

from pipeline.errors import NoLabelsError
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.sites.labels.background import far_from_mines, with_background
from pipeline.sites.labels.rows import Labels, shift_for_date, shift_season
from pipeline.sites.labels.visits import label_visits
from pipeline.sites.visits import read_visits

REGION = resolve_region("bbox:5.9,2.0,6.1,2.1", 100)
SEASON = "2021-12..2022-02"


def site(number: int, **about: Any) -> dict[str, Any]:
    place = {"longitude": 5.9525 + 0.01 * number, "latitude": 2.0525}
    usual = {"pcode": f"site{number}", "visit_date": "2022-01-10"}
    return place | usual | about


def labels(folder: Path, *sites: dict[str, Any], season: str = SEASON) -> Labels:
    return label_visits(read_visits(write_visits(folder / "visits.csv", *sites)), REGION, season)


def test_positives_are_gps_placed_on_site_visits_and_the_rest_is_counted(tmp_path) -> None:
    found = labels(
        tmp_path,
        site(0),
        site(1, workers_numb=12),
        site(2, workers_numb=0),
        site(3, visit_onsite=0),
        site(4, location_origin="Approximation"),
        site(5, longitude=7.0),
        site(6, project="Somebody else"),
    )
    assert sorted(found.positives["source"]) == ["site0", "site1"]
    assert found.left_out == {
        "outside": 1,
        "not_on_site": 1,
        "others": 1,
        "approximate": 1,
        "abandoned": 1,
    }
    sizes = found.positives.set_index("source")["size"]
    assert sizes["site1"] == 12
    first = found.positives.set_index("source").loc["site0"]
    assert first["cell"] == grid.cell_of(5.9525, 2.0525)
    assert first["date"] == "2022-01-10"


@pytest.mark.parametrize(
    ("row", "count", "step"),
    [
        ({"project": "Notre mission"}, "2 recorded by others than IPIS", "LABELS_MAPPING"),
        ({"visit_onsite": 0}, "2 not visited on site", "visit_onsite must be 1"),
        ({"location_origin": "Carte"}, "2 place only approximate", "location_origin must be GPS"),
        ({"workers_numb": 0}, "2 abandoned", "workers_numb is 0"),
        ({"longitude": 7.0}, "2 outside the region", "choose a region that was visited"),
    ],
)
def test_where_no_visit_counts_the_cause_is_named(tmp_path, row, count, step) -> None:
    with pytest.raises(NoLabelsError) as caught:
        labels(tmp_path, site(0, **row), site(1, **row))
    assert count in caught.value.where and step in caught.value.next_step


def test_two_sites_of_one_cell_are_one_positive(tmp_path) -> None:
    found = labels(tmp_path, site(0), site(0, pcode="beside", longitude=5.9526))
    assert len(found.positives) == 1


def test_background_keeps_away_from_every_place_known_by_gps(tmp_path) -> None:
    found = labels(tmp_path, site(0), site(4, location_origin="Approximation", longitude=6.05))
    cells = np.concatenate([block.cells().ravel() for block in REGION.blocks])
    background = far_from_mines(cells, found)
    lon, lat = grid.cell_centres(cells)

    def km(x: float, y: float) -> Any:
        return np.hypot((lon - x) * np.cos(np.radians(y)), lat - y) * 111.2

    # 1 km beyond the 0.25 km of a fix; a place known to 5 km would leave no background at all.
    away = km(5.9525, 2.0525)
    assert background[away > 1.3].all()
    assert not background[away < 1.2].any()


def test_places_outside_the_region_keep_background_away_too(tmp_path) -> None:
    found = labels(tmp_path, site(0), site(1, longitude=6.1005))
    cell = grid.cell_of([6.0985], [2.0525])
    assert not far_from_mines(cell, found).any()


def test_a_table_without_the_number_of_workers(tmp_path) -> None:
    visits = read_visits(write_visits(tmp_path / "v.csv", site(0))).drop(columns="workers_numb")
    assert len(label_visits(visits, REGION, SEASON).positives) == 1


def test_no_positive_at_all(tmp_path) -> None:
    with pytest.raises(NoLabelsError, match="1 outside the region") as caught:
        labels(tmp_path, site(0, longitude=7.0))
    assert caught.value.exit_code == 41


@pytest.mark.parametrize(
    ("day", "shift"),
    [
        ("2022-01-10", 0),
        ("2021-08-01", 0),
        ("2021-07-01", -1),
        ("2022-07-30", 1),
        ("2019-02-01", -3),
        ("2023-12-15", 2),
    ],
)
def test_the_nearest_season(day, shift) -> None:
    assert shift_for_date(day, SEASON) == shift
    assert shift_for_date(day, "") == 0


def test_a_shifted_season() -> None:
    assert shift_season(SEASON, -3) == "2018-12..2019-02"
    assert shift_season(SEASON, 0) == SEASON
    assert shift_season("", 4) == ""


def test_visits_of_other_years_belong_to_other_seasons(tmp_path) -> None:
    found = labels(tmp_path, site(0), site(1, visit_date="2019-01-05", longitude=6.05))
    assert dict(found.positives[["source", "shift"]].to_numpy().tolist()) == {
        "site0": 0,
        "site1": -3,
    }
    assert found.blocks(0) == [grid.Block.from_name("N02.0E005.9")]
    assert found.blocks(-3) == [grid.Block.from_name("N02.0E006.0")]
    everything = labels(tmp_path, site(0), site(1, visit_date="2019-01-05"), season="")
    assert set(everything.positives["shift"]) == {0}


def test_the_other_cells_of_labelled_blocks_are_unlabelled(tmp_path) -> None:
    found = with_background(labels(tmp_path, site(0)), REGION)
    assert set(found.rows["label"]) == {1, -1}, "no visited site here is no negative"
    others = found.rows[found.rows["label"] == -1]
    assert set(others["what"]) == {"background"}
    assert {grid.block_of_cell(cell).name for cell in others["cell"]} == {"N02.0E005.9"}
    assert far_from_mines(others["cell"].to_numpy(), found).all()
    assert not found.rows.duplicated(["cell", "shift"]).any()
