"""What can be wrong with a model or with what it is asked to do."""

from __future__ import annotations


class ModelError(ValueError):
    """A model's files are damaged, or hold what they must not."""


class ModelNotFoundError(ModelError):
    """No model of that name is registered."""


class TrainingError(ModelError):
    """The training table cannot give a model: too few rows, one class only, too few folds."""
