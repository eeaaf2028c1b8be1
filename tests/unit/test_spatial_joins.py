"""Every point has exactly one owner, on cell, block and zone borders too; no site is lost."""

from __future__ import annotations

import time

import numpy as np
import pytest
import shapely

from pipeline.geo import grid
from pipeline.sites.layers.spatial_joins import (
    count_in_reach,
    count_touching,
    nearest_in_reach,
    owner_of,
)

COUNT = 1_000_000


def border_points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A million points in 20..21 E, 2..3 S, at least one coordinate on a cell or block border."""
    rng = np.random.default_rng(seed)
    lon, lat = 20 + rng.random(COUNT), -3 + rng.random(COUNT)
    kind = rng.integers(0, 6, COUNT)
    step = np.where(kind % 2 == 0, 200, 10)  # cells of 1/200 degree, blocks of 1/10
    on_lon, on_lat = np.isin(kind, (0, 1, 4, 5)), np.isin(kind, (2, 3, 4, 5))
    lon = np.where(on_lon, np.round(lon * step) / step, lon)
    lat = np.where(on_lat, np.round(lat * step) / step, lat)
    return lon, lat


def test_a_million_points_on_borders_have_one_cell_and_one_block_each() -> None:
    lon, lat = border_points(1)
    cells = grid.cell_of(lon, lat)
    west, south, east, north = grid.cell_bounds(cells)
    near = 1e-9
    # Half-open: a cell owns its western and northern border, and not the others.
    assert ((lon >= west - near) & (lon < east - near / 2)).all()
    assert ((lat <= north + near) & (lat > south + near / 2)).all()
    # The cell to the east or south, which shares the border, would not say the same of itself.
    on_west = np.abs(lon - west) < near
    assert on_west.sum() > COUNT / 3
    block = np.stack(np.divmod(cells, grid.CELL_COLUMNS)) // grid.CELLS_PER_BLOCK
    for row, col in np.unique(block, axis=1).T[:50]:
        mine = (block[0] == row) & (block[1] == col)
        west, south, east, north = grid.Block(int(row), int(col)).bounds
        assert (lon[mine] >= west - near).all() and (lon[mine] < east).all()
        assert (lat[mine] <= north + near).all() and (lat[mine] > south).all()


@pytest.mark.parametrize("order", [1, -1])
def test_a_million_points_on_zone_borders_have_one_owner_each(order: int) -> None:
    started = time.monotonic()
    lon, lat = border_points(2)
    # Zones of 0.1 degree and their shared borders, one of them a slanted pair.
    edges = np.round(20 + np.arange(11) / 10, 1), np.round(-3 + np.arange(11) / 10, 1)
    zones = [
        shapely.box(edges[0][i], edges[1][j], edges[0][i + 1], edges[1][j + 1])
        for j in range(10)
        for i in range(10)
    ]
    corners = shapely.get_coordinates(zones[0])
    zones[0:1] = [
        shapely.Polygon(corners[[0, 1, 2]]),
        shapely.Polygon(corners[[0, 2, 3]]),
    ]
    areas = np.array(zones[::order], object)
    owner, count = owner_of(shapely.points(lon, lat), areas)
    assert (owner >= 0).all()
    assert np.bincount(owner, minlength=len(areas)).sum() == COUNT
    assert (count > 1).sum() > COUNT / 10
    # The owner is the first of those that hold the point, whatever the order of the points.
    some = np.random.default_rng(3).choice(COUNT, 500, replace=False)
    for at in some:
        holds = shapely.intersects(areas, shapely.Point(lon[at], lat[at]))
        assert owner[at] == np.flatnonzero(holds)[0]
        assert count[at] == holds.sum()
    part = slice(100_000, None, -1)
    turned = owner_of(shapely.points(lon[part], lat[part]), areas)[0]
    assert (turned == owner[part]).all()
    assert time.monotonic() - started < 60


def test_a_point_in_a_gap_of_last_bits_between_two_borders_has_an_owner() -> None:
    areas = np.array([shapely.box(0, 0, 0.3, 1), shapely.box(0.3 + 6e-10, 0, 1, 1)], object)
    between = np.array([shapely.Point(0.3 + 3e-10, 0.5)], object)
    assert not shapely.intersects(areas, between[0]).any()
    owner, count = owner_of(between, areas)
    assert owner.tolist() == [0] and count[0] == 2
    far = owner_of(np.array([shapely.Point(2, 2)], object), areas)
    assert far[0].tolist() == [-1] and far[1].tolist() == [0]


def test_no_area_and_no_point() -> None:
    nothing = np.empty(0, object)
    points = np.array([shapely.Point(0, 0)], object)
    assert owner_of(points, nothing)[0].tolist() == [-1]
    assert owner_of(nothing, points)[0].size == 0
    assert count_touching(points, nothing).tolist() == [0]
    assert count_in_reach(nothing, points, 5).tolist() == [0]
    assert nearest_in_reach(nothing, points, 5)[0].tolist() == [-1]


@pytest.mark.parametrize("lat", [0.0, 45.0, -60.0])
def test_reach_is_in_kilometres_at_every_latitude(lat: float) -> None:
    degree = 111.195 * np.cos(np.radians(lat))
    east = [shapely.Point(10 + km / degree, lat) for km in (1.0, 4.9, 5.1, 30.0)]
    north = [shapely.Point(10, lat + km / 111.195) for km in (2.0, 5.2)]
    shapes = np.array(east + north, object)
    here = np.array([shapely.Point(10, lat), shapely.Point(50, lat)], object)
    assert count_in_reach(shapes, here, 5.0).tolist() == [3, 0]
    index, km = nearest_in_reach(shapes, here, 5.0)
    assert index.tolist() == [0, -1]
    assert km[0] == pytest.approx(1.0, abs=0.01) and np.isnan(km[1])


def test_what_overlaps_is_no_distance_away() -> None:
    shapes = np.array([shapely.box(0, 0, 1, 1)], object)
    inside = np.array([shapely.box(0.9, 0.9, 2, 2), shapely.Point(0.5, 0.5)], object)
    index, km = nearest_in_reach(shapes, inside, 1.0)
    assert index.tolist() == [0, 0] and km.tolist() == [0, 0]
    assert count_in_reach(shapes, inside, 1.0).tolist() == [1, 1]
    assert count_touching(inside, shapes).tolist() == [1, 1]
