"""Folds never split a place, calibration never reorders, thresholds are in order."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.calibration import Calibration
from models.folds import spatial_folds
from models.scores import thresholds

rows = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60)
numbers = st.floats(-50, 50)


@given(rows, st.integers(2, 6), st.randoms(use_true_random=False))
def test_no_place_is_split_and_the_order_of_rows_does_not_matter(table, count, random) -> None:  # type: ignore[no-untyped-def]
    groups = np.array([group for group, _ in table])
    labels = np.array([int(label) for _, label in table])
    assume(len(np.unique(groups)) > 1)
    folds = spatial_folds(groups, labels, count)
    fold_of = dict(zip(groups.tolist(), folds.tolist(), strict=True))
    assert [fold_of[group] for group in groups.tolist()] == folds.tolist()
    assert set(folds.tolist()) == set(range(min(count, len(fold_of))))
    order = list(range(len(table)))
    random.shuffle(order)
    again = spatial_folds(groups[order], labels[order], count)
    assert np.array_equal(again, folds[order])


@given(st.floats(0, 20), numbers, st.lists(numbers, min_size=2, max_size=30))
def test_calibration_never_reorders(slope: float, intercept: float, scores: list[float]) -> None:
    ordered = np.sort(scores)
    probabilities = Calibration(slope, intercept, 0.3).apply(ordered)
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@given(arrays.arrays(float, st.integers(1, 80), elements=st.floats(0, 1)))
def test_thresholds_are_in_order(probabilities: np.ndarray) -> None:
    found = thresholds(np.zeros(len(probabilities)), probabilities)
    assert 0 < found["possible"] <= found["likely"] <= 1
