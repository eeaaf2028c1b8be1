"""Features and labels side by side: the training table, with folds by place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.bank import FilterBank
from models.corruption_detector import CorruptionPairs
from models.errors import TrainingError
from models.folds import spatial_folds
from models.gram import ROWS_AT_ONCE
from models.pu import class_weights
from models.validation import HECTARES, WORKERS, Sizes
from pipeline.errors import NoLabelsError
from pipeline.geo import grid
from pipeline.runtime.console import say
from pipeline.sites.labels.background import BACKGROUND, SEARCHED
from pipeline.sites.labels.rows import MINE, UNLABELLED, Labels
from pipeline.workflow import ledger
from pipeline.workflow.cells import joined, read_cells
from pipeline.workflow.context import Context

VERSION = 5
BACKGROUND_PER_POSITIVE = 40
FEWEST_POSITIVES = 10
KEPT_BYTES = 2**28


class StoredFeatures:
    """The features of a stored training table, read some rows at a time.

    Parameters
    ----------
    path : pathlib.Path
        The table.
    column : str
        ``features``, or ``quarters``: those of the four quarters of a cell side by side.
    """

    def __init__(self, path: Path, column: str = "features") -> None:
        self._path, self._column = path, column
        self._kept: list[NDArray[np.float32]] = []
        with pq.ParquetFile(path) as file:
            width = file.schema_arrow.field(column).type.list_size
            self.shape: tuple[int, ...] = (file.metadata.num_rows, width)

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows in order, some at a time; a small table is read once."""
        if self._kept:
            yield from self._kept
            return
        small = 4 * self.shape[0] * self.shape[1] <= KEPT_BYTES
        read = []
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[self._column]):
                values = batch.column(0).flatten().to_numpy(zero_copy_only=False)
                rows = values.reshape(len(batch), -1)
                if small:
                    read.append(rows)
                yield rows
        self._kept = read

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float32]:
        """Read all rows."""
        return np.concatenate(list(self.chunks())).astype(dtype or np.float32, copy=False)


@dataclass(frozen=True)
class TrainingTable:
    """Rows to train on.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns), or StoredFeatures
        Finite.
    label : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not, or not known to be one (see ``known``).
    fold : numpy.ndarray of int16, shape (n,)
        Spatial fold.
    cell : numpy.ndarray of int64, shape (n,)
        Cell of the grid; -1 where a row has no exact place.
    source : numpy.ndarray of str, shape (n,)
        What says so: a visit's site code, a polygon, an inspection, a chip's subset.
    date : numpy.ndarray of str, shape (n,)
        Of the label, ISO or a year; empty where it has none.
    weight : numpy.ndarray of float64, shape (n,)
        What a row counts for.
    quarters : StoredFeatures or None
        Shape (n, 4 * columns); None where rows have no quarters.
    sizes : tuple of Sizes
        How large the mines are, where rows know it.
    place : numpy.ndarray of int, shape (n,), or None
        What is drawn and held out as one: a block, a 1-degree square; counted from 0. None: the
        blocks of the cells.
    region : numpy.ndarray of int16, shape (n,), or None
        Folds as wide apart as the places that the model will be asked about, which its
        probabilities and limits are taken from; None: the spatial folds.
    known : numpy.ndarray of bool, shape (n,), or None
        False for unlabelled rows; None where there are none.
    what : numpy.ndarray of str, shape (n,), or None
        Kind of the source: visit, polygon, inspection, look-alike or background.
    corruption_pairs : callable or None
        Gives some rows intact and corrupted, so that a model knows such when it sees them.
    """

    features: NDArray[np.float32] | StoredFeatures
    label: NDArray[np.int8]
    fold: NDArray[np.int16]
    cell: NDArray[np.int64]
    source: NDArray[np.str_]
    date: NDArray[np.str_]
    weight: NDArray[np.float64]
    quarters: StoredFeatures | None = None
    sizes: tuple[Sizes, ...] = ()
    place: NDArray[np.intp] | None = None
    region: NDArray[np.int16] | None = None
    known: NDArray[np.bool_] | None = None
    what: NDArray[np.str_] | None = None
    corruption_pairs: Callable[[], CorruptionPairs | None] | None = None

    @property
    def places(self) -> NDArray[np.intp]:
        """Place of each row, counted from 0."""
        if self.place is not None:
            return self.place
        names = [
            grid.block_of_cell(cell).name if cell >= 0 else f"row {row}"
            for row, cell in enumerate(self.cell.tolist())
        ]
        return np.unique(names, return_inverse=True)[1]

    @property
    def unlabelled(self) -> NDArray[np.bool_]:
        """Whether nobody has labelled a row."""
        return np.zeros(len(self.label), bool) if self.known is None else ~self.known

    @property
    def regions(self) -> NDArray[np.int16]:
        """Region of each row."""
        return self.fold if self.region is None else self.region


def build_dataset(
    context: Context,
    labels: Labels,
    seasons: Mapping[int, Sequence[ledger.Entry]],
    bank: FilterBank,
) -> ledger.Entry:
    """Make and store the training table of a region.

    Parameters
    ----------
    context : Context
        Where the store is.
    labels : Labels
        Rows of every source, and the unlabelled ones.
    seasons : mapping of int to list of ledger.Entry
        Stored features of the blocks that were labelled, by the seasons' shift in years; and of
        those around them, where the configuration asks for each cell's neighbourhood.
    bank : FilterBank
        Of the features.

    Returns
    -------
    ledger.Entry
        The stored table; ``read_dataset`` reads it.

    Raises
    ------
    NoLabelsError
        If too few positives were observed.
    """
    inputs = {
        "stage": "dataset",
        "version": VERSION,
        "region": context.region.geometry.wkt,
        "bank": bank.hash,
        "features": {str(shift): [e.sha256 for e in entries] for shift, entries in seasons.items()},
        "labels": hashlib.sha256(labels.rows.to_csv(index=False).encode()).hexdigest(),
        "positive_share": context.config.labels.positive_share,
        "min_observed": context.config.model.min_observed,
        "context": context.config.features.neighbourhood,
        "seed": context.config.run.seed,
    }
    entry = ledger.make(
        context.store("dataset"),
        context.region.name,
        inputs,
        ".parquet",
        lambda path: _write(path, context, labels, seasons, bank),
    )
    facts = entry.facts or {}
    say(
        "dataset",
        f"{facts['rows']} cells: {facts['positives']} mines, {facts['negatives']} not, "
        f"{facts['unlabelled']} unlabelled; {facts['folds']} folds by block"
        + (" (reused)" if entry.reused else ""),
    )
    return entry


def read_dataset(path: str | Path) -> TrainingTable:
    """Read a stored training table; its features stay on the disk until they are asked for."""
    numbers, texts = ("label", "fold", "cell", "weight", "size"), ("source", "date", "what")
    table = pq.read_table(path, columns=[*numbers, *texts])
    columns: dict[str, Any] = {name: table.column(name).to_numpy() for name in numbers}
    text: dict[str, Any] = {name: np.array(table.column(name).to_pylist(), str) for name in texts}
    known = columns["label"] != UNLABELLED
    columns["label"] = np.maximum(columns["label"], 0).astype(np.int8)
    size = columns.pop("size").astype(float)
    sizes = tuple(
        Sizes(unit, np.where(text["what"] == what, size, np.nan), breaks)
        for what, unit, breaks in (("polygon", "hectares", HECTARES), ("visit", "workers", WORKERS))
    )
    quartered = "quarters" in pq.read_schema(path).names
    return TrainingTable(
        StoredFeatures(Path(path)),
        **columns,
        **text,
        quarters=StoredFeatures(Path(path), "quarters") if quartered else None,
        known=known,
        sizes=sizes,
    )


def _write(
    path: Path,
    context: Context,
    labels: Labels,
    seasons: Mapping[int, Sequence[ledger.Entry]],
    bank: FilterBank,
) -> dict[str, Any]:
    parts, found = [], []
    around = context.config.features.neighbourhood
    for shift, entries in sorted(seasons.items()):
        stored = {entry.unit: entry for entry in entries}
        labelled = [stored[b.name] for b in labels.blocks(shift) if b.name in stored]
        cells = joined([read_cells(entry, stored, bank, around) for entry in labelled])
        # A block may reach over the region's border; what lies beyond is not its training ground.
        said = labels.rows[labels.rows["shift"] == shift].set_index("cell")
        said = said[context.region.contains(said.index.to_numpy(np.int64))]
        cells = cells.select(
            np.isin(cells.cell, said.index) & (cells.observed >= context.config.model.min_observed)
        )
        parts.append(cells)
        found.append(said.loc[cells.cell].reset_index())
    rows, picked = _chosen(pd.concat(found, ignore_index=True), context)
    blocks = [grid.block_of_cell(number).name for number in picked["cell"]]
    label = picked["label"].to_numpy(np.int8)
    try:
        fold = spatial_folds(blocks, label == MINE)
    except TrainingError as error:
        raise NoLabelsError(
            f"the labelled cells cannot be split by place: {error}",
            next_step="choose a region of several 0.1-degree blocks",
        ) from None
    features = np.concatenate([part.features for part in parts])[rows]
    quarters = np.concatenate([part.quarters for part in parts])[rows]
    table = pa.table(
        {
            "cell": picked["cell"].to_numpy(np.int64),
            "label": label,
            "fold": fold,
            "weight": class_weights(
                (label == MINE).astype(np.int8),
                label != UNLABELLED,
                picked["weight"].to_numpy(float),
                context.config.labels.positive_share,
            ),
            "source": picked["source"].astype(str).to_numpy(object),
            "date": picked["date"].astype(str).to_numpy(object),
            "what": picked["what"].astype(str).to_numpy(object),
            "size": picked["size"].to_numpy(np.float32),
            "features": pa.FixedSizeListArray.from_arrays(
                pa.array(features.reshape(-1)), features.shape[1]
            ),
        }
    )
    # A model that looks at the cells around has no use for quarters.
    if around == 1:
        column = pa.FixedSizeListArray.from_arrays(pa.array(quarters.reshape(-1)), quarters[0].size)
        table = table.append_column("quarters", column)
    about = json.dumps({"bank": bank.hash})
    pq.write_table(table.replace_schema_metadata({"asm_atlas": about}), path, compression="none")
    return {
        "rows": len(rows),
        "positives": int((label == MINE).sum()),
        "negatives": int((label == 0).sum()),
        "unlabelled": int((label == UNLABELLED).sum()),
        "folds": int(fold.max()) + 1,
    }


def _chosen(rows: pd.DataFrame, context: Context) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Return which observed rows to train on, and the rows: of plain ground not more than help."""
    where = f"region {context.region.name}"
    mines = int((rows["label"] == MINE).sum())
    if mines < FEWEST_POSITIVES:
        raise NoLabelsError(
            f"only {mines} mines were observed; at least {FEWEST_POSITIVES} are needed",
            where=where,
            next_step="choose a larger region, a longer SEASON, or a larger VISIT_YEARS",
        )
    plain = rows["source"].isin([BACKGROUND, SEARCHED]).to_numpy()
    rng = np.random.default_rng(context.config.run.seed)
    kept = rng.permutation(np.flatnonzero(plain))[: BACKGROUND_PER_POSITIVE * mines]
    picked = np.sort(np.concatenate([np.flatnonzero(~plain), kept]))
    if (rows["label"].to_numpy()[picked] == MINE).all():
        raise NoLabelsError(
            "no observed cell is known to be no mine, and none lies far enough from every known "
            "one to serve as background",
            where=where,
            next_step="choose a larger region",
        )
    return picked, rows.iloc[picked]
