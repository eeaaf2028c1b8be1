"""How sure a model is of a cell: an interval, and whether regions of the training ground agree.

Both ask what another draw of training places would have said. Of a ridge every place's influence is
known without fitting anew (``ridge.RidgeInfluence``): a bootstrap of places is a sum of influences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.applicability import Applicability, equal_say, fit_applicability
from models.errors import ModelError
from models.gram import Features
from models.misreading import Misreading
from models.ridge import RidgeInfluence, RidgeModel

REPLICATES = 40
# Nine in ten.
INTERVAL = (0.05, 0.95)
# A quarter of the training rows, each judged without its region, is more disputed than this: what
# is beyond was called wrongly three times as often and more (docs/decisions/0014-doubt.md).
UNDISPUTED_SHARE = 0.75
_NAMES = ("centre", "spread", "axes", "rows", "limits", "replicates", "replicate_intercepts",
          "regions", "region_intercepts", "misread", "misread_limits")  # fmt: skip
_SMALLEST_LOGIT = 1e-6


@dataclass(frozen=True)
class Doubt:
    """What tells how far a model's score can be trusted.

    Parameters
    ----------
    applicability : Applicability
        How unlike the training rows a cell is.
    replicates : RidgeInfluence
        What each bootstrap replicate adds to the ridge's score.
    regions : RidgeInfluence
        What each region of the training ground added to it.
    misreading : Misreading or None
        What tells pixels that were read wrongly; None where none were at hand.
    """

    applicability: Applicability
    replicates: RidgeInfluence
    regions: RidgeInfluence
    misreading: Misreading | None = None

    def unlike(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
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
        if self.misreading is None:
            return index
        larger: NDArray[np.float32] = np.maximum(index, self.misreading.index(features))
        return larger

    def spread(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return by how much the score hangs on single regions of the training ground.

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


def dispute(spread: NDArray[np.float64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return whether the regions of the training ground agree on which class it is.

    Parameters
    ----------
    spread : numpy.ndarray of float64, shape (n,)
        As ``Doubt.spread`` gives it.
    logits : numpy.ndarray of float64, shape (n,)
        Of the probability.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        The spread over the distance from even odds: where it is large, another draw of regions
        would have called the row the other way.
    """
    disputes: NDArray[np.float64] = spread / np.maximum(np.abs(logits), _SMALLEST_LOGIT)
    return disputes


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


def fit_doubt(
    features: Features,
    influence: RidgeInfluence,
    places: NDArray[np.intp],
    regions: NDArray[np.int16],
    labels: NDArray[np.int8],
    seed: int,
    misreading: Misreading | None = None,
) -> Doubt:
    """Learn what a model may be asked, from its training rows.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite.
    influence : RidgeInfluence
        Of every place.
    places : numpy.ndarray of int, shape (n,)
        Place of each row, counted from 0.
    regions : numpy.ndarray of int16, shape (n,)
        Region of each row; a place counts for the region of its first row.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    seed : int
        Of the bootstrap.
    misreading : Misreading, optional
        What tells pixels that were read wrongly.

    Returns
    -------
    Doubt
        All of it.
    """
    count = len(influence.intercepts)
    region_of = np.zeros(count, int)
    region_of[places[::-1]] = regions[::-1]
    names = np.unique(region_of)
    by_region = influence.combined((names[:, None] == region_of).astype(float))
    drawn = influence.combined(bootstrap_counts(count, seed) - 1)
    return Doubt(fit_applicability(features, regions, labels, seed), drawn, by_region, misreading)


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


def doubt_arrays(doubt: Doubt) -> dict[str, NDArray[Any]]:
    """Return the arrays that a file keeps of it.

    Parameters
    ----------
    doubt : Doubt
        As ``fit_doubt`` gives it.

    Returns
    -------
    dict of str to numpy.ndarray
        By name.
    """
    near, misread = doubt.applicability, doubt.misreading
    line = None if misread is None else misread.line
    return {
        "centre": near.centre,
        "spread": near.spread,
        "axes": near.axes,
        "rows": near.rows,
        "limits": np.array([near.mean_distance, near.threshold]),
        "replicates": doubt.replicates.coefficients,
        "replicate_intercepts": doubt.replicates.intercepts,
        "regions": doubt.regions.coefficients,
        "region_intercepts": doubt.regions.intercepts,
        "misread": np.empty(0, np.float32) if line is None else line.coefficients,
        "misread_limits": np.array(
            [] if misread is None else [misread.line.intercept, misread.limit]
        ),
    }


def doubt_from(arrays: Mapping[str, NDArray[Any]], columns: int) -> Doubt:
    """Make it from the arrays of a file.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        As ``doubt_arrays`` gives them.
    columns : int
        Of the features.

    Returns
    -------
    Doubt
        The same as was written.

    Raises
    ------
    ModelError
        If the arrays do not fit together, or hold what is no number.
    """
    found = {name: np.asarray(arrays[name]) for name in _NAMES}
    axes, places = found["axes"], found["rows"]
    shapes = {
        "centre": (columns,),
        "spread": (columns,),
        "axes": (columns, axes.shape[-1]),
        "rows": (len(places), axes.shape[-1] + 1),
        "limits": (2,),
        "replicates": (len(found["replicates"]), columns),
        "replicate_intercepts": (len(found["replicates"]),),
        "regions": (len(found["regions"]), columns),
        "region_intercepts": (len(found["regions"]),),
        "misread": (columns,) if len(found["misread"]) else (0,),
        "misread_limits": (2,) if len(found["misread"]) else (0,),
    }
    for name, shape in shapes.items():
        if found[name].shape != shape or not np.isfinite(found[name]).all():
            raise ModelError(f"{name} has not the form that the other parts need")
    if not (found["spread"] > 0).all() or not (found["limits"] > 0).all() or not len(places):
        raise ModelError("spreads and limits must be greater than 0, and there must be rows")
    mean_distance, threshold = found["limits"].tolist()
    single = {name: found[name].astype(np.float32) for name in ("centre", "spread", "axes", "rows")}
    misreading = None
    if len(found["misread"]):
        intercept, limit = found["misread_limits"].tolist()
        if not limit < 1:
            raise ModelError("the limit of what was read rightly must be below 1")
        misreading = Misreading(RidgeModel(found["misread"].astype(np.float32), intercept), limit)
    return Doubt(
        Applicability(**single, mean_distance=mean_distance, threshold=threshold),
        RidgeInfluence(found["replicates"].astype(np.float32), found["replicate_intercepts"]),
        RidgeInfluence(found["regions"].astype(np.float32), found["region_intercepts"]),
        misreading,
    )
