"""Somebody who labels a sample of the demo: fills in the form of its GeoPackage as QGIS does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.demo.folder import demo_folder
from pipeline.geo.distance import cell_area_km2
from pipeline.sites.truth import read_truth
from pipeline.workflow.context import Context

_DATE = "2022-01-15"


def label_by_truth(context: Context, path: Path) -> None:
    """Label a sample of the demo by what is truly there.

    Parameters
    ----------
    context : Context
        Of the demo.
    path : pathlib.Path
        As ``sample_region`` wrote it.
    """
    cells = np.concatenate([context.region.cells(block) for block in context.region.blocks])
    truth = read_truth(demo_folder(context) / "truth.gpkg", cells)
    hectares = truth.cells.set_index("cell")["positive_ha"].reindex(cells).fillna(0)
    share = hectares / 100 / pd.Series(cell_area_km2(cells), index=cells)
    label_all(path, hectares >= truth.unit_ha, share)


def label_all(path: Path, mine: pd.Series, share: pd.Series | None = None) -> None:
    """Label every cell of a sample.

    Parameters
    ----------
    path : pathlib.Path
        The GeoPackage.
    mine : pandas.Series of bool
        By cell.
    share : pandas.Series of float, optional
        Mined share of each cell that is a mine.
    """
    with closing(sqlite3.connect(path)) as base:
        cells = [row[0] for row in base.execute("SELECT cell FROM sample")]
    labels = {cell: "mine" if mine[cell] else "no mine" for cell in cells}
    shares = {} if share is None else {"share": {c: float(share[c]) for c in cells if mine[c]}}
    write_labels(path, labels, date=dict.fromkeys(cells, _DATE), **shares)


def write_labels(path: Path, labels: Mapping[int, str], **columns: Mapping[int, Any]) -> None:
    """Fill in labels, and other columns of the layer, by cell.

    Parameters
    ----------
    path : pathlib.Path
        The GeoPackage.
    labels : mapping of int to str
        Label of each cell.
    **columns : mapping of int to object
        Values of further columns.
    """
    execute(path, "UPDATE sample SET label = ? WHERE cell = ?", [(v, k) for k, v in labels.items()])
    for name, values in columns.items():
        rows = [(value, cell) for cell, value in values.items()]
        execute(path, f"UPDATE sample SET {name} = ? WHERE cell = ?", rows)


def execute(path: Path, statement: str, rows: Iterable[Sequence[Any]] = ((),)) -> None:
    """Run a statement of SQL on a GeoPackage, once a row.

    Parameters
    ----------
    path : pathlib.Path
        The GeoPackage.
    statement : str
        With a question mark for each value of a row.
    rows : iterable of sequence, optional
        The values.
    """
    with closing(sqlite3.connect(path)) as base, base:
        # GDAL's triggers call functions that SQLite alone does not know.
        for (name,) in base.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'rtree%'"
        ).fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.executemany(statement, rows)
