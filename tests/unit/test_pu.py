"""Mines and unlabelled rows: weights, prior and calibration, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.calibration import calibrate
from models.errors import TrainingError
from models.pu import (
    calibrate_unlabelled,
    class_weights,
    estimate_prior,
    thresholds_unlabelled,
    true_share,
)
from models.ridge_fit import fit_ridge
from models.scores import thresholds
from models.sensitivity import sensitivity
from models.transform import transform

MINES, OTHERS = 60, 1500


def draw(
    rng: np.random.Generator, rows: int, share: float, vary: bool, columns: int = 60
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows of which a share are mines; these are all alike, or some hardly show."""
    mine = rng.random(rows) < share
    strength = rng.exponential(1.5, rows) if vary else np.ones(rows)
    table = rng.standard_normal((rows, columns))
    table[:, :10] += 0.6 * (mine * strength)[:, None]
    return np.square(table + 6).astype(np.float32), mine


def pu_table(seed: int, prior: float, vary: bool = False) -> tuple[NDArray, NDArray, NDArray]:
    """Features of mines and unlabelled rows, which are labelled, which are mines in truth."""
    rng = np.random.default_rng(seed)
    mines, _ = draw(rng, MINES, 1.0, vary)
    others, truth = draw(rng, OTHERS, prior, vary)
    label = np.r_[np.ones(MINES), np.zeros(OTHERS)].astype(np.int8)
    return np.concatenate([mines, others]), label, np.r_[np.ones(MINES, bool), truth]


def folds(rows: int) -> NDArray[np.int16]:
    return (np.arange(rows) % 5).astype(np.int16)


def test_each_class_has_its_share_of_the_weight() -> None:
    label, known = np.array([1, 1, 0, 0, 0], np.int8), np.array([1, 1, 1, 0, 0], bool)
    given = np.array([1.0, 3, 4, 1, 1])
    weights = class_weights(label, known, given, 0.1)
    assert weights.mean() == pytest.approx(1)
    assert weights[:2].sum() / weights.sum() == pytest.approx(0.1)
    assert weights[1] / weights[0] == pytest.approx(3) and weights[2] / weights[3] == 4
    assert class_weights(label, known | True, given, 0.1)[:2].sum() == pytest.approx(2.5)


def test_the_ridge_tends_to_the_unbiased_risk_in_closed_form() -> None:
    """Of du Plessis et al. 2015: the quadratic part from unlabelled rows, the linear from mines."""
    features, label, _ = pu_table(1, 0.05)
    table = transform(features).astype(float)
    spread = np.sqrt(table[label == 0].var(axis=0).mean())
    rows = np.column_stack([table / spread, np.ones(len(label))])
    quadratic = rows[label == 0].T @ rows[label == 0] / OTHERS
    penalty = 0.1 * np.diag(np.r_[np.ones(table.shape[1]), 0.0])
    closed = rows @ np.linalg.solve(quadratic + penalty, rows[label == 1].mean(axis=0))
    apart = {}
    for share in (1e-5, 0.5):
        weights = class_weights(label, label == 1, np.ones(len(label)), share)
        fit = fit_ridge(features, label, folds(len(label)), weights, (0.1,))
        scores = fit.model.scores(features) / share
        apart[share] = np.abs(scores - closed).max() / np.abs(closed).max()
    assert apart[1e-5] < 1e-3
    assert apart[0.5] > 0.1, "at equal weights it is another risk"


@pytest.mark.parametrize(("vary", "gain"), [(True, 0.01), (False, -0.005)])
def test_it_ranks_as_well_as_taking_the_unlabelled_for_negatives(vary, gain) -> None:
    gains = []
    for seed in range(4):
        features, label, _ = pu_table(seed, 0.02, vary)
        test, truth = draw(np.random.default_rng(100 + seed), 3000, 0.2, vary)
        aucs = []
        for share in (0.1, 0.5):
            weights = class_weights(label, label == 1, np.ones(len(label)), share)
            model = fit_ridge(features, label, folds(len(label)), weights).model
            aucs.append(roc_auc_score(truth, model.scores(test)))
        gains.append(aucs[0] - aucs[1])
    assert np.mean(gains) > gain


@pytest.mark.parametrize("prior", [0.02, 0.1, 0.3])
def test_the_prior_is_estimated_where_the_classes_lie_apart(prior) -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(4000) < prior
    mines, others = rng.normal(3, 1, 200), rng.normal(3.0 * truth, 1)
    assert estimate_prior(mines, others) == pytest.approx(prior, rel=0.3)


def test_a_prior_is_never_nothing_and_never_more_than_a_half() -> None:
    assert estimate_prior(np.array([2.0, 3]), np.zeros(50)) == 1 / 50
    assert estimate_prior(np.zeros(10), np.ones(10)) == 0.5


@pytest.mark.parametrize("prior", [0.02, 0.1])
def test_the_calibrated_share_is_the_true_one(prior) -> None:
    rng = np.random.default_rng(5)
    truth = np.r_[np.ones(500, bool), rng.random(8000) < prior]
    scores = rng.normal(2.0 * truth, 1)
    mines, others = scores[:500], scores[500:]
    curve = calibrate_unlabelled(mines, others, prior)
    assert curve.slope == pytest.approx(2, rel=0.1), "of two normal distributions two apart"
    probability = curve.apply(scores)
    assert true_share(500, 8000, prior) == pytest.approx(truth.mean(), rel=0.1)
    assert probability.mean() == pytest.approx(truth.mean(), rel=0.1)
    for low, high in ((0.02, 0.1), (0.1, 0.4), (0.4, 0.9)):
        part = (probability > low) & (probability < high)
        assert probability[part].mean() == pytest.approx(truth[part].mean(), abs=0.06)
    labelled = np.r_[np.ones(500), np.zeros(8000)].astype(np.int8)
    at_face_value = calibrate(labelled, scores).apply(scores)
    assert at_face_value[truth].mean() < probability[truth].mean()
    with pytest.raises(TrainingError):
        calibrate_unlabelled(mines[:0], others, prior)


def test_thresholds_allow_for_the_mines_among_the_unlabelled() -> None:
    rng = np.random.default_rng(6)
    truth = rng.random(20_000) < 0.03
    mines, others = rng.normal(4, 1, 2000), rng.normal(4.0 * truth, 1)
    squeeze = lambda scores: 1 / (1 + np.exp(-(scores - 2)))  # noqa: E731
    cuts = thresholds_unlabelled(squeeze(mines), squeeze(others), 0.03)
    false = {name: (squeeze(others[~truth]) >= cut).mean() for name, cut in cuts.items()}
    assert false["possible"] == pytest.approx(0.05, abs=0.004)
    assert false["likely"] == pytest.approx(0.01, abs=0.003)
    naive = thresholds(np.zeros(20_000), squeeze(others))
    assert naive["likely"] > cuts["likely"], "mines among the negatives would raise it"


def test_what_other_assumptions_would_have_given() -> None:
    features, label, _ = pu_table(2, 0.05, vary=True)
    known, even = label == 1, np.ones(len(label))
    weights = class_weights(label, known, even, 0.1)
    fold = folds(len(label))
    scores = fit_ridge(features, label, fold, weights).out_of_fold
    remoteness = np.r_[np.linspace(0, 40, MINES), np.zeros(OTHERS)]
    rows = sensitivity(features, label, known, fold, weights, scores, 0.05, remoteness)
    assert [row["assumption"] for row in rows] == (
        ["as trained"] + 4 * ["prior"] + 2 * ["odds ratio"] + 2 * ["positive share"]
    )
    priors = sorted(rows[:5], key=lambda row: row["value"])
    assert [row["value"] for row in priors] == pytest.approx([0.0125, 0.025, 0.05, 0.1, 0.2])
    assert {row["spearman"] for row in priors} == {1.0}, "the prior moves no rank"
    assert np.all(np.diff([row["likely"] for row in priors]) >= 0)
    assert np.all(np.diff([row["auc"] for row in priors]) > 0), "mines among them count as misses"
    for row in rows[5:]:
        assert 0.5 < row["spearman"] < 1, "another fit ranks a little otherwise"
    flat = sensitivity(features, label, known, fold, weights, scores, 0.05, 0 * remoteness)
    assert flat[5]["spearman"] > 0.999, "mines equally remote keep their weights"
