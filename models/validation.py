"""How good a table's ridge is where it has not been, for each way of holding rows out.

Neighbouring rows look alike, so that the same model looks better or worse by what was held out: one
line for each way makes the difference plain. The ridge is fitted again without the held-out rows
each time; its scores become probabilities and label sets by a curve and thresholds that are taken
from the other folds' scores, so that no row judges what was fitted to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from models.calibration import calibrate
from models.errors import TrainingError
from models.folds import Split, splits
from models.label_sets import fit_label_sets, set_figures
from models.refit import Refits
from models.scores import FALSE_SHARES, score, score_probabilities
from models.statement import Statement
from models.validation_words import CROSS_FITTED

# With fewer mines, or fewer others, a figure would be chance.
FEWEST = 10
# Shares of the mines found, at which precision is given.
RECALLS = tuple(round(0.1 * step, 1) for step in range(1, 11))
# Where classes of size begin: mined hectares of a cell (which has about 30), and workers.
HECTARES, WORKERS = (0.0, 1.0, 5.0), (0.0, 20.0, 50.0, 200.0)
_CROSS_FITTED = Statement(CROSS_FITTED, ({"code": "cross_fitted"},))
# Rows of too few of a class, by code.
_FEW = {
    "few_to_judge": "of the rows to judge",
    "few_to_fit": "of the rows to fit on",
    "few_outside": "outside one of the folds",
}


@dataclass(frozen=True)
class HoldOut:
    """A way of holding rows out.

    Parameters
    ----------
    name : Statement
        What is held out, in a few words.
    how : Statement
        How rows came into folds.
    folds : numpy.ndarray of int16, shape (n,), or None
        Fold of each row; -1: always fitted on, never judged. None: it cannot be done.
    buffer_km : float
        Rows so near to one that is held out are not fitted on either.
    why_not : Statement
        Why it cannot be done.
    """

    name: Statement
    how: Statement
    folds: NDArray[np.int16] | None = None
    buffer_km: float = 0.0
    why_not: Statement = field(default_factory=Statement)


@dataclass(frozen=True)
class Sizes:
    """How large mines are, where rows know it.

    Parameters
    ----------
    unit : str
        What is counted, such as ``hectares`` or ``workers``.
    values : numpy.ndarray of float64, shape (n,)
        NaN where it is not known.
    breaks : sequence of float
        Where classes begin, the smallest first.
    """

    unit: str
    values: NDArray[np.float64]
    breaks: Sequence[float]


def validate(
    refits: Refits,
    labels: NDArray[np.int8],
    ways: Sequence[HoldOut],
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    sizes: Sequence[Sizes] = (),
) -> list[dict[str, Any]]:
    """Judge a ridge by each way of holding out.

    Parameters
    ----------
    refits : Refits
        Of the table.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    ways : sequence of HoldOut
        What to hold out.
    lon, lat : numpy.ndarray of float64, shape (n,)
        Degrees; NaN where a row has no place.
    sizes : sequence of Sizes
        Recall is given for each class of each.

    Returns
    -------
    list of dict
        One row a way: ``name``, ``how``, and either ``left_out`` (why there are no figures), all as
        ``Statement.record`` gives them, or those of ``scores.score_probabilities``, ``folds``,
        ``ece`` (expected calibration error: mean distance between probability and share of mines
        over the ten parts of ``reliability``), ``sets`` (as ``label_sets.set_figures``),
        ``precision_by_recall`` and ``sizes`` (``unit``, ``from``, ``mines``, ``found``: with the
        threshold above which 5 % of the negatives of the other folds lie).
    """
    rows = []
    for way in ways:
        try:
            row = (way.how + _CROSS_FITTED).record("how")
            row |= _figures(refits, labels, way, lon, lat, sizes)
        except TrainingError as error:
            row = way.how.record("how") | error.statement.record("left_out")
        rows.append(way.name.record("name") | row)
    return rows


def _figures(
    refits: Refits,
    labels: NDArray[np.int8],
    way: HoldOut,
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    sizes: Sequence[Sizes],
) -> dict[str, Any]:
    if way.folds is None:
        raise TrainingError(way.why_not.text, *way.why_not.codes)
    judged = way.folds >= 0
    _both(labels[judged], "few_to_judge")
    parts = list(splits(way.folds, lon, lat, way.buffer_km))
    if len(parts) < 2:
        raise TrainingError("all rows to judge lie in one part", {"code": "one_part"})
    for part in parts:
        # Before anything is fitted: what fails late has cost the most.
        _both(labels[part.train], "few_to_fit")
        _both(labels[judged & ~part.test], "few_outside")
    scores = np.full(len(labels), np.nan)
    for part in parts:
        scores[part.test] = refits.scores(part.train, part.test)
    probabilities, sets, called = _cross_fitted(labels, scores, parts)
    label = labels[judged]
    found = score_probabilities(label, probabilities[judged])
    # The ranking is the scores' own: the folds' curves differ a little.
    found |= score(label, scores[judged])
    return (
        {"folds": len(parts)}
        | found
        | {
            "ece": calibration_error(found["reliability"]),
            "sets": set_figures(label, sets[judged]),
            "precision_by_recall": _precision_by_recall(label, scores[judged]),
            "sizes": [
                row for size in sizes for row in _by_size(size, judged & (labels == 1), called)
            ],
        }
    )


def _cross_fitted(
    labels: NDArray[np.int8], scores: NDArray[np.float64], parts: Sequence[Split]
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.bool_]]:
    """Probability, label set and call of each row, by what the other folds' scores say."""
    judged = np.isfinite(scores)
    probabilities = np.full(len(labels), np.nan)
    sets = np.full(len(labels), "", "<U7")
    called = np.zeros(len(labels), bool)
    for part in parts:
        others, test = judged & ~part.test, part.test
        probabilities[test] = calibrate(labels[others], scores[others]).apply(scores[test])
        sets[test] = fit_label_sets(labels[others], scores[others]).name(scores[test])
        negatives = scores[others & (labels == 0)]
        called[test] = scores[test] > np.quantile(negatives, 1 - FALSE_SHARES["possible"])
    return probabilities, sets, called


def _both(labels: NDArray[np.int8], code: str) -> None:
    mines = int(labels.sum())
    others = len(labels) - mines
    if min(mines, others) < FEWEST:
        raise TrainingError(
            f"{_FEW[code]} {mines} are mines and {others} are not: too few",
            {"code": code, "mines": mines, "others": others},
        )


def calibration_error(reliability: Sequence[Sequence[float]]) -> float:
    """Return the expected calibration error (Naeini et al. 2015), in parts of equal size.

    Parameters
    ----------
    reliability : sequence of (float, float, int)
        Mean probability, share of mines and rows of each part.

    Returns
    -------
    float
        Mean distance of the first two over all rows.
    """
    rows = np.array(reliability, float)
    return round(float(np.average(np.abs(rows[:, 0] - rows[:, 1]), weights=rows[:, 2])), 4)


def _precision_by_recall(
    labels: NDArray[np.int8], scores: NDArray[np.float64]
) -> list[list[float]]:
    """Precision where each of ``RECALLS`` is first reached."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    # Recall falls along the curve; the last point is no threshold.
    at = [int(np.flatnonzero(recall[:-1] >= wanted)[-1]) for wanted in RECALLS]
    return [[wanted, round(float(precision[index]), 4)]
            for wanted, index in zip(RECALLS, at, strict=True)]  # fmt: skip


def _by_size(
    size: Sizes, mines: NDArray[np.bool_], called: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    known = mines & np.isfinite(size.values)
    which = np.digitize(size.values, size.breaks) - 1
    return [
        {
            "unit": size.unit,
            "from": begin,
            "mines": int((known & (which == place)).sum()),
            "found": int((known & (which == place) & called).sum()),
        }
        for place, begin in enumerate(size.breaks)
        if (known & (which == place)).any()
    ]
