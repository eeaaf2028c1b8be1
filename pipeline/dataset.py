"""Features and labels side by side: the training table, with folds by place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.bank import FilterBank
from models.errors import TrainingError
from models.folds import spatial_folds
from models.gram import ROWS_AT_ONCE
from pipeline import grid, ledger
from pipeline.cells import CellTable, joined, read_features, read_with_context
from pipeline.context import Context
from pipeline.errors import NoLabelsError
from pipeline.runtime.console import say
from pipeline.sites.labels import VisitLabels

VERSION = 3
BACKGROUND_PER_POSITIVE = 40
FEWEST_POSITIVES = 10


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
        with pq.ParquetFile(path) as file:
            width = file.schema_arrow.field(column).type.list_size
            self.shape: tuple[int, ...] = (file.metadata.num_rows, width)

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows in order, some at a time."""
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=[self._column]):
                values = batch.column(0).flatten().to_numpy(zero_copy_only=False)
                yield values.reshape(len(batch), -1)

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
        1 mine, 0 not (or background, as ``source`` says).
    fold : numpy.ndarray of int16, shape (n,)
        Spatial fold.
    cell : numpy.ndarray of int64, shape (n,)
        Cell of the grid; -1 where a row has no exact place.
    source : numpy.ndarray of str, shape (n,)
        What says so: a visit's site code, "background", a chip's subset.
    date : numpy.ndarray of str, shape (n,)
        Of the label, ISO; empty for background.
    weight : numpy.ndarray of float64, shape (n,)
        What a row counts for.
    quarters : StoredFeatures or None
        Shape (n, 4 * columns); None where rows have no quarters.
    place : numpy.ndarray of int, shape (n,), or None
        What is drawn and held out as one: a block, a 1-degree square; counted from 0. None: the
        blocks of the cells.
    region : numpy.ndarray of int16, shape (n,), or None
        Folds as wide apart as the places that the model will be asked about, which its
        probabilities and limits are taken from; None: the spatial folds.
    """

    features: NDArray[np.float32] | StoredFeatures
    label: NDArray[np.int8]
    fold: NDArray[np.int16]
    cell: NDArray[np.int64]
    source: NDArray[np.str_]
    date: NDArray[np.str_]
    weight: NDArray[np.float64]
    quarters: StoredFeatures | None = None
    place: NDArray[np.intp] | None = None
    region: NDArray[np.int16] | None = None

    @property
    def places(self) -> NDArray[np.intp]:
        """Place of each row, counted from 0."""
        if self.place is not None:
            return self.place
        blocks = [grid.block_of_cell(cell).name for cell in self.cell]
        return np.unique(blocks, return_inverse=True)[1]

    @property
    def regions(self) -> NDArray[np.int16]:
        """Region of each row."""
        return self.fold if self.region is None else self.region


def build_dataset(
    context: Context,
    labels: VisitLabels,
    seasons: Mapping[int, Sequence[ledger.Entry]],
    bank: FilterBank,
) -> ledger.Entry:
    """Make and store the training table of a region.

    Parameters
    ----------
    context : Context
        Where the store is.
    labels : VisitLabels
        Positives and known places.
    seasons : mapping of int to list of ledger.Entry
        Stored features of the blocks that were labelled, by the seasons' shift in years; and of
        those around them, where the configuration asks for each cell's context.
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
        "positives": labels.positives.astype(str).to_dict("list"),
        "places": np.round(labels.places, 7).tolist(),
        "min_observed": context.config.min_observed,
        "context": context.config.context,
        "seed": context.config.seed,
    }
    entry = ledger.build(
        context.store("dataset"),
        context.region.name,
        inputs,
        ".parquet",
        lambda path: _write(path, context, labels, seasons, bank),
    )
    if entry.error is not None:
        raise entry.error
    facts = entry.facts or {}
    say(
        "dataset",
        f"{facts['rows']} cells: {facts['positives']} visited mines, "
        f"{facts['rows'] - facts['positives']} background; {facts['folds']} folds by block"
        + (" (reused)" if entry.reused else ""),
    )
    return entry


def read_dataset(path: str | Path) -> TrainingTable:
    """Read a stored training table; its features stay on the disk until they are asked for."""
    names = ["label", "fold", "cell", "weight", "source", "date"]
    table = pq.read_table(path, columns=names)
    columns = {name: table.column(name).to_numpy() for name in ("label", "fold", "cell", "weight")}
    text = {name: np.array(table.column(name).to_pylist(), str) for name in ("source", "date")}
    quarters = None
    if "quarters" in pq.read_schema(path).names:
        quarters = StoredFeatures(Path(path), "quarters")
    return TrainingTable(StoredFeatures(Path(path)), **columns, **text, quarters=quarters)


def _write(
    path: Path,
    context: Context,
    labels: VisitLabels,
    seasons: Mapping[int, Sequence[ledger.Entry]],
    bank: FilterBank,
) -> dict[str, Any]:
    parts: list[tuple[CellTable, NDArray[np.int8], NDArray[Any], NDArray[Any]]] = []
    for shift, entries in sorted(seasons.items()):
        labelled = labels.blocks(shift)
        cells = _read(entries, [block.name for block in labelled], bank, context.config.context)
        # A block may reach over the region's border; what lies beyond is not its training ground.
        inside = [context.region.cells(block) for block in labelled]
        wanted = np.isin(cells.cell, np.concatenate(inside))
        cells = cells.select(wanted & (cells.observed >= context.config.min_observed))
        positives = labels.positives[labels.positives["shift"] == shift].set_index("cell")
        positive = np.isin(cells.cell, positives.index)
        rows = np.flatnonzero(positive | labels.background(cells.cell))
        chosen, mine = cells.select(rows), positive[rows]
        source = np.full(len(rows), "background", object)
        day = np.full(len(rows), "", object)
        visits = positives.loc[chosen.cell[mine]]
        source[mine], day[mine] = visits["pcode"].to_numpy(), visits["visit_date"].to_numpy()
        parts.append((chosen, mine.astype(np.int8), source, day))
    label = np.concatenate([part[1] for part in parts])
    if label.sum() < FEWEST_POSITIVES:
        raise NoLabelsError(
            f"only {int(label.sum())} visited cells were observed; "
            f"at least {FEWEST_POSITIVES} are needed",
            where=f"region {context.region.name}",
            next_step="choose a larger region, a longer SEASON, or a larger VISIT_YEARS",
        )
    cell = np.concatenate([part[0].cell for part in parts])
    rng = np.random.default_rng(context.config.seed)
    background = rng.permutation(np.flatnonzero(label == 0))
    kept = background[: BACKGROUND_PER_POSITIVE * int(label.sum())]
    if not len(kept):
        raise NoLabelsError(
            "no observed cell lies far enough from every known site to serve as background",
            where=f"region {context.region.name}",
            next_step="choose a larger region",
        )
    rows = np.sort(np.concatenate([np.flatnonzero(label), kept]))
    blocks = [grid.block_of_cell(number).name for number in cell[rows]]
    try:
        fold = spatial_folds(blocks, label[rows])
    except TrainingError as error:
        raise NoLabelsError(
            f"the labelled cells cannot be split by place: {error}",
            next_step="choose a region of several 0.1-degree blocks",
        ) from None
    features = np.concatenate([part[0].features for part in parts])[rows]
    quarters = np.concatenate([part[0].quarters for part in parts])[rows]
    table = pa.table(
        {
            "cell": cell[rows],
            "label": label[rows],
            "fold": fold,
            # Both classes count the same: visited mines are few, background is cheap.
            "weight": (len(rows) / (2.0 * np.bincount(label[rows], minlength=2)))[label[rows]],
            "source": np.concatenate([part[2] for part in parts])[rows].astype(str),
            "date": np.concatenate([part[3] for part in parts])[rows].astype(str),
            "features": pa.FixedSizeListArray.from_arrays(
                pa.array(features.reshape(-1)), features.shape[1]
            ),
        }
    )
    # A model that looks at the cells around has no use for quarters.
    if context.config.context == 1:
        column = pa.FixedSizeListArray.from_arrays(pa.array(quarters.reshape(-1)), quarters[0].size)
        table = table.append_column("quarters", column)
    about = {"bank": bank.hash}
    pq.write_table(
        table.replace_schema_metadata({"asm_atlas": json.dumps(about)}), path, compression="none"
    )
    return {
        "rows": len(rows),
        "positives": int(label[rows].sum()),
        "folds": int(fold.max()) + 1,
    }


def _read(
    entries: Sequence[ledger.Entry], blocks: Sequence[str], bank: FilterBank, context: int
) -> CellTable:
    """Read the features of some of the stored blocks, with their context where it is asked for."""
    stored = {entry.unit: entry for entry in entries}
    wanted = [stored[block] for block in blocks if block in stored]
    if context == 1:
        return read_features(wanted, bank)
    return joined([read_with_context(entry, stored, bank) for entry in wanted])
