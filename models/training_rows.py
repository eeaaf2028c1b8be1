"""Rows that a classifier learns from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.gram import Features, whole
from models.ridge_fit import RidgeFit, fit_ridge


@dataclass(frozen=True)
class TrainingRows:
    """Rows to learn from; each kind of classifier is fitted to them once.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or Chunked
        Finite.
    labels : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    folds, regions : numpy.ndarray of int16, shape (n,)
        Spatial folds, and folds as wide apart as the places that the model will be asked about.
    weights : numpy.ndarray of float64, shape (n,)
        Positive; what each row counts for.
    places : numpy.ndarray of int, shape (n,)
        Place of each row, counted from 0; a place lies in one fold.
    seed : int
        Of whatever is random in a fit.
    quarters : numpy.ndarray of float32, shape (n, 4 * columns), or Chunked, optional
        Of the four quarters of each row's cell, side by side, NaN for one that was not observed.
        Where given, the out-of-fold score of a row is that of its strongest quarter.
    """

    features: Features
    labels: NDArray[np.int8]
    folds: NDArray[np.int16]
    regions: NDArray[np.int16]
    weights: NDArray[np.float64]
    places: NDArray[np.intp]
    seed: int
    quarters: Features | None = None
    # What ``Classifier.learned`` has fitted, by class.
    fitted: dict[type, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def table(self) -> NDArray[np.float32]:
        """All features in memory, for a classifier that cannot read some rows at a time."""
        return whole(self.features)

    @cached_property
    def folds_are_regions(self) -> bool:
        """Whether the two ways of holding rows out are one."""
        return np.array_equal(self.folds, self.regions)

    @cached_property
    def ridge(self) -> RidgeFit:
        """The ridge with the influence of every place: whatever the kind, intervals need it."""
        return fit_ridge(
            self.features,
            self.labels,
            self.folds,
            self.weights,
            quarters=self.quarters,
            places=self.places,
        )

    def in_memory(self) -> TrainingRows:
        """Return the same rows with features and quarters in memory; what is there already stays.

        Returns
        -------
        TrainingRows
            With arrays.
        """
        quarters = None if self.quarters is None else whole(self.quarters)
        return replace(self, features=self.table, quarters=quarters)

    def select(self, chosen: NDArray[np.bool_]) -> TrainingRows:
        """Return some of the rows, to fit to: without their quarters, which only scores need.

        Parameters
        ----------
        chosen : numpy.ndarray of bool, shape (n,)
            Which.

        Returns
        -------
        TrainingRows
            Those, in their order.
        """
        return TrainingRows(
            self.table[chosen],
            self.labels[chosen],
            self.folds[chosen],
            self.regions[chosen],
            self.weights[chosen],
            self.places[chosen],
            self.seed,
        )
