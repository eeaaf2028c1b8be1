from __future__ import annotations

import numpy as np
import pytest
from imagery import EAST, WEST
from sample_cells import feature_entry
from sample_model import sample_bank

from pipeline.errors import StoreCorruptError
from pipeline.geo import grid
from pipeline.workflow.cells import read_cells, read_coarse, read_features

BANK = sample_bank(patches=(3, 4), count=2)


def test_blocks_are_read_in_their_order(tmp_path) -> None:
    entries = [feature_entry(tmp_path, block, BANK) for block in (EAST, WEST)]
    table = read_features(entries, BANK)
    assert table.cell.tolist() == [*EAST.cells().reshape(-1), *WEST.cells().reshape(-1)]
    assert table.features.shape == (800, BANK.columns)
    assert table.shares.shape == (800, 2)


def test_features_of_another_bank_are_refused(tmp_path) -> None:
    entry = feature_entry(tmp_path, WEST, BANK)
    with pytest.raises(StoreCorruptError, match="where bank"):
        read_features([entry], sample_bank(seed=9))


def test_the_context_is_the_mean_of_nine_cells_across_blocks(tmp_path) -> None:
    entries = {block.name: feature_entry(tmp_path, block, BANK) for block in (WEST, EAST)}
    table = read_cells(entries[WEST.name], entries, BANK, 3)
    assert table.features.shape == (400, 2 * BANK.columns)
    both = read_features([entries[WEST.name], entries[EAST.name]], BANK)
    west, east = both.features.reshape(2, 20, 20, -1)
    side_by_side = np.concatenate([west, east], axis=1)
    own, context = np.split(table.features.reshape(20, 20, -1), 2, axis=2)
    assert np.array_equal(own, west)
    inner = side_by_side[6:9, 18:21].reshape(9, -1).mean(axis=0)
    assert context[7, 19] == pytest.approx(inner, rel=1e-5), "a column of the eastern block"
    corner = side_by_side[0:2, 0:2].reshape(4, -1).mean(axis=0)
    assert context[0, 0] == pytest.approx(corner, rel=1e-5), "no blocks north and west of it"
    alone = read_cells(entries[WEST.name], {}, BANK, 3).features.reshape(20, 20, -1)
    edge = west[6:9, 18:20].reshape(6, -1).mean(axis=0)
    assert alone[7, 19, BANK.columns :] == pytest.approx(edge, rel=1e-5)


def test_cells_that_were_not_observed_take_no_part(tmp_path) -> None:
    observed = np.ones(400, np.float32)
    observed[21] = 0
    entry = feature_entry(tmp_path, WEST, BANK, observed=observed)
    table = read_cells(entry, {}, BANK, 3)
    assert np.isnan(table.features[21, : BANK.columns]).all()
    nine = read_features([entry], BANK).features.reshape(20, 20, -1)[0:3, 0:3].reshape(9, -1)
    assert table.features[21, BANK.columns :] == pytest.approx(np.nanmean(nine, axis=0), rel=1e-5)
    cell, features, share = read_coarse(entry, BANK)
    assert len(cell) == len(features) == len(share) == 100
    assert share[0] == pytest.approx(0.75)
    assert (share[1:] == 1).all()


def test_coarse_cells_are_the_mean_of_four(tmp_path) -> None:
    entry = feature_entry(tmp_path, EAST, BANK)
    cell, features, _ = read_coarse(entry, BANK)
    fine = read_features([entry], BANK)
    for place in (0, 37, 99):
        four = grid.coarse_cell_of(fine.cell) == cell[place]
        assert four.sum() == 4
        assert features[place] == pytest.approx(fine.features[four].mean(axis=0), rel=1e-5)


def test_neighbourhoods() -> None:
    assert len(WEST.neighbourhood()) == 9
    assert WEST in WEST.neighbourhood() and EAST in WEST.neighbourhood()
    assert len(grid.with_neighbours([WEST, EAST])) == 12
    at_the_pole = grid.Block(0, 0)
    assert len(at_the_pole.neighbourhood()) == 6
    assert grid.Block(0, grid.BLOCK_COLUMNS - 1) in at_the_pole.neighbourhood()
