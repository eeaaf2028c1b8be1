"""What can be wrong with a model or with what it is asked to do."""

from __future__ import annotations

from models.statement import Code, Statement


class ModelError(ValueError):
    """A model's files are damaged, or hold what they must not."""


class ModelNotFoundError(ModelError):
    """No model of that name is registered."""


class TrainingError(ModelError):
    """The training table cannot give a model: too few rows, one class only, too few folds.

    Parameters
    ----------
    text : str
        Why.
    code : dict, optional
        The same as a file records it; see :mod:`models.statement`.
    """

    def __init__(self, text: str, code: Code | None = None) -> None:
        super().__init__(text)
        self.statement = Statement(text, (code,) if code else ())
