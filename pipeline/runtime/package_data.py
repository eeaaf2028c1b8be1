"""Data that ships with the program."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path


def data_folder() -> Traversable:
    """Return the folder of packaged data: of the installed package, else of the checkout."""
    try:
        return importlib.resources.files("pipeline.data")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[2] / "data"
