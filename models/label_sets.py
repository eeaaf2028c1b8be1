"""Sets of labels that hold the true one with a stated probability, for each class by itself.

Conformal prediction (Vovk et al. 2005), conditional on the class (Mondrian): of the mines, nine in
ten get a set with "mine" in it, and of what is no mine nine in ten one with "not".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError

LEVEL = 0.9
_LOWEST = -1e9
# What a set is called, by whether it holds "not" and "mine".
NAMES = np.array([["neither", "mine"], ["not", "both"]])


@dataclass(frozen=True)
class LabelSets:
    """Scores from which on, and up to which, a label belongs to the set.

    Parameters
    ----------
    mine_from : float
        "mine" belongs to the set of this score and higher ones.
    not_to : float
        "not" belongs to the set of this score and lower ones.
    level : float
        Share of each class whose set shall hold its label.
    """

    mine_from: float
    not_to: float
    level: float = LEVEL

    def name(self, scores: NDArray[np.float64]) -> NDArray[np.str_]:
        """Return the set of each score.

        Parameters
        ----------
        scores : numpy.ndarray of float64, shape (n,)
            Finite.

        Returns
        -------
        numpy.ndarray of str, shape (n,)
            ``mine``, ``not``, ``both`` (cannot be told apart) or ``neither`` (like none of both).
        """
        found: NDArray[np.str_] = NAMES[
            (scores <= self.not_to).astype(int), (scores >= self.mine_from).astype(int)
        ]
        return found


def fit_label_sets(
    labels: NDArray[np.int8], scores: NDArray[np.float64], level: float = LEVEL
) -> LabelSets:
    """Take the thresholds from out-of-fold scores.

    Parameters
    ----------
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not; both occur.
    scores : numpy.ndarray of float64, shape (n,)
        Out-of-fold; of folds as wide apart as the places that the model will be asked about.
    level : float
        Share of each class whose set shall hold its label.

    Returns
    -------
    LabelSets
        With the correction for small samples: of ``n`` scores the ``floor((1 - level) (n + 1))``-th
        from the wrong end.

    Raises
    ------
    TrainingError
        If one class is missing.
    """
    mines, others = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    if not len(mines) or not len(others):
        raise TrainingError("label sets need rows of both classes")
    return LabelSets(_from_wrong_end(mines, level), -_from_wrong_end(-others[::-1], level), level)


def set_figures(
    labels: NDArray[np.int8], sets: NDArray[np.str_]
) -> dict[str, float | dict[str, int]]:
    """Return how often the sets held the true label, and how large they were.

    Parameters
    ----------
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    sets : numpy.ndarray of str, shape (n,)
        As ``LabelSets.name`` gives them.

    Returns
    -------
    dict
        ``mine`` and ``not``: share of the class whose set held it; ``size``: mean number of labels
        in a set; ``count``: of each kind of set.
    """
    mine, other = np.isin(sets, ("mine", "both")), np.isin(sets, ("not", "both"))
    return {
        "mine": round(float(mine[labels == 1].mean()), 4),
        "not": round(float(other[labels == 0].mean()), 4),
        "size": round(float((mine.astype(float) + other).mean()), 4),
        "count": {str(name): int((sets == name).sum()) for name in NAMES.ravel()},
    }


def _from_wrong_end(ascending: NDArray[np.float64], level: float) -> float:
    """Score below which at most a share of ``1 - level`` lies; the lowest for too few scores."""
    place = int(np.floor((1 - level) * (len(ascending) + 1))) - 1
    # With too few rows nothing can be left out: every score is taken in.
    return float(ascending[place]) if place >= 0 else _LOWEST
