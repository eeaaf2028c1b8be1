"""Write features as the table that other people's notebooks expect: lon, lat, X_0 ... X_K."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import shapely

from features.bank import FilterBank
from pipeline.errors import ConfigError, NoClearPixelError
from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.runtime.console import bar, say
from pipeline.runtime.files import whole_file
from pipeline.runtime.journal import journal
from pipeline.workflow import ledger
from pipeline.workflow.cells import read_coarse, read_features

SUFFIXES = (".parquet", ".csv")
GRIDS = (0.01, 0.005)


def check_export(path: Path, degrees: float) -> None:
    """Refuse a file or a grid that cannot be written, before the long work.

    Raises
    ------
    ConfigError
        If the name does not end in one of ``SUFFIXES``, or the grid is none of ``GRIDS``.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"a table of features is written as {' or '.join(SUFFIXES)}, not {path.suffix!r}",
            where=str(path),
        )
    if degrees not in GRIDS:
        raise ConfigError(f"the grid is of 0.01 or 0.005 degree, not {degrees:g}")


def export_features(
    entries: Sequence[ledger.Entry],
    bank: FilterBank,
    region: Region,
    path: Path,
    degrees: float = 0.01,
    simulated: bool = False,
) -> int:
    """Write the features of a region's cells to one file, a block at a time.

    Parameters
    ----------
    entries : sequence of ledger.Entry
        Stored features of the region's blocks.
    bank : FilterBank
        Of the features.
    region : Region
        Cells of 0.005 degree are written if their centre lies in it, those of 0.01 degree if the
        centre of one of their four does; the values do not depend on it.
    path : pathlib.Path
        ``.parquet``: GeoParquet with points, EPSG:4326; ``.csv``.
    degrees : float
        0.01, the grid of the MOSAIKS API, or 0.005.
    simulated : bool
        Whether the imagery is invented; then a column says so.

    Returns
    -------
    int
        Rows written: ``lon`` and ``lat`` of the cell's centre, ``observed``, the share of windows
        that counted, and ``X_0`` to ``X_K``. Cells without any observed window have no row.

    Raises
    ------
    ConfigError
        As ``check_export``.
    NoClearPixelError
        If no cell was observed.
    """
    check_export(path, degrees)
    count = 0
    with whole_file(path) as beside:
        writer: pq.ParquetWriter | pyarrow.csv.CSVWriter | None = None
        for table in _tables(entries, bank, region, degrees, simulated):
            if path.suffix == ".csv":
                table = table.drop_columns(["geometry"])
            if writer is None:
                kind = pyarrow.csv.CSVWriter if path.suffix == ".csv" else pq.ParquetWriter
                writer = kind(str(beside), table.schema)
            writer.write_table(table)
            count += len(table)
        if writer is None:
            raise NoClearPixelError(
                f"no cell of {region.name} was observed", next_step="choose a longer SEASON"
            )
        writer.close()
    journal.worked = True
    say("features", f"{count} cells of {degrees:g} degree, {bank.columns} columns: {path}")
    return count


def _tables(
    entries: Sequence[ledger.Entry],
    bank: FilterBank,
    region: Region,
    degrees: float,
    simulated: bool,
) -> Iterator[pa.Table]:
    for entry in bar(entries, "export", len(entries)):
        inside = region.cells(grid.Block.from_name(entry.unit))
        if degrees == GRIDS[0]:
            cell, features, observed = read_coarse(entry, bank)
            inside = grid.coarse_cell_of(inside, 2)
            west, south, east, north = grid.coarse_cell_bounds(cell, 2)
        else:
            stored = read_features([entry], bank)
            cell, features, observed = stored.cell, stored.features, stored.observed
            west, south, east, north = grid.cell_bounds(cell)
        kept = np.isin(cell, inside) & np.isfinite(features).all(axis=1)
        if not kept.any():
            continue
        lon, lat = ((west + east) / 2)[kept].round(6), ((south + north) / 2)[kept].round(6)
        table = pd.DataFrame({"lon": lon, "lat": lat, "observed": observed[kept]})
        if simulated:
            table["simulated"] = True
        names = [f"X_{column}" for column in range(bank.columns)]
        table = pd.concat([table, pd.DataFrame(features[kept], columns=names)], axis=1)
        yield _with_points(table, bank, simulated)


def _with_points(table: pd.DataFrame, bank: FilterBank, simulated: bool) -> pa.Table:
    """Add the cells' centres as a geometry, and what the file is, as GeoParquet 1.1 asks."""
    points = shapely.to_wkb(shapely.points(table["lon"], table["lat"]))
    result = pa.Table.from_pandas(table, preserve_index=False)
    result = result.append_column("geometry", pa.array(points, pa.binary()))
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
    }
    about = {"bank": bank.hash, "simulated": simulated} | bank.to_dict()
    return result.replace_schema_metadata({"geo": json.dumps(geo), "asm_atlas": json.dumps(about)})
