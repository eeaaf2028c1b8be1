"""Benchmarks that need no peer to be installed still run: on tables small enough for a second."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a benchmark as its own command does, with other sizes."""

    def with_sizes(name: str, **sizes: int) -> Any:
        monkeypatch.syspath_prepend(HOME)
        module = importlib.import_module(name)
        for size, value in sizes.items():
            monkeypatch.setattr(module, size, value)
        return module

    return with_sizes


def test_predictions(load: Any) -> None:
    said: list[str] = []
    module = load("predicting", ROWS=400, COLUMNS=16, TRAINED=150, PLACES=10)
    rows = module.rows(1, said.append)
    assert len(rows) == 3 and said
    for row in rows:
        assert row["title"].startswith("400 rows, 16 columns")
        assert len(row["cpu_seconds"]) == len(row["peak_mib"]) == 2


def test_penalties(load: Any) -> None:
    row = load("penalties", ROWS=200, COLUMNS=16).row(1, lambda _: None)
    assert row["same_penalty"]
    assert set(row["chosen"]) == set(row["cpu_seconds"])
