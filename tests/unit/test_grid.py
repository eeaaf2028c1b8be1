from __future__ import annotations

import numpy as np
import pytest

from pipeline.geo import grid


def test_block_names_are_south_west_corners() -> None:
    assert grid.block_of_cell(int(grid.cell_of(5.85, 2.05))).name == "N02.0E005.8"
    assert grid.block_of_cell(int(grid.cell_of(-0.05, -0.05))).name == "S00.1W000.1"
    assert grid.Block(0, 0).name == "N89.9W180.0"
    assert grid.Block(1799, 3599).name == "S90.0E179.9"
    assert grid.Block.from_name("N02.0E005.8").bounds == pytest.approx((5.8, 2.0, 5.9, 2.1))


@pytest.mark.parametrize(
    "name",
    ["", "n02.0e005.8", "N02.0E005.8 ", "N2.0E5.8", "N02.0E005.8/..", "N95.0E000.0", "S00.0E000.0"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="block"):
        grid.Block.from_name(name)


@pytest.mark.parametrize(("row", "col"), [(-1, 0), (1800, 0), (0, 3600), (0, -1)])
def test_blocks_off_the_globe_are_refused(row: int, col: int) -> None:
    with pytest.raises(ValueError, match="no block"):
        grid.Block(row, col)


def test_inexact_tenths_fall_into_the_right_cell() -> None:
    # 0.1 + 0.2 is a little more than 0.3, 0.7 - 0.1 a little less than 0.6.
    assert grid.cell_of(0.1 + 0.2, 0.0) == grid.cell_of(0.3, 0.0)
    assert grid.cell_of(0.7 - 0.1, 0.0) == grid.cell_of(0.6, 0.0)


def test_the_globes_own_edges_have_owners() -> None:
    assert grid.cell_of(180.0, -90.0) == grid.CELL_ROWS * grid.CELL_COLUMNS - 1
    assert grid.cell_of(-180.0, 90.0) == 0


@pytest.mark.parametrize(
    ("lon", "lat"), [(180.1, 0), (0, 90.1), (float("nan"), 0), (0, float("inf"))]
)
def test_points_off_the_globe_are_refused(lon: float, lat: float) -> None:
    with pytest.raises(ValueError, match="longitudes"):
        grid.cell_of(lon, lat)


def test_cells_of_a_block_run_from_the_north_west() -> None:
    cells = grid.Block.from_name("N02.0E005.8").cells()
    assert cells[0, 0] == grid.cell_of(5.8025, 2.0975)
    assert cells[-1, -1] == grid.cell_of(5.8975, 2.0025)
    assert cells.dtype == np.int64


def test_a_pixel_is_a_sixtieth_of_a_cell() -> None:
    block = grid.Block.from_name("N02.0E005.8")
    to_degrees = block.transform
    lon, lat = to_degrees.c + 60 * to_degrees.a, to_degrees.f + 60 * to_degrees.e
    west, _, _, north = grid.cell_bounds(block.cells()[1, 1])
    assert (lon, lat) == pytest.approx((float(west), float(north)))


def test_coarse_cells_are_made_of_four() -> None:
    cells = grid.Block.from_name("N02.0E005.8").cells()
    assert len(np.unique(grid.coarse_cell_of(cells))) == 100
    assert len(np.unique(grid.coarse_cell_of(cells[:2, :2]))) == 1
