from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.errors import NoLabelsError
from pipeline.evaluation.accuracy import evaluate_scores, false_share_threshold


def sample(count: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = (rng.random(count) < 0.1).astype(int)
    return label, rng.normal(0, 1, count) + 1.5 * label, rng.integers(0, 20, count)


def test_scores_say_how_they_were_obtained() -> None:
    label, score, groups = sample()
    result = evaluate_scores(label, score, groups, {"possible": 1.0})
    assert result["n"] == 2000
    assert result["positives"] == label.sum()
    assert result["prevalence"] == pytest.approx(label.mean(), abs=1e-4)
    assert result["auc"] == pytest.approx(roc_auc_score(label, score), abs=1e-4)
    low, high = result["auc_interval"]
    assert low < result["auc"] < high
    assert high - low < 0.1
    assert "1000 bootstrap resamples of 20 places" in result["interval_how"]
    at = result["at"]["possible"]
    called = score >= 1.0
    assert at["recall"] == pytest.approx(called[label == 1].mean())
    assert at["false_share"] == pytest.approx(called[label == 0].mean())
    assert at["precision"] == pytest.approx(label[called].mean())
    json.dumps(result, allow_nan=False)


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    label, score, groups = sample()
    first = evaluate_scores(label, score, groups, seed=4)["auc_interval"]
    assert first == evaluate_scores(label, score, groups, seed=4)["auc_interval"]
    assert first != evaluate_scores(label, score, groups, seed=5)["auc_interval"]


def test_places_widen_the_interval_where_rows_of_a_place_are_alike() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 100)
    label = np.tile([0] * 50 + [1] * 50, 20)
    score = rng.normal(0, 1, 2000) + np.where(label == 1, rng.normal(1, 1, 20)[groups], 0)
    by_place = evaluate_scores(label, score, groups)["auc_interval"]
    by_row = evaluate_scores(label, score, np.arange(2000))["auc_interval"]
    assert by_place[1] - by_place[0] > 2 * (by_row[1] - by_row[0])


def test_ties_are_halves() -> None:
    label, _, groups = sample(400)
    low, high = evaluate_scores(label, np.zeros(400), groups)["auc_interval"]
    assert (low, high) == (0.5, 0.5)


@pytest.mark.parametrize("share", [0.05, 0.0, 0.5, 1.0])
def test_at_most_a_share_of_the_negatives_is_called(share: float) -> None:
    rng = np.random.default_rng(2)
    for scores in (rng.random(1000), np.round(rng.random(1000), 1), np.zeros(7)):
        cut = false_share_threshold(scores, share)
        assert (scores >= cut).mean() <= share
    scores = rng.random(1000)
    assert (scores >= false_share_threshold(scores, share)).mean() == pytest.approx(share)


def test_mines_alone_measure_recall() -> None:
    result = evaluate_scores([1, 1, 1, 1], [0.1, 0.6, 0.7, 0.9], [1, 2, 3, 4], {"likely": 0.65})
    assert result["auc"] is None
    assert result["ap"] is None
    assert "only recall" in result["why_no_auc"]
    assert result["at"] == {
        "likely": {"threshold": 0.65, "called": 2, "precision": None, "recall": 0.5,
                   "false_share": None}
    }  # fmt: skip


@pytest.mark.parametrize("groups", [None, [1, 1, 2, 2]])
def test_few_places_give_no_interval(groups: list[int] | None) -> None:
    result = evaluate_scores([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.7], groups)
    assert result["auc_interval"] is None
    assert result["interval_how"].startswith("no interval")


def test_labels_that_cannot_be_scored() -> None:
    with pytest.raises(NoLabelsError):
        evaluate_scores([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="finite"):
        evaluate_scores([0, 1], [0.1, np.nan])
    with pytest.raises(ValueError, match="one length"):
        evaluate_scores([0, 1, 1], [0.1, 0.2])
