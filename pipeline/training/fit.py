"""What the models of one table share: fits, each made once, and what tells how sure they are."""

from __future__ import annotations

import io
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.corruption_detector import fit_corruption_detector
from models.gram import chunks_of
from models.training_rows import TrainingRows
from models.uncertainty import Uncertainty, fit_uncertainty
from pipeline.training.dataset import TrainingTable
from pipeline.training.validation import validate_table
from pipeline.training.validation_plot import draw_validation


class Fits:
    """What the models of one table are made of, each part when it is first asked for.

    Parameters
    ----------
    table : TrainingTable
        Features, labels, folds and regions.
    seed : int
        Of the classifiers and the bootstrap.
    mark : str
        Written across the picture; empty for none.
    """

    def __init__(self, table: TrainingTable, seed: int, mark: str = "") -> None:
        self._table, self._seed, self._mark = table, seed, mark

    @cached_property
    def rows(self) -> TrainingRows:
        """The table's rows, and the classifiers that are fitted to them."""
        table = self._table
        return TrainingRows(
            table.features,
            table.label,
            table.fold,
            table.regions,
            table.weight,
            table.places,
            self._seed,
            table.quarters,
        )

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """What tells how sure a model of this table is, whatever its kind."""
        pairs = self._table.corruption_pairs and self._table.corruption_pairs()
        return fit_uncertainty(self.rows, fit_corruption_detector(pairs) if pairs else None)

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """By how much the score of each row depends on single regions."""
        parts = [self.uncertainty.spread(part) for _, part in chunks_of(self._table.features)]
        return np.concatenate(parts)

    @cached_property
    def validation(self) -> list[dict[str, Any]]:
        """What each way of holding out says of the ridge."""
        return validate_table(self._table, self.rows.ridge.penalty, self._seed)

    @cached_property
    def picture(self) -> bytes:
        """The picture of the validation, PNG."""
        target = io.BytesIO()
        draw_validation(self.validation, target, self._mark)
        return target.getvalue()
