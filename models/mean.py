"""The weighted mean of other classifiers: of their logits, each calibrated by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.calibration import Calibration, calibrate
from models.classifier import Classifier, Fitted
from models.errors import ModelError
from models.forest import Forest
from models.manifest import Manifest
from models.ridge import Ridge
from models.ridge_fit import RidgeInfluence
from models.training_rows import TrainingRows

PARTS: dict[str, type[Classifier]] = {"ridge": Ridge, "forest": Forest}


@dataclass(frozen=True)
class Mean(Classifier):
    """The weighted mean of a ridge's and a forest's logits.

    Parameters
    ----------
    parts : mapping of str to Classifier
        One of each of ``PARTS``.
    curves : mapping of str to Calibration
        Of each part: its scores become logits.
    shares : mapping of str to float
        What each part counts for.
    """

    files = tuple(name for part in PARTS.values() for name in part.files)
    # With whole squares or regions of chips held out it lost to the ridge by so much AUC.
    handicap = 0.002

    parts: Mapping[str, Classifier]
    curves: Mapping[str, Calibration]
    shares: Mapping[str, float]

    @property
    def columns(self) -> int:
        """Columns of features that all parts take."""
        return min(part.columns for part in self.parts.values())

    @classmethod
    def fit(cls, rows: TrainingRows) -> Mean:
        """Fit the parts to all rows, and weigh them by their scores of unseen regions."""
        return cls.learn(rows).classifier

    @classmethod
    def learn(cls, rows: TrainingRows) -> Fitted[Mean]:
        """Fit to all rows, and average the parts' out-of-fold scores."""
        fits = {name: part.learned(rows) for name, part in PARTS.items()}
        near = {name: fit.scores for name, fit in fits.items()}
        apart = {name: fit.apart for name, fit in fits.items()}
        curves = {name: calibrate(rows.labels, scores) for name, scores in apart.items()}
        shares = fit_shares(rows.labels, apart, curves, rows.weights)
        mean = cls({name: fit.classifier for name, fit in fits.items()}, curves, shares)
        return Fitted(mean, mean_logit(near, curves, shares), mean_logit(apart, curves, shares))

    @classmethod
    def out_of_fold(cls, rows: TrainingRows, folds: NDArray[np.int16]) -> NDArray[np.float64]:
        """Score each row by parts that have not seen its fold, averaged as these scores ask for."""
        scores = {name: part.out_of_fold(rows, folds) for name, part in PARTS.items()}
        curves = {name: calibrate(rows.labels, part) for name, part in scores.items()}
        return mean_logit(scores, curves, fit_shares(rows.labels, scores, curves))

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Average the parts' scores of rows of features."""
        scores = {name: part.scores(features) for name, part in self.parts.items()}
        return mean_logit(scores, self.curves, self.shares)

    def replicates(
        self, features: NDArray[np.float32], influence: RidgeInfluence
    ) -> NDArray[np.float64]:
        """Average the parts' replicates: each is of the same draw of places."""
        drawn = {name: part.replicates(features, influence) for name, part in self.parts.items()}
        return mean_logit(drawn, self.curves, self.shares)

    def store(self) -> dict[str, bytes]:
        """Return the files of the parts."""
        return {
            name: content for part in self.parts.values() for name, content in part.store().items()
        }

    def facts(self) -> dict[str, Any]:
        """Return the curves and the shares."""
        return {"parts": self.curves, "shares": self.shares}

    @classmethod
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> Mean:
        """Read the parts, and take curves and shares from the manifest."""
        curves, shares = manifest.parts, manifest.shares
        whole = {*PARTS} == {*curves} == {*shares}
        if not whole or not all(0 <= share <= 1 for share in shares.values()):
            raise ModelError("each part of a mean needs its curve and its share")
        return cls(
            {name: part.load(files, manifest) for name, part in PARTS.items()}, curves, shares
        )


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
