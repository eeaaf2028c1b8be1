"""The ridge's grid of penalties against scikit-learn's, by the same criterion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit
from timing import interleaved, times_faster

from models.ridge_fit import fit_ridge
from models.transform import transform

ROWS, COLUMNS, FOLDS = 6_000, 2_048, 5
# Shares of the sum of the weights, as in models/ridge_fit.py.
PENALTIES = tuple(float(power) for power in np.logspace(-5, 1, 25))


def row(rounds: int, say: Callable[[str], None]) -> dict[str, object]:
    """Seconds for the choice among 25 penalties on the same folds, and what was chosen."""
    rng = np.random.default_rng(7)
    hidden = rng.normal(size=(ROWS, 200)).astype(np.float32)
    table = hidden @ rng.normal(size=(200, COLUMNS)).astype(np.float32) / 14
    features = np.maximum(table + rng.normal(size=table.shape).astype(np.float32), 0)
    labels = (hidden[:, :5].sum(axis=1) + rng.normal(0, 3, ROWS) > 3).astype(np.int8)
    folds = (np.arange(ROWS) % FOLDS).astype(np.int16)
    weights = np.ones(ROWS)
    # What ours does on its way is done for scikit-learn beforehand.
    scaled = transform(features)
    scaled = (scaled - scaled.mean(axis=0)) / np.sqrt(scaled.var(axis=0).mean())
    chosen: dict[str, float] = {}

    def ours_by_folds() -> None:
        chosen["folds"] = fit_ridge(features, labels, folds, weights, PENALTIES).penalty

    def theirs_by_folds() -> None:
        # Its penalty is not divided by the rows of a fit: those of a fold, as ours are meant.
        alphas = np.array(PENALTIES) * ROWS * (FOLDS - 1) / FOLDS
        fit = RidgeCV(alphas, cv=PredefinedSplit(folds), scoring="neg_mean_squared_error")
        fit.fit(scaled, labels)
        chosen["scikit-learn, folds"] = float(fit.alpha_ * FOLDS / (FOLDS - 1) / ROWS)

    say(f"ridge  {ROWS} rows, {COLUMNS} columns, {len(PENALTIES)} penalties")
    runs = {
        "folds": ours_by_folds,
        "scikit-learn, folds": theirs_by_folds,
    }
    seconds = interleaved(runs, rounds, warm=False)
    return {
        "case": "ridge",
        "title": f"N {ROWS}, K {COLUMNS}, {len(PENALTIES)} penalties",
        "vs_ridgecv_folds": times_faster(seconds, "folds", "scikit-learn, folds"),
        "cpu_seconds": {who: float(np.median(took)) for who, took in seconds.items()},
        "chosen": chosen,
        "same_penalty": bool(np.isclose(chosen["folds"], chosen["scikit-learn, folds"])),
        "rounds": rounds,
    }
