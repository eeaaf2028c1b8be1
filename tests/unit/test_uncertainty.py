"""Applicability, label sets, intervals: what a model says of how sure it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_model import CURVE, sample_rows, sample_table

from models.applicability import fit_applicability
from models.calibration import Calibration
from models.corruption_detector import CorruptionPairs, fit_corruption_detector
from models.errors import ModelError, TrainingError
from models.label_sets import fit_label_sets, set_figures
from models.ridge import Ridge
from models.uncertainty import (
    Uncertainty,
    bootstrap_counts,
    dispute,
    fit_uncertainty,
    most_disputed,
    score_interval,
)


def test_the_dissimilarity_is_that_of_the_definition() -> None:
    features, label, fold, _ = sample_table(12, rows=80)
    near = fit_applicability(features, fold, label)
    # All twelve axes are kept, and what remains beside them is rounding.
    table = np.sqrt(features.astype(float))
    standard = (table - table.mean(axis=0)) / table.std(axis=0)
    away = np.linalg.norm(standard[:, None] - standard[None], axis=2)
    pairs = np.random.default_rng(0)
    pairs.permutation(80)
    one, other = pairs.integers(0, 80, (2, 20_000))
    mean = away[one, other].mean()
    assert near.mean_distance == pytest.approx(mean, rel=1e-2)
    other_folds = np.where(fold[:, None] == fold[None], np.inf, away).min(axis=1) / mean
    # Both classes count the same: three rows in ten are mines.
    shares = np.where(label == 1, 1 / label.sum(), 1 / (label == 0).sum())
    lower, upper = np.quantile(other_folds, [0.25, 0.75], weights=shares, method="inverted_cdf")
    assert near.threshold == pytest.approx(upper + 3 * (upper - lower), rel=2e-2)
    assert near.dissimilarity(near.place(features)) == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("columns", [30, 90], ids=["tall", "wide"])
def test_the_main_axes_are_those_of_the_covariance(columns: int) -> None:
    features, label, fold, _ = sample_table(columns, rows=60)
    near = fit_applicability(features, fold, label, axes=4)
    table = np.sqrt(features.astype(float))
    assert near.centre == pytest.approx(table.mean(axis=0), rel=1e-5)
    assert near.spread == pytest.approx(table.std(axis=0), rel=1e-5)
    axes = np.linalg.eigh(np.corrcoef(table.T))[1][:, -4:]
    # An axis has no sign.
    assert np.abs(near.axes.T @ axes) == pytest.approx(np.eye(4), abs=1e-4)


def test_what_lies_beside_the_main_axes_counts() -> None:
    rng = np.random.default_rng(2)
    common = rng.random((400, 3))
    features = (common @ rng.random((3, 60)) + 0.01 * rng.random((400, 60))).astype(np.float32)
    label = (np.arange(400) % 3 == 0).astype(np.int8)
    near = fit_applicability(features, (np.arange(400) % 5).astype(np.int16), label, axes=3)
    strange = features[:50].copy()
    strange[:, ::2] += 0.6 * rng.random((50, 30)).astype(np.float32)
    index = near.dissimilarity(near.place(strange))
    assert (index > near.threshold).all()
    usual = near.dissimilarity(near.place(features))
    assert (usual <= near.threshold).all()


def test_few_mines_that_differ_widely_are_not_all_called_unlike() -> None:
    rng = np.random.default_rng(4)
    label = (np.arange(600) % 12 == 0).astype(np.int8)
    wide = np.where(label == 1, 0.25, 0.05)[:, None]
    features = np.abs(2 + wide * rng.standard_normal((600, 8))).astype(np.float32)
    near = fit_applicability(features, (np.arange(600) % 5).astype(np.int16), label)
    # By the rows as they come, 0.99 of these lie outside.
    fresh = np.abs(2 + 0.25 * rng.standard_normal((200, 8))).astype(np.float32)
    unlike = near.dissimilarity(near.place(fresh)) > near.threshold
    assert unlike.mean() < 0.1
    far = np.abs(4 + 0.05 * rng.standard_normal((20, 8))).astype(np.float32)
    assert (near.dissimilarity(near.place(far)) > near.threshold).all()


def test_label_sets_hold_nine_in_ten_of_each_class() -> None:
    rng = np.random.default_rng(3)
    label = (rng.random(4_000) < 0.2).astype(np.int8)
    scores = rng.normal(2.0 * label, 1.0)
    sets = fit_label_sets(label[:2_000], scores[:2_000])
    found = set_figures(label[2_000:], sets.name(scores[2_000:]))
    assert found["mine"] == pytest.approx(0.9, abs=0.04)
    assert found["not"] == pytest.approx(0.9, abs=0.02)
    assert found["size"] < 1.4
    assert sum(found["count"].values()) == 2_000


def test_few_rows_leave_nothing_out() -> None:
    sets = fit_label_sets(np.array([1, 0, 0], np.int8), np.array([0.5, 0.1, 0.2]))
    assert sets.name(np.array([-5.0, 5.0])).tolist() == ["both", "both"]
    with pytest.raises(TrainingError):
        fit_label_sets(np.zeros(3, np.int8), np.zeros(3))


def test_classes_far_apart_leave_room_for_neither() -> None:
    label = np.repeat([0, 1], 100).astype(np.int8)
    sets = fit_label_sets(label, label + np.linspace(0, 0.1, 200))
    names = sets.name(np.array([0.0, 0.6, 1.1]))
    assert names.tolist() == ["not", "neither", "mine"]


def test_every_draw_draws_as_many_places() -> None:
    counts = bootstrap_counts(30, seed=1)
    assert counts.shape == (40, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert np.array_equal(counts, bootstrap_counts(30, seed=1))


def test_the_interval_holds_the_score_and_most_draws() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=50)
    drawn = scores[:, None] + rng.normal(0.3, 1.0, (50, 400))
    low, high = score_interval(scores, drawn)
    assert (low <= scores).all()
    assert (high >= scores).all()
    # The draws' own centre does not move the score.
    assert (high - scores) == pytest.approx(scores - low, rel=0.4)


def test_rows_near_even_odds_that_single_regions_move_are_disputed() -> None:
    rows = sample_rows(60)
    ridge, features, label = Ridge.fit(rows), rows.table, rows.labels
    uncertainty = fit_uncertainty(rows)
    assert ridge.replicates(features, uncertainty.replicates).shape == (300, 40)
    spread = uncertainty.spread(features)
    assert spread == pytest.approx(
        np.sqrt((uncertainty.regions.apply(features) ** 2).sum(axis=1)), rel=1e-6
    )
    logits = Calibration(**CURVE).logit(ridge.scores(features))
    disputed = dispute(spread, logits) > most_disputed(spread, logits, label)
    of_each = disputed[label == 1].mean() + disputed[label == 0].mean()
    assert of_each / 2 == pytest.approx(0.25, abs=0.02)
    # The same regions disagree less about what is clear.
    assert (dispute(spread, 10 * logits) < dispute(spread, logits)).all()
    assert np.isfinite(dispute(spread, np.zeros(300))).all()


def test_corrupted_rows_are_told_from_intact_ones() -> None:
    rng = np.random.default_rng(6)
    intact = (rng.random((300, 40)) + np.linspace(0.5, 1.5, 40)).astype(np.float32)
    corrupted = intact[:, rng.permutation(40)]
    folds = (np.arange(300) % 5).astype(np.int16)
    detector = fit_corruption_detector(CorruptionPairs(intact[:200], corrupted[:200], folds[:200]))
    assert (detector.index(intact[200:]) > 1).mean() < 0.06
    assert (detector.index(corrupted[200:]) > 1).mean() > 0.95


def test_a_file_keeps_the_uncertainty() -> None:
    rows = sample_rows(60)
    features, plain = rows.table, fit_uncertainty(rows)
    folds = (np.arange(300) % 5).astype(np.int16)
    pairs = CorruptionPairs(features, features[:, ::-1].copy(), folds)
    detecting = replace(plain, detector=fit_corruption_detector(pairs))
    for whole in (plain, detecting):
        again = Uncertainty.from_arrays(whole.to_arrays(), 60)
        assert np.array_equal(again.dissimilarity(features), whole.dissimilarity(features))
        assert np.array_equal(again.spread(features), whole.spread(features))
    broken = detecting.to_arrays()
    for bad in (broken["misread"][:-1], np.full(60, np.nan)):
        with pytest.raises(ModelError):
            Uncertainty.from_arrays(broken | {"misread": bad}, 60)
    with pytest.raises(ModelError):
        Uncertainty.from_arrays(broken | {"misread_limits": np.array([0.0, 1.0])}, 60)
