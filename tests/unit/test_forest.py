from __future__ import annotations

import numpy as np
import pytest
from sample_model import sample_table
from sklearn.metrics import roc_auc_score

from models.errors import TrainingError
from models.forest import COMPONENTS, _logit, fit_forest, forest_replicates, forest_score


def test_a_forest_learns_what_there_is_to_learn() -> None:
    features, label, fold, weight = sample_table(12)
    fitted, scores = fit_forest(features, label, fold, weight, seed=1)
    assert roc_auc_score(label, scores) > 0.85
    assert np.isfinite(forest_score(fitted, features)).all()


def test_the_same_seed_gives_the_same_forest() -> None:
    features, label, fold, weight = sample_table(12)
    first, first_scores = fit_forest(features, label, fold, weight, seed=1)
    second, second_scores = fit_forest(features, label, fold, weight, seed=1)
    assert np.array_equal(first_scores, second_scores)
    assert np.array_equal(forest_score(first, features), forest_score(second, features))
    _, other_scores = fit_forest(features, label, fold, weight, seed=2)
    assert not np.array_equal(first_scores, other_scores)


def test_a_score_out_of_fold_has_not_seen_its_fold() -> None:
    features, label, fold, weight = sample_table(12)
    _, scores = fit_forest(features, label, fold, weight, seed=1)
    held = fold == 2
    turned = np.where(held, 1 - label, label).astype(np.int8)
    # Not even its features: the components are of the other folds too.
    features[held] = features[held][::-1]
    _, other = fit_forest(features, turned, fold, weight, seed=1)
    assert np.array_equal(scores[held], other[held][::-1])


def test_replicates_spread_around_the_forests_own_score() -> None:
    features, label, fold, weight = sample_table(12)
    fitted, _ = fit_forest(features, label, fold, weight, seed=1, places=np.arange(300) // 10)
    found = forest_replicates(fitted, features)
    assert found.shape == (300, 40)
    score = forest_score(fitted, features)
    assert np.corrcoef(found.mean(axis=1), score)[0, 1] > 0.99
    assert found.std(axis=1).mean() > 0.01


@pytest.mark.parametrize("columns", [12, 2_000])
def test_scores_are_those_of_scikit_learns_steps(columns: int) -> None:
    features, label, fold, weight = sample_table(columns)
    features[:, 5] = 1  # a column without spread
    fitted, _ = fit_forest(features, label, fold, weight, seed=1)
    other = _logit(fitted.predict_proba(np.sqrt(features))[:, 1])
    # A row within rounding of a split may go the other way in single trees.
    assert np.median(np.abs(forest_score(fitted, features) - other)) < 1e-6
    assert np.abs(forest_score(fitted, features) - other).max() < 0.1


def test_columns_without_a_label_in_them_score_like_a_guess() -> None:
    features, label, fold, weight = sample_table(12)
    noise = np.random.default_rng(1).random(features.shape).astype(np.float32)
    _, scores = fit_forest(noise, label, fold, weight, seed=1)
    assert 0.35 < roc_auc_score(label, scores) < 0.65


def test_components_are_no_more_than_the_table_has() -> None:
    features, label, fold, weight = sample_table(COMPONENTS + 10, rows=150)
    fitted, _ = fit_forest(features, label, fold, weight, seed=1)
    assert fitted["components"].n_components_ == COMPONENTS
    narrow, _ = fit_forest(features[:, :4], label, fold, weight, seed=1)
    assert narrow["components"].n_components_ == 4


def test_a_fold_with_all_mines_is_an_error() -> None:
    features, label, _, weight = sample_table(6)
    fold = np.where(label == 1, 0, 1).astype(np.int16)
    with pytest.raises(TrainingError, match="outside fold 0 all rows are of one class"):
        fit_forest(features, label, fold, weight, seed=1)


def test_certain_trees_still_give_a_finite_score() -> None:
    scores = _logit(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(scores).all()
    assert scores[1] == 0
    assert scores[0] == pytest.approx(-scores[2])
