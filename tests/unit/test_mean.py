"""The weighted mean of a ridge and a forest."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibration import calibrate
from models.mean import fit_shares, mean_logit


@pytest.mark.parametrize("own, low, high", [(True, 0.4, 0.6), (False, 0, 0.1)])
def test_a_part_counts_for_what_it_adds(own: bool, low: float, high: float) -> None:
    rng = np.random.default_rng(8)
    label = (rng.random(3_000) < 0.3).astype(np.int8)
    good = label + rng.normal(0, 0.6, 3_000)
    # Knowledge of its own, or the other's with noise on it.
    other = (label if own else good) + rng.normal(0, 0.6, 3_000)
    scores = {"ridge": good, "forest": 7 * other - 3}
    curves = {name: calibrate(label, values) for name, values in scores.items()}
    shares = fit_shares(label, scores, curves)
    assert sum(shares.values()) == pytest.approx(1)
    assert low <= shares["forest"] <= high
    logits = mean_logit(scores, curves, shares)
    by_hand = sum(shares[name] * curves[name].logit(scores[name]) for name in scores)
    assert logits == pytest.approx(by_hand)


def test_rows_count_for_their_weights_in_the_shares() -> None:
    rng = np.random.default_rng(9)
    label = (rng.random(2_000) < 0.5).astype(np.int8)
    first = np.arange(2_000) < 1_000
    # Each part knows one half of the rows.
    noise = rng.normal(0, 3, (2, 2_000))
    scores = {
        "ridge": label + np.where(first, 0.1, 1) * noise[0],
        "forest": label + np.where(first, 1, 0.1) * noise[1],
    }
    curves = {name: calibrate(label, values) for name, values in scores.items()}
    alike = fit_shares(label, scores, curves)["forest"]
    assert fit_shares(label, scores, curves, np.ones(2_000))["forest"] == pytest.approx(alike)
    assert fit_shares(label, scores, curves, np.where(first, 9.0, 1))["forest"] < alike - 0.1
    assert fit_shares(label, scores, curves, np.where(first, 1, 9.0))["forest"] > alike + 0.1


def test_parts_that_tell_nothing_count_the_same() -> None:
    label = np.repeat([0, 1], 50).astype(np.int8)
    wrong = {"ridge": -label - np.linspace(0, 1, 100), "forest": -2.0 * label}
    curves = {name: calibrate(label, values) for name, values in wrong.items()}
    assert fit_shares(label, wrong, curves) == {"ridge": 0.5, "forest": 0.5}
