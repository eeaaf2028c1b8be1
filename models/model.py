"""A model in memory, and what it says of rows of features."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank, check_same_bank
from models.calibration import Calibration
from models.errors import ModelError
from models.gram import ROWS_AT_ONCE
from models.label_sets import LabelSets
from models.scorer import Scorer
from models.uncertainty import Doubt, dispute, score_interval


@dataclass(frozen=True)
class Predictions:
    """What a model says of rows.

    Parameters
    ----------
    probability : numpy.ndarray of float32, shape (n,)
        0..1, calibrated; NaN where a row was not observed, and so are all below.
    low, high : numpy.ndarray of float32, shape (n,)
        Nine in ten bootstrap draws of the training places say something between these.
    labels : numpy.ndarray of str, shape (n,)
        ``mine``, ``not``, ``both`` or ``neither``: holds the true label nine times in ten; empty
        where a row was not observed.
    dissimilarity, dispute : numpy.ndarray of float32, shape (n,)
        How unlike the training rows it is, and how much the score hangs on single regions of the
        training ground; both 1 at the threshold of the model.
    """

    probability: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    labels: NDArray[np.str_]
    dissimilarity: NDArray[np.float32]
    dispute: NDArray[np.float32]

    @property
    def unlike(self) -> NDArray[np.bool_]:
        """Whether a row is unlike anything that the model was trained on."""
        return self.dissimilarity > 1

    @property
    def applicable(self) -> NDArray[np.bool_]:
        """Whether the model may be asked: neither unlike its training rows nor disputed."""
        return (self.dissimilarity <= 1) & (self.dispute <= 1)


@dataclass(frozen=True)
class Model:
    """A registered model, loaded.

    Parameters
    ----------
    manifest : dict
        What it is, from what it was trained, how it scored.
    bank : FilterBank
        Filters of its features.
    scorer : Scorer
        What scores features.
    doubt : Doubt
        What tells how sure it is.
    cells : numpy.ndarray of int64
        Cells that it was trained on, where their place is exact.
    """

    manifest: dict[str, Any]
    bank: FilterBank
    scorer: Scorer
    doubt: Doubt
    cells: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Name in the registry."""
        return str(self.manifest["id"])

    @property
    def context(self) -> int:
        """Side, in cells, of the square whose mean features it takes beside a cell's own."""
        return int(self.manifest.get("context", 1))

    @property
    def quarters(self) -> bool:
        """Whether a cell's score is that of the strongest of its four quarters."""
        return bool(self.manifest.get("quarters", False))

    @property
    def sha256(self) -> str:
        """Of the manifest without its date, which names every other file by its own."""
        dated = {key: value for key, value in self.manifest.items() if key != "created"}
        return hashlib.sha256(json.dumps(dated, sort_keys=True).encode()).hexdigest()

    def predict(
        self,
        features: NDArray[np.float32],
        bank_hash: str,
        quarters: NDArray[np.float32] | None = None,
        prevalence: float | None = None,
    ) -> Predictions:
        """Say how probable mining is for rows of features, and how sure that is.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            NaN rows are unobserved.
        bank_hash : str
            Of the bank that the features were computed with.
        quarters : numpy.ndarray of float32, shape (n, 4, columns), optional
            Where given, the score is that of the strongest quarter; NaN where one was not observed.
        prevalence : float, optional
            Share of mines where the rows are from; default: as among the training rows.

        Returns
        -------
        Predictions
            One value a row.

        Raises
        ------
        features.errors.BankMismatchError
            If the features are of another bank.
        ModelError
            If the columns are those of another context, or the prevalence is no share.
        """
        check_same_bank(self.bank.hash, bank_hash)
        columns = columns_of(self.bank, self.context)
        if features.shape[-1] != columns:
            raise ModelError(
                f"the model {self.name} takes {columns} columns (context {self.context}), "
                f"not {features.shape[-1]}"
            )
        if prevalence is not None and not 0 < prevalence < 1:
            raise ModelError(f"a prevalence lies between 0 and 1, not at {prevalence}")
        strongest = self.strongest(features, quarters)
        seen = np.isfinite(strongest).all(axis=1) & np.isfinite(features).all(axis=1)
        numbers = np.full((5, len(features)), np.nan, np.float32)
        labels = np.full(len(features), "", "<U7")
        # Some at a time, as memory for replicates and neighbours grows with the rows.
        for rows in np.array_split(np.flatnonzero(seen), -(-seen.sum() // ROWS_AT_ONCE) or 1):
            if len(rows):
                numbers[:, rows], labels[rows] = self._judge(
                    features[rows], strongest[rows], prevalence
                )
        probability, low, high, dissimilarity, dispute = numbers
        return Predictions(probability, low, high, labels, dissimilarity, dispute)

    def _judge(
        self,
        features: NDArray[np.float32],
        strongest: NDArray[np.float32],
        prevalence: float | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
        scores = self.scorer.score(strongest)
        interval = score_interval(scores, self.scorer.replicates(strongest, self.doubt))
        curve = Calibration(**self.manifest["calibration"])
        spread = self.doubt.spread(features)
        disputes = dispute(spread, curve.logit(scores, prevalence))
        numbers = [
            *(curve.apply(values, prevalence) for values in (scores, *interval)),
            self.doubt.unlike(features).astype(float),
            disputes / float(self.manifest["most_disputed"]),
        ]
        sets = LabelSets(**self.manifest["label_sets"]).name(scores)
        return np.array(numbers, np.float32), sets

    def strongest(
        self, features: NDArray[np.float32], quarters: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the features that a cell is scored by.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Of whole cells.
        quarters : numpy.ndarray of float32, shape (n, 4, columns), or None
            Of their quarters.

        Returns
        -------
        numpy.ndarray of float32, shape (n, columns)
            Those of the cell's strongest quarter, NaN where none was observed; without quarters
            its own.
        """
        if quarters is None:
            return features
        flat = quarters.reshape(-1, quarters.shape[-1])
        scores = np.full(len(flat), -np.inf)
        rows = np.isfinite(flat).all(axis=1)
        if rows.any():
            scores[rows] = self.scorer.score(flat[rows])
        best = scores.reshape(len(quarters), -1).argmax(axis=1)
        found: NDArray[np.float32] = quarters[np.arange(len(quarters)), best]
        return found


def columns_of(bank: FilterBank, context: int) -> int:
    """Return the columns that a model takes: the bank's, and again the mean of those around."""
    return bank.columns * (1 if context == 1 else 2)
