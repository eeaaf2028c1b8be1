"""Read stored cell features: of blocks, with the surroundings of each cell, of coarse cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.bank import FilterBank
from features.pooling import pool_up, surroundings
from pipeline.errors import StoreCorruptError
from pipeline.geo import grid
from pipeline.workflow import ledger

LEAST_OF_A_QUARTER = 0.25
_SIDE = grid.CELLS_PER_BLOCK


@dataclass(frozen=True)
class CellTable:
    """Features of the cells of one or more blocks.

    Parameters
    ----------
    cell : numpy.ndarray of int64, shape (n,)
        Cells of the grid.
    features : numpy.ndarray of float32, shape (n, columns)
        NaN where no window of the cell was observed.
    quarters : numpy.ndarray of float32, shape (n, 4, columns)
        The same of the cell's quarters (north-west, north-east, south-west, south-east); NaN where
        less than ``LEAST_OF_A_QUARTER`` of one was observed, unless none was observed better.
    observed : numpy.ndarray of float32, shape (n,)
        Share of the cell's windows that counted, the smallest over the patch sizes.
    clear : numpy.ndarray of float32, shape (n,)
        Clear observations, mean over the cell's pixels.
    first_day, last_day : numpy.ndarray of int32, shape (n,)
        Of the observations, days since 2000-01-01; -32768 for none.
    scenes : numpy.ndarray of int16, shape (n,)
        Scenes that the block was made from.
    shares : numpy.ndarray of float32, shape (n, patch sizes)
        Share of the cell's windows that counted, for each patch size: what a mean over several
        cells is weighted by.
    """

    cell: NDArray[np.int64]
    features: NDArray[np.float32]
    quarters: NDArray[np.float32]
    observed: NDArray[np.float32]
    clear: NDArray[np.float32]
    first_day: NDArray[np.int32]
    last_day: NDArray[np.int32]
    scenes: NDArray[np.int16]
    shares: NDArray[np.float32]

    def select(self, rows: NDArray[Any]) -> CellTable:
        """Return some rows, by mask or index."""
        return CellTable(**{name: values[rows] for name, values in vars(self).items()})


_NAMES = tuple(field.name for field in fields(CellTable))


def read_features(entries: Sequence[ledger.Entry], bank: FilterBank) -> CellTable:
    """Read stored features of blocks, in their order.

    Parameters
    ----------
    entries : sequence of ledger.Entry
        As ``featurize`` stored them.
    bank : FilterBank
        Of the features.

    Returns
    -------
    CellTable
        400 rows a block.

    Raises
    ------
    StoreCorruptError
        If a file holds the features of another bank.
    """
    parts = []
    for entry in entries:
        table = pq.read_table(ledger.file_of(entry))
        about = json.loads(table.schema.metadata[b"asm_atlas"])
        if about["bank"] != bank.hash:
            raise StoreCorruptError(
                f"features of bank {about['bank'][:12]} where bank {bank.hash[:12]} was meant",
                where=entry.path,
                next_step="delete the file; it will be made anew",
            )
        stored = {name: _column(table, name) for name in table.column_names}
        features = stored["features"].reshape(len(table), 4, -1)
        shares = stored["shares"].reshape(len(table), 4, -1)
        # The quarters of a cell as a column of squares of 2 x 2.
        squares = (2 * len(table), 2, -1)
        pooled, counted = pool_up(features.reshape(squares), shares.reshape(squares), bank)
        stored["features"] = pooled.reshape(len(table), -1)
        stored["shares"] = counted.reshape(len(table), -1)
        observed = shares.min(axis=2)
        best = observed == observed.max(axis=1, keepdims=True)
        unseen = (observed < LEAST_OF_A_QUARTER) & ~best
        stored["quarters"] = np.where(unseen[:, :, None], np.float32(np.nan), features)
        parts.append(CellTable(**stored))
    return joined(parts)


def joined(tables: Sequence[CellTable]) -> CellTable:
    """Return the rows of several tables, one after the other."""
    return CellTable(
        **{name: np.concatenate([getattr(table, name) for table in tables]) for name in _NAMES}
    )


def read_cells(
    entry: ledger.Entry, around: Mapping[str, ledger.Entry], bank: FilterBank, neighbourhood: int
) -> CellTable:
    """Read a block's features as a model takes them.

    Parameters
    ----------
    entry : ledger.Entry
        The block's features.
    around : mapping of str to ledger.Entry
        Features of blocks by name; the eight neighbours are taken from it, where they have any.
    bank : FilterBank
        Of the features.
    neighbourhood : int
        Of the model: 1 for the cells' own features; 3 for these, and then the mean of the 3 x 3
        cells around each.

    Returns
    -------
    CellTable
        With the bank's columns, or twice as many.
    """
    if neighbourhood == 1:
        return read_features([entry], bank)
    block = grid.Block.from_name(entry.unit)
    side = 3 * _SIDE
    features = np.full((side, side, bank.columns), np.nan, np.float32)
    shares = np.zeros((side, side, len(bank.groups)), np.float32)
    own: CellTable | None = None
    for neighbour in block.neighbourhood():
        stored = entry if neighbour == block else around.get(neighbour.name)
        if stored is None:
            continue
        table = read_features([stored], bank)
        own = table if neighbour == block else own
        top, left = (neighbour.row - block.row + 1) * _SIDE, _columns_east(block, neighbour)
        place = np.s_[top : top + _SIDE, left : left + _SIDE]
        features[place] = table.features.reshape(_SIDE, _SIDE, -1)
        shares[place] = table.shares.reshape(_SIDE, _SIDE, -1)
    assert own is not None
    ring = np.s_[_SIDE - 1 : 2 * _SIDE + 1, _SIDE - 1 : 2 * _SIDE + 1]
    means = surroundings(features[ring], shares[ring], bank).reshape(len(own.cell), -1)
    return replace(own, features=np.concatenate([own.features, means], axis=1))


def read_coarse(
    entry: ledger.Entry, bank: FilterBank
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Read a block's features pooled to 0.01 degree.

    Parameters
    ----------
    entry : ledger.Entry
        The block's features.
    bank : FilterBank
        Of the features.

    Returns
    -------
    cell : numpy.ndarray of int64, shape (100,)
        The coarse cells, as ``grid.coarse_cell_of`` numbers them.
    features : numpy.ndarray of float32, shape (100, bank.columns)
        Weighted by the windows that counted; NaN where none did.
    observed : numpy.ndarray of float32, shape (100,)
        Share of windows that counted, the smallest over the patch sizes.
    """
    table = read_features([entry], bank)
    features, shares = pool_up(
        table.features.reshape(_SIDE, _SIDE, -1), table.shares.reshape(_SIDE, _SIDE, -1), bank
    )
    cell = grid.coarse_cell_of(table.cell.reshape(_SIDE, _SIDE)[::2, ::2].reshape(-1), 2)
    return cell, features.reshape(len(cell), -1), shares.reshape(len(cell), -1).min(axis=1)


def _columns_east(block: grid.Block, neighbour: grid.Block) -> int:
    """Return where a neighbour's first cell lies, across the antimeridian too."""
    step = (neighbour.col - block.col + 1) % grid.BLOCK_COLUMNS
    return step * _SIDE


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column, one of lists of a fixed size as rows, in single precision."""
    values = table.column(name).combine_chunks()
    if pa.types.is_fixed_size_list(values.type):
        rows: NDArray[Any] = values.values.to_numpy().reshape(len(table), -1)
        return rows.astype(np.float32, copy=False)
    return np.asarray(values.to_numpy())
