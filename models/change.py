"""What one model says of the same ground at two times: the difference of its scores, and how sure.

The interval of a difference comes from the replicates that both times share. What another draw of
training places would have changed, it would have changed at both times alike, and that cancels; two
intervals held side by side count it twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.bank import check_same_bank
from models.model import Model, portions
from models.uncertainty import score_interval


@dataclass(frozen=True)
class Rows:
    """Features of the same cells at one time.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        NaN rows were not observed.
    quarters : numpy.ndarray of float32, shape (n, 4, columns), or None
        Those of the cells' quarters, for a model that takes the strongest.
    """

    features: NDArray[np.float32]
    quarters: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Difference:
    """How the score of each cell has changed, in logits.

    Parameters
    ----------
    change : numpy.ndarray of float32, shape (n,)
        Second time less first; NaN where one of them was not observed, as below.
    low, high : numpy.ndarray of float32, shape (n,)
        Nine in ten bootstrap draws of the training places give a change between these.
    """

    change: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def compare_times(model: Model, first: Rows, second: Rows, bank_hash: str) -> Difference:
    """Return the change of the logit of every cell's probability.

    Parameters
    ----------
    model : Model
        Asked at both times. A prevalence would move both logits alike: it does not matter here.
    first, second : Rows
        The same cells in the same order.
    bank_hash : str
        Of the bank that both were computed with.

    Returns
    -------
    Difference
        One value a cell.

    Raises
    ------
    features.errors.BankMismatchError
        If the features are of another bank.
    """
    check_same_bank(model.bank.hash, bank_hash)
    asked, each_seen = zip(
        *(model.strongest(rows.features, rows.quarters) for rows in (first, second)), strict=True
    )
    seen = np.logical_and(*each_seen)
    numbers = np.full((3, len(seen)), np.nan, np.float32)
    replicates = model.uncertainty.replicates
    for rows in portions(seen):
        scores = [model.classifier.scores(one[rows]) for one in asked]
        drawn = [model.classifier.replicates(one[rows], replicates) for one in asked]
        change = scores[1] - scores[0]
        interval = score_interval(change, drawn[1] - drawn[0])
        numbers[:, rows] = model.manifest.calibration.slope * np.array([change, *interval])
    return Difference(*numbers)
