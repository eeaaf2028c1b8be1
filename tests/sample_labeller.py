"""Somebody who labels a sample: fills in the columns of its GeoPackage as QGIS does."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd


def write_labels(path: Path, labels: Mapping[int, str], **columns: Mapping[int, Any]) -> None:
    """Fill in labels as QGIS does: in the columns of the layer, by cell."""
    change(path, "UPDATE sample SET label = ? WHERE cell = ?", [(v, k) for k, v in labels.items()])
    for name, values in columns.items():
        rows = [(value, cell) for cell, value in values.items()]
        change(path, f"UPDATE sample SET {name} = ? WHERE cell = ?", rows)


def change(path: Path, statement: str, rows: Any = ((),)) -> None:
    """Run a statement of SQL on a GeoPackage, once a row."""
    with closing(sqlite3.connect(path)) as base, base:
        # GDAL's triggers call functions that SQLite alone does not know.
        for (name,) in base.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'rtree%'"
        ).fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.executemany(statement, rows)


def label_all(path: Path, mine: pd.Series, share: pd.Series | None = None) -> None:
    """Label every cell of a file by the truth."""
    with closing(sqlite3.connect(path)) as base:
        cells = [row[0] for row in base.execute("SELECT cell FROM sample")]
    labels = {cell: "mine" if mine[cell] else "no mine" for cell in cells}
    shares = {} if share is None else {"share": {c: float(share[c]) for c in cells if mine[c]}}
    dates = dict.fromkeys(cells, "2022-01-15")
    write_labels(path, labels, date=dates, **shares)
