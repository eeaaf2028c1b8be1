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
from models.transform import BLOCK, strongest_part, transform
from models.uncertainty import REPLICATES, bootstrap_counts

# As many groups as the bootstrap has replicates: the trees of a group have seen the same places.
TREES_PER_GROUP = 4
TREES = TREES_PER_GROUP * REPLICATES
LEAF_ROWS = 10
COMPONENTS = 64


def fit_forest(
    features: NDArray[np.float32],
    labels: NDArray[np.int8],
    folds: NDArray[np.int16],
    weights: NDArray[np.float64],
    seed: int,
    quarters: NDArray[np.float32] | None = None,
    places: NDArray[np.intp] | None = None,
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
        Of the components' solver, the bootstrap and the trees.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), optional
        As for ``ridge.fit_ridge``.
    places : numpy.ndarray of int, shape (n,), optional
        Place of each row, counted from 0: places, not rows, are drawn for each group of trees.
        Default: every row is a place.

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
    if places is None:
        places = np.arange(len(labels))
    scores = forest_out_of_fold(features, labels, folds, weights, seed, quarters, places)
    return _grown(transform(features), labels, weights, seed, places), scores


def forest_out_of_fold(
    features: NDArray[np.float32],
    labels: NDArray[np.int8],
    folds: NDArray[np.int16],
    weights: NDArray[np.float64],
    seed: int,
    quarters: NDArray[np.float32] | None,
    places: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Score every row by a forest that has not seen its fold.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    folds : numpy.ndarray of int16, shape (n,)
        Spatial folds.
    weights : numpy.ndarray of float64, shape (n,)
        Positive.
    seed : int
        As for ``fit_forest``.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), or None
        As for ``fit_forest``.
    places : numpy.ndarray of int, shape (n,)
        As for ``fit_forest``.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        As ``forest_score`` gives them.

    Raises
    ------
    TrainingError
        If the rows outside a fold are of one class only.
    """
    for fold in np.unique(folds):
        if len(np.unique(labels[folds != fold])) < 2:
            raise TrainingError(f"outside fold {fold} all rows are of one class")
    table = transform(features)

    def predictor(rows: NDArray[np.intp]) -> Callable[[NDArray[np.intp]], NDArray[np.float64]]:
        forest = _grown(table[rows], labels[rows], weights[rows], seed, places[rows])
        if quarters is None:
            return lambda held: forest_score(forest, features[held])

        def strongest(held: NDArray[np.intp]) -> NDArray[np.float64]:
            parts = quarters[held].reshape(-1, features.shape[1])
            seen = np.isfinite(parts).all(axis=1)
            scores = np.full(len(parts), -np.inf)
            scores[seen] = forest_score(forest, parts[seen])
            return strongest_part(scores.reshape(len(held), -1))

        return strongest

    return out_of_fold(predictor, folds)


def _grown(
    table: NDArray[np.float32],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64],
    seed: int,
    places: NDArray[np.intp],
) -> Pipeline:
    seen = Pipeline(
        [
            ("scale", StandardScaler()),
            ("components", PCA(min(COMPONENTS, *table.shape), whiten=True,
                               svd_solver="randomized", random_state=seed)),
        ]
    )  # fmt: skip
    components = seen.fit_transform(table)
    trees = ExtraTreesClassifier(
        0, min_samples_leaf=LEAF_ROWS, n_jobs=1, random_state=seed, warm_start=True
    )
    names, place = np.unique(places, return_inverse=True)
    for count in bootstrap_counts(len(names), seed):
        drawn = weights * count[place]
        sums = np.bincount(labels, drawn, 2)
        if not sums.all():
            # A draw without one of the classes tells nothing: all places once.
            drawn = weights
            sums = np.bincount(labels, drawn, 2)
        trees.n_estimators += TREES_PER_GROUP
        trees.fit(components, labels, drawn / sums[labels])
    return Pipeline([*seen.steps, ("trees", trees)])


def out_of_fold(
    fit: Callable[[NDArray[np.intp]], Callable[[NDArray[np.intp]], NDArray[np.float64]]],
    folds: NDArray[np.int16],
) -> NDArray[np.float64]:
    """Predict every fold with what was fitted on the others.

    Parameters
    ----------
    fit : callable
        Takes the rows to fit on and gives a function that predicts rows.
    folds : numpy.ndarray of int16, shape (n,)
        Fold of each row.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Predictions.
    """
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        held = np.flatnonzero(folds == fold)
        result[held] = fit(np.flatnonzero(folds != fold))(held)
    return result


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
    return _logit(_shares(forest, features).mean(axis=1))


def forest_replicates(forest: Pipeline, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score rows by each group of trees.

    Parameters
    ----------
    forest : sklearn.pipeline.Pipeline
        As ``fit_forest`` gives it.
    features : numpy.ndarray of float32, shape (n, columns)
        Finite.

    Returns
    -------
    numpy.ndarray of float64, shape (n, REPLICATES)
        Logit of the mean probability of the trees that have seen the same places, drawn in to the
        forest's own by the share of the spread that a few trees have by themselves.
    """
    single = _shares(forest, features)
    groups = single.reshape(len(single), -1, TREES_PER_GROUP)
    means = groups.mean(axis=2)
    within = groups.var(axis=2, ddof=1).mean(axis=1) / TREES_PER_GROUP
    share = np.sqrt(np.clip(1 - within / np.maximum(means.var(axis=1, ddof=1), 1e-12), 0, 1))
    centre = means.mean(axis=1, keepdims=True)
    return _logit(centre + share[:, None] * (means - centre))


def _shares(forest: Pipeline, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of mines in the leaf of each row, of every tree, shape (n, trees).

    What scikit-learn's steps do one after the other, each with a copy of all rows, is done here in
    blocks that stay in the cache, and trees are asked without their checks.
    """
    scale, main = forest["scale"], forest["components"]
    centre = (scale.mean_ + main.mean_ * scale.scale_).astype(np.float32)
    # Components without any variance are kept finite, as scikit-learn does.
    deviation = np.sqrt(main.explained_variance_)
    spread = scale.scale_[:, None] * np.maximum(deviation, np.finfo(deviation.dtype).eps)
    turn = (main.components_.T / spread).astype(np.float32)
    components = np.empty((len(features), turn.shape[1]), np.float32)
    step = max(1, BLOCK // features.shape[1])
    for first in range(0, len(features), step):
        part = slice(first, first + step)
        components[part] = (transform(features[part]) - centre) @ turn
    return np.column_stack([tree.tree_.predict(components)[:, 1] for tree in forest[-1]])


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit of shares of trees, kept finite."""
    kept = np.clip(share, 1 / (4 * TREES), 1 - 1 / (4 * TREES))
    result: NDArray[np.float64] = np.log(kept / (1 - kept))
    return result
