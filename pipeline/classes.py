"""Which class a cell is: the one rule of maps, samples, comparisons and pages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIKELY, POSSIBLE, UNLIKELY, CANNOT_TELL = CLASSES = (
    "likely", "possible", "unlikely", "cannot_tell",
)  # fmt: skip
CALLED = (LIKELY, POSSIBLE)
# A likely or possible cell in an industrial mine: mining perhaps, but not artisanal.
INDUSTRIAL = "industrial"
# A square of several cells is of the class that comes last here.
WEAKEST_FIRST = (CANNOT_TELL, UNLIKELY, INDUSTRIAL, POSSIBLE, LIKELY)


def classify(
    probability: ArrayLike, thresholds: Mapping[str, float], dissimilarity: ArrayLike | None = None
) -> NDArray[np.str_]:
    """Name the class of each cell.

    Parameters
    ----------
    probability : array_like of float, shape (n,)
        0..1; NaN where it could not be predicted.
    thresholds : mapping of str to float
        ``possible`` and ``likely``, of the model.
    dissimilarity : array_like of float, shape (n,), optional
        See :func:`can_tell`.

    Returns
    -------
    numpy.ndarray of str, shape (n,)
        Of ``CLASSES``.

    Raises
    ------
    ValueError
        If the thresholds are not ``0 < possible <= likely <= 1``.
    """
    possible, likely = cuts(thresholds)
    values = np.asarray(probability, np.float32)
    told = can_tell(values, dissimilarity)
    return np.select(
        [~told, values >= likely, values >= possible], (CANNOT_TELL, *CALLED), UNLIKELY
    )


def can_tell(probability: ArrayLike, dissimilarity: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Mark the cells of which the map can tell anything.

    Parameters
    ----------
    probability : array_like of float, shape (n,)
        NaN where it could not be predicted.
    dissimilarity : array_like of float, shape (n,), optional
        How unlike the training rows each cell is; above 1 it is unlike anything that the model was
        trained on, whatever the score. NaN or left out: not known.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        False where the class is ``CANNOT_TELL``.
    """
    told = ~np.isnan(np.asarray(probability, np.float32))
    return told if dissimilarity is None else told & ~(np.asarray(dissimilarity, float) > 1)


def cuts(thresholds: Mapping[str, float]) -> tuple[np.float32, np.float32]:
    """Return the least probabilities of a possible and of a likely cell.

    In the precision of the probabilities: 0.9 as float32 is not below 0.9.

    Parameters
    ----------
    thresholds : mapping of str to float
        ``possible`` and ``likely``, of the model.

    Returns
    -------
    possible, likely : numpy.float32
        The limits.

    Raises
    ------
    ValueError
        If they are not ``0 < possible <= likely <= 1``.
    """
    possible, likely = float(thresholds["possible"]), float(thresholds["likely"])
    if not 0 < possible <= likely <= 1:
        raise ValueError(f"thresholds must be 0 < possible <= likely <= 1, not {dict(thresholds)}")
    return np.float32(possible), np.float32(likely)
