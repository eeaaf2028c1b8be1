"""Fit the parts of models to one table, each once: ridge, forest, and what tells how sure they are.

Every part is scored out of fold twice: by the spatial folds, and by the table's regions, which lie
as far apart as the places that the model will be asked about.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import calibrate
from models.errors import TrainingError
from models.forest import fit_forest, forest_out_of_fold
from models.gram import chunks_of
from models.misreading import fit_misreading
from models.ridge import RidgeFit, fit_ridge
from models.scorer import PARTS, Scorer, fit_shares, mean_logit
from models.uncertainty import Doubt, fit_doubt
from pipeline.training.dataset import TrainingTable
from pipeline.training.validation import validate_table
from pipeline.training.validation_plot import draw_validation


@dataclass(frozen=True)
class Fitted:
    """A scorer with its out-of-fold scores.

    Parameters
    ----------
    scorer : Scorer
        Fitted to all rows.
    scores, apart : numpy.ndarray of float64, shape (n,)
        Out-of-fold scores by the spatial folds, and by the regions.
    """

    scorer: Scorer
    scores: NDArray[np.float64]
    apart: NDArray[np.float64]


class Fits:
    """The parts of the models of one table, each fitted when it is first asked for.

    Parameters
    ----------
    table : TrainingTable
        Features, labels, folds and regions.
    seed : int
        Of the forest and the bootstrap.
    """

    def __init__(self, table: TrainingTable, seed: int) -> None:
        self._table, self._seed = table, seed
        self._pictures: dict[str, bytes] = {}
        self._same = np.array_equal(table.fold, table.regions)

    @cached_property
    def ridge(self) -> RidgeFit:
        """Ridge with the influence of every place."""
        table = self._table
        return fit_ridge(
            table.features,
            table.label,
            table.fold,
            table.weight,
            quarters=table.quarters,
            places=table.places,
        )

    @cached_property
    def doubt(self) -> Doubt:
        """What tells how sure a model of this table is, whatever its kind."""
        influence = self.ridge.influence
        if influence is None:
            raise TrainingError("no place of the training rows is known")
        table = self._table
        pairs = None if table.misread is None else table.misread()
        misreading = None if pairs is None else fit_misreading(pairs)
        return fit_doubt(
            table.features,
            influence,
            table.places,
            table.regions,
            table.label,
            self._seed,
            misreading,
        )

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """By how much the score of each row hangs on single regions."""
        parts = [self.doubt.spread(part) for _, part in chunks_of(self._table.features)]
        return np.concatenate(parts)

    @cached_property
    def validation(self) -> list[dict[str, Any]]:
        """What each way of holding out says of the ridge."""
        return validate_table(self._table, self.ridge.penalty, self._seed)

    def picture(self, mark: str) -> bytes:
        """Return the picture of the validation, PNG, drawn once.

        Parameters
        ----------
        mark : str
            Written across it; empty for none.

        Returns
        -------
        bytes
            As ``draw_validation`` draws it.
        """
        if mark not in self._pictures:
            target = io.BytesIO()
            draw_validation(self.validation, target, mark)
            self._pictures[mark] = target.getvalue()
        return self._pictures[mark]

    def of(self, kind: str) -> Fitted:
        """Return the scorer of a kind of model.

        Parameters
        ----------
        kind : str
            ``ridge``, ``forest`` or ``mean``.

        Returns
        -------
        Fitted
            With its out-of-fold scores.
        """
        parts = {part: getattr(self, f"_{part}") for part in PARTS[kind]}
        weights = {part: found[0] for part, found in parts.items()}
        near = {part: found[1] for part, found in parts.items()}
        apart = {part: found[2] for part, found in parts.items()}
        if len(parts) == 1:
            return Fitted(Scorer(weights, {}, {}), near[kind], apart[kind])
        label = self._table.label
        curves = {part: calibrate(label, scores) for part, scores in apart.items()}
        shares = fit_shares(label, apart, curves, self._table.weight)
        return Fitted(
            Scorer(weights, curves, shares),
            mean_logit(near, curves, shares),
            mean_logit(apart, curves, shares),
        )

    @cached_property
    def _ridge(self) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
        table, fit = self._table, self.ridge
        return fit.model, fit.out_of_fold, self._apart(
            fit.out_of_fold,
            lambda: fit_ridge(
                table.features, table.label, table.regions, table.weight, quarters=table.quarters
            ).out_of_fold,
        )  # fmt: skip

    @cached_property
    def _forest(self) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
        table = self._table
        features = np.asarray(table.features)
        quarters = None if table.quarters is None else np.asarray(table.quarters)
        rest = table.weight, self._seed, quarters, table.places
        forest, scores = fit_forest(features, table.label, table.fold, *rest)
        return forest, scores, self._apart(
            scores, lambda: forest_out_of_fold(features, table.label, table.regions, *rest)
        )  # fmt: skip

    def _apart(
        self, near: NDArray[np.float64], fit: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        return near if self._same else fit()
