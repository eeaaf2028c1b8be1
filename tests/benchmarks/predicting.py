"""Our predictions against scikit-learn's, on the same features in one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from memory import peak_of_numpy
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timing import interleaved, spread, times_faster

from models.forest import Forest
from models.gram import ROWS_AT_ONCE
from models.ridge import Ridge
from models.training_rows import TrainingRows
from models.transform import transform
from models.uncertainty import fit_uncertainty

ROWS, COLUMNS, TRAINED, PLACES = 20_000, 4_096, 1_500, 50


def rows(rounds: int, say: Callable[[str], None]) -> list[dict[str, object]]:
    """Seconds of a ridge's scores, of all that a prediction says, and of a forest's scores."""
    rng = np.random.default_rng(7)
    features = np.abs(rng.standard_normal((ROWS, COLUMNS), np.float32))
    label = (features[:, :8].sum(axis=1) + rng.normal(0, 2, ROWS) > 6.5).astype(np.int8)
    seen = slice(0, TRAINED)
    fold = (np.arange(TRAINED) % 5).astype(np.int16)
    places = np.arange(TRAINED) % PLACES
    say(f"predict  fitting on {TRAINED} rows, {COLUMNS} columns")
    training = TrainingRows(features[seen], label[seen], fold, fold, np.ones(TRAINED), places, 1)
    ridge, forest = Ridge.fit(training), Forest.fit(training)
    theirs = make_pipeline(StandardScaler(), RidgeClassifier(alpha=float(TRAINED)))
    theirs.fit(features[seen], label[seen])
    uncertainty = fit_uncertainty(training)

    def by_parts(score: Callable[[np.ndarray], object]) -> list[object]:
        # As Model.predict does it.
        return [score(part) for part in np.array_split(features, -(-ROWS // ROWS_AT_ONCE))]

    def all_that_is_said(part: np.ndarray) -> None:
        ridge.scores(part)
        ridge.replicates(part, uncertainty.replicates)
        uncertainty.dissimilarity(part)
        uncertainty.spread(part)

    runs: dict[str, Callable[[], object]] = {
        "ridge": partial(by_parts, ridge.scores),
        "everything": partial(by_parts, all_that_is_said),
        "scikit-learn's ridge": partial(theirs.decision_function, features),
        "forest": partial(by_parts, forest.scores),
        # The same trees, all rows at once; the root of the features is taken by both.
        "scikit-learn's forest": lambda: forest.steps.predict_proba(transform(features)),
    }
    say("predict  peak memory")
    memory = {name: peak_of_numpy(run) for name, run in runs.items()}
    say(f"predict  {rounds} rounds")
    seconds = interleaved(runs, rounds)
    return [
        {
            "case": "predict",
            "title": f"{ROWS} rows, {COLUMNS} columns, float32; {ours} against {other}",
            "times_faster": times_faster(seconds, ours, other),
            "cpu_seconds": {name: spread(seconds[name]) for name in (ours, other)},
            "peak_mib": {name: memory[name] for name in (ours, other)},
            "rounds": rounds,
        }
        for ours, other in (
            ("ridge", "scikit-learn's ridge"),
            ("everything", "scikit-learn's ridge"),
            ("forest", "scikit-learn's forest"),
        )
    ]
