"""What training does with rows that nobody has labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_model import sample_table

from pipeline.geo import grid
from pipeline.training.dataset import TrainingTable
from pipeline.training.unlabelled import assumptions, describe_sensitivity, judge, remoteness

CELLS = grid.Block.from_name("N02.0E005.9").cells()


def table(rows: int = 300) -> TrainingTable:
    features, label, fold, weight = sample_table(9, rows)
    text = np.full(rows, "x")
    cell = CELLS.ravel()[:rows]
    return TrainingTable(features, label, fold, cell, text, text, weight, known=label == 1)


def scores_of(rows: TrainingTable) -> np.ndarray:
    return rows.label + np.random.default_rng(1).normal(0, 0.4, len(rows.label))


def test_with_every_label_known_nothing_is_assumed() -> None:
    for known in (None, np.ones(300, bool)):
        rows = replace(table(), known=known)
        curve, cuts, unlabelled = judge(rows, scores_of(rows), 0.1)
        assert unlabelled is None
        assert curve.apply(scores_of(rows)).mean() == pytest.approx(rows.label.mean(), abs=0.01)
        assert cuts["possible"] <= cuts["likely"]


def test_the_prior_is_the_given_one_or_an_estimate_and_that_is_said() -> None:
    rows = table()
    _, _, given = judge(rows, scores_of(rows), 0.1)
    assert (given.prior, given.how) == (0.1, "given")
    mines, others = rows.label.sum(), (rows.label == 0).sum()
    assert given.share == pytest.approx((mines + 0.1 * others) / 300, abs=1e-4)
    _, _, found = judge(rows, scores_of(rows), 0.0)
    assert 0 < found.prior < 0.1 and found.how.startswith("estimated")
    assert found.rows == others


def test_known_negatives_take_no_part_where_others_are_unlabelled() -> None:
    rows = table()
    known = rows.label == 1
    known[np.flatnonzero(rows.label == 0)[:50]] = True
    mixed = replace(rows, known=known)
    scores = scores_of(rows)
    other = np.where(known & (rows.label == 0), 9.0, scores)
    assert judge(mixed, scores, 0.1) == judge(mixed, other, 0.1)


def test_remote_mines_lie_far_from_other_mines() -> None:
    cell = np.array(
        [CELLS[0, 0], CELLS[0, 1], CELLS[1, 0], CELLS[1, 1], CELLS[19, 19], CELLS[5, 5]]
    )
    label = np.array([1, 1, 1, 1, 1, 0], np.int8)
    rows = replace(table(6), cell=cell, label=label)
    away = remoteness(rows)
    assert away[:4] == pytest.approx([0.63] * 4, rel=0.05), "two sides and a diagonal of a cell"
    assert away[4] > 10
    assert away[5] == 0
    alone = replace(rows, label=np.array([1, 0, 0, 0, 0, 0], np.int8))
    assert not remoteness(alone).any()


def test_the_table_and_its_line() -> None:
    rows = table()
    scores = scores_of(rows)
    found = assumptions(rows, scores, judge(rows, scores, 0.02)[2])
    line = describe_sensitivity(found)
    assert line.startswith("if 0.50% to 8.00% of the unlabelled cells were mines")
    assert found[0]["spearman"] == 1
    lowest = min(row["spearman"] for row in found if row["assumption"] != "positive share")
    assert f"rank correlation at least {lowest:.3f}" in line
