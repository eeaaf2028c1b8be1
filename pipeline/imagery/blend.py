"""Several observations of a pixel become one: median, percentile, medoid or geometric median.

Each takes a strip of layers (n, bands, h, w) of int16 in which ``NOT_CLEAR`` marks what is of no
use, the same pixels in every band of a layer, and gives (bands, h, w). Another way is another
function, and its line in ``BLENDS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

# The largest number, so that it sorts behind every value.
NOT_CLEAR = 32767
NODATA = -32768
# The geometric median moves less than a tenth of a step in the end, or has had its turns.
_MOST_TURNS = 60
_STILL = 0.1

_NUMBER = re.compile(r"(?<=-)[1-9][0-9]?$")

Blend = Callable[[NDArray[np.int16]], NDArray[np.int16]]


def median(layers: NDArray[np.int16]) -> NDArray[np.int16]:
    """Median of what is clear, band by band.

    Parameters
    ----------
    layers : numpy.ndarray of int16, shape (n, bands, h, w)
        Observations; sorted in place.

    Returns
    -------
    numpy.ndarray of int16, shape (bands, h, w)
        Mean of the two middle values, rounded half to even, where their number is even; ``NODATA``
        where nothing is clear.
    """
    return percentile(layers, 0.5)


def percentile(layers: NDArray[np.int16], share: float) -> NDArray[np.int16]:
    """Percentile of what is clear, band by band, linear between two observations.

    Parameters
    ----------
    layers : numpy.ndarray of int16, shape (n, bands, h, w)
        Observations; sorted in place.
    share : float
        0.5 for the median.

    Returns
    -------
    numpy.ndarray of int16, shape (bands, h, w)
        Rounded half to even; ``NODATA`` where nothing is clear.
    """
    count = (layers[:, 0] != NOT_CLEAR).sum(axis=0)
    sort_layers(layers)
    place = np.maximum(count - 1, 0) * share
    low = np.floor(place).astype(np.intp)
    part = (place - low).astype(np.float32)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below, above = _picked(layers, low), _picked(layers, high)
    below += part * (above - below)
    return np.where(count > 0, np.rint(below), NODATA).astype(np.int16)


def medoid(layers: NDArray[np.int16]) -> NDArray[np.int16]:
    """Observation whose sum of distances to the others is least: a spectrum that was seen.

    Flood 2013, Remote Sensing 5:6481. The earlier of two that are equal.

    Parameters
    ----------
    layers : numpy.ndarray of int16, shape (n, bands, h, w)
        Observations.

    Returns
    -------
    numpy.ndarray of int16, shape (bands, h, w)
        ``NODATA`` where nothing is clear.
    """
    clear = layers[:, 0] != NOT_CLEAR
    sums = np.zeros(clear.shape, np.float32)
    for one in range(len(layers)):
        for other in range(one + 1, len(layers)):
            both = clear[one] & clear[other]
            apart = _distance(layers[one].astype(np.float32) - layers[other])
            apart[~both] = 0
            sums[one] += apart
            sums[other] += apart
    sums[~clear] = np.inf
    best = sums.argmin(axis=0)
    chosen = np.take_along_axis(layers, best[None, None], axis=0)[0]
    return np.where(clear.any(axis=0), chosen, NODATA).astype(np.int16)


def geometric_median(layers: NDArray[np.int16]) -> NDArray[np.int16]:
    """Spectrum whose sum of distances to the observations is least.

    Roberts et al. 2017, IEEE TGRS 55:6254, by Weiszfeld's iteration from the median on.

    Parameters
    ----------
    layers : numpy.ndarray of int16, shape (n, bands, h, w)
        Observations.

    Returns
    -------
    numpy.ndarray of int16, shape (bands, h, w)
        Rounded; ``NODATA`` where nothing is clear.
    """
    clear = layers[:, 0] != NOT_CLEAR
    seen = clear.any(axis=0)
    centre = median(layers.copy()).astype(np.float32)
    for _ in range(_MOST_TURNS):
        weights = np.zeros(seen.shape, np.float32)
        moved = np.zeros_like(centre)
        for layer, known in zip(layers, clear, strict=True):
            # Half a step away at least: an observation right at the centre must not weigh all.
            weight = known / np.maximum(_distance(layer.astype(np.float32) - centre), 0.5)
            weights += weight
            moved += weight * layer
        moved /= np.maximum(weights, np.finfo(np.float32).tiny)
        step = float(np.abs(moved - centre)[:, seen].max(initial=0))
        centre = np.where(seen, moved, centre)
        if step < _STILL:
            break
    return np.where(seen, np.rint(centre), NODATA).astype(np.int16)


# By their names in the configuration; where N is, it takes any number from 1 to 99.
BLENDS: dict[str, Callable[..., NDArray[np.int16]]] = {
    "median": median,
    "percentile-N": lambda layers, number: percentile(layers, number / 100),
    "medoid": medoid,
    "geometric-median": geometric_median,
}


def is_blend(name: str) -> bool:
    """Return whether ``BLENDS`` has a name, with a number in it where it takes one."""
    return _NUMBER.sub("N", name) in BLENDS and "N" not in name


def blend_named(name: str) -> Blend:
    """Return the way to blend that the configuration names.

    Parameters
    ----------
    name : str
        As ``is_blend`` takes it, such as ``median`` or ``percentile-25``.

    Returns
    -------
    callable
        From a strip of layers to one.
    """
    number = _NUMBER.search(name)
    blend = BLENDS[_NUMBER.sub("N", name)]
    return partial(blend, number=int(number[0])) if number else blend


def sort_layers(layers: NDArray[np.int16]) -> None:
    """Sort along the first axis by exchanging whole layers (odd-even transposition).

    Minimum and maximum of layers run at the speed of memory, where a sort of millions of short
    columns does not: measured 12 times faster for six dates.

    Parameters
    ----------
    layers : numpy.ndarray of int16, shape (n, ...)
        Sorted in place.
    """
    spare = np.empty_like(layers[:1][0]) if len(layers) else None
    for turn in range(len(layers)):
        for first in range(turn % 2, len(layers) - 1, 2):
            lower, upper = layers[first], layers[first + 1]
            np.minimum(lower, upper, out=spare)
            np.maximum(lower, upper, out=upper)
            lower[...] = spare


def _picked(layers: NDArray[np.int16], index: NDArray[np.intp]) -> NDArray[np.float32]:
    """Take of every pixel the layer that its index says; few different ones occur in a strip."""
    result = np.empty(layers.shape[1:], np.float32)
    for number in range(int(index.min()), int(index.max()) + 1):
        np.copyto(result, layers[number], where=index == number)
    return result


def _distance(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean length over the first axis."""
    length: NDArray[np.float32] = np.sqrt(np.einsum("bhw,bhw->hw", difference, difference))
    return length
