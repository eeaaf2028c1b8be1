"""Cells of a region's composites, intact and corrupted: what a model learns to notice."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank
from features.pooling import surroundings
from features.rcf import cell_features
from models.corruption_detector import CorruptionPairs
from pipeline.composite import read_composite
from pipeline.geo import grid
from pipeline.imagery.corruption import corrupt
from pipeline.runtime.machine import usable_cores
from pipeline.workflow import ledger

# Each is computed twice, so that both together cost about as much as two blocks.
CELLS = 400
FOLDS = 5


def corruption_pairs(
    composites: Sequence[ledger.Entry],
    bank: FilterBank,
    neighbourhood: int,
    seed: int,
    mines: NDArray[np.int64],
) -> CorruptionPairs | None:
    """Compute the features of some cells, with their pixels intact and corrupted.

    Mines are few: in a draw of all cells hardly one is there to learn from, and bright bare ground
    would pass for corrupted pixels. So up to half of the draw are mines.

    Parameters
    ----------
    composites : sequence of ledger.Entry
        Blocks of the training ground.
    bank : FilterBank
        The filters.
    neighbourhood : int
        1, or 3 where the mean of the 3 x 3 cells around follows a cell's own features.
    seed : int
        Of the cells and of the corruption.
    mines : numpy.ndarray of int64, shape (n,)
        Cells that hold mines as far as is known.

    Returns
    -------
    models.corruption_detector.CorruptionPairs
        At most ``CELLS`` rows, a fold being a fifth of the blocks; None where hardly any cell was
        observed.
    """
    rng = np.random.default_rng(seed)
    pairs, block_of = [], []
    for number, entry in enumerate(composites):
        pixels = (
            read_composite(ledger.file_of(entry))["reflectance"]
            .sel(band=list(bank.bands))
            .to_numpy()
        )
        places = rng.permutation(_observed(pixels, neighbourhood))
        is_mine = np.isin(grid.Block.from_name(entry.unit).cells(), mines)[tuple(places.T)]
        many = -(-CELLS // len(composites))
        of_mines = places[is_mine][: many // 2]
        for place in [*of_mines, *places[~is_mine][: many - len(of_mines)]]:
            image = _cut(pixels, bank, neighbourhood, place).copy()  # not the whole block
            pairs.append((image, corrupt(image[None], rng)[0]))
            block_of.append(number)

    def both(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack([_features(image, bank, neighbourhood) for image in pair])

    if len(pairs) < 10 * FOLDS:
        return None
    # The kernel lets other threads run.
    with ThreadPoolExecutor(usable_cores()) as pool:
        found = np.stack(list(pool.map(both, pairs)))
    kept = np.isfinite(found).all(axis=(1, 2))
    intact, corrupted = found[kept].swapaxes(0, 1)
    if len(intact) < 10 * FOLDS:
        return None
    block = np.array(block_of)[kept]
    several = len(np.unique(block)) >= FOLDS
    folds = (block if several else np.arange(len(intact))) % FOLDS
    return CorruptionPairs(intact, corrupted, folds.astype(np.int16))


def _observed(pixels: NDArray[np.float32], neighbourhood: int) -> NDArray[np.intp]:
    """Place of the cells of which half was observed; those at the border lack neighbours."""
    inner = np.isfinite(pixels[:, : grid.BLOCK_PX, : grid.BLOCK_PX]).all(axis=0)
    side, px = grid.CELLS_PER_BLOCK, grid.CELL_PX
    seen = inner.reshape(side, px, side, px).mean(axis=(1, 3)) >= 0.5
    ring = neighbourhood // 2
    return np.argwhere(seen[ring : side - ring, ring : side - ring]) + ring


def _cut(
    pixels: NDArray[np.float32], bank: FilterBank, neighbourhood: int, place: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Cut a cell with those around it, as far as they count, out of a block."""
    side = neighbourhood * grid.CELL_PX + bank.patch_max - 1
    row, column = (place - neighbourhood // 2) * grid.CELL_PX
    return pixels[:, row : row + side, column : column + side]


def _features(
    image: NDArray[np.float32], bank: FilterBank, neighbourhood: int
) -> NDArray[np.float32]:
    features, shares = cell_features(image, bank, neighbourhood, grid.CELL_PX)
    own: NDArray[np.float32] = features[len(features) // 2]
    if neighbourhood == 1:
        return own
    square = (neighbourhood, neighbourhood, -1)
    around = surroundings(features.reshape(square), shares.reshape(square), bank)
    return np.concatenate([own, around.reshape(-1)])
