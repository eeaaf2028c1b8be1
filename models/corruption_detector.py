"""Whether pixels were read as they were declared.

Bands in another order, or pixels of another scale, still look like some ground to a model, and are
scored. A ridge that is shown the training rows intact and corrupted tells them apart better than
any distance to the training rows (docs/decisions/0014-doubt.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.ridge_fit import LinearScore, fit_ridge

# Of the intact rows, judged without their region.
FLAGGED_SHARE = 0.01


@dataclass(frozen=True)
class CorruptionDetector:
    """What tells intact pixels (score around 1) from corrupted ones (around 0).

    Parameters
    ----------
    line : LinearScore
        The score.
    limit : float
        Below 1; a smaller score is flagged.
    """

    line: LinearScore
    limit: float

    def index(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how much rows look like corrupted pixels.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float32, shape (n,)
            0 for a usual row, 1 at the limit.
        """
        away: NDArray[np.float64] = (1 - self.line.scores(features)) / (1 - self.limit)
        return np.maximum(away, 0).astype(np.float32)


@dataclass(frozen=True)
class CorruptionPairs:
    """Rows whose pixels were read rightly, and the same rows with their pixels corrupted.

    Parameters
    ----------
    intact, corrupted : numpy.ndarray of float32, shape (n, columns)
        Features; finite.
    folds : numpy.ndarray of int16, shape (n,)
        Regions of the rows, two or more.
    """

    intact: NDArray[np.float32]
    corrupted: NDArray[np.float32]
    folds: NDArray[np.int16]


def fit_corruption_detector(pairs: CorruptionPairs) -> CorruptionDetector:
    """Learn to tell corrupted rows.

    Parameters
    ----------
    pairs : CorruptionPairs
        What to learn from.

    Returns
    -------
    CorruptionDetector
        With a limit that flags one in a hundred of the intact rows, out of fold.
    """
    count = len(pairs.intact)
    labels = np.repeat([1, 0], count).astype(np.int8)
    features = np.concatenate([pairs.intact, pairs.corrupted])
    fit = fit_ridge(features, labels, np.tile(pairs.folds, 2), np.ones(len(labels)))
    limit = float(np.quantile(fit.out_of_fold[:count], FLAGGED_SHARE))
    return CorruptionDetector(fit.model, min(limit, 0.99))
