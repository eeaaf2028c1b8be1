"""Data that ships with the program."""

from __future__ import annotations

from pathlib import Path

_PIPELINE = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Return the folder of packaged data: ``pipeline/data`` of a wheel, else the checkout's."""
    packaged = _PIPELINE / "data"
    return packaged if packaged.is_dir() else _PIPELINE.parent / "data"
