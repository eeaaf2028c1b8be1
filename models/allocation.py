"""How many cells of each stratum to label."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST = 30


def allocate(
    cells: ArrayLike, deviation: ArrayLike, size: int, least: int = LEAST
) -> NDArray[np.int64]:
    """Divide a sample among strata: some for each, the rest as Neyman 1934 has it.

    Parameters
    ----------
    cells : array_like of int, shape (strata,)
        Cells of each stratum.
    deviation : array_like of float, shape (strata,)
        Expected standard deviation of the label in each.
    size : int
        Cells to label; all of them where there are no more.
    least : int
        Every stratum gets this many, or all that it has.

    Returns
    -------
    numpy.ndarray of int64, shape (strata,)
        Cells to label in each stratum. They sum to ``size``, or to all cells; beyond the least they
        are proportional to cells times deviation as far as a stratum has them.

    Raises
    ------
    ValueError
        If the size does not give each stratum its least.
    """
    most = np.asarray(cells, np.int64)
    floor = np.minimum(most, least)
    if size < floor.sum():
        raise ValueError(f"the strata ask for at least {int(floor.sum())} cells, not {size}")
    size = min(int(size), int(most.sum()))
    # Where nothing is expected to vary, by size.
    wanted = most * np.maximum(np.asarray(deviation, np.float64), 1e-6)

    def given(factor: float) -> NDArray[np.float64]:
        return np.clip(factor * wanted, floor, most)

    low, high = 0.0, float(size / max(wanted[wanted > 0].min(initial=np.inf), 1e-300)) + 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if given(middle).sum() < size else (low, middle)
    exact = np.minimum(given(high), most)
    counts = np.floor(exact + 1e-9).astype(np.int64)
    # What the floors left over goes to the largest remainders that have room.
    order = np.argsort(-(exact - counts), kind="stable")
    while counts.sum() != size:
        short = counts.sum() < size
        for index in order if short else order[::-1]:
            if counts.sum() == size:
                break
            room = counts[index] < most[index] if short else counts[index] > floor[index]
            counts[index] += (1 if short else -1) if room else 0
    return counts
