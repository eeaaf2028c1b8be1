from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely

from models.sphere import PointIndex, great_circle_km
from pipeline.geo import grid
from pipeline.geo.distance import (
    CellIndex,
    cell_area_km2,
    nearest_shape,
)

GEOD = pyproj.Geod(ellps="WGS84")
RNG = np.random.default_rng(3)


def test_great_circles_agree_with_the_ellipsoid() -> None:
    lon1, lat1 = RNG.uniform(-180, 180, 500), RNG.uniform(-80, 80, 500)
    lon2, lat2 = lon1 + RNG.normal(0, 5, 500), np.clip(lat1 + RNG.normal(0, 5, 500), -85, 85)
    true = GEOD.inv(lon1, lat1, lon2, lat2)[2] / 1000
    assert great_circle_km(lon1, lat1, lon2, lat2) == pytest.approx(true, rel=6e-3)


def test_the_nearest_point_is_found_across_the_antimeridian() -> None:
    index, distance = PointIndex([-179.9, 170.0], [0, 0]).nearest([179.9], [0])
    assert index.tolist() == [0]
    assert distance == pytest.approx([22.24], abs=0.01)


def test_pairs_within_each_queries_own_radius() -> None:
    points = PointIndex([0, 1, 2], [0, 0, 0])
    queries, found = points.within([0, 2], [0, 0], [112, 1])
    assert sorted(zip(queries.tolist(), found.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 2)]


def test_without_points_nothing_is_near() -> None:
    none = PointIndex([], [])
    assert none.nearest([1], [1])[0].tolist() == [-1]
    assert np.isnan(none.nearest([1], [1])[1]).all()
    assert none.within([1], [1], 5)[0].size == 0
    assert PointIndex([1], [1]).nearest([], [])[0].size == 0
    empty = CellIndex(np.empty(0, np.int64))
    assert np.isnan(empty.nearest([1.0], [1.0])[1]).all()
    assert empty.within([1.0], [1.0], [5.0])[0].size == 0


def test_distance_to_a_cell_is_to_its_square() -> None:
    cell = grid.cell_of([28.0025], [-2.0025])
    west, _, _, _ = grid.cell_bounds(cell)
    cells = CellIndex(cell)
    assert cells.nearest([28.001], [-2.004])[1].tolist() == [0.0]
    _, distance = cells.nearest([float(west[0]) - 0.01], [-2.0025])
    assert distance == pytest.approx(great_circle_km(0, -2.0025, 0.01, -2.0025), rel=1e-6)


def test_the_nearest_cell_is_the_nearest_square() -> None:
    lon, lat = RNG.uniform(28, 28.2, 300), RNG.uniform(-2.2, -2, 300)
    ids = np.unique(grid.cell_of(RNG.uniform(28, 28.2, 200), RNG.uniform(-2.2, -2, 200)))
    west, south, east, north = (side[None, :] for side in grid.cell_bounds(ids))
    x, y = lon[:, None], lat[:, None]
    brute = great_circle_km(x, y, np.clip(x, west, east), np.clip(y, south, north)).min(axis=1)
    assert CellIndex(ids).nearest(lon, lat)[1] == pytest.approx(brute, abs=0.01)
    queries, _ = CellIndex(ids).within(lon, lat, 0.5)
    assert set(queries) == set(np.flatnonzero(brute <= 0.5))


@pytest.mark.parametrize("latitude", [0.0, 10.0, -50.0])
def test_distances_to_polygons(latitude: float) -> None:
    centres = RNG.uniform((20, latitude - 0.5), (21, latitude + 0.5), (40, 2))
    shapes = shapely.buffer(shapely.points(centres), RNG.uniform(0.001, 0.05, 40), quad_segs=4)
    points = shapely.points(RNG.uniform((20, latitude - 0.5), (21, latitude + 0.5), (60, 2)))
    index, distance = nearest_shape(shapes, points)
    edges = shapely.segmentize(shapely.boundary(shapes), 0.0005)
    for at, point in enumerate(points):
        true = np.inf
        for shape, edge in zip(shapes, edges, strict=True):
            xy = shapely.get_coordinates(edge)
            km = great_circle_km(point.x, point.y, xy[:, 0], xy[:, 1]).min()
            true = min(true, 0 if shapely.contains(shape, point) else km)
        assert distance[at] == pytest.approx(true, rel=0.02, abs=0.03)
        assert shapely.contains(shapes[index[at]], point) or distance[at] > 0


def test_points_among_points_are_exact() -> None:
    lon, lat = RNG.uniform(-180, 180, 200), RNG.uniform(-80, 80, 200)
    x, y = RNG.uniform(-180, 180, 50), RNG.uniform(-80, 80, 50)
    index, distance = nearest_shape(shapely.points(lon, lat), shapely.points(x, y))
    brute = great_circle_km(x[:, None], y[:, None], lon[None, :], lat[None, :])
    assert index.tolist() == brute.argmin(axis=1).tolist()
    assert distance == pytest.approx(brute.min(axis=1))


def test_nothing_among_nothing() -> None:
    none = np.empty(0, object)
    index, distance = nearest_shape(none, shapely.points([[1.0, 1.0]]))
    assert index.tolist() == [-1]
    assert np.isnan(distance).all()
    assert nearest_shape(shapely.points([[1.0, 1.0]]), none)[0].size == 0


@pytest.mark.parametrize("lat", [0.0025, 30.0025, -59.9975])
def test_areas_of_cells(lat: float) -> None:
    cell = grid.cell_of([10.0025], [lat])
    box = shapely.box(*(float(side[0]) for side in grid.cell_bounds(cell)))
    true = abs(GEOD.geometry_area_perimeter(shapely.segmentize(box, 1e-4))[0]) / 1e6
    assert cell_area_km2(cell)[0] == pytest.approx(true, rel=1e-5)
