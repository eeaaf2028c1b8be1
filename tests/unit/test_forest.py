from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_model import sample_rows, sample_table
from sklearn.metrics import roc_auc_score

from models.errors import TrainingError
from models.forest import COMPONENTS, Forest, _logit
from models.training_rows import TrainingRows
from models.uncertainty import fit_uncertainty


def rows_of(columns: int, rows: int = 300, seed: int = 1) -> TrainingRows:
    """Rows that are places by themselves."""
    features, label, fold, weight = sample_table(columns, rows)
    return TrainingRows(features, label, fold, fold, weight, np.arange(rows), seed)


def out_of_fold(rows: TrainingRows) -> np.ndarray:
    return Forest.out_of_fold(rows, rows.folds)


def test_a_forest_learns_what_there_is_to_learn() -> None:
    rows = rows_of(12)
    assert roc_auc_score(rows.labels, out_of_fold(rows)) > 0.85
    assert np.isfinite(Forest.fit(rows).scores(rows.table)).all()


def test_the_same_seed_gives_the_same_forest() -> None:
    rows = rows_of(12)
    first, second = Forest.learn(rows), Forest.learn(rows)
    assert np.array_equal(first.scores, second.scores)
    assert first.apart is first.scores, "the folds are the regions"
    ones, others = (fit.classifier.scores(rows.table) for fit in (first, second))
    assert np.array_equal(ones, others)
    assert not np.array_equal(first.scores, out_of_fold(replace(rows, seed=2)))


def test_a_score_out_of_fold_has_not_seen_its_fold() -> None:
    rows = rows_of(12)
    scores = out_of_fold(rows)
    held = rows.folds == 2
    turned = np.where(held, 1 - rows.labels, rows.labels).astype(np.int8)
    # Not even its features: the components are of the other folds too.
    features = rows.table.copy()
    features[held] = features[held][::-1]
    other = out_of_fold(replace(rows, features=features, labels=turned))
    assert np.array_equal(scores[held], other[held][::-1])


def test_the_score_of_a_cell_is_that_of_its_strongest_quarter() -> None:
    rows = rows_of(12)
    rng = np.random.default_rng(7)
    quarters = np.abs(rows.table[:, None] + rng.normal(0, 0.1, (300, 4, 12))).astype(np.float32)
    alone = [out_of_fold(replace(rows, quarters=quarters[:, one])) for one in range(4)]
    quarters[:20, 0] = np.nan
    alone[0][:20] = -np.inf
    found = out_of_fold(replace(rows, quarters=quarters.reshape(300, -1)))
    assert np.array_equal(found, np.max(alone, axis=0))


def test_replicates_spread_around_the_forests_own_score() -> None:
    rows = sample_rows(12)
    forest = Forest.fit(rows)
    found = forest.replicates(rows.table, fit_uncertainty(rows))
    assert found.shape == (300, 40)
    assert np.corrcoef(found.mean(axis=1), forest.scores(rows.table))[0, 1] > 0.99
    assert found.std(axis=1).mean() > 0.01


@pytest.mark.parametrize("columns", [12, 2_000])
def test_scores_are_those_of_scikit_learns_steps(columns: int) -> None:
    rows = rows_of(columns)
    rows.table[:, 5] = 1  # a column without spread
    forest = Forest.fit(rows)
    found, other = (
        forest.scores(rows.table),
        _logit(forest.steps.predict_proba(np.sqrt(rows.table))[:, 1]),
    )
    # A row within rounding of a split may go the other way in single trees.
    assert np.median(np.abs(found - other)) < 1e-6
    assert np.abs(found - other).max() < 0.1


def test_columns_without_a_label_in_them_score_like_a_guess() -> None:
    rows = rows_of(12)
    noise = np.random.default_rng(1).random(rows.table.shape).astype(np.float32)
    scores = out_of_fold(replace(rows, features=noise))
    assert 0.35 < roc_auc_score(rows.labels, scores) < 0.65


def test_components_are_no_more_than_the_table_has() -> None:
    rows = rows_of(COMPONENTS + 10, rows=150)
    assert Forest.fit(rows).steps["components"].n_components_ == COMPONENTS
    narrow = Forest.fit(replace(rows, features=rows.table[:, :4]))
    assert (narrow.steps["components"].n_components_, narrow.columns) == (4, 4)


def test_a_fold_with_all_mines_is_an_error() -> None:
    rows = rows_of(6)
    fold = np.where(rows.labels == 1, 0, 1).astype(np.int16)
    with pytest.raises(TrainingError, match="outside fold 0 all rows are of one class"):
        Forest.learn(replace(rows, folds=fold))


def test_certain_trees_still_give_a_finite_score() -> None:
    scores = _logit(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(scores).all()
    assert scores[1] == 0
    assert scores[0] == pytest.approx(-scores[2])
