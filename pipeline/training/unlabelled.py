"""What training does with rows that nobody has labelled: prior, calibration, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration, calibrate
from models.manifest import Unlabelled
from models.pu import calibrate_unlabelled, estimate_prior, thresholds_unlabelled, true_share
from models.scores import thresholds
from models.sensitivity import sensitivity
from models.sphere import PointIndex
from pipeline.geo import grid
from pipeline.training.dataset import TrainingTable

# Visitors go from place to place: the mean distance to so many others says how remote one is.
NEIGHBOURS = 3


def judge(
    table: TrainingTable, scores: NDArray[np.float64], prior: float
) -> tuple[Calibration, dict[str, float], Unlabelled | None]:
    """Calibrate out-of-fold scores and choose thresholds.

    Rows that somebody found to hold no mine were chosen because they look like one: where others
    are unlabelled, they take no part in the calibration.

    Parameters
    ----------
    table : TrainingTable
        Labels, and which of them are known.
    scores : numpy.ndarray of float64, shape (n,)
        Out of fold.
    prior : float
        Share of mines among unlabelled rows; 0: estimated from the scores.

    Returns
    -------
    calibration : Calibration
        From scores to the probability of a mine among the rows that it was fitted to.
    thresholds : dict
        ``possible`` and ``likely``.
    unlabelled : Unlabelled or None
        What is taken of the unlabelled rows; None if every label is known.
    """
    if not table.unlabelled.any():
        curve = calibrate(table.label, scores)
        return curve, thresholds(table.label, curve.apply(scores)), None
    mines, others = scores[table.label == 1], scores[table.unlabelled]
    how = "given" if prior else "estimated from the out-of-fold scores"
    prior = prior or round(estimate_prior(mines, others), 5)
    curve = calibrate_unlabelled(mines, others, prior)
    cuts = thresholds_unlabelled(curve.apply(mines), curve.apply(others), prior)
    share = round(true_share(len(mines), len(others), prior), 5)
    return curve, cuts, Unlabelled(len(others), prior, how, share)


def assumptions(
    table: TrainingTable, scores: NDArray[np.float64], unlabelled: Unlabelled
) -> list[dict[str, Any]]:
    """Return the table of what other assumptions would have given, for a ridge.

    Parameters
    ----------
    table : TrainingTable
        What it was trained on; some rows are unlabelled.
    scores : numpy.ndarray of float64, shape (n,)
        Its out-of-fold scores.
    unlabelled : Unlabelled
        As ``judge`` gives it.

    Returns
    -------
    list of dict
        As ``models.sensitivity.sensitivity`` gives it.
    """
    return sensitivity(
        table.features,
        table.label,
        ~table.unlabelled,
        table.fold,
        table.weight,
        scores,
        unlabelled.prior,
        remoteness(table),
        table.quarters,
    )


def remoteness(table: TrainingTable) -> NDArray[np.float64]:
    """Return each mine's mean distance to the nearest other mines of the table.

    Parameters
    ----------
    table : TrainingTable
        With cells of the grid.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Kilometres; 0 for rows that are no mines.
    """
    result = np.zeros(len(table.label))
    mines = np.flatnonzero((table.label == 1) & (table.cell >= 0))
    lon, lat = grid.cell_centres(table.cell[mines])
    if len(mines) > 1:
        # The first of the nearest is the mine itself.
        away = PointIndex(lon, lat).k_nearest(lon, lat, NEIGHBOURS + 1)[1][:, 1:]
        result[mines] = away.mean(axis=1)
    return result


def describe_sensitivity(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table in one line: how far each figure moves.

    Parameters
    ----------
    rows : sequence of dict
        The table.

    Returns
    -------
    str
        The line.
    """
    # How much weight mines get is a choice of the fit, not something that nobody can know.
    rows = [row for row in rows if row["assumption"] != "positive share"]
    span = {name: [row[name] for row in rows] for name in ("auc", "spearman", "likely")}
    prior = [row["value"] for row in rows if row["assumption"] in ("as trained", "prior")]
    return (
        f"if {min(prior):.2%} to {max(prior):.2%} of the unlabelled cells were mines, or remote "
        f"mines up to four times less visited: AUC {min(span['auc']):.3f} to "
        f"{max(span['auc']):.3f}, rank correlation at least {min(span['spearman']):.3f}, called "
        f"likely {min(span['likely']):.1%} to {max(span['likely']):.1%} (sensitivity.csv)"
    )
