"""The one ridge fitted to parts of the rows is the one that fit_ridge fits."""

from __future__ import annotations

import numpy as np
import pytest
from sample_model import sample_table

from models.refit import Refits
from models.ridge_fit import fit_ridge

PENALTY = 0.05


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
def test_a_fit_without_a_fold_is_that_of_the_ridge(columns: int) -> None:
    features, label, fold, weight = sample_table(columns)
    whole = fit_ridge(features, label, fold, weight, (PENALTY,))
    refits = Refits(features, label, weight, PENALTY)
    everything = refits.fit(np.ones(300, bool))
    largest = float(np.abs(whole.model.coefficients).max())
    assert everything.coefficients == pytest.approx(whole.model.coefficients, abs=1e-4 * largest)
    assert everything.intercept == pytest.approx(whole.model.intercept, abs=1e-6)
    for held in range(5):
        scores = refits.scores(fold != held, fold == held)
        assert scores == pytest.approx(whole.out_of_fold[fold == held], abs=1e-5)


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
def test_a_small_part_is_fitted_as_if_it_were_alone(columns: int) -> None:
    features, label, _, weight = sample_table(columns)
    train = np.arange(300) < 90
    # Columns are scaled by all rows: without that, it is another ridge.
    table = np.sqrt(features.astype(float))
    centred = table - np.average(table, axis=0, weights=weight)
    spread = np.sqrt(np.average(centred**2, axis=0, weights=weight).mean())
    table /= spread
    share = weight[train] / weight[train].sum()
    centred = table[train] - share @ table[train]
    system = (centred * share[:, None]).T @ centred + PENALTY * np.eye(columns)
    right = (centred * share[:, None]).T @ (label[train] - share @ label[train])
    expected = np.linalg.solve(system, right) / spread
    found = Refits(features, label, weight, PENALTY).fit(train)
    assert found.coefficients == pytest.approx(expected, rel=1e-3, abs=1e-4 * abs(expected).max())


@pytest.mark.parametrize("columns", [12, 320], ids=["tall", "wide"])
def test_what_is_held_out_has_no_say(columns: int) -> None:
    features, label, fold, weight = sample_table(columns)
    turned = np.where(fold == 2, 1 - label, label).astype(np.int8)
    one, other = (
        Refits(features, said, weight, PENALTY).scores(fold != 2, fold == 2)
        for said in (label, turned)
    )
    assert one == pytest.approx(other, abs=1e-6)


def test_the_strongest_quarter_speaks_for_a_row() -> None:
    features, label, fold, weight = sample_table(30)
    quarters = np.stack([features, 0.5 * features, features + 1, features], axis=1)
    quarters[7, 2] = np.nan
    flat = quarters.reshape(300, 120)
    fit = fit_ridge(features, label, fold, weight, (PENALTY,), quarters=flat)
    refits = Refits(features, label, weight, PENALTY, flat)
    scores = refits.scores(fold != 2, fold == 2)
    assert scores == pytest.approx(fit.out_of_fold[fold == 2], abs=1e-5)
