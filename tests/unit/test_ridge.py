from __future__ import annotations

import numpy as np
import pytest
from sample_model import sample_table
from sklearn.linear_model import Ridge

from models import ridge
from models.ridge import PENALTIES, TOLERANCE, fit_ridge


def by_sklearn(
    features: np.ndarray, label: np.ndarray, weight: np.ndarray, penalty: float
) -> Ridge:
    """The same problem for scikit-learn: on scaled roots, with the sum of the weights as unit."""
    table = np.sqrt(features.astype(float))
    spread = table.std(axis=0)
    model = Ridge(alpha=penalty * weight.sum(), solver="cholesky")
    model.fit(table / spread, label, sample_weight=weight)
    model.coef_ = model.coef_ / spread
    return model


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 3.0])
def test_ridge_equals_scikit_learn(
    columns: int, penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge, "PENALTIES", (penalty,))
    features, label, fold, weight = sample_table(columns)
    fit = fit_ridge(features, label, fold, weight)
    other = by_sklearn(features, label, weight, penalty)
    assert fit.penalty == penalty
    largest = np.abs(other.coef_).max()
    assert fit.model.coefficients == pytest.approx(other.coef_, rel=1e-3, abs=1e-4 * largest)
    scores = fit.model.score(features)
    assert scores == pytest.approx(other.predict(np.sqrt(features.astype(float))), abs=1e-4)
    assert scores.dtype == np.float64
    assert fit.model.coefficients.dtype == np.float32


def test_wide_and_tall_solve_the_same_problem() -> None:
    features, label, _, weight = sample_table(90, rows=100)
    table = (np.sqrt(features) - 0.7).astype(np.float32)
    tall, mean = ridge._solve(table, label, weight, PENALTIES)
    # A hundred columns of zeros change nothing, but make it wide.
    padded = np.hstack([table, np.zeros((100, 100), np.float32)])
    wide, same = ridge._solve(padded, label, weight, PENALTIES)
    assert mean == same
    assert wide[:, :90] == pytest.approx(tall, rel=1e-3, abs=1e-5)
    assert np.abs(wide[:, 90:]).max() == 0


def test_weights_are_counts() -> None:
    features, label, _, _ = sample_table(10, rows=60)
    table = np.sqrt(features)
    counts = np.random.default_rng(1).integers(1, 4, 60)
    weighted, _ = ridge._solve(table, label, counts.astype(float), (0.1,))
    repeated, _ = ridge._solve(
        table.repeat(counts, 0), label.repeat(counts), np.ones(counts.sum()), (0.1,)
    )
    assert weighted == pytest.approx(repeated, rel=1e-6)


def test_a_score_out_of_fold_has_not_seen_its_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    # One penalty: its choice is the one thing that all folds share.
    monkeypatch.setattr(ridge, "PENALTIES", (1e-2,))
    features, label, fold, weight = sample_table(30)
    fit = fit_ridge(features, label, fold, weight)
    turned = np.where(fold == 2, 1 - label, label).astype(np.int8)
    other = fit_ridge(features, turned, fold, weight)
    assert np.array_equal(fit.out_of_fold[fold == 2], other.out_of_fold[fold == 2])
    assert not np.array_equal(fit.out_of_fold[fold != 2], other.out_of_fold[fold != 2])


def test_a_row_that_leaks_its_label_does_not_help() -> None:
    rng = np.random.default_rng(3)
    rows = 200
    label = (rng.random(rows) < 0.5).astype(np.int8)
    fold = (np.arange(rows) % 5).astype(np.int16)
    # Each row has a column of its own: whoever sees a row learns its label by heart.
    features = (np.eye(rows) * 4 + 0.1 * rng.random((rows, rows))).astype(np.float32)
    fit = fit_ridge(features, label, fold, np.ones(rows))
    learnt = ((fit.model.score(features) > 0.5) == label).mean()
    held = ((fit.out_of_fold > 0.5) == label).mean()
    assert held < 0.62
    assert learnt > held


def test_the_penalty_is_the_one_with_the_smallest_error_out_of_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, label, fold, weight = sample_table(60, rows=150)
    fit = fit_ridge(features, label, fold, weight)
    errors = {}
    for penalty in PENALTIES:
        monkeypatch.setattr(ridge, "PENALTIES", (penalty,))
        alone = fit_ridge(features, label, fold, weight)
        errors[penalty] = np.average((alone.out_of_fold - label) ** 2, weights=weight)
    assert fit.penalty == min(errors, key=errors.__getitem__)
    assert PENALTIES[0] < fit.penalty < PENALTIES[-1]


def test_a_constant_column_does_no_harm() -> None:
    features, label, fold, weight = sample_table(8)
    features[:, 5] = 0
    fit = fit_ridge(features, label, fold, weight)
    assert np.isfinite(fit.model.coefficients).all()
    assert np.isfinite(fit.out_of_fold).all()


def test_penalties_are_averaged_by_their_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    features, label, fold, weight = sample_table(30)
    together = fit_ridge(features, label, fold, weight)
    alone = []
    for penalty in PENALTIES:
        monkeypatch.setattr(ridge, "PENALTIES", (penalty,))
        alone.append(fit_ridge(features, label, fold, weight))
    errors = np.array([np.average((one.out_of_fold - label) ** 2, weights=weight) for one in alone])
    shares = np.exp(-(errors / errors.min() - 1) / TOLERANCE)
    shares /= shares.sum()
    assert 0.1 < shares.max() < 0.9
    expected = sum(
        share * one.model.score(features) for share, one in zip(shares, alone, strict=True)
    )
    assert together.model.score(features) == pytest.approx(expected, abs=1e-5)
    expected = sum(share * one.out_of_fold for share, one in zip(shares, alone, strict=True))
    assert together.out_of_fold == pytest.approx(expected, abs=1e-6)
