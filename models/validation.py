"""Folds by place, and scores that say how they were obtained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from models.errors import TrainingError

FALSE_SHARES = {"possible": 0.05, "likely": 0.01}
# Of a threshold: at 0 every cell would be called.
SMALLEST_THRESHOLD = 1e-4


def spatial_folds(groups: ArrayLike, labels: ArrayLike, count: int = 5) -> NDArray[np.int16]:
    """Deal groups of neighbouring rows out to folds, so that no group is split.

    Parameters
    ----------
    groups : array_like, shape (n,)
        Name of the place that each row lies in, such as a 1-degree square or a block.
    labels : array_like of int, shape (n,)
        1 mine, 0 not.
    count : int
        Number of folds; fewer if there are fewer groups.

    Returns
    -------
    numpy.ndarray of int16, shape (n,)
        Fold of each row. Groups with positives go, those with the most first, to the fold that has
        the fewest positives; the others, the largest first, to the fold that has the fewest rows;
        equal groups in alphabetical order, so that it is reproducible.

    Raises
    ------
    TrainingError
        If there are fewer than two groups.
    """
    names, index = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    labels = np.asarray(labels)
    if len(names) < 2:
        raise TrainingError("spatial folds need rows from at least two places")
    count = min(count, len(names))
    positives = np.bincount(index, weights=labels, minlength=len(names))
    sizes = np.bincount(index, minlength=len(names))
    load = np.zeros((count, 2))
    fold_of = np.zeros(len(names), np.int16)
    for group in np.lexsort((names, -sizes, -positives)):
        order = load if positives[group] else load[:, ::-1]
        fold = min(range(count), key=lambda k: (*order[k], k))
        fold_of[group] = fold
        load[fold] += positives[group], sizes[group]
    folds: NDArray[np.int16] = fold_of[index]
    return folds


def score(labels: ArrayLike, scores: ArrayLike) -> dict[str, Any]:
    """Count rows and positives, and compute AUC and average precision where both classes occur.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        1 mine, 0 not.
    scores : array_like of float, shape (n,)
        Higher for a mine; finite.

    Returns
    -------
    dict
        ``n``, ``positives``, ``prevalence``, ``auc`` and ``ap`` (None where one class is missing).
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    both = 0 < labels.sum() < len(labels)
    return {
        "n": len(labels),
        "positives": int(labels.sum()),
        "prevalence": round(float(labels.mean()), 4) if len(labels) else None,
        "auc": round(float(roc_auc_score(labels, scores)), 4) if both else None,
        "ap": round(float(average_precision_score(labels, scores)), 4) if both else None,
    }


def score_folds(labels: ArrayLike, scores: ArrayLike, folds: ArrayLike) -> dict[str, Any]:
    """Score out-of-fold predictions, pooled and fold by fold.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        1 mine, 0 not.
    scores : array_like of float, shape (n,)
        Out-of-fold predictions.
    folds : array_like of int, shape (n,)
        Fold of each row.

    Returns
    -------
    dict
        ``pooled``, and ``folds`` with one entry a fold.
    """
    labels, scores, folds = np.asarray(labels), np.asarray(scores), np.asarray(folds)
    return {
        "pooled": score(labels, scores),
        "folds": [
            {"fold": int(fold)} | score(labels[folds == fold], scores[folds == fold])
            for fold in np.unique(folds)
        ],
    }


def thresholds(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Probabilities above which 5 % (possible) and 1 % (likely) of the negatives are called.

    Taken from out-of-fold predictions, so that they hold for places that were not trained on.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        1 mine, 0 not; 0 occurs.
    probabilities : array_like of float, shape (n,)
        Out-of-fold probabilities.

    Returns
    -------
    dict
        ``possible`` and ``likely``, ``0 < possible <= likely <= 1``, to four digits.

    Raises
    ------
    TrainingError
        If there is no negative row.
    """
    negatives = np.asarray(probabilities)[np.asarray(labels) == 0]
    if not len(negatives):
        raise TrainingError("thresholds need negative rows")
    return {
        name: max(round(float(np.quantile(negatives, 1 - share)), 4), SMALLEST_THRESHOLD)
        for name, share in FALSE_SHARES.items()
    }


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
