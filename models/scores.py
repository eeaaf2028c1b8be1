"""How good predictions are, always with the prevalence that a figure belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from models.errors import TrainingError

FALSE_SHARES = {"possible": 0.05, "likely": 0.01}
# Of a threshold: at 0 every cell would be called.
SMALLEST_THRESHOLD = 1e-4
# An inspector's first places: a week's, a month's, a season's work.
FIRST_PLACES = (20, 100, 500)
_BINS = 10


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


def score_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, Any]:
    """Score probabilities: the ranking, how far off they are, and what the first places hold.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        1 mine, 0 not; both occur.
    probabilities : array_like of float, shape (n,)
        0..1.

    Returns
    -------
    dict
        As of ``score``, and ``brier`` (Brier 1950, mean squared difference), ``brier_base`` (of
        the prevalence said everywhere), ``precision_at`` (share of mines among the first places,
        for each number of ``FIRST_PLACES`` that there are rows for) and ``reliability`` (in ten
        parts of equal size, lowest first: mean probability, share of mines, rows).
    """
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities, np.float64)
    share = float(labels.mean())
    order = np.argsort(-probabilities, kind="stable")
    return score(labels, probabilities) | {
        "brier": round(float(np.mean((probabilities - labels) ** 2)), 5),
        "brier_base": round(share * (1 - share), 5),
        "precision_at": {
            str(count): round(float(labels[order[:count]].mean()), 4)
            for count in FIRST_PLACES
            if count <= len(labels)
        },
        "reliability": [
            [
                round(float(probabilities[part].mean()), 4),
                round(float(labels[part].mean()), 4),
                len(part),
            ]
            for part in np.array_split(order[::-1], min(_BINS, len(labels)))
        ],
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
    negatives: NDArray[np.float64] = np.asarray(probabilities)[np.asarray(labels) == 0]
    if not len(negatives):
        raise TrainingError("thresholds need negative rows")
    return {
        name: max(round(float(np.quantile(negatives, 1 - share)), 4), SMALLEST_THRESHOLD)
        for name, share in FALSE_SHARES.items()
    }
