"""The ridge as a kind of classifier; how it is fitted: ``models.ridge_fit``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import pack, unpack
from models.classifier import Classifier, Fitted
from models.errors import ModelError
from models.manifest import Manifest
from models.ridge_fit import LinearScore, RidgeInfluence, fit_ridge
from models.training_rows import TrainingRows


@dataclass(frozen=True)
class Ridge(LinearScore, Classifier):
    """A ridge as a classifier: around 0 for not a mine, around 1 for a mine."""

    files = ("weights.npz",)

    @classmethod
    def fit(cls, rows: TrainingRows) -> Ridge:
        """Fit to all rows, the average over the penalties."""
        return cls(**vars(rows.ridge.model))

    @classmethod
    def learn(cls, rows: TrainingRows) -> Fitted[Ridge]:
        """Fit to all rows and score them out of fold, all at once where the folds are regions."""
        fit = rows.ridge
        near = fit.out_of_fold
        apart = near if rows.folds_are_regions else cls.out_of_fold(rows, rows.regions)
        return Fitted(cls.fit(rows), near, apart)

    @classmethod
    def out_of_fold(cls, rows: TrainingRows, folds: NDArray[np.int16]) -> NDArray[np.float64]:
        """Score each row by the ridges that have not seen its fold."""
        fit = fit_ridge(rows.features, rows.labels, folds, rows.weights, quarters=rows.quarters)
        return fit.out_of_fold

    def replicates(
        self, features: NDArray[np.float32], influence: RidgeInfluence
    ) -> NDArray[np.float64]:
        """Score rows as each bootstrap replicate would: by the influence of the places drawn."""
        return self.scores(features)[:, None] + influence.apply(features)

    def store(self) -> dict[str, bytes]:
        """Return its two arrays."""
        arrays = pack(coefficients=self.coefficients, intercept=np.float64(self.intercept))
        return {self.files[0]: arrays}

    @classmethod
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> Ridge:
        """Make it from its two arrays."""
        arrays = unpack(files[cls.files[0]])
        ridge = cls(arrays["coefficients"], float(arrays["intercept"]))
        numbers = np.append(ridge.coefficients, ridge.intercept)
        if ridge.coefficients.ndim != 1 or not np.isfinite(numbers).all():
            raise ModelError("coefficients are finite numbers in one row, and so is the intercept")
        return ridge
