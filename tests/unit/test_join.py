from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sample_visits import write_visits

from pipeline.classes import CLASSES, classify
from pipeline.geo import grid
from pipeline.geo.regions import Region, resolve_region
from pipeline.sites.join import join_cells
from pipeline.sites.visits import read_visits

THRESHOLDS = {"possible": 0.4, "likely": 0.8}


@pytest.fixture
def region() -> Region:
    return resolve_region("bbox:28.0,-2.2,28.2,-2.0", 10)


def predictions_of(region: Region, **special: float) -> pd.DataFrame:
    """A quiet map of a region; keyword ``lon_lat`` in thousandths of a degree: probability."""
    cells = np.sort(np.concatenate([region.cells(block) for block in region.blocks]))
    table = pd.DataFrame(
        {
            "cell": cells,
            "probability": np.full(len(cells), 0.1, np.float32),
            "observed": np.float32(0.9),
            "clear_observations": np.float32(5),
            "first_image": "2021-12-05",
            "last_image": "2022-02-20",
            "scenes": np.int16(6),
            "in_training": False,
        }
    )
    for place, value in special.items():
        lon, lat = (int(part) / 1000 for part in place.removeprefix("at_").split("_"))
        table.loc[table["cell"] == grid.cell_of(lon, -lat), "probability"] = np.float32(value)
    return table


def test_thresholds_belong_to_the_class_above() -> None:
    values = np.array([0.8, 0.4, np.nan, 0.7999, 0.39, 1.0, 0.0], np.float32)
    expected = ["likely", "possible", "cannot_tell", "possible", "unlikely", "likely", "unlikely"]
    assert classify(values, THRESHOLDS).tolist() == expected
    assert set(expected) == set(CLASSES)


@pytest.mark.parametrize("possible, likely", [(0.5, 0.4), (0, 0.5), (0.5, 1.1), (np.nan, 0.5)])
def test_thresholds_out_of_order_are_refused(possible: float, likely: float) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        classify(np.zeros(1, np.float32), {"possible": possible, "likely": likely})


def test_without_visits_there_are_no_sites(region: Region) -> None:
    joined = join_cells(predictions_of(region, at_28102_2102=0.9), None, region, THRESHOLDS)
    assert joined.sites is None
    assert len(joined.cells) == 1600
    assert joined.cells["sites"].dtype == np.int16
    assert joined.cells["nearest_site_km"].isna().all()
    assert joined.cells["nearest_site_km"].dtype == np.float32
    assert len(joined.candidates) == 1


def test_both_sides(region: Region, tmp_path: Path) -> None:
    visits = read_visits(
        write_visits(
            tmp_path / "v.csv",
            # in a likely cell; missed by 8 km; where the map cannot tell; known only roughly,
            # 4 km from a likely cell; beyond the region, just west of a likely cell
            {"pcode": "hit", "longitude": 28.1021, "latitude": -2.1021},
            {"pcode": "missed", "longitude": 28.1521, "latitude": -2.0221},
            {"pcode": "cloud", "longitude": 28.1821, "latitude": -2.1821},
            {"pcode": "rough", "longitude": 28.0221, "latitude": -2.0521,
             "location_origin": "GPS (village)"},
            {"pcode": "beyond", "longitude": 27.999, "latitude": -2.1521},
            {"pcode": "far", "longitude": 20.0, "latitude": 3.0},
        )
    )  # fmt: skip
    table = predictions_of(
        region, at_28102_2102=0.9, at_28182_2182=np.nan, at_28022_2087=0.95, at_28002_2152=0.95
    )
    joined = join_cells(table, visits, region, THRESHOLDS, tolerance_km=1.0)
    sites = joined.sites
    assert sites is not None
    sites = sites.set_index("pcode")
    assert list(sites.index) == ["cloud", "hit", "missed", "rough"]
    assert sites["matched"].to_dict() == {
        "cloud": False, "hit": True, "missed": False, "rough": True
    }  # fmt: skip
    assert sites.loc["hit", "distance_km"] == 0
    assert sites.loc["rough", "distance_km"] == pytest.approx(3.6, abs=0.2)
    assert sites.loc["hit", "probability"] == pytest.approx(0.9)
    assert sites.loc["rough", "probability"] == pytest.approx(0.95)
    assert sites.loc["missed", "probability"] == pytest.approx(0.1)
    # A radius of 250 m around "cloud" reaches cells that could be seen.
    assert sites["cell_class"].to_dict() == {
        "cloud": "cannot_tell", "hit": "likely", "missed": "unlikely", "rough": "unlikely"
    }  # fmt: skip
    assert set(visits.columns) <= {"pcode", *sites.columns}
    assert sites.loc["hit", "mineral"] == "Or"
    cells = joined.cells.set_index("cell")
    assert int(cells["sites"].sum()) == 4
    assert cells.loc[int(grid.cell_of(28.1021, -2.1021)), "nearest_site_km"] == 0
    assert not cells["nearest_site_km"].isna().any()
    # The hit is a known site, so is the one just beyond the border; the rough one marks.
    assert joined.candidates["known_sites"].tolist() == [1]
    assert joined.candidates["probability"].tolist() == pytest.approx([0.95])


def test_a_site_that_the_map_cannot_tell_has_no_probability(region: Region, tmp_path: Path) -> None:
    visits = read_visits(
        write_visits(tmp_path / "v.csv", {"longitude": 28.1025, "latitude": -2.1025})
    )
    table = predictions_of(region)
    table["probability"] = np.float32(np.nan)
    joined = join_cells(table, visits, region, THRESHOLDS)
    assert joined.sites is not None
    assert joined.sites["probability"].isna().all()
    assert joined.sites["distance_km"].isna().all()
    assert not joined.sites["matched"].any()
    assert set(joined.cells["class"]) == {"cannot_tell"}
    assert len(joined.candidates) == 0


def test_a_site_on_a_border_is_in_one_cell(region: Region, tmp_path: Path) -> None:
    rows = [
        {"pcode": f"p{i}", "longitude": 28.0 + 0.005 * (i % 30), "latitude": -2.005 - 0.005 * i}
        for i in range(30)
    ]
    visits = read_visits(write_visits(tmp_path / "v.csv", *rows))
    joined = join_cells(predictions_of(region), visits, region, THRESHOLDS)
    assert int(joined.cells["sites"].sum()) == 30
    assert joined.sites is not None
    assert len(joined.sites) == 30


def test_a_region_without_sites(region: Region, tmp_path: Path) -> None:
    visits = read_visits(write_visits(tmp_path / "v.csv", {"longitude": 20, "latitude": 4}))
    joined = join_cells(predictions_of(region), visits, region, THRESHOLDS)
    assert joined.sites is not None
    assert len(joined.sites) == 0
    assert {"matched", "distance_km", "probability", "cell_class"} <= set(joined.sites.columns)


def test_broken_predictions_are_refused(region: Region) -> None:
    table = predictions_of(region)
    with pytest.raises(ValueError, match="lack observed"):
        join_cells(table.drop(columns="observed"), None, region, THRESHOLDS)
    with pytest.raises(ValueError, match="twice"):
        join_cells(pd.concat([table, table]), None, region, THRESHOLDS)


def test_the_order_of_the_rows_does_not_matter(region: Region, tmp_path: Path) -> None:
    visits = read_visits(
        write_visits(tmp_path / "v.csv", {"longitude": 28.1025, "latitude": -2.1025})
    )
    table = predictions_of(region, at_28102_2102=0.9, at_28052_2052=0.9)
    joined = join_cells(table, visits, region, THRESHOLDS)
    again = join_cells(table.sample(frac=1, random_state=1), visits, region, THRESHOLDS)
    pd.testing.assert_frame_equal(joined.cells, again.cells)
    pd.testing.assert_frame_equal(joined.candidates, again.candidates)


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
def test_real_sites_of_a_province_come_out_once() -> None:
    visits = read_visits(Path(os.environ["ASM_ATLAS_TEST_DATA"]) / "ipis" / "visits.csv")
    region = resolve_region("bbox:28.2,-3.4,28.9,-2.9", 100)
    table = predictions_of(region)
    table["probability"] = np.random.default_rng(0).random(len(table)).astype(np.float32) ** 4
    joined = join_cells(table, visits, region, THRESHOLDS)
    west, south, east, north = region.geometry.bounds
    inside = visits["longitude"].between(west, east) & visits["latitude"].between(south, north)
    assert joined.sites is not None
    assert set(joined.sites["pcode"]) == set(visits.loc[inside, "pcode"])
    assert int(joined.cells["sites"].sum()) == len(joined.sites)
    assert set(visits.columns) <= set(joined.sites.columns)


def test_cells_unlike_the_training_ground_cannot_be_told(region) -> None:
    cells = predictions_of(region).assign(probability=np.float32(0.9), dissimilarity=0.5)
    cells.loc[:9, "dissimilarity"] = 1.01
    joined = join_cells(cells, None, region, THRESHOLDS).cells
    found = joined["class"].value_counts().to_dict()
    assert found == {"likely": len(cells) - 10, "cannot_tell": 10}
