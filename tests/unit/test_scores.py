from __future__ import annotations

import numpy as np
import pytest

from models.errors import TrainingError
from models.folds import spatial_folds
from models.scores import score, score_folds, thresholds


def test_folds_balance_positives_and_then_rows() -> None:
    groups = np.repeat(list("abcdefgh"), [10, 10, 10, 10, 4, 4, 4, 4])
    labels = np.isin(groups, list("abcd")).astype(int)
    folds = spatial_folds(groups, labels, 4)
    for fold in range(4):
        assert labels[folds == fold].sum() == 10
        assert (folds == fold).sum() == 14
    assert folds.dtype == np.int16


def test_numbers_name_groups_as_well() -> None:
    folds = spatial_folds(np.repeat([10, 9, 8], 5), np.ones(15), 5)
    assert len(np.unique(folds)) == 3


def test_one_place_gives_no_folds() -> None:
    for groups in (["a"] * 4, []):
        with pytest.raises(TrainingError, match="two places"):
            spatial_folds(groups, np.ones(len(groups)))


def test_scores_are_those_of_the_definition() -> None:
    found = score([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
    assert found == {"n": 4, "positives": 2, "prevalence": 0.5, "auc": 0.75, "ap": 0.8333}


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_has_no_score(labels: list[int]) -> None:
    found = score(labels, [0.5] * len(labels))
    assert found["auc"] is None
    assert found["ap"] is None
    assert found["n"] == len(labels)


def test_folds_are_scored_one_by_one() -> None:
    labels, scores = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.9, 0.9, 0.1, 0.5])
    found = score_folds(labels, scores, np.array([3, 3, 7, 7, 8]))
    assert [fold["fold"] for fold in found["folds"]] == [3, 7, 8]
    assert [fold["auc"] for fold in found["folds"]] == [1.0, 0.0, None]
    assert found["pooled"] == score(labels, scores)


def test_thresholds_call_5_and_1_percent_of_the_negatives() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(20_000) < 0.2).astype(int)
    probabilities = np.where(labels, rng.beta(4, 2, 20_000), rng.beta(2, 6, 20_000))
    found = thresholds(labels, probabilities)
    negatives = probabilities[labels == 0]
    assert (negatives >= found["possible"]).mean() == pytest.approx(0.05, abs=2e-3)
    assert (negatives >= found["likely"]).mean() == pytest.approx(0.01, abs=1e-3)
    # The positives have no say.
    assert thresholds(labels, np.where(labels, 1.0, probabilities)) == found


def test_thresholds_of_a_model_without_doubt_are_above_zero() -> None:
    found = thresholds([0] * 100 + [1], [1e-9] * 100 + [1.0])
    assert 0 < found["possible"] <= found["likely"]


def test_thresholds_need_negatives() -> None:
    with pytest.raises(TrainingError, match="negative"):
        thresholds([1, 1], [0.5, 0.6])
