"""Scores of labelled rows, whether cells or chips: AUC, average precision, and what is called.

Average precision and precision depend on the share of mines among the rows, so it always stands
beside them. The interval resamples whole places, since neighbouring rows are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.scores import score
from pipeline.errors import NoLabelsError

FALSE_SHARE = 0.05
RESAMPLES = 1000
MIN_PLACES = 5

Point = dict[str, float | int | None]


def evaluate_scores(
    label: ArrayLike,
    scores_of: ArrayLike,
    groups: ArrayLike | None = None,
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score labelled rows: cells of a map, or chips.

    Parameters
    ----------
    label : array_like of int, shape (n,)
        1 mine, 0 not.
    scores_of : array_like of float, shape (n,)
        Higher means more likely a mine; finite.
    groups : array_like, shape (n,), optional
        Place of each row; the interval resamples whole places. None: no interval.
    thresholds : mapping, optional
        Named thresholds to report beside the one that calls 5 % of the negatives.
    seed : int, optional
        Of the bootstrap.

    Returns
    -------
    dict
        ``n, positives, prevalence, auc, ap`` (None without negatives, and ``why_no_auc``),
        ``auc_interval`` (95 %, or None) with ``interval_how``, and ``at``: by name of the threshold
        ``threshold, called, precision, recall, false_share``.

    Raises
    ------
    NoLabelsError
        If there is no positive.
    """
    labels = np.asarray(label).astype(bool)
    scores = np.asarray(scores_of, dtype=np.float64)
    if not labels.any():
        raise NoLabelsError(
            "there is no mine among the labels", next_step="judge by labels of which some are mines"
        )
    if labels.shape != scores.shape or not np.isfinite(scores).all():
        raise ValueError("labels and scores must be of one length, and scores finite")
    result = score(labels.astype(int), scores)
    cuts = dict(thresholds or {})
    if labels.all():
        result["why_no_auc"] = "every label is a mine: only recall can be measured"
    else:
        cuts["false_5_percent"] = false_share_threshold(scores[~labels])
    result["auc_interval"], result["interval_how"] = _interval(labels, scores, groups, seed)
    result["at"] = {name: _point(labels, scores, float(cut)) for name, cut in cuts.items()}
    return result


def false_share_threshold(negatives: NDArray[np.float64], share: float = FALSE_SHARE) -> float:
    """Return the lowest score at which at most a share of the negatives is called."""
    ordered = np.sort(negatives)[::-1]
    allowed = int(np.floor(share * len(ordered) + 1e-9))
    if allowed >= len(ordered):
        return float(ordered[-1])
    # Just above the first negative that may not be called; equal scores are called together.
    return float(np.nextafter(ordered[allowed], np.inf))


def _point(labels: NDArray[np.bool_], scores: NDArray[np.float64], cut: float) -> Point:
    called = scores >= cut
    hits = int((called & labels).sum())
    false = int((called & ~labels).sum())
    only_mines = bool(labels.all())
    return {
        "threshold": cut,
        "called": int(called.sum()),
        "precision": None if only_mines or not called.any() else hits / (hits + false),
        "recall": hits / int(labels.sum()),
        "false_share": None if only_mines else false / int((~labels).sum()),
    }


def _interval(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], groups: ArrayLike | None, seed: int
) -> tuple[list[float] | None, str]:
    if labels.all():
        return None, "no interval: every label is a mine"
    if groups is None:
        return None, "no interval: the places of the rows are not known"
    places, place = np.unique(np.asarray(groups), return_inverse=True)
    if len(places) < MIN_PLACES:
        return None, f"no interval: only {len(places)} places"
    rng = np.random.default_rng(seed)
    order = np.argsort(scores, kind="stable")
    place, labels, scores = place[order], labels[order], scores[order]
    ties = np.flatnonzero(np.diff(scores, prepend=-np.inf))
    values = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(places), len(places))
        weight = np.bincount(drawn, minlength=len(places))[place].astype(float)
        up = np.add.reduceat(weight * labels, ties)
        down = np.add.reduceat(weight * ~labels, ties)
        if up.sum() and down.sum():
            below = np.cumsum(down) - down / 2
            values.append(float((up * below).sum() / (up.sum() * down.sum())))
    if len(values) < RESAMPLES / 2:
        return None, "no interval: most resamples held one class alone"
    low, high = np.quantile(values, [0.025, 0.975])
    how = f"95 %, {RESAMPLES} bootstrap resamples of {len(places)} places, seed {seed}"
    return [round(float(low), 4), round(float(high), 4)], how
