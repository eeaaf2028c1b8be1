"""From scores to probabilities: Platt's logistic curve through out-of-fold scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from models.errors import TrainingError


@dataclass(frozen=True)
class Calibration:
    """The curve ``1 / (1 + exp(-(slope * score + intercept)))``.

    Its value says what share of the training rows with such a score were mines.

    Parameters
    ----------
    slope : float
        At least 0: a higher score is never a smaller probability.
    intercept : float
        Logit of the probability at score 0.
    prevalence : float
        Share of mines among the rows that it was fitted to.
    """

    slope: float
    intercept: float
    prevalence: float

    def logit(
        self, scores: NDArray[np.float64], prevalence: float | None = None
    ) -> NDArray[np.float64]:
        """Return the logit of the probability of each score.

        Parameters
        ----------
        scores : numpy.ndarray of float64
            Any shape.
        prevalence : float, optional
            Share of mines where the scores are from, 0..1 without the ends; default: as among the
            training rows. Mines that look the same, but are rarer, are less probable (Saerens et
            al. 2002, doi 10.1162/089976602753284446).

        Returns
        -------
        numpy.ndarray of float64
            Same shape; NaN stays NaN.
        """
        moved = 0.0 if prevalence is None else logit(prevalence) - logit(self.prevalence)
        return self.slope * scores + (self.intercept + moved)

    def apply(
        self, scores: NDArray[np.float64], prevalence: float | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of each score.

        Parameters
        ----------
        scores : numpy.ndarray of float64
            Any shape.
        prevalence : float, optional
            As for ``logit``.

        Returns
        -------
        numpy.ndarray of float64
            Same shape, 0..1; NaN stays NaN.
        """
        probabilities: NDArray[np.float64] = expit(self.logit(scores, prevalence))
        return probabilities


def calibrate(labels: NDArray[np.int8], scores: NDArray[np.float64]) -> Calibration:
    """Fit the curve to scores that were predicted out of fold (Platt 1999).

    Parameters
    ----------
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not; both occur.
    scores : numpy.ndarray of float64, shape (n,)
        Out-of-fold scores, finite.

    Returns
    -------
    Calibration
        The curve; flat where higher scores do not mean more mines.

    Raises
    ------
    TrainingError
        If one class is missing.
    """
    if len(np.unique(labels)) < 2:
        raise TrainingError("a calibration needs rows of both classes")
    # Nearly no penalty: two parameters and hundreds of rows need none.
    centre, width = float(scores.mean()), float(scores.std()) or 1.0
    standard = (scores - centre) / width
    curve = LogisticRegression(C=1e6, max_iter=1000).fit(standard[:, None], labels)
    slope = max(float(curve.coef_[0, 0]), 0.0) / width
    intercept = float(curve.intercept_[0]) - slope * centre
    return Calibration(slope, intercept, float(labels.mean()))
