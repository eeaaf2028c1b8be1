"""How sure a model is of a cell: an interval, and whether regions of the training ground agree.

Both ask what another draw of training places would have said. Of a ridge every place's influence is
known without another fit (``ridge_fit.RidgeInfluence``): a bootstrap of places is a sum of
influences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.applicability import Applicability, equal_say, fit_applicability
from models.corruption_detector import CorruptionDetector
from models.errors import ModelError
from models.ridge_fit import LinearScore, RidgeInfluence
from models.training_rows import TrainingRows

REPLICATES = 40
# Nine in ten.
INTERVAL = (0.05, 0.95)
# A quarter of the training rows, each judged without its region, is more disputed than this: what
# is beyond was called wrongly three times as often and more (docs/decisions/0014-doubt.md).
UNDISPUTED_SHARE = 0.75
_SMALLEST_LOGIT = 1e-6


@dataclass(frozen=True)
class Uncertainty:
    """What tells how far a model's score can be trusted.

    Parameters
    ----------
    applicability : Applicability
        How unlike the training rows a cell is.
    replicates : RidgeInfluence
        What each bootstrap replicate adds to the ridge's score.
    regions : RidgeInfluence
        What each region of the training ground added to it.
    detector : CorruptionDetector or None
        What tells pixels that were read wrongly; None where none were at hand.
    """

    applicability: Applicability
    replicates: RidgeInfluence
    regions: RidgeInfluence
    detector: CorruptionDetector | None = None

    def dissimilarity(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how unlike the training rows, rightly read, rows are.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float32, shape (n,)
            1 at the threshold: the dissimilarity index over its own, or how much the row looks
            like pixels that were read wrongly, whichever is more.
        """
        near = self.applicability
        index = near.dissimilarity(near.place(features)) / np.float32(near.threshold)
        if self.detector is None:
            return index
        larger: NDArray[np.float32] = np.maximum(index, self.detector.index(features))
        return larger

    def spread(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return by how much the score depends on single regions of the training ground.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            Root of the summed squares of what each region adds to the score.
        """
        spread: NDArray[np.float64] = np.sqrt((self.regions.apply(features) ** 2).sum(axis=1))
        return spread

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a file keeps of it.

        Returns
        -------
        dict of str to numpy.ndarray
            By name; ``from_arrays`` reads them.
        """
        near, detector = self.applicability, self.detector
        corrupted, limits = np.empty(0, np.float32), np.empty(0)
        if detector is not None:
            corrupted = detector.line.coefficients
            limits = np.array([detector.line.intercept, detector.limit])
        return {
            "centre": near.centre,
            "spread": near.spread,
            "axes": near.axes,
            "rows": near.rows,
            "limits": np.array([near.mean_distance, near.threshold]),
            "replicates": self.replicates.coefficients,
            "replicate_intercepts": self.replicates.intercepts,
            "regions": self.regions.coefficients,
            "region_intercepts": self.regions.intercepts,
            "misread": corrupted,
            "misread_limits": limits,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], columns: int) -> Uncertainty:
        """Make it from the arrays of a file.

        Parameters
        ----------
        arrays : mapping of str to numpy.ndarray
            As ``to_arrays`` gives them.
        columns : int
            Of the features.

        Returns
        -------
        Uncertainty
            The same as was written.

        Raises
        ------
        KeyError
            If an array is missing.
        ModelError
            If the arrays do not fit together, or hold what is no number.
        """
        axes, rows = arrays["axes"].shape[-1], len(arrays["rows"])
        drawn, regions = len(arrays["replicates"]), len(arrays["regions"])
        corrupted = bool(len(arrays["misread"]))
        shapes = {
            "centre": (columns,),
            "spread": (columns,),
            "axes": (columns, axes),
            "rows": (rows, axes + 1),
            "limits": (2,),
            "replicates": (drawn, columns),
            "replicate_intercepts": (drawn,),
            "regions": (regions, columns),
            "region_intercepts": (regions,),
            "misread": (columns * corrupted,),
            "misread_limits": (2 * corrupted,),
        }
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise ModelError(f"{name} has not the form that the other parts need")
        if not (arrays["spread"] > 0).all() or not (arrays["limits"] > 0).all() or not rows:
            raise ModelError("spreads and limits must be greater than 0, and there must be rows")
        single = {name: arrays[name].astype(np.float32) for name in shapes}
        detector = None
        if corrupted:
            intercept, limit = arrays["misread_limits"].tolist()
            if not limit < 1:
                raise ModelError("the limit of what was read rightly must be below 1")
            detector = CorruptionDetector(LinearScore(single["misread"], intercept), limit)
        mean_distance, threshold = arrays["limits"].tolist()
        near = {name: single[name] for name in ("centre", "spread", "axes", "rows")}
        return cls(
            Applicability(**near, mean_distance=mean_distance, threshold=threshold),
            RidgeInfluence(single["replicates"], arrays["replicate_intercepts"]),
            RidgeInfluence(single["regions"], arrays["region_intercepts"]),
            detector,
        )


def dispute(spread: NDArray[np.float64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return whether the regions of the training ground agree on which class it is.

    Parameters
    ----------
    spread : numpy.ndarray of float64, shape (n,)
        As ``Uncertainty.spread`` gives it.
    logits : numpy.ndarray of float64, shape (n,)
        Of the probability.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        The spread over the distance from even odds: where it is large, another draw of regions
        would have called the row the other way.
    """
    return spread / np.maximum(np.abs(logits), _SMALLEST_LOGIT)


def most_disputed(
    spread: NDArray[np.float64], logits: NDArray[np.float64], labels: NDArray[np.int8]
) -> float:
    """Return the dispute beyond which a row lies outside of what a model may be asked.

    Parameters
    ----------
    spread : numpy.ndarray of float64, shape (n,)
        Of the training rows.
    logits : numpy.ndarray of float64, shape (n,)
        Of their probabilities by a model that has not seen their region.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not; both occur, and count the same: where mines are few, they would else be the
        quarter.

    Returns
    -------
    float
        Above 0; a quarter of the rows is more disputed.
    """
    limit = np.quantile(
        dispute(spread, logits), UNDISPUTED_SHARE, weights=equal_say(labels), method="inverted_cdf"
    )
    return max(float(limit), float(np.finfo(np.float32).tiny))


def bootstrap_counts(places: int, seed: int, replicates: int = REPLICATES) -> NDArray[np.float64]:
    """Draw places with replacement.

    Parameters
    ----------
    places : int
        How many there are.
    seed : int
        Of the draw.
    replicates : int
        How many draws.

    Returns
    -------
    numpy.ndarray of float64, shape (replicates, places)
        How often each place was drawn.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(places, np.full(places, 1 / places), size=replicates).astype(float)


def fit_uncertainty(rows: TrainingRows, detector: CorruptionDetector | None = None) -> Uncertainty:
    """Learn what a model may be asked, from its training rows.

    Parameters
    ----------
    rows : TrainingRows
        The rows, and the influence of each of their places on their ridge. A place counts for the
        region of its first row.
    detector : CorruptionDetector, optional
        What tells pixels that were read wrongly.

    Returns
    -------
    Uncertainty
        All of it.
    """
    influence = rows.ridge.influence
    assert influence is not None
    region_of = np.zeros(len(influence.intercepts), int)
    region_of[rows.places[::-1]] = rows.regions[::-1]
    by_region = (np.unique(region_of)[:, None] == region_of).astype(float)
    return Uncertainty(
        fit_applicability(rows.features, rows.regions, rows.labels, rows.seed),
        influence.combined(bootstrap_counts(len(region_of), rows.seed) - 1),
        influence.combined(by_region),
        detector,
    )


def score_interval(
    scores: NDArray[np.float64], replicates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the interval of scores that bootstrap replicates span.

    Parameters
    ----------
    scores : numpy.ndarray of float64, shape (n,)
        Of the model itself.
    replicates : numpy.ndarray of float64, shape (n, replicates)
        Scores of each replicate.

    Returns
    -------
    low, high : numpy.ndarray of float64, shape (n,)
        The replicates' quantiles of 5 and 95 %, moved so that their mean is the score.
    """
    low, high = np.quantile(replicates, INTERVAL, axis=1) - replicates.mean(axis=1)
    return scores + np.minimum(low, 0), scores + np.maximum(high, 0)
