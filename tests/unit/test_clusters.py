from __future__ import annotations

import numpy as np
import pytest

from pipeline.geo import grid
from pipeline.sites.clusters import split_clusters

CORNER = int(grid.cell_of(28.0, -2.0))


def field(rows: int, cols: int) -> np.ndarray:
    return (CORNER + np.arange(rows)[:, None] * grid.CELL_COLUMNS + np.arange(cols)).ravel()


def test_small_clusters_stay_whole() -> None:
    cells = field(2, 6)
    cluster = np.repeat([0, 1], 6)
    assert split_clusters(cells, cluster, np.ones(12), most=6).tolist() == cluster.tolist()
    assert split_clusters(cells[:0], cluster[:0], np.ones(0)).tolist() == []


def test_the_cut_runs_where_the_score_is_weakest() -> None:
    cells = field(3, 12)
    score = np.full((3, 12), 0.9)
    score[:, 4:6] = 0.3
    part = split_clusters(cells, np.zeros(36, np.int64), score.ravel(), most=24).reshape(3, 12)
    assert (part[:, :5] == 0).all() and (part[:, 5:] == 1).all()


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (40, 40), (7, 211)])
def test_no_part_is_too_large_and_no_cell_is_lost(shape: tuple[int, int]) -> None:
    cells = field(*shape)
    score = np.random.default_rng(4).random(len(cells))
    part = split_clusters(cells, np.zeros(len(cells), np.int64), score, most=20)
    sizes = np.bincount(part)
    assert sizes.max() <= 20 and sizes.min() >= 5 and sizes.sum() == len(cells)


def test_a_crowded_row_ends_too() -> None:
    # All but a few cells in one row: no line across the columns' rows is balanced.
    tail = CORNER + np.arange(1, 60) * grid.CELL_COLUMNS
    cells = np.sort(np.concatenate([field(1, 50), tail]))
    part = split_clusters(cells, np.zeros(len(cells), np.int64), np.ones(len(cells)), most=10)
    assert np.bincount(part).max() <= 10 and len(part) == 109
