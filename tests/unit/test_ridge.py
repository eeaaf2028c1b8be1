from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sample_model import sample_table
from sklearn.linear_model import Ridge

from models import ridge_fit
from models.errors import TrainingError
from models.gram import Gram, Shifted
from models.ridge_fit import PENALTIES, TOLERANCE, fit_ridge
from models.ridge_problems import KeptRows, StreamedRows, of_columns


def spread_of(table: np.ndarray, weight: np.ndarray) -> float:
    """The one number that all columns are divided by."""
    centre = np.average(table, axis=0, weights=weight)
    return float(np.sqrt(np.average((table - centre) ** 2, axis=0, weights=weight).mean()))


def by_sklearn(
    features: np.ndarray, label: np.ndarray, weight: np.ndarray, penalty: float
) -> Ridge:
    """The same problem for scikit-learn: on scaled roots, with the sum of the weights as unit."""
    table = np.sqrt(features.astype(float))
    spread = spread_of(table, weight)
    model = Ridge(alpha=penalty * weight.sum(), solver="cholesky")
    model.fit(table / spread, label, sample_weight=weight)
    model.coef_ = model.coef_ / spread
    return model


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 3.0])
def test_ridge_equals_scikit_learn(columns: int, penalty: float) -> None:
    features, label, fold, weight = sample_table(columns)
    fit = fit_ridge(features, label, fold, weight, (penalty,))
    other = by_sklearn(features, label, weight, penalty)
    assert fit.penalty == penalty
    largest = np.abs(other.coef_).max()
    assert fit.model.coefficients == pytest.approx(other.coef_, rel=1e-3, abs=1e-4 * largest)
    scores = fit.model.scores(features)
    assert scores == pytest.approx(other.predict(np.sqrt(features.astype(float))), abs=1e-4)
    assert scores.dtype == np.float64
    assert fit.model.coefficients.dtype == np.float32


@pytest.mark.parametrize(("rows", "columns", "fits"), [(300, 12, True), (30, 40, False)])
def test_rows_and_columns_are_not_both_too_many(monkeypatch, rows, columns, fits) -> None:
    monkeypatch.setattr(ridge_fit, "MOST", 20)
    table = sample_table(columns, rows=rows)
    if fits:
        fit_ridge(*table)
    else:
        with pytest.raises(TrainingError, match=r"30 rows of 40 columns: .* not both"):
            fit_ridge(*table)


def test_rows_kept_and_rows_streamed_give_the_same() -> None:
    features, label, fold, weight = sample_table(90, rows=100)
    kept, streamed = (kind(features, label, weight, fold) for kind in (KeptRows, StreamedRows))
    residuals = np.random.default_rng(1).normal(size=100)
    for held in (None, 2):
        lines, changes, pulls = [], [], []
        for rows in (kept, streamed):
            matrix, problem = rows.problem(held)
            system = Shifted(matrix)
            lines.append(problem.lines(system.solve(problem.right, PENALTIES)))
            if held is None:
                rights, pull = rows.pulls(residuals, np.arange(100) // 10)
                average = system.solve_average(rights, (0.1, 1.0), (0.5, 0.5))
                changes.append(problem.lift(average.T)[0])
                pulls.append(pull)
        one, other = lines
        assert one.coefficients == pytest.approx(other.coefficients, rel=1e-4, abs=1e-6)
        assert one.intercepts == pytest.approx(other.intercepts, rel=1e-4, abs=1e-6)
        if held is None:
            assert pulls[0] == pytest.approx(pulls[1])
            assert changes[0] == pytest.approx(changes[1], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
def test_influence_is_what_leaving_a_place_out_does(columns: int) -> None:
    features, label, fold, weight = sample_table(columns)
    fit = fit_ridge(features, label, fold, weight, (0.1,), places=fold.astype(np.intp))
    told = fit.influence.apply(features)
    assert told.shape == (300, 5)
    for place in range(5):
        rest = fold != place
        others = np.unique(fold[rest], return_inverse=True)[1].astype(np.int16)
        without = fit_ridge(features[rest], label[rest], others, weight[rest], (0.1,))
        change = fit.model.scores(features) - without.model.scores(features)
        assert np.corrcoef(change, told[:, place])[0, 1] > 0.95
        assert np.std(told[:, place]) == pytest.approx(np.std(change), rel=0.35)
    both = fit.influence.combined(np.array([[1.0, 1, 0, 0, 0]])).apply(features)
    assert both[:, 0] == pytest.approx(told[:, :2].sum(axis=1), abs=1e-5)


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
def test_rows_may_stream(columns: int) -> None:
    class Stream:
        shape = (300, columns)
        read = 0

        def chunks(self) -> Iterator[np.ndarray]:
            for first in range(0, 300, 70):
                Stream.read += 1
                yield features[first : first + 70]

    features, label, fold, weight = sample_table(columns)
    whole, streamed = (fit_ridge(rows, label, fold, weight) for rows in (features, Stream()))
    assert Stream.read == 10, "twice"
    assert streamed.penalty == whole.penalty
    assert streamed.model.coefficients == pytest.approx(whole.model.coefficients, rel=1e-5)
    assert streamed.out_of_fold == pytest.approx(whole.out_of_fold, abs=1e-9)


def test_weights_are_counts() -> None:
    features, label, _, _ = sample_table(10, rows=60)
    counts = np.random.default_rng(1).integers(1, 4, 60)
    weighted, repeated = Gram(10), Gram(10)
    weighted.add(features, label, counts.astype(float))
    repeated.add(features.repeat(counts, 0), label.repeat(counts), np.ones(counts.sum()))
    (one, about), (other, same) = (of_columns(gram, 1.0) for gram in (weighted, repeated))
    assert np.tril(one) == pytest.approx(np.tril(other), rel=1e-6)
    assert about.right == pytest.approx(same.right, rel=1e-6)
    assert about.mean == pytest.approx(same.mean, rel=1e-6)


def test_the_strongest_quarter_speaks_for_a_row() -> None:
    features, label, fold, weight = sample_table(30)
    quarters = np.stack([features, 0.5 * features, features + 1, features], axis=1)
    quarters[7, 2] = np.nan
    plain = fit_ridge(features, label, fold, weight)
    fit = fit_ridge(features, label, fold, weight, quarters=quarters.reshape(300, 120))
    assert np.array_equal(fit.model.coefficients, plain.model.coefficients), "fitted on means"
    alone = [
        fit_ridge(features, label, fold, weight, quarters=quarters[:, part]).out_of_fold
        for part in (0, 1, 2)
    ]
    assert alone[0] == pytest.approx(plain.out_of_fold, abs=1e-9)
    assert alone[2][7] == -np.inf
    assert fit.out_of_fold == pytest.approx(np.max(alone, axis=0), abs=1e-9)


@pytest.mark.parametrize("size", [1, 2, 60])
def test_one_tridiagonalisation_serves_every_shift(size: int) -> None:
    rng = np.random.default_rng(size)
    rows = rng.normal(size=(3 * size, size))
    matrix, right, shifts = rows.T @ rows, rng.normal(size=size), (1e-3, 1.0, 50.0)
    system = Shifted(matrix)
    for shift, solution in zip(shifts, system.solve(right, shifts), strict=True):
        shifted = matrix + shift * np.eye(size)
        assert solution == pytest.approx(np.linalg.solve(shifted, right), rel=1e-8)


def test_what_a_part_has_not_seen_is_a_subtraction() -> None:
    features, label, fold, weight = sample_table(7)
    whole, part, rest = Gram(7), Gram(7), Gram(7)
    whole.add(features, label, weight)
    part.add(features[fold == 1], label[fold == 1], weight[fold == 1])
    rest.add(features[fold != 1], label[fold != 1], weight[fold != 1])
    for left, right in zip(whole.without(part).centred(), rest.centred(), strict=True):
        lower = np.tril(left) if np.ndim(left) == 2 else left
        assert lower == pytest.approx(np.tril(right) if np.ndim(right) == 2 else right, abs=1e-9)


def test_a_score_out_of_fold_has_not_seen_its_fold() -> None:
    # One penalty: its choice is the one thing that all folds share.
    features, label, fold, weight = sample_table(30)
    fit = fit_ridge(features, label, fold, weight, (1e-2,))
    turned = np.where(fold == 2, 1 - label, label).astype(np.int8)
    other = fit_ridge(features, turned, fold, weight, (1e-2,))
    assert fit.out_of_fold[fold == 2] == pytest.approx(other.out_of_fold[fold == 2], abs=1e-10)
    assert np.abs(fit.out_of_fold[fold != 2] - other.out_of_fold[fold != 2]).min() > 1e-6


def test_a_row_that_leaks_its_label_does_not_help() -> None:
    rng = np.random.default_rng(3)
    rows = 200
    label = (rng.random(rows) < 0.5).astype(np.int8)
    fold = (np.arange(rows) % 5).astype(np.int16)
    # Each row has a column of its own: whoever sees a row learns its label by heart.
    features = (np.eye(rows) * 4 + 0.1 * rng.random((rows, rows))).astype(np.float32)
    fit = fit_ridge(features, label, fold, np.ones(rows))
    learnt = ((fit.model.scores(features) > 0.5) == label).mean()
    held = ((fit.out_of_fold > 0.5) == label).mean()
    assert held < 0.62
    assert learnt > held


def test_the_penalty_is_the_one_with_the_smallest_error_out_of_fold() -> None:
    features, label, fold, weight = sample_table(60, rows=150)
    fit = fit_ridge(features, label, fold, weight)
    errors = {}
    for penalty in PENALTIES:
        alone = fit_ridge(features, label, fold, weight, (penalty,))
        errors[penalty] = np.average((alone.out_of_fold - label) ** 2, weights=weight)
    assert fit.penalty == min(errors, key=errors.__getitem__)
    assert PENALTIES[0] < fit.penalty < PENALTIES[-1]


def test_a_constant_column_does_no_harm() -> None:
    features, label, fold, weight = sample_table(8)
    features[:, 5] = 0
    fit = fit_ridge(features, label, fold, weight)
    assert np.isfinite(fit.model.coefficients).all()
    assert np.isfinite(fit.out_of_fold).all()


def test_penalties_are_averaged_by_their_errors() -> None:
    features, label, fold, weight = sample_table(30)
    together = fit_ridge(features, label, fold, weight)
    alone = [fit_ridge(features, label, fold, weight, (penalty,)) for penalty in PENALTIES]
    errors = np.array([np.average((one.out_of_fold - label) ** 2, weights=weight) for one in alone])
    shares = np.exp(-(errors / errors.min() - 1) / TOLERANCE)
    shares /= shares.sum()
    assert 0.1 < shares.max() < 0.9
    expected = sum(
        share * one.model.scores(features) for share, one in zip(shares, alone, strict=True)
    )
    assert together.model.scores(features) == pytest.approx(expected, abs=1e-5)
    expected = sum(share * one.out_of_fold for share, one in zip(shares, alone, strict=True))
    assert together.out_of_fold == pytest.approx(expected, abs=1e-6)
