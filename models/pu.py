"""Learning from mines and unlabelled cells, where nobody has said which cells hold none.

For the squared loss the unbiased risk of du Plessis, Niu and Sugiyama 2015 (PMLR 37:1386) is
``pi E_p[(f - 1)^2 - (f + 1)^2] + E_u[(f + 1)^2]``. With ``f = 2 g - 1`` it is, up to a constant and
a factor, ``E_u[g^2] - 2 pi E_p[g]``: the quadratic part comes from the unlabelled rows alone, and
the prior ``pi`` only stretches the score, so that no ranking depends on it. A plain weighted ridge
on labels of 1 and 0, mines weighing ``a`` in all and unlabelled rows ``1 - a``, has the risk
``(1 - a) E_u[g^2] + a E_p[(g - 1)^2]``, which tends to the same ranking as ``a`` goes to 0; for
other ``a`` it is the relative density ratio of Yamada et al. 2013 (doi 10.1162/NECO_a_00442), which
is bounded by ``1 / a`` and steadier where mines are few. So the ridge, its Gram matrices and its
folds stay as they are; what differs is here: weights, prior, calibration and thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.calibration import Calibration
from models.errors import TrainingError
from models.scores import FALSE_SHARES, SMALLEST_THRESHOLD

# Below this share of the mines the smallest ratio would be one of two small numbers.
_FEWEST_FOUND = 0.5


def class_weights(
    labels: NDArray[np.int8],
    known: NDArray[np.bool_],
    weights: NDArray[np.float64],
    positive_share: float,
) -> NDArray[np.float64]:
    """Scale weights so that each class has its share of their sum.

    Parameters
    ----------
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not or unlabelled; both occur.
    known : numpy.ndarray of bool, shape (n,)
        Whether a row's label is known.
    weights : numpy.ndarray of float64, shape (n,)
        Positive; what a row counts for among those of its class.
    positive_share : float
        The mines' share where some rows are unlabelled; one half where none are.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Their mean is 1.
    """
    share = 0.5 if known.all() else positive_share
    mine = labels == 1
    scale = np.where(mine, share / weights[mine].sum(), (1 - share) / weights[~mine].sum())
    result: NDArray[np.float64] = weights * scale * len(labels)
    return result


def estimate_prior(mines: NDArray[np.float64], unlabelled: NDArray[np.float64]) -> float:
    """Estimate the share of mines among unlabelled rows from out-of-fold scores.

    Above any threshold there are at least as many unlabelled rows as the mines among them, so the
    prior is at most the share of unlabelled rows above it over the share of mines above it; the
    smallest ratio is the estimate (Blanchard, Lee and Scott 2010, JMLR 11:2973, without their
    margin for chance, and at thresholds that find half of the mines or more).

    Parameters
    ----------
    mines : numpy.ndarray of float64, shape (p,)
        Scores of the mines; p at least 1.
    unlabelled : numpy.ndarray of float64, shape (u,)
        Scores of the unlabelled rows; u at least 1.

    Returns
    -------
    float
        At least one row in u, at most 0.5. Too large where the scores cannot tell the classes
        apart, too small where the labelled mines are easier to see than the others.
    """
    cuts = np.unique(mines)
    found = 1 - np.searchsorted(np.sort(mines), cuts, side="left") / len(mines)
    called = 1 - np.searchsorted(np.sort(unlabelled), cuts, side="left") / len(unlabelled)
    enough = found >= _FEWEST_FOUND
    smallest = float((called[enough] / found[enough]).min())
    return float(np.clip(smallest, 1 / len(unlabelled), 0.5))


def calibrate_unlabelled(
    mines: NDArray[np.float64], unlabelled: NDArray[np.float64], prior: float
) -> Calibration:
    """Fit a logistic curve of the probability of a mine to out-of-fold scores, at a given prior.

    Maximum likelihood for presence-only data (Ward et al. 2009, doi
    10.1111/j.1541-0420.2008.01116.x): where a row is a mine with the odds ``o`` among unlabelled
    rows, it is one with ``o (1 + p / (prior u))`` among all ``p + u`` rows, and one of the ``p``
    labelled mines rather than one of the ``u`` unlabelled with ``o p / (prior u (1 + o))``.

    Parameters
    ----------
    mines : numpy.ndarray of float64, shape (p,)
        Scores of the mines.
    unlabelled : numpy.ndarray of float64, shape (u,)
        Scores of the unlabelled rows.
    prior : float
        Share of mines among the unlabelled, above 0 and below 1.

    Returns
    -------
    Calibration
        The probability that a row of the two kinds together is a mine, labelled or not.

    Raises
    ------
    TrainingError
        If one kind is missing.
    """
    if not len(mines) or not len(unlabelled):
        raise TrainingError("a calibration needs mines and unlabelled rows")
    scores = np.concatenate([mines, unlabelled])
    centre, width = float(scores.mean()), float(scores.std()) or 1.0
    ratio = np.log1p(len(mines) / (prior * len(unlabelled)))

    def loss(curve: NDArray[np.float64]) -> float:
        one, other = (curve[0] * (part - centre) / width + curve[1] for part in (mines, unlabelled))
        likely = (one - np.logaddexp(0, one + ratio)).sum()
        likely += (np.logaddexp(0, other) - np.logaddexp(0, other + ratio)).sum()
        return float(-likely / len(scores))

    start = np.array([1.0, np.log(prior / (1 - prior))])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    slope = float(found.x[0]) / width
    intercept = float(found.x[1] + ratio) - slope * centre
    return Calibration(slope, intercept, true_share(len(mines), len(unlabelled), prior))


def true_share(mines: int, unlabelled: int, prior: float) -> float:
    """Return the share of mines, labelled or not, among rows of which some are unlabelled.

    Parameters
    ----------
    mines, unlabelled : int
        Rows of each kind; at least one in all.
    prior : float
        Share of mines among the unlabelled.

    Returns
    -------
    float
        From 0 to 1.
    """
    return (mines + prior * unlabelled) / (mines + unlabelled)


def thresholds_unlabelled(
    mines: NDArray[np.float64], unlabelled: NDArray[np.float64], prior: float
) -> dict[str, float]:
    """Probabilities above which 5 % (possible) and 1 % (likely) of cells without a mine are called.

    Of the unlabelled rows above a threshold, the prior times the share of mines above it are taken
    to be mines themselves.

    Parameters
    ----------
    mines : numpy.ndarray of float64, shape (p,)
        Out-of-fold probabilities of the mines.
    unlabelled : numpy.ndarray of float64, shape (u,)
        Out-of-fold probabilities of the unlabelled rows; u at least 1.
    prior : float
        Share of mines among the unlabelled.

    Returns
    -------
    dict
        ``possible`` and ``likely``, ``0 < possible <= likely <= 1``, to four digits.
    """
    cuts = np.unique(unlabelled)
    called = 1 - np.searchsorted(np.sort(unlabelled), cuts, side="right") / len(unlabelled)
    found = 1 - np.searchsorted(np.sort(mines), cuts, side="right") / len(mines)
    false = np.maximum(called - prior * found, 0) / (1 - prior)
    # Wherever one goes up from the threshold, no more may be called.
    worst = np.maximum.accumulate(false[::-1])[::-1]
    return {
        name: max(round(float(cuts[np.argmax(worst <= share)]), 4), SMALLEST_THRESHOLD)
        for name, share in FALSE_SHARES.items()
    }
