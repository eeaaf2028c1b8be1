from __future__ import annotations

import numpy as np
import pytest

from models.calibration import Calibration, calibrate
from models.errors import TrainingError


def drawn(slope: float, intercept: float, rows: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    scores = rng.normal(0.3, 0.5, rows)
    probability = 1 / (1 + np.exp(-(slope * scores + intercept)))
    return (rng.random(rows) < probability).astype(np.int8), scores


@pytest.mark.parametrize(("slope", "intercept"), [(3.0, -2.0), (0.8, 0.5), (6.0, -4.0)])
def test_a_known_curve_is_recovered(slope: float, intercept: float) -> None:
    calibration = calibrate(*drawn(slope, intercept))
    assert calibration.slope == pytest.approx(slope, rel=0.06)
    assert calibration.intercept == pytest.approx(intercept, rel=0.06, abs=0.03)


def test_the_mean_probability_is_the_share_of_mines() -> None:
    label, scores = drawn(3.0, -2.0)
    assert calibrate(label, scores).apply(scores).mean() == pytest.approx(label.mean(), abs=1e-4)


def test_the_unit_of_the_scores_does_not_matter() -> None:
    label, scores = drawn(3.0, -2.0, 2_000)
    plain = calibrate(label, scores).apply(scores)
    other = calibrate(label, 1e4 * scores - 7).apply(1e4 * scores - 7)
    assert other == pytest.approx(plain, rel=1e-3)


def test_nan_stays_nan() -> None:
    probability = Calibration(2.0, 0.0, 0.5).apply(np.array([np.nan, 0.0]))
    assert np.isnan(probability[0])
    assert probability[1] == 0.5


def test_a_stated_prevalence_moves_the_odds() -> None:
    curve = Calibration(2.0, 0.0, 0.2)
    # As many mines as in training: nothing moves. Odds of mines four times lower: 1 to 4.
    assert curve.apply(np.array([0.0]), 0.2) == pytest.approx([0.5])
    assert curve.apply(np.array([0.0]), 1 / 17) == pytest.approx([0.2])


def test_huge_scores_do_not_overflow() -> None:
    assert Calibration(2.0, 0.0, 0.5).apply(np.array([-1e9, 1e9])).tolist() == [0.0, 1.0]


def test_scores_that_rank_the_wrong_way_give_a_flat_curve() -> None:
    label, scores = drawn(3.0, -2.0, 2_000)
    calibration = calibrate(label, -scores)
    assert calibration.slope == 0
    assert np.ptp(calibration.apply(scores)) == 0


def test_equal_scores_give_the_share_of_mines() -> None:
    label = np.array([0, 0, 0, 1], np.int8)
    assert calibrate(label, np.full(4, 0.7)).apply(np.array([0.7])) == pytest.approx(
        [0.25], rel=0.01
    )


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_is_an_error(value: int) -> None:
    with pytest.raises(TrainingError, match="both classes"):
        calibrate(np.full(5, value, np.int8), np.arange(5.0))
