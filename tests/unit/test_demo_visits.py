"""The simulated visits: incomplete, imprecise, and with the nulls of the real table."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from pipeline.demo.frame import HECTARE_PX, PIXEL_METRES, Frame
from pipeline.demo.mines import Mine
from pipeline.demo.visits import COLUMNS, build_visits


@pytest.fixture(scope="module")
def mines():
    areas = np.tile([0.2, 0.3, 1.0, 2.0, 5.0], 60)
    side = np.sqrt(areas * HECTARE_PX)
    return [
        Mine(shapely.box(x, 500, x + s, 500 + s), "pits", a)
        for x, s, a in zip(np.linspace(300, 4900, 300), side, areas, strict=True)
    ]


@pytest.fixture(scope="module")
def visits(mines):
    return build_visits(np.random.default_rng(3), Frame(), mines)


def test_incomplete(mines, visits):
    area = np.array([mine.area_ha for mine in mines])
    visited = visits[1]
    assert 0.5 < visited[area >= 0.5].mean() < 0.85
    assert 0.1 < visited[area < 0.5].mean() < 0.5


def test_imprecise(mines, visits):
    frame = Frame()
    centres = np.array([frame.transform @ mine.shape.centroid.coords[0] for mine in mines])
    distance = {"GPS": [], "Approximation": []}
    for row in visits[0]:
        point = np.array([float(row["longitude"]), float(row["latitude"])])
        metres = np.hypot(*(centres - point).T).min() * 12_000 * PIXEL_METRES
        distance[row["location_origin"].strip()].append(metres)
    gps, rough = np.array(distance["GPS"]), np.array(distance["Approximation"])
    assert 0.04 < len(rough) / (len(rough) + len(gps)) < 0.2
    assert 20 < np.median(gps) < 150 and gps.max() < 400
    assert np.median(rough) > 100


def test_several_visits_some_not_on_site_some_closed(visits):
    rows = visits[0]
    assert len({row["pcode"] for row in rows}) < len(rows)
    away = [row for row in rows if row["visit_onsite"] == 0]
    assert away and all("workers_numb" not in row for row in away)
    assert all(row["visit_onsite_novisitreason"] for row in away)
    assert any(row.get("workers_numb") == 0 for row in rows)
    assert any(row["visit_date"].endswith("-01-01") for row in rows)


def test_every_column_is_one_of_ipis(visits):
    assert {key for row in visits[0] for key in row} <= set(COLUMNS)


def test_columns_are_the_real_tables():
    import os

    folder = os.environ.get("ASM_ATLAS_TEST_DATA")
    if not folder:
        pytest.skip("ASM_ATLAS_TEST_DATA is not set: the real IPIS table is not here")
    with (Path(folder) / "ipis" / "visits.csv").open(encoding="utf-8") as stream:
        assert tuple(stream.readline().strip().split(",")) == COLUMNS
