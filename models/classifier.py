"""What turns features into a score: the base of every kind of classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.classifiers import CLASSIFIERS
from models.errors import TrainingError
from models.gram import whole
from models.manifest import Manifest
from models.ridge_fit import RidgeInfluence
from models.training_rows import TrainingRows
from models.transform import part_scores, strongest_part

Kind = TypeVar("Kind", bound="Classifier", covariant=True)


@dataclass(frozen=True)
class Fitted(Generic[Kind]):
    """A classifier with its out-of-fold scores.

    Parameters
    ----------
    classifier : Classifier
        Fitted to all rows.
    scores, apart : numpy.ndarray of float64, shape (n,)
        Out-of-fold scores by the spatial folds, and by the regions.
    """

    classifier: Kind
    scores: NDArray[np.float64]
    apart: NDArray[np.float64]


class Classifier(ABC):
    """A fitted classifier; each kind is a subclass and a line of ``classifiers.CLASSIFIERS``.

    Attributes
    ----------
    files : tuple of str
        Names of its files in a model's folder, which no other kind uses.
    handicap : float
        Taken off its AUC when the models of one training are compared: what it loses against the
        ridge where whole regions are held out, and nearby folds do not show it.
    """

    files: ClassVar[tuple[str, ...]]
    handicap: ClassVar[float] = 0.0

    @classmethod
    @abstractmethod
    def fit(cls, rows: TrainingRows) -> Self:
        """Fit to all rows; features are those of ``rows.table``."""

    @abstractmethod
    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows of features.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            Higher for a mine; any scale.
        """

    @abstractmethod
    def replicates(
        self, features: NDArray[np.float32], influence: RidgeInfluence
    ) -> NDArray[np.float64]:
        """Score rows as each bootstrap draw of the training places would have it.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.
        influence : RidgeInfluence
            What each draw adds to the ridge's score.

        Returns
        -------
        numpy.ndarray of float64, shape (n, replicates)
            Scores, on the scale of ``scores``.
        """

    @abstractmethod
    def store(self) -> dict[str, bytes]:
        """Return the contents of its ``files``, by name; no pickles."""

    @classmethod
    @abstractmethod
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> Self:
        """Make it from what was stored, and refuse what cannot be it.

        Parameters
        ----------
        files : mapping of str to bytes
            By name: those of ``files``, and others of the model's.
        manifest : Manifest
            The model's.

        Returns
        -------
        Classifier
            The same as was stored.

        Raises
        ------
        Exception
            Of any kind, if a file is damaged or hostile.
        """

    def facts(self) -> dict[str, Any]:
        """Return what the manifest keeps of it: fields of ``models.manifest.Manifest``."""
        return {}

    @property
    @abstractmethod
    def columns(self) -> int:
        """Columns of features that it takes."""

    @classmethod
    def learned(cls, rows: TrainingRows) -> Fitted[Self]:
        """Return what ``learn`` gives for these rows, fitted when it is first asked for."""
        if cls not in rows.fitted:
            rows.fitted[cls] = cls.learn(rows)
        found: Fitted[Self] = rows.fitted[cls]
        return found

    @classmethod
    def learn(cls, rows: TrainingRows) -> Fitted[Self]:
        """Fit to all rows, and score each by what has not seen its fold or its region.

        Parameters
        ----------
        rows : TrainingRows
            What to learn from.

        Returns
        -------
        Fitted
            The classifier with its out-of-fold scores.

        Raises
        ------
        TrainingError
            If the rows outside a fold are of one class only.
        """
        rows = rows.in_memory()
        near = cls.out_of_fold(rows, rows.folds)
        apart = near if rows.folds_are_regions else cls.out_of_fold(rows, rows.regions)
        return Fitted(cls.fit(rows), near, apart)

    @classmethod
    def out_of_fold(cls, rows: TrainingRows, folds: NDArray[np.int16]) -> NDArray[np.float64]:
        """Score each row by a classifier that has not seen its fold.

        Parameters
        ----------
        rows : TrainingRows
            What to learn from.
        folds : numpy.ndarray of int16, shape (n,)
            Fold of each row.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            As ``scores`` gives them; where rows have quarters, of the strongest.

        Raises
        ------
        TrainingError
            If the rows outside a fold are of one class only.
        """
        for fold in np.unique(folds):
            if len(np.unique(rows.labels[folds != fold])) < 2:
                raise TrainingError(f"outside fold {fold} all rows are of one class")
        result = np.empty(len(folds))
        rows = rows.in_memory()
        asked = whole(rows.features if rows.quarters is None else rows.quarters)
        for fold in np.unique(folds):
            held = folds == fold
            fitted = cls.fit(rows.select(~held))
            result[held] = strongest_part(part_scores(fitted.scores, asked[held], fitted.columns))
        return result


def classifier_of(kind: str) -> type[Classifier]:
    """Return the class of a kind.

    Parameters
    ----------
    kind : str
        A key of ``CLASSIFIERS``.

    Returns
    -------
    type
        A ``models.classifier.Classifier``.
    """
    module, name = CLASSIFIERS[kind].rsplit(".", 1)
    found: type[Classifier] = getattr(import_module(module), name)
    return found
