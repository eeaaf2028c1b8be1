"""A forest of extremely randomised trees (Geurts et al. 2006) on the features' main components.

Trees split on one column at a time, and a mine shows in the sum of many: on the whitened principal
components they rank better than on the features themselves, and a forest is small enough to ship.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.errors import TrainingError
from models.transform import strongest_part, transform
from models.validation import out_of_fold

TREES = 120
LEAF_ROWS = 10
COMPONENTS = 64


def fit_forest(
    features: NDArray[np.float32],
    labels: NDArray[np.int8],
    folds: NDArray[np.int16],
    weights: NDArray[np.float64],
    seed: int,
    quarters: NDArray[np.float32] | None = None,
) -> tuple[Pipeline, NDArray[np.float64]]:
    """Fit a forest on all rows, and one for each fold to score it.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    folds : numpy.ndarray of int16, shape (n,)
        Spatial folds.
    weights : numpy.ndarray of float64, shape (n,)
        Positive; what each row counts for.
    seed : int
        Of the components' solver and the trees.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), optional
        As for ``ridge.fit_ridge``.

    Returns
    -------
    forest : sklearn.pipeline.Pipeline
        Scaler, components and trees, fitted on all rows.
    scores : numpy.ndarray of float64, shape (n,)
        Out-of-fold scores, as ``forest_score`` gives them.

    Raises
    ------
    TrainingError
        If the rows outside a fold are of one class only.
    """
    for fold in np.unique(folds):
        if len(np.unique(labels[folds != fold])) < 2:
            raise TrainingError(f"outside fold {fold} all rows are of one class")
    table = transform(features)

    def fit(rows: NDArray[np.intp]) -> Pipeline:
        forest = Pipeline(
            [
                ("scale", StandardScaler()),
                ("components", PCA(min(COMPONENTS, *table[rows].shape), whiten=True,
                                   svd_solver="randomized", random_state=seed)),
                ("trees", ExtraTreesClassifier(TREES, min_samples_leaf=LEAF_ROWS, n_jobs=1,
                                               class_weight="balanced_subsample", bootstrap=True,
                                               random_state=seed)),
            ]
        )  # fmt: skip
        return forest.fit(table[rows], labels[rows], trees__sample_weight=weights[rows])

    def predictor(rows: NDArray[np.intp]) -> Callable[[NDArray[np.intp]], NDArray[np.float64]]:
        forest = fit(rows)
        if quarters is None:
            return lambda held: forest_score(forest, features[held])

        def strongest(held: NDArray[np.intp]) -> NDArray[np.float64]:
            parts = quarters[held].reshape(-1, features.shape[1])
            seen = np.isfinite(parts).all(axis=1)
            scores = np.full(len(parts), -np.inf)
            scores[seen] = forest_score(forest, parts[seen])
            return strongest_part(scores.reshape(len(held), -1))

        return strongest

    scores = out_of_fold(predictor, folds)
    return fit(np.arange(len(labels))), scores


def forest_score(forest: Pipeline, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score rows of features.

    Parameters
    ----------
    forest : sklearn.pipeline.Pipeline
        As ``fit_forest`` gives it.
    features : numpy.ndarray of float32, shape (n, columns)
        Finite.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Logit of the trees' mean probability.
    """
    return _logit(forest.predict_proba(transform(features))[:, 1])


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit of shares of trees, kept finite."""
    kept = np.clip(share, 1 / (4 * TREES), 1 - 1 / (4 * TREES))
    result: NDArray[np.float64] = np.log(kept / (1 - kept))
    return result
