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

from models.applicability import Applicability, fit_applicability
from models.errors import ModelError
from models.gram import Features, chunks_of
from models.ridge import RidgeInfluence

REPLICATES = 40
# Nine in ten.
INTERVAL = (0.05, 0.95)
# A quarter of the training rows, each judged without its region, is more disputed than this: what
# is beyond was called wrongly about twice as often (docs/decisions/0014-doubt.md).
UNDISPUTED_SHARE = 0.75
_NAMES = ("centre", "spread", "axes", "rows", "limits", "replicates", "replicate_intercepts",
          "regions", "region_intercepts")  # fmt: skip


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
    most_disputed : float
        Dispute beyond which a cell lies outside.
    """

    applicability: Applicability
    replicates: RidgeInfluence
    regions: RidgeInfluence
    most_disputed: float

    def dispute(
        self, features: NDArray[np.float32], places: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return by how much the score hangs on single regions of the training ground.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.
        places : numpy.ndarray of float32, shape (n, k + 1)
            As ``Applicability.place`` gives them.

        Returns
        -------
        numpy.ndarray of float32, shape (n,)
            Root of the summed squares of what each region adds to the score, in proportion to
            how much there is to see in the cell (its remainder): the same disagreement says more
            of a cell without features.
        """
        return _dispute(self.regions.apply(features), places)


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
    seed: int,
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
    seed : int
        Of the bootstrap.

    Returns
    -------
    Doubt
        With its thresholds.
    """
    count = len(influence.intercepts)
    region_of = np.zeros(count, int)
    region_of[places[::-1]] = regions[::-1]
    names = np.unique(region_of)
    by_region = influence.combined((names[:, None] == region_of).astype(float))
    drawn = influence.combined(bootstrap_counts(count, seed) - 1)
    applicability = fit_applicability(features, regions, seed)
    doubt = Doubt(applicability, drawn, by_region, np.inf)
    disputes = np.concatenate(
        [doubt.dispute(part, applicability.place(part)) for _, part in chunks_of(features)]
    )
    return Doubt(applicability, drawn, by_region, float(np.quantile(disputes, UNDISPUTED_SHARE)))


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
    near = doubt.applicability
    return {
        "centre": near.centre,
        "spread": near.spread,
        "axes": near.axes,
        "rows": near.rows,
        "limits": np.array([near.mean_distance, near.threshold, doubt.most_disputed]),
        "replicates": doubt.replicates.coefficients,
        "replicate_intercepts": doubt.replicates.intercepts,
        "regions": doubt.regions.coefficients,
        "region_intercepts": doubt.regions.intercepts,
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
        "limits": (3,),
        "replicates": (len(found["replicates"]), columns),
        "replicate_intercepts": (len(found["replicates"]),),
        "regions": (len(found["regions"]), columns),
        "region_intercepts": (len(found["regions"]),),
    }
    for name, shape in shapes.items():
        if found[name].shape != shape or not np.isfinite(found[name]).all():
            raise ModelError(f"{name} has not the form that the other parts need")
    if not (found["spread"] > 0).all() or not (found["limits"] > 0).all() or not len(places):
        raise ModelError("spreads and limits must be greater than 0, and there must be rows")
    mean_distance, threshold, most = found["limits"].tolist()
    single = {name: found[name].astype(np.float32) for name in ("centre", "spread", "axes", "rows")}
    return Doubt(
        Applicability(**single, mean_distance=mean_distance, threshold=threshold),
        RidgeInfluence(found["replicates"].astype(np.float32), found["replicate_intercepts"]),
        RidgeInfluence(found["regions"].astype(np.float32), found["region_intercepts"]),
        most,
    )


def _dispute(added: NDArray[np.float64], places: NDArray[np.float32]) -> NDArray[np.float32]:
    apart = np.sqrt((added**2).sum(axis=1))
    result: NDArray[np.float32] = (apart / np.maximum(places[:, -1], 1e-6)).astype(np.float32)
    return result
