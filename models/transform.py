"""What happens to features before any model, and to the scores of a cell's parts after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray

# Numbers that are best transformed at once: a MiB, so that they are still in the cache for what
# comes next.
BLOCK = 2**18


def transform(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the square root of features.

    Means of rectified responses are never negative and their spread grows with their size; the
    root evens it out (measured on chips against no transform, other powers and the logarithm).

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        Means of rectified responses.

    Returns
    -------
    numpy.ndarray of float32, shape (n, columns)
        Their roots; NaN stays NaN.
    """
    return np.sqrt(features)


def transformed_blocks(
    features: NDArray[np.float32],
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Transform rows in blocks that are still in the cache for what comes next.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        Means of rectified responses.

    Yields
    ------
    rows : slice
        Of all rows.
    table : numpy.ndarray of float32, shape (some, columns)
        Those rows, transformed.
    """
    step = max(1, BLOCK // features.shape[1])
    for first in range(0, len(features), step):
        rows = slice(first, first + step)
        yield rows, transform(features[rows])


def part_scores(
    score: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    rows: NDArray[np.float32],
    columns: int,
) -> NDArray[np.float64]:
    """Score the parts of rows.

    Parameters
    ----------
    score : callable
        Takes features of shape (n, columns), finite, and scores each row.
    rows : numpy.ndarray of float32, shape (n, parts * columns) or (n, parts, columns)
        Features of each part of a row, side by side; NaN for a part that was not observed.
    columns : int
        Of a part.

    Returns
    -------
    numpy.ndarray of float64, shape (n, parts)
        Minus infinity for a part that was not observed.
    """
    parts = rows.reshape(-1, columns)
    seen = np.isfinite(parts).all(axis=1)
    scores = np.full(len(parts), -np.inf)
    if seen.any():
        scores[seen] = score(parts[seen])
    return scores.reshape(-1, prod(rows.shape[1:]) // columns)


def strongest_part(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the score of each cell: that of its strongest part.

    A small mine fills four times as large a share of a quarter as of its cell, and a mean over the
    cell would drown it.

    Parameters
    ----------
    scores : numpy.ndarray of float64, shape (n, parts)
        Minus infinity for a part that was not observed.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Minus infinity where no part was observed.
    """
    strongest: NDArray[np.float64] = scores.max(axis=1)
    return strongest
