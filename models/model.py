"""A model in memory, and what it says of rows of features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank, check_same_bank
from models.classifier import Classifier
from models.errors import ModelError
from models.gram import ROWS_AT_ONCE
from models.manifest import Manifest
from models.transform import part_scores
from models.uncertainty import Uncertainty, dispute, score_interval


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
        How unlike the training rows it is, and how much the score depends on single regions of the
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
    manifest : Manifest
        What it is, from what it was trained, how it scored.
    bank : FilterBank
        Filters of its features.
    classifier : Classifier
        What scores features.
    uncertainty : Uncertainty
        What tells how sure it is.
    cells : numpy.ndarray of int64
        Cells that it was trained on, where their place is exact.
    """

    manifest: Manifest
    bank: FilterBank
    classifier: Classifier
    uncertainty: Uncertainty
    cells: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Name in the registry."""
        return self.manifest.name

    @property
    def sha256(self) -> str:
        """Of the manifest without its date, which names every other file by its own."""
        return self.manifest.sha256

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
            If the columns are those of another neighbourhood, or the prevalence is no share.
        """
        check_same_bank(self.bank.hash, bank_hash)
        around = self.manifest.neighbourhood
        if features.shape[-1] != (columns := columns_of(self.bank, around)):
            raise ModelError(
                f"the model {self.name} takes {columns} columns (context {around}), "
                f"not {features.shape[-1]}"
            )
        if prevalence is not None and not 0 < prevalence < 1:
            raise ModelError(f"a prevalence lies between 0 and 1, not at {prevalence}")
        strongest, seen = self.strongest(features, quarters)
        numbers = np.full((5, len(features)), np.nan, np.float32)
        labels = np.full(len(features), "", "<U7")
        for rows in portions(seen):
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
        curve, uncertainty = self.manifest.calibration, self.uncertainty
        scores = self.classifier.scores(strongest)
        interval = score_interval(
            scores, self.classifier.replicates(strongest, uncertainty.replicates)
        )
        disputes = dispute(uncertainty.spread(features), curve.logit(scores, prevalence))
        numbers = [
            *(curve.apply(values, prevalence) for values in (scores, *interval)),
            uncertainty.dissimilarity(features).astype(float),
            disputes / self.manifest.most_disputed,
        ]
        return np.array(numbers, np.float32), self.manifest.label_sets.name(scores)

    def strongest(
        self, features: NDArray[np.float32], quarters: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the features that a cell is scored by.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Of whole cells.
        quarters : numpy.ndarray of float32, shape (n, 4, columns), or None
            Of their quarters.

        Returns
        -------
        features : numpy.ndarray of float32, shape (n, columns)
            Those of the cell's strongest quarter, NaN where none was observed; without quarters
            its own.
        seen : numpy.ndarray of bool, shape (n,)
            Whether the cell and one of its quarters were observed.
        """
        found = features
        if quarters is not None:
            scores = part_scores(self.classifier.scores, quarters, features.shape[1])
            found = quarters[np.arange(len(quarters)), scores.argmax(axis=1)]
        seen = np.isfinite(found).all(axis=1) & np.isfinite(features).all(axis=1)
        return found, np.asarray(seen)


def columns_of(bank: FilterBank, neighbourhood: int) -> int:
    """Return the columns that a model takes: the bank's, and again the mean of those around."""
    return bank.columns * (1 if neighbourhood == 1 else 2)


def portions(seen: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Yield rows some at a time, as memory for replicates and neighbours grows with them.

    Parameters
    ----------
    seen : numpy.ndarray of bool, shape (n,)
        Which rows are wanted.

    Yields
    ------
    numpy.ndarray of int
        Numbers of some of them, in order; never none.
    """
    rows = np.flatnonzero(seen)
    if len(rows):
        yield from np.array_split(rows, -(-len(rows) // ROWS_AT_ONCE))
