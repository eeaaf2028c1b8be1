from __future__ import annotations

import json
import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_visits import write_visits

from pipeline.errors import InputFileError
from pipeline.geo.vector_files import read_vector
from pipeline.sites.detections import (
    PUBLIC_SITE_COLUMNS,
    join_detections,
    write_detection_join,
)
from pipeline.sites.visits import read_visits

real = pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)


@pytest.fixture
def visits(tmp_path: Path) -> pd.DataFrame:
    return read_visits(
        write_visits(
            tmp_path / "v.csv",
            {"pcode": "in", "longitude": 28.05, "latitude": -2.05, "name": "=1+1"},
            {"pcode": "near", "longitude": 28.11, "latitude": -2.05, "workers_numb": 30},
            {"pcode": "far", "longitude": 29.0, "latitude": -2.05, "visit_onsite": 0},
        )
    )


@pytest.fixture
def polygons() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {"fid": [7, 8], "geom": ["a", "@b"], "Matched": [0, 1]},
        geometry=[shapely.box(28, -2.1, 28.1, -2), shapely.box(25, 1, 25.1, 1.1)],
        crs="EPSG:4326",
    )


def test_both_sides_of_polygons(visits: pd.DataFrame, polygons: gpd.GeoDataFrame) -> None:
    result = join_detections(polygons, visits, 1.2)
    sites = result.sites.set_index("pcode")
    assert sites["matched"].to_dict() == {"far": False, "in": True, "near": True}
    assert sites.loc["in", "distance_km"] == 0
    assert sites.loc["near", "distance_km"] == pytest.approx(1.111, abs=0.005)
    assert sites["nearest_detection"].tolist() == [0, 0, 0]
    assert result.detections["matched"].tolist() == [True, False]
    assert result.detections["nearest_pcode"].tolist() == ["in", "in"]
    counts = result.counts()
    assert counts["sites"] == counts["sites_matched"] + counts["sites_unmatched"] == 3
    assert (
        counts["detections"] == 2 == counts["detections_matched"] + counts["detections_unmatched"]
    )
    assert not join_detections(polygons, visits, 1.0).sites["matched"].iloc[2]


def test_points(visits: pd.DataFrame) -> None:
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy([28.05], [-2.05]), crs="EPSG:4326")
    result = join_detections(points, visits, 0.0)
    assert result.sites["matched"].sum() == 1
    assert result.detections["distance_km"].tolist() == [0]


def test_no_detection_at_all(visits: pd.DataFrame, tmp_path: Path) -> None:
    none = gpd.GeoDataFrame(geometry=gpd.GeoSeries([], crs="EPSG:4326"))
    result = join_detections(none, visits, 1.0)
    assert result.counts()["sites_unmatched"] == 3
    assert result.sites["distance_km"].isna().all()
    assert (write_detection_join(result, tmp_path / "out") / "join.gpkg").exists()


@pytest.mark.parametrize("tolerance", [-1, np.nan, np.inf])
def test_a_tolerance_is_a_distance(visits: pd.DataFrame, tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        join_detections(gpd.GeoDataFrame(geometry=[], crs="EPSG:4326"), visits, tolerance)


def test_the_public_files_hold_what_ipis_publishes(
    visits: pd.DataFrame, polygons: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    folder = write_detection_join(join_detections(polygons, visits, 1.2), tmp_path / "out")
    assert {item.name for item in folder.iterdir()} == {
        "join.gpkg", "join.json", "sites.csv", "detections.csv"
    }  # fmt: skip
    sites = pyogrio.read_dataframe(folder / "join.gpkg", layer="sites")
    assert set(sites.columns) == {*PUBLIC_SITE_COLUMNS, "geometry"}
    table = pd.read_csv(folder / "sites.csv")
    assert set(table.columns) == set(PUBLIC_SITE_COLUMNS)
    assert table["name"].str.startswith("'=1+1").any()
    detections = pyogrio.read_dataframe(folder / "join.gpkg", layer="detections")
    assert len(detections) == 2
    assert {"source_fid", "source_geom"} <= set(detections.columns)
    summary = json.loads((folder / "join.json").read_text())
    assert summary["disclosure"] == "public"
    assert summary["counts"]["sites_matched"] == 2
    for item in folder.iterdir():
        assert b"taxation" not in item.read_bytes()
        assert b"workers" not in item.read_bytes()


def test_the_restricted_files_hold_every_column(
    visits: pd.DataFrame, polygons: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    result = join_detections(polygons, visits, 1.2)
    folder = write_detection_join(result, tmp_path / "out", "restricted")
    sites = pyogrio.read_dataframe(folder / "join.gpkg", layer="sites")
    assert set(visits.columns) <= set(sites.columns)
    assert json.loads((folder / "join.json").read_text())["disclosure"] == "restricted"
    # Written again in its place, and nothing beside it.
    write_detection_join(result, tmp_path / "out")
    assert "workers_numb" not in pyogrio.read_info(folder / "join.gpkg", layer="sites")["fields"]
    assert [item.name for item in tmp_path.iterdir() if item.is_dir()] == ["out"]


def test_a_folder_with_other_things_is_not_replaced(
    visits: pd.DataFrame, polygons: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    result = join_detections(polygons, visits, 1.0)
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(InputFileError, match="taken"):
            write_detection_join(result, place)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@real
def test_the_counts_of_the_real_tables() -> None:
    data = Path(os.environ["ASM_ATLAS_TEST_DATA"])
    visits = read_visits(data / "ipis" / "visits.csv")
    points = read_vector(data / "africa_mining_watch" / "detection_points.csv")
    matched = {km: join_detections(points, visits, km).counts() for km in (1.0, 2.0, 5.0)}
    assert [matched[km]["sites_matched"] for km in (1.0, 2.0, 5.0)] == [547, 871, 1349]
    for counts in matched.values():
        assert counts["sites"] == counts["sites_matched"] + counts["sites_unmatched"] == 3409
        assert counts["detections"] == 12874
        assert counts["detections_matched"] + counts["detections_unmatched"] == 12874


@real
def test_real_polygons_far_from_every_site() -> None:
    data = Path(os.environ["ASM_ATLAS_TEST_DATA"])
    visits = read_visits(data / "ipis" / "visits.csv")
    counts = join_detections(
        read_vector(data / "mining_polygons" / "ghana_2024.geojson"), visits, 5.0
    ).counts()
    assert (counts["detections_unmatched"], counts["sites_unmatched"]) == (685, 3409)
