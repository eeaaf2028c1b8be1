"""How far a model trained on visited and unlabelled cells depends on what cannot be known.

Visited mines are the accessible ones, and nobody knows how many mines are among the unlabelled
cells. Each row of the table is the model that another assumption would have given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from models.gram import Features
from models.pu import calibrate_unlabelled, class_weights, thresholds_unlabelled
from models.ridge_fit import fit_ridge

PRIORS = (0.25, 0.5, 2.0, 4.0)
ODDS_RATIOS = (2.0, 4.0)
POSITIVE_SHARES = (0.03, 0.5)
_LARGEST_PRIOR = 0.9


def sensitivity(
    features: Features,
    labels: NDArray[np.int8],
    known: NDArray[np.bool_],
    folds: NDArray[np.int16],
    weights: NDArray[np.float64],
    scores: NDArray[np.float64],
    prior: float,
    remoteness: NDArray[np.float64],
    quarters: Features | None = None,
) -> list[dict[str, Any]]:
    """Train and judge the ridge under other assumptions.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not or unlabelled.
    known : numpy.ndarray of bool, shape (n,)
        False for unlabelled rows.
    folds : numpy.ndarray of int16, shape (n,)
        Spatial folds.
    weights : numpy.ndarray of float64, shape (n,)
        As the model was trained with.
    scores : numpy.ndarray of float64, shape (n,)
        The model's own out-of-fold scores.
    prior : float
        Share of mines among the unlabelled rows that the model was calibrated to.
    remoteness : numpy.ndarray of float64, shape (n,)
        Kilometres from each mine to other visited places; those of other rows are not read.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), or Chunked, optional
        As for ``ridge.fit_ridge``.

    Returns
    -------
    list of dict
        ``assumption``, ``value``, ``auc`` (out of fold, mines against unlabelled rows, corrected
        for the mines among these: Menon et al. 2015, PMLR 37:125), ``spearman`` (of the out-of-fold
        scores with the model's own) and ``likely`` (share of the unlabelled rows called so). The
        first row is the model itself.

    Notes
    -----
    ``odds ratio``: mines count as if the most accessible had been visited with that many times the
    odds of the most remote. The log odds fall evenly with the rank of remoteness, and visits are
    rare, so that the weight of a mine is the odds ratio to the power of its rank, from 0 to 1.
    """
    mine = labels == 1
    rank = np.zeros(len(labels))
    rank[mine] = (rankdata(remoteness[mine]) - 1) / max(mine.sum() - 1, 1)

    def row(
        assumption: str,
        value: float,
        other: NDArray[np.float64],
        assumed: float,
        counts: NDArray[np.float64],
    ) -> dict[str, Any]:
        judged = mine | ~known
        auc = float(roc_auc_score(mine[judged], other[judged], sample_weight=counts[judged]))
        return {
            "assumption": assumption,
            "value": round(value, 5),
            "auc": round(min((auc - assumed / 2) / (1 - assumed), 1.0), 4),
            "spearman": round(float(spearmanr(scores, other).statistic), 4),
            "likely": _likely(other[mine], other[~known], assumed),
        }

    def again(changed: NDArray[np.float64]) -> NDArray[np.float64]:
        return fit_ridge(features, labels, folds, changed, quarters=quarters).out_of_fold

    even = np.ones(len(labels))
    rows = [row("as trained", prior, scores, prior, even)]
    for factor in PRIORS:
        assumed = min(prior * factor, _LARGEST_PRIOR)
        rows.append(row("prior", assumed, scores, assumed, even))
    own = float(weights[mine].sum() / weights.sum())
    for ratio in ODDS_RATIOS:
        counts = ratio**rank
        changed = class_weights(labels, known, weights * counts, own)
        rows.append(row("odds ratio", ratio, again(changed), prior, counts))
    for share in POSITIVE_SHARES:
        changed = class_weights(labels, known, weights, share)
        rows.append(row("positive share", share, again(changed), prior, even))
    return rows


def _likely(mines: NDArray[np.float64], unlabelled: NDArray[np.float64], prior: float) -> float:
    curve = calibrate_unlabelled(mines, unlabelled, prior)
    ones, others = curve.apply(mines), curve.apply(unlabelled)
    likely = thresholds_unlabelled(ones, others, prior)["likely"]
    return round(float((others >= likely).mean()), 4)
