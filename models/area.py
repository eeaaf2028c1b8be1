"""Area and map accuracy from a stratified random sample of cells, with intervals.

The estimators are those of Olofsson et al. 2014 (doi 10.1016/j.rse.2014.02.015) in the form of
Stehman 2014 (doi 10.1080/01431161.2014.930207), which does not ask that the strata be the map's
classes and is the same where they are. Standard errors are theirs, with the finite-population
correction, so that a stratum that was labelled whole has none.

Their intervals, the estimate give or take 1.96 standard errors, fail where mines are rare: a
stratum whose sample holds no mine would count as free of mines for certain. The intervals here are
put together from Wilson's limits of each stratum, in squares ("square and add": Zou, Huang and
Zhang 2009, doi 10.1016/j.csda.2008.09.033), with as many labelled cells as the stratum's variance
is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 1.959963984540054
LEVEL = 0.95
# A variance needs two.
FEWEST_LABELLED = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """One estimated figure.

    Parameters
    ----------
    value : float
        The estimate; NaN: the sample says nothing about it.
    error : float
        Its standard error.
    low, high : float
        Ends of the 95 % interval; NaN where there is none.
    """

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Strata:
    """The population that was sampled.

    Parameters
    ----------
    names : tuple of str
        One for each stratum.
    cells : numpy.ndarray of int64, shape (strata,)
        Cells of each.
    area : numpy.ndarray of float64, shape (strata,)
        Area of each, in any unit; within a stratum all cells count alike.
    """

    names: tuple[str, ...]
    cells: NDArray[np.int64]
    area: Floats

    def select(self, keep: NDArray[np.bool_]) -> Strata:
        """Return some of the strata; the others get neither cells nor area."""
        return Strata(self.names, np.where(keep, self.cells, 0), np.where(keep, self.area, 0.0))


@dataclass(frozen=True)
class Means:
    """Mean of a value of 0..1 in each stratum, shape (strata,) each.

    Parameters
    ----------
    labelled : numpy.ndarray of int64
        Cells with a value.
    mean : numpy.ndarray of float64
        Their mean; 0 where there is none.
    variance : numpy.ndarray of float64
        Of the mean, with the finite-population correction; 0 where it cannot be known.
    covered : numpy.ndarray of bool
        Whether the stratum can be estimated: two labelled cells, or all of them. A stratum without
        any cells is covered.
    low, high : numpy.ndarray of float64
        Wilson's 95 % limits; never together unless the stratum was labelled whole.
    """

    labelled: NDArray[np.int64]
    mean: Floats
    variance: Floats
    covered: NDArray[np.bool_]
    low: Floats
    high: Floats


def stratum_means(strata: Strata, stratum: ArrayLike, value: ArrayLike, most: float = 1.0) -> Means:
    """Estimate the mean of each stratum.

    Parameters
    ----------
    strata : Strata
        The population.
    stratum : array_like of int, shape (n,)
        Stratum of each labelled cell.
    value : array_like of float, shape (n,)
        0..1: whether the cell holds a mine, or what share of it is mined.
    most : float
        Largest value that any cell is taken to have, 0..1; the limits of strata whose labelled
        cells are all alike depend on it.

    Returns
    -------
    Means
        Of every stratum.

    Raises
    ------
    ValueError
        If a value lies outside 0..most, or a stratum has more labelled cells than cells.
    """
    group, values = np.asarray(stratum, np.int64), np.asarray(value, np.float64)
    if not 0 < most <= 1 or not ((values >= 0) & (values <= most)).all():
        raise ValueError(f"the values of labelled cells lie within 0..{most:g}")
    labelled, mean, variance = _moments(strata, group, values)
    if (labelled > strata.cells).any():
        raise ValueError("a stratum has more labelled cells than cells")
    covered = (labelled >= FEWEST_LABELLED) | (labelled == strata.cells)
    left = 1 - labelled / np.maximum(strata.cells, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(variance > 0, mean * (most - mean) / variance, labelled / left)
    low, high = wilson(mean / most, np.where(left > 0, worth, np.inf))
    return Means(labelled, mean, variance, covered, low * most, high * most)


def area(strata: Strata, means: Means) -> Estimate:
    """Sum up area times mean over the covered strata (Olofsson et al. 2014, eq. 9 to 11).

    Parameters
    ----------
    strata : Strata
        The population.
    means : Means
        Of its strata.

    Returns
    -------
    Estimate
        In the strata's unit. Strata that are not covered take no part: say so with it.
    """
    size = np.where(means.covered, strata.area, 0.0)
    error = float(np.sqrt((size**2 * means.variance).sum()))
    return _of_strata(means, lambda mean: float((size * mean).sum()), error, float(size.sum()))


def called_accuracy(
    strata: Strata, stratum: ArrayLike, mine: ArrayLike, called: ArrayLike
) -> dict[str, Estimate]:
    """Estimate how far a map of two classes can be trusted, where it calls whole strata mines.

    Parameters
    ----------
    strata : Strata
        The population.
    stratum : array_like of int, shape (n,)
        Stratum of each labelled cell.
    mine : array_like of bool, shape (n,)
        Whether it is a mine.
    called : array_like of bool, shape (strata,)
        Which strata the map calls mines.

    Returns
    -------
    dict of str to Estimate
        ``overall`` (share of the area that the map has right), ``users`` (of what it calls mines,
        the share that is) and ``producers`` (of the mines, the share that it calls), 0..1.
    """
    group, truth = np.asarray(stratum, np.int64), np.asarray(mine, bool)
    calls = np.asarray(called, bool)
    means = stratum_means(strata, group, truth.astype(float))
    size = np.where(means.covered, strata.area, 0.0)
    on, off = size * calls, size * ~calls
    mapped = calls[group]
    hits = mapped & truth

    parts: dict[str, tuple[Callable[[Floats], float], ArrayLike, ArrayLike]] = {
        "overall": (
            lambda mean: _share((on * mean + off * (1 - mean)).sum(), size.sum()),
            mapped == truth,
            np.ones(len(group)),
        ),
        "users": (lambda mean: _share((on * mean).sum(), on.sum()), hits, mapped),
        "producers": (lambda mean: _share((on * mean).sum(), (size * mean).sum()), hits, truth),
    }
    return {
        name: _of_strata(means, share, ratio(strata, group, y, x).error, 1.0)
        for name, (share, y, x) in parts.items()
    }


def ratio(strata: Strata, stratum: ArrayLike, part: ArrayLike, whole: ArrayLike) -> Estimate:
    """Estimate a ratio of two totals (Stehman 2014, eq. 27-28), with its interval as published.

    Parameters
    ----------
    strata : Strata
        The population.
    stratum : array_like of int, shape (n,)
        Stratum of each labelled cell.
    part, whole : array_like, shape (n,)
        What is summed up above and below the line, 0..1 a cell.

    Returns
    -------
    Estimate
        1.96 standard errors either way, cut at 0 and 1. A standard error of 0 comes without an
        interval unless the strata were labelled whole: such a sample does not make it certain.
    """
    group = np.asarray(stratum, np.int64)
    y, x = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    below = stratum_means(strata, group, x)
    size = np.where(below.covered, strata.area, 0.0)
    total = float((size * below.mean).sum())
    if total == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan)
    value = float((size * stratum_means(strata, group, y).mean).sum()) / total
    variance = (size**2 * _moments(strata, group, y - value * x)[2]).sum() / total**2
    error = float(np.sqrt(variance))
    whole_labelled = bool((below.labelled == strata.cells)[size > 0].all())
    if error == 0 and not whole_labelled:
        return Estimate(value, error, np.nan, np.nan)
    return Estimate(value, error, max(value - Z * error, 0.0), min(value + Z * error, 1.0))


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a map of several classes.

    Parameters
    ----------
    classes : tuple of str
        In the order of rows and columns.
    matrix : numpy.ndarray of float64, shape (classes, classes)
        Error matrix in proportions of the area: rows the map, columns the reference.
    overall : Estimate
        Share of the area that the map has right.
    users, producers : dict of str to Estimate
        By class.
    share : dict of str to Estimate
        Share of the area that is of the class, by the reference.
    """

    classes: tuple[str, ...]
    matrix: Floats
    overall: Estimate
    users: dict[str, Estimate]
    producers: dict[str, Estimate]
    share: dict[str, Estimate]


def accuracy(
    strata: Strata,
    stratum: ArrayLike,
    mapped: Sequence[str],
    reference: Sequence[str],
    classes: Sequence[str],
) -> Accuracy:
    """Estimate error matrix, accuracies and shares of area, with intervals as published.

    Parameters
    ----------
    strata : Strata
        The population; its strata may be the map's classes (Olofsson et al. 2014) or not
        (Stehman 2014).
    stratum : array_like of int, shape (n,)
        Stratum of each labelled cell.
    mapped, reference : sequence of str, length n
        Its class by the map and by the reference.
    classes : sequence of str
        The classes.

    Returns
    -------
    Accuracy
        Of the strata that are covered.
    """
    rows, columns = np.asarray(mapped, str), np.asarray(reference, str)
    every = np.ones(len(rows))

    def share(part: ArrayLike, whole: ArrayLike) -> Estimate:
        return ratio(strata, stratum, part, whole)

    return Accuracy(
        classes=tuple(classes),
        matrix=np.array(
            [[share((rows == i) & (columns == j), every).value for j in classes] for i in classes]
        ),
        overall=share(rows == columns, every),
        users={k: share((rows == k) & (columns == k), rows == k) for k in classes},
        producers={k: share((rows == k) & (columns == k), columns == k) for k in classes},
        share={k: share(columns == k, every) for k in classes},
    )


def wilson(mean: ArrayLike, count: ArrayLike) -> tuple[Floats, Floats]:
    """Return Wilson's 95 % limits of a proportion (Wilson 1927, doi 10.2307/2276774).

    Parameters
    ----------
    mean : array_like of float
        The proportion, 0..1.
    count : array_like of float
        Cells that it is worth; 0: the limits are 0 and 1; infinite: they are the proportion.

    Returns
    -------
    low, high : numpy.ndarray of float64
        The limits.
    """
    p, n = np.asarray(mean, np.float64), np.asarray(count, np.float64)
    with np.errstate(divide="ignore"):
        inverse = np.where(n > 0, 1 / n, 1e12)
    scale = 1 + Z**2 * inverse
    centre = (p + Z**2 * inverse / 2) / scale
    half = Z * np.sqrt(p * (1 - p) * inverse + (Z * inverse / 2) ** 2) / scale
    # At 0 and 1 rounding would leave the proportion itself out.
    return np.clip(centre - half, 0, p), np.clip(centre + half, p, 1)


def _of_strata(
    means: Means, function: Callable[[Floats], float], error: float, most: float
) -> Estimate:
    """Move one stratum's mean at a time to its limits, and add up the squares of the shifts."""
    value = function(means.mean)
    if np.isnan(value):
        return Estimate(np.nan, np.nan, np.nan, np.nan)
    down, up = 0.0, 0.0
    for index in np.flatnonzero(means.covered):
        moved = []
        for limit in (means.low[index], means.high[index]):
            mean = means.mean.copy()
            mean[index] = limit
            moved.append(float(np.nan_to_num(function(mean) - value)))
        down += min(*moved, 0.0) ** 2
        up += max(*moved, 0.0) ** 2
    low, high = value - float(np.sqrt(down)), value + float(np.sqrt(up))
    return Estimate(value, error, max(low, 0.0), min(high, max(most, value)))


def _moments(
    strata: Strata, group: NDArray[np.int64], values: Floats
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Cells with a value, their mean and its variance; 0 where fewer than two have a value."""

    def total(of: Floats) -> Floats:
        return np.bincount(group, of, minlength=len(strata.names)).astype(np.float64)

    count = total(np.ones(len(values)))
    mean = total(values) / np.maximum(count, 1)
    squares = total((values - mean[group]) ** 2)
    left = 1 - count / np.maximum(strata.cells, 1)
    spread: Floats = squares / np.maximum(count - 1, 1) / np.maximum(count, 1) * left
    # What rounding leaves of equal values is no variance.
    return count.astype(np.int64), mean, np.where(spread > 1e-24, spread, 0.0)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
