"""What turns features into a score: a ridge, a forest, or a weighted mean of both, calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.calibration import Calibration
from models.forest import forest_replicates, forest_score
from models.ridge import RidgeModel
from models.uncertainty import Doubt

PARTS = {"ridge": ("ridge",), "forest": ("forest",), "mean": ("ridge", "forest")}


@dataclass(frozen=True)
class Scorer:
    """The weights of a model.

    Parameters
    ----------
    parts : mapping of str to object
        ``ridge``: RidgeModel, ``forest``: scikit-learn pipeline; one or both.
    curves : mapping of str to Calibration
        Of each part, where there are both: their logits are averaged.
    shares : mapping of str to float
        What each part counts for in the average, where there are both.
    """

    parts: Mapping[str, Any]
    curves: Mapping[str, Calibration]
    shares: Mapping[str, float]

    @property
    def columns(self) -> int:
        """Columns of features that it takes."""
        return min(
            part.coefficients.size if isinstance(part, RidgeModel) else part.n_features_in_
            for part in self.parts.values()
        )

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows of features.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            Higher for a mine.
        """
        return self._mean(
            {
                name: part.score(features)
                if isinstance(part, RidgeModel)
                else forest_score(part, features)
                for name, part in self.parts.items()
            }
        )

    def replicates(self, features: NDArray[np.float32], doubt: Doubt) -> NDArray[np.float64]:
        """Score rows as each bootstrap replicate would.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.
        doubt : Doubt
            Of the same training rows.

        Returns
        -------
        numpy.ndarray of float64, shape (n, replicates)
            Scores.
        """
        return self._mean(
            {
                name: part.score(features)[:, None] + doubt.replicates.apply(features)
                if isinstance(part, RidgeModel)
                else forest_replicates(part, features)
                for name, part in self.parts.items()
            }
        )

    def _mean(self, scores: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        if len(scores) == 1:
            return next(iter(scores.values()))
        return mean_logit(scores, self.curves, self.shares)


def mean_logit(
    scores: Mapping[str, NDArray[np.float64]],
    curves: Mapping[str, Calibration],
    shares: Mapping[str, float],
) -> NDArray[np.float64]:
    """Average the calibrated logits of several scores.

    Parameters
    ----------
    scores : mapping of str to numpy.ndarray of float64
        Of one shape.
    curves : mapping of str to Calibration
        Of each.
    shares : mapping of str to float
        What each counts for.

    Returns
    -------
    numpy.ndarray of float64
        Same shape.
    """
    logits = [shares[name] * curves[name].logit(values) for name, values in scores.items()]
    result: NDArray[np.float64] = np.sum(logits, axis=0)
    return result


def fit_shares(
    labels: NDArray[np.int8],
    scores: Mapping[str, NDArray[np.float64]],
    curves: Mapping[str, Calibration],
    weights: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Find what each score should count for in the average.

    Parameters
    ----------
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not; both occur.
    scores : mapping of str to numpy.ndarray of float64, shape (n,)
        Out of fold, as the curves are.
    curves : mapping of str to Calibration
        Of each.
    weights : numpy.ndarray of float64, shape (n,), optional
        What each row counts for; default 1.

    Returns
    -------
    dict of str to float
        At least 0, 1 together.

    Notes
    -----
    Stacking (Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1): a logistic regression on the
    calibrated logits, which are at home on one scale.
    """
    logits = np.column_stack([curves[name].logit(values) for name, values in scores.items()])
    stacked = LogisticRegression(C=1e6, max_iter=1000).fit(logits, labels, sample_weight=weights)
    shares = np.maximum(stacked.coef_[0], 0)
    if not shares.sum():
        shares = np.ones(len(shares))
    return dict(zip(scores, (shares / shares.sum()).tolist(), strict=True))
