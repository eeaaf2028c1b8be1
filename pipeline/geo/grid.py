"""The global grid of pixels, cells and blocks: pure arithmetic, no state.

Pixels are squares of 1/12000 degree (9.3 m at the equator; the grid of ESA WorldCover), cells are
60 x 60 pixels (0.005 degree), blocks are 1200 x 1200 pixels (0.1 degree: 20 x 20 cells). Rows count
from the north pole southwards, columns from 180 W eastwards. Every square is half-open: it owns its
north and its west edge, so that a point belongs to exactly one pixel, cell and block.

All coordinates are longitude and latitude in degrees, EPSG:4326.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray

PIXELS_PER_DEGREE = 12_000
PIXEL = 1.0 / PIXELS_PER_DEGREE
CELL_PX = 60
BLOCK_PX = 1_200
CELLS_PER_BLOCK = BLOCK_PX // CELL_PX
# A small mine fills four times as large a share of a quarter as of its cell.
QUARTER_PX = CELL_PX // 2
CELL_COLUMNS = 360 * PIXELS_PER_DEGREE // CELL_PX
CELL_ROWS = 180 * PIXELS_PER_DEGREE // CELL_PX
CELL_DEGREES = CELL_PX * PIXEL
# Cells along a side of the public map's squares, and the side itself: their size is changed here,
# and nowhere else. A block holds whole squares: 1, 2, 4, 5, 10 or 20 cells.
PUBLIC_CELLS = 2
PUBLIC_DEGREES = PUBLIC_CELLS / 200
BLOCK_COLUMNS = 3_600
BLOCK_ROWS = 1_800
# A window belongs to the cell that holds its upper-left pixel, so the last windows of a block reach
# into its eastern and southern neighbours: blocks are composited this much larger there.
HALO_PX = 8
CRS = "EPSG:4326"

_NAME = re.compile(r"([NS])(\d\d)\.(\d)([EW])(\d\d\d)\.(\d)")


@dataclass(frozen=True, order=True)
class Block:
    """One 0.1-degree square: the unit of work, of storage and of retry.

    Parameters
    ----------
    row, col : int
        Position in the global table of 1800 x 3600 blocks, from the north-west.
    """

    row: int
    col: int

    def __post_init__(self) -> None:
        if not (0 <= self.row < BLOCK_ROWS and 0 <= self.col < BLOCK_COLUMNS):
            raise ValueError(f"no block at row {self.row}, column {self.col}")

    @property
    def name(self) -> str:
        """South-west corner in tenths of a degree, such as ``N02.0E005.8``."""
        south, west = BLOCK_ROWS // 2 - self.row - 1, self.col - BLOCK_COLUMNS // 2
        ns, ew = "NS"[south < 0], "EW"[west < 0]
        south, west = abs(south), abs(west)
        return f"{ns}{south // 10:02d}.{south % 10}{ew}{west // 10:03d}.{west % 10}"

    @classmethod
    def from_name(cls, name: str) -> Block:
        """Read a block's name back.

        Raises
        ------
        ValueError
            If the name is not of the form ``N02.0E005.8``.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"not a block's name: {name!r}")
        ns, lat, lat10, ew, lon, lon10 = match.groups()
        south = (int(lat) * 10 + int(lat10)) * (1 if ns == "N" else -1)
        west = (int(lon) * 10 + int(lon10)) * (1 if ew == "E" else -1)
        block = cls(BLOCK_ROWS // 2 - south - 1, west + BLOCK_COLUMNS // 2)
        if block.name != name:  # S00.0 and W000.0 are N00.0 and E000.0
            raise ValueError(f"not a block's name: {name!r}, but {block.name!r} is")
        return block

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees, without the halo."""
        west, north = self.col / 10 - 180, 90 - self.row / 10
        return west, 90 - (self.row + 1) / 10, (self.col + 1) / 10 - 180, north

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) to degrees; the same with and without the halo."""
        return Affine(PIXEL, 0, self.col / 10 - 180, 0, -PIXEL, 90 - self.row / 10)

    def cells(self) -> NDArray[np.int64]:
        """Return the block's cells, shape (20, 20), north to south, west to east."""
        rows = self.row * CELLS_PER_BLOCK + np.arange(CELLS_PER_BLOCK)
        cols = self.col * CELLS_PER_BLOCK + np.arange(CELLS_PER_BLOCK)
        return (rows[:, None] * CELL_COLUMNS + cols[None, :]).astype(np.int64)

    def neighbourhood(self) -> list[Block]:
        """Return this block and the up to eight around it, across the antimeridian too."""
        rows = range(max(self.row - 1, 0), min(self.row + 2, BLOCK_ROWS))
        cols = [(self.col + step) % BLOCK_COLUMNS for step in (-1, 0, 1)]
        return [Block(row, col) for row in rows for col in cols]


def with_neighbours(blocks: Sequence[Block]) -> list[Block]:
    """Return blocks and everything that touches them, in order, each once."""
    return sorted({near for block in blocks for near in block.neighbourhood()})


def _index(offset_degrees: ArrayLike, size_px: int, count: int) -> NDArray[np.int64]:
    # Rounding to a millionth of a pixel (0.01 mm) puts 0.1 + 0.2 and 0.3 into the same square.
    pixel = np.floor(np.round(np.asarray(offset_degrees, float) * PIXELS_PER_DEGREE, 6))
    index: NDArray[np.int64] = (pixel // size_px).astype(np.int64)
    return np.clip(index, 0, count - 1)


def cell_of(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
    """Return the cell that owns each point.

    Parameters
    ----------
    lon, lat : array_like of float
        Degrees, EPSG:4326; finite, any shape.

    Returns
    -------
    numpy.ndarray of int64
        Cell identifiers, ``row * 72000 + column``.

    Raises
    ------
    ValueError
        If a coordinate is not finite or lies off the globe.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    if not (np.all(np.abs(lon) <= 180) and np.all(np.abs(lat) <= 90)):
        raise ValueError("longitudes must lie within -180..180 and latitudes within -90..90")
    rows = _index(90 - lat, CELL_PX, CELL_ROWS)
    return rows * CELL_COLUMNS + _index(lon + 180, CELL_PX, CELL_COLUMNS)


def cell_bounds(
    cells: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """West, south, east and north of each cell, in degrees."""
    return coarse_cell_bounds(cells, 1)


def cell_centres(cells: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of each cell's centre, in degrees."""
    rows, cols = np.divmod(np.asarray(cells, np.int64), CELL_COLUMNS)
    return (cols + 0.5) / 200 - 180, 90 - (rows + 0.5) / 200


def coarse_cell_of(cells: ArrayLike, side: int = PUBLIC_CELLS) -> NDArray[np.int64]:
    """Return the coarse cell that holds each cell.

    Parameters
    ----------
    cells : array_like of int
        Cell identifiers.
    side : int, optional
        Cells along a coarse cell's side, a divisor of 20; default: those of the public map.

    Returns
    -------
    numpy.ndarray of int64
        Identifiers as those of cells, in the coarser grid: ``row * (72000 / side) + column``.
    """
    rows, cols = np.divmod(np.asarray(cells, np.int64), CELL_COLUMNS)
    return np.asarray(rows // side * (CELL_COLUMNS // side) + cols // side, np.int64)


def coarse_cell_bounds(
    cells: ArrayLike, side: int = PUBLIC_CELLS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """West, south, east and north of each coarse cell of so many cells a side, in degrees."""
    rows, cols = np.divmod(np.asarray(cells, np.int64), CELL_COLUMNS // side)
    rows, cols = rows * side, cols * side
    return cols / 200 - 180, 90 - (rows + side) / 200, (cols + side) / 200 - 180, 90 - rows / 200


def decimals_of(step: float) -> int:
    """Return how many decimals the multiples of a step in degrees have."""
    return next(digits for digits in range(16) if math.isclose(round(step, digits), step))


def block_of_cell(cell: int) -> Block:
    """Return the block that holds a cell."""
    row, col = divmod(int(cell), CELL_COLUMNS)
    return Block(row // CELLS_PER_BLOCK, col // CELLS_PER_BLOCK)
