"""Every point has exactly one pixel's, cell's and block's owner, wherever it lies."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geo import grid
from pipeline.geo.regions import Region

cell_rows = st.integers(0, grid.CELL_ROWS - 1)
cell_cols = st.integers(0, grid.CELL_COLUMNS - 1)
block_rows = st.integers(0, grid.BLOCK_ROWS - 1)
block_cols = st.integers(0, grid.BLOCK_COLUMNS - 1)
UTM_ZONE_EDGES = np.arange(-180, 180, 6)


def owners(lon: np.ndarray, lat: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Say whether each cell owns its point, by the half-open rule, in whole micro-pixels."""
    x = np.round((np.asarray(lon) + 180) * 12_000, 6)
    y = np.round((90 - np.asarray(lat)) * 12_000, 6)
    rows, cols = np.divmod(cells, grid.CELL_COLUMNS)
    # The globe's last row and column own their outer edge too.
    in_x = (cols * 60 <= x) & ((x < (cols + 1) * 60) | (cols == grid.CELL_COLUMNS - 1))
    in_y = (rows * 60 <= y) & ((y < (rows + 1) * 60) | (rows == grid.CELL_ROWS - 1))
    return in_x & in_y


@given(cell_rows, cell_cols)
def test_a_cell_owns_its_north_west_corner_and_its_centre(row: int, col: int) -> None:
    cell = row * grid.CELL_COLUMNS + col
    west, south, east, north = (float(side) for side in grid.cell_bounds(cell))
    assert grid.cell_of(west, north) == cell
    lon, lat = grid.cell_centres(cell)
    assert grid.cell_of(lon, lat) == cell
    assert west < lon < east
    assert south < lat < north


@given(cell_rows, cell_cols)
def test_a_cells_east_and_south_edges_belong_to_its_neighbours(row: int, col: int) -> None:
    cell = row * grid.CELL_COLUMNS + col
    west, south, east, north = (float(side) for side in grid.cell_bounds(cell))
    beside = cell + 1 if col < grid.CELL_COLUMNS - 1 else cell
    below = cell + grid.CELL_COLUMNS if row < grid.CELL_ROWS - 1 else cell
    assert grid.cell_of(east, north) == beside
    assert grid.cell_of(west, south) == below


@given(block_rows, block_cols)
def test_names_round_trip(row: int, col: int) -> None:
    block = grid.Block(row, col)
    assert grid.Block.from_name(block.name) == block


@given(block_rows, block_cols)
def test_a_block_owns_its_cells_and_no_other(row: int, col: int) -> None:
    block = grid.Block(row, col)
    cells = block.cells()
    assert cells.shape == (20, 20)
    assert {grid.block_of_cell(int(cell)) for cell in cells.ravel()} == {block}
    west, south, east, north = block.bounds
    bounds = grid.cell_bounds(cells)
    assert np.isclose(bounds[0].min(), west)
    assert np.isclose(bounds[1].min(), south)
    assert np.isclose(bounds[2].max(), east)
    assert np.isclose(bounds[3].max(), north)
    assert np.isclose(block.transform.c, west)
    assert np.isclose(block.transform.f, north)
    if row and col:
        corner = int(grid.cell_of(west, north))
        assert grid.block_of_cell(corner) == block


def test_blocks_tile_the_globe() -> None:
    rows = np.arange(grid.BLOCK_ROWS)
    first = np.array([grid.Block(int(row), 0).cells()[[0, -1], 0] for row in rows])
    assert first[0, 0] == 0
    # The last row of cells of a block is followed by the first of the next.
    assert np.all(first[1:, 0] - first[:-1, 1] == grid.CELL_COLUMNS)
    assert first[-1, 1] == (grid.CELL_ROWS - 1) * grid.CELL_COLUMNS
    cols = np.arange(grid.BLOCK_COLUMNS)
    across = np.array([grid.Block(0, int(col)).cells()[0] for col in cols]).ravel()
    assert np.array_equal(across, np.arange(grid.CELL_COLUMNS))
    assert grid.BLOCK_ROWS * grid.BLOCK_COLUMNS * 400 == grid.CELL_ROWS * grid.CELL_COLUMNS


@given(block_rows, block_cols, st.integers(1, 12), st.integers(1, 12))
def test_the_blocks_of_a_box_are_those_inside(row: int, col: int, down: int, right: int) -> None:
    last = grid.Block(min(row + down, grid.BLOCK_ROWS) - 1, min(col + right, 3600) - 1)
    first = grid.Block(row, col)
    box = shapely.box(first.bounds[0], last.bounds[1], last.bounds[2], first.bounds[3])
    assert Region("box", "", box).blocks == [
        grid.Block(r, c) for r in range(row, last.row + 1) for c in range(col, last.col + 1)
    ]


@given(
    st.lists(st.tuples(cell_rows, cell_cols), min_size=1, max_size=50),
)
def test_a_coarse_cell_holds_its_four_cells(places: list[tuple[int, int]]) -> None:
    rows, cols = np.array(places).T
    fine = rows * grid.CELL_COLUMNS + cols
    west, south, east, north = grid.coarse_cell_bounds(grid.coarse_cell_of(fine))
    lon, lat = grid.cell_centres(fine)
    assert np.all((west < lon) & (lon < east) & (south < lat) & (lat < north))


def border_points(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on borders of cells, blocks and UTM zones, written in every way they come."""
    rows, cols = rng.integers(0, grid.CELL_ROWS, count), rng.integers(0, grid.CELL_COLUMNS, count)
    kind = rng.integers(0, 4, count)
    rows = np.where(kind == 1, rows // 20 * 20, rows)
    cols = np.where(kind == 1, cols // 20 * 20, cols)
    zone = (UTM_ZONE_EDGES[rng.integers(0, len(UTM_ZONE_EDGES), count)] + 180) * 200
    cols = np.where(kind == 2, zone, cols)
    lon, lat = cols / 200 - 180, 90 - rows / 200
    # The same place from text, from float32-like rounding, and from sums of tenths.
    lon = np.where(kind == 3, np.round(lon, 6), lon)
    lat = np.where(kind == 3, np.round(lat, 6), lat)
    lon = np.where(kind == 0, cols * 0.005 - 180, lon)
    # Half of them lie on one border alone.
    lon = np.where(rng.random(count) < 0.25, rng.uniform(-180, 180, count), lon)
    lat = np.where(rng.random(count) < 0.25, rng.uniform(-90, 90, count), lat)
    # The last bit of a coordinate must not change the owner.
    lon = lon + rng.integers(-1, 2, count) * np.spacing(lon)
    return np.clip(lon, -180, 180), lat


def test_a_million_border_points_have_exactly_one_owner() -> None:
    lon, lat = border_points(1_000_000, np.random.default_rng(20))
    cells = grid.cell_of(lon, lat)
    assert np.all((cells >= 0) & (cells < grid.CELL_ROWS * grid.CELL_COLUMNS))
    assert owners(lon, lat, cells).all()
    claims = np.zeros(len(cells), int)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            row, col = np.divmod(cells, grid.CELL_COLUMNS)
            row, col = row + down, col + right
            exists = (row >= 0) & (row < grid.CELL_ROWS) & (col >= 0) & (col < grid.CELL_COLUMNS)
            claims += exists & owners(lon, lat, row * grid.CELL_COLUMNS + col)
    assert np.all(claims == 1)
