"""Whether pixels were read as they were declared.

Bands in another order, or pixels of another scale, still look like some ground to a model, and are
scored. A ridge that is shown the training rows read rightly and wrongly tells them apart better
than any distance to the training rows (docs/decisions/0014-doubt.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.ridge import RidgeModel, fit_ridge

# Of the rows that were read rightly, judged without their region.
FLAGGED_SHARE = 0.01


@dataclass(frozen=True)
class Misreading:
    """What tells pixels read rightly (score around 1) from those read wrongly (around 0).

    Parameters
    ----------
    line : RidgeModel
        The score.
    limit : float
        Below 1; a smaller score is flagged.
    """

    line: RidgeModel
    limit: float

    def index(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how much rows look like pixels that were read wrongly.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float32, shape (n,)
            0 for a usual row, 1 at the limit.
        """
        away: NDArray[np.float64] = (1 - self.line.score(features)) / (1 - self.limit)
        return np.maximum(away, 0).astype(np.float32)


@dataclass(frozen=True)
class Pairs:
    """Rows whose pixels were read rightly, and the same rows read wrongly.

    Parameters
    ----------
    right, wrong : numpy.ndarray of float32, shape (n, columns)
        Features; finite.
    folds : numpy.ndarray of int16, shape (n,)
        Regions of the rows, two or more.
    """

    right: NDArray[np.float32]
    wrong: NDArray[np.float32]
    folds: NDArray[np.int16]


def fit_misreading(pairs: Pairs) -> Misreading:
    """Learn to tell rows read wrongly.

    Parameters
    ----------
    pairs : Pairs
        What to learn from.

    Returns
    -------
    Misreading
        With a limit that flags one in a hundred of the rows read rightly, out of fold.
    """
    count = len(pairs.right)
    labels = np.repeat([1, 0], count).astype(np.int8)
    features = np.concatenate([pairs.right, pairs.wrong])
    fit = fit_ridge(features, labels, np.tile(pairs.folds, 2), np.ones(len(labels)))
    limit = float(np.quantile(fit.out_of_fold[:count], FLAGGED_SHARE))
    return Misreading(fit.model, min(limit, 0.99))
