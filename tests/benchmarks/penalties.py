"""The ridge's grid of penalties against scikit-learn's, by the same criterion on the same folds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit
from timing import interleaved, times_faster

from models.ridge import _solve

ROWS, COLUMNS, FOLDS = 6_000, 2_048, 5
# Shares of the sum of the weights, as in models/ridge.py.
PENALTIES = tuple(float(power) for power in np.logspace(-5, 1, 25))


def row(rounds: int, say: Callable[[str], None]) -> dict[str, object]:
    """Seconds for errors of 25 penalties and the final fit, and which penalty each one chose."""
    rng = np.random.default_rng(7)
    hidden = rng.normal(size=(ROWS, 200)).astype(np.float32)
    table = hidden @ rng.normal(size=(200, COLUMNS)).astype(np.float32) / 14
    table = np.maximum(table + rng.normal(size=table.shape).astype(np.float32), 0)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    labels = (hidden[:, :5].sum(axis=1) + rng.normal(0, 3, ROWS) > 3).astype(np.int8)
    folds = np.arange(ROWS) % FOLDS
    chosen: dict[str, float] = {}

    def ours() -> None:
        errors = np.zeros(len(PENALTIES))
        for fold in range(FOLDS):
            held = folds == fold
            weights = np.ones(int((~held).sum()))
            coefficients, mean = _solve(table[~held], labels[~held], weights, PENALTIES)
            scores = table[held] @ coefficients.T + mean
            errors += ((scores - labels[held, None]) ** 2).sum(axis=0)
        chosen["ours"] = PENALTIES[int(np.argmin(errors))]
        _solve(table, labels, np.ones(ROWS), (chosen["ours"],))

    def by_folds() -> None:
        # Its penalty is not divided by the rows of a fit: those of a fold, as ours are meant.
        alphas = np.array(PENALTIES) * ROWS * (FOLDS - 1) / FOLDS
        fit = RidgeCV(alphas, cv=PredefinedSplit(folds), scoring="neg_mean_squared_error")
        fit.fit(table, labels)
        chosen["scikit-learn"] = float(fit.alpha_ * FOLDS / (FOLDS - 1) / ROWS)

    def left_out() -> None:
        fit = RidgeCV(np.array(PENALTIES) * ROWS).fit(table, labels)
        chosen["scikit-learn, leave one out"] = float(fit.alpha_ / ROWS)

    say(f"ridge  {ROWS} rows, {COLUMNS} columns, {len(PENALTIES)} penalties, {FOLDS} folds")
    runs = {"ours": ours, "scikit-learn": by_folds, "scikit-learn, leave one out": left_out}
    seconds = interleaved(runs, rounds, warm=False)
    return {
        "case": "ridge",
        "title": f"N {ROWS}, K {COLUMNS}, {len(PENALTIES)} penalties, {FOLDS} folds",
        "vs_ridgecv_folds": times_faster(seconds, "ours", "scikit-learn"),
        "vs_ridgecv_leave_one_out": times_faster(seconds, "ours", "scikit-learn, leave one out"),
        "cpu_seconds": {who: float(np.median(took)) for who, took in seconds.items()},
        "chosen": chosen,
        "same_penalty": bool(np.isclose(chosen["ours"], chosen["scikit-learn"])),
        "rounds": rounds,
    }
