"""Turn composited blocks into cell features, stored once, reused by later models and regions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.bank import FilterBank, bank_bytes, load_bank, make_group, sample_patches
from features.errors import BankError
from features.rcf import cell_features
from features.scaling import Scaling
from pipeline import grid, ledger
from pipeline.composite import EPOCH, NODATA, raise_failed, read_composite
from pipeline.context import Context
from pipeline.errors import NoClearPixelError, StageMissingError, StoreCorruptError
from pipeline.runtime.console import bar, say
from pipeline.runtime.files import whole_file
from pipeline.scenes import SceneList

# Raise it when features of the same bank and composite change.
VERSION = 4
BIASES = (0.25, 1.0, 2.5)
PATCHES_PER_BLOCK = 4_000


@dataclass(frozen=True)
class CellTable:
    """Features of the cells of one or more blocks.

    Parameters
    ----------
    cell : numpy.ndarray of int64, shape (n,)
        Cells of the grid.
    features : numpy.ndarray of float32, shape (n, columns)
        NaN where no window of the cell was observed.
    observed : numpy.ndarray of float32, shape (n,)
        Share of the cell's windows that counted, the smallest over the patch sizes.
    clear : numpy.ndarray of float32, shape (n,)
        Clear observations, mean over the cell's pixels.
    first_day, last_day : numpy.ndarray of int32, shape (n,)
        Of the observations, days since 2000-01-01; -32768 for none.
    scenes : numpy.ndarray of int16, shape (n,)
        Scenes that the block was made from.
    shares : numpy.ndarray of float32, shape (n, patch sizes)
        Share of the cell's windows that counted, for each patch size: what a mean over several
        cells is weighted by.
    """

    cell: NDArray[np.int64]
    features: NDArray[np.float32]
    observed: NDArray[np.float32]
    clear: NDArray[np.float32]
    first_day: NDArray[np.int32]
    last_day: NDArray[np.int32]
    scenes: NDArray[np.int16]
    shares: NDArray[np.float32]

    def select(self, rows: NDArray[Any]) -> CellTable:
        """Return some rows, by mask or index."""
        return CellTable(**{name: values[rows] for name, values in vars(self).items()})


def featurize_blocks(
    context: Context, composites: Sequence[ledger.Entry], bank: FilterBank
) -> list[ledger.Entry]:
    """Compute and store the features of composited blocks.

    Parameters
    ----------
    context : Context
        Where the store is and who works.
    composites : sequence of ledger.Entry
        As stored by the stage before.
    bank : FilterBank
        The filters.

    Returns
    -------
    list of ledger.Entry
        One for each composite, in the same order.
    """
    bank_file = _keep_bank(context, bank)
    store = context.store("features")
    device = context.config.device
    results = {
        part.unit: ledger.find(store, part.unit, _inputs(part, bank.hash, device), ".parquet")
        for part in composites
    }
    missing = [part for part in composites if results[part.unit] is None]
    done = context.workers.map(
        _featurize_task, missing, str(bank_file), bank.hash, str(store), device
    )
    for _, entry in bar(done, "featurize", len(missing)):
        results[entry.unit] = entry
    entries = [entry for entry in results.values() if entry is not None]
    raise_failed(entries, "featurize")
    reused = sum(entry.reused for entry in entries)
    say(
        "featurize",
        f"{len(entries)} blocks: {len(entries) - reused} made, {reused} reused; "
        f"{bank.columns} columns of bank {bank.hash[:12]}",
    )
    return entries


def load_features(
    context: Context, composites: Sequence[ledger.Entry], bank: FilterBank
) -> list[ledger.Entry]:
    """Return the stored features of composited blocks.

    Parameters
    ----------
    context : Context
        Where the store is.
    composites : sequence of ledger.Entry
        As stored by the stage before.
    bank : FilterBank
        The filters.

    Returns
    -------
    list of ledger.Entry
        One for each composite, in the same order.

    Raises
    ------
    StageMissingError
        If those of a block are not stored.
    """
    entries = []
    for composite in composites:
        inputs = _inputs(composite, bank.hash, context.config.device)
        entry = ledger.find(context.store("features"), composite.unit, inputs, ".parquet")
        if entry is None:
            raise StageMissingError(
                f"block {composite.unit} has no stored features of bank {bank.hash[:12]}",
                next_step=f"make featurize REGION={context.region.name}",
            )
        entries.append(entry)
    return entries


def sample_bank(
    context: Context, scenes: SceneList, composites: Sequence[ledger.Entry], scaling: Scaling
) -> FilterBank:
    """Sample a new bank from a region's composites, the same one each time.

    Parameters
    ----------
    context : Context
        Seed, patch sizes and number of filters.
    scenes : SceneList
        The imagery's bands and level.
    composites : sequence of ledger.Entry
        Where patches are drawn from.
    scaling : Scaling
        From reflectance to what the filters see.

    Returns
    -------
    FilterBank
        The new bank.

    Raises
    ------
    NoClearPixelError
        If too few patches were observed.
    """
    rng = np.random.default_rng([context.config.seed, len(composites)])
    groups = []
    for patch in context.config.patch_sizes:
        parts = []
        for composite in composites:
            reflectance = _reflectance(composite.path, scenes.bands)
            observed = np.asarray(np.isfinite(reflectance).all(axis=0))
            if observed.mean() > 0.01:
                image = (scaling.apply(reflectance), observed)
                with contextlib.suppress(BankError):  # a block without one whole patch gives none
                    parts.append(sample_patches([image], patch, PATCHES_PER_BLOCK, rng))
        patches = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
        if len(patches) < context.config.filters:
            raise NoClearPixelError(
                f"only {len(patches)} observed patches to sample {context.config.filters} "
                f"filters from",
                next_step="choose a longer SEASON or a larger region",
            )
        shape = (len(scenes.bands), patch, patch)
        groups.append(make_group(patches, shape, context.config.filters, rng))
    return FilterBank(
        bands=scenes.bands,
        level=scenes.level,
        scaling=scaling,
        groups=tuple(groups),
        biases=BIASES,
        seed=context.config.seed,
        software=f"asm-atlas {version('asm-atlas')}",
    )


def read_features(entries: Sequence[ledger.Entry], bank: FilterBank) -> CellTable:
    """Read stored features of blocks, in their order.

    Raises
    ------
    StoreCorruptError
        If a file holds the features of another bank.
    """
    parts = []
    for entry in entries:
        table = pq.read_table(entry.path)
        about = json.loads(table.schema.metadata[b"asm_atlas"])
        if about["bank"] != bank.hash:
            raise StoreCorruptError(
                f"features of bank {about['bank'][:12]} where bank {bank.hash[:12]} was meant",
                where=entry.path,
                next_step="delete the file; it will be made anew",
            )
        parts.append({field.name: _column(table, field.name) for field in fields(CellTable)})
    return CellTable(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column, one of lists of a fixed size as rows."""
    values = table.column(name).combine_chunks()
    if pa.types.is_fixed_size_list(values.type):
        rows: NDArray[Any] = values.values.to_numpy().reshape(len(table), -1)
        return rows
    return np.asarray(values.to_numpy())


def _keep_bank(context: Context, bank: FilterBank) -> Path:
    path = context.store("banks") / f"{bank.hash[:16]}.npz"
    if not path.is_file():
        with whole_file(path) as beside:
            beside.write_bytes(bank_bytes(bank))
    return path


@lru_cache(maxsize=4)
def _load_bank(path: str, bank_hash: str) -> FilterBank:
    bank = load_bank(Path(path))
    if bank.hash != bank_hash:
        raise StoreCorruptError(f"{path} is not bank {bank_hash}", where=path)
    return bank


def _inputs(composite: ledger.Entry, bank_hash: str, device: str) -> dict[str, Any]:
    inputs = {
        "stage": "features",
        "version": VERSION,
        "block": composite.unit,
        "composite": composite.sha256,
        "bank": bank_hash,
    }
    # A GPU's features are near the processor's, not the same bits: they are stored beside them.
    return inputs if device == "cpu" else inputs | {"device": device}


def _featurize_task(
    composite: ledger.Entry, bank_file: str, bank_hash: str, store: str, device: str
) -> ledger.Entry:
    return ledger.build(
        Path(store),
        composite.unit,
        _inputs(composite, bank_hash, device),
        ".parquet",
        lambda path: _write(path, composite, _load_bank(bank_file, bank_hash), device),
    )


def _reflectance(path: str, bands: Sequence[str]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = (
        read_composite(path)["reflectance"].sel(band=list(bands)).to_numpy()
    )
    return values


def _write(path: Path, composite: ledger.Entry, bank: FilterBank, device: str) -> dict[str, Any]:
    block = grid.Block.from_name(composite.unit)
    stored = read_composite(composite.path)
    reflectance = stored["reflectance"].sel(band=list(bank.bands)).to_numpy()
    way = "auto" if device == "cpu" else device
    features, shares = cell_features(reflectance, bank, grid.CELLS_PER_BLOCK, grid.CELL_PX, way)
    first = _per_cell(stored["first_day"].to_numpy())
    last = _per_cell(stored["last_day"].to_numpy())
    earliest = np.where(first == NODATA, 32767, first).min(axis=1)
    columns = features.shape[1]
    table = pa.table(
        {
            "cell": block.cells().reshape(-1),
            "observed": shares.min(axis=1),
            "clear": _per_cell(stored["clear"].to_numpy()).mean(axis=1, dtype=np.float32),
            "first_day": np.where(earliest == 32767, NODATA, earliest).astype(np.int32),
            "last_day": last.max(axis=1).astype(np.int32),
            "scenes": np.full(len(shares), (composite.facts or {})["scenes"], np.int16),
            # Of each patch size: what a mean over several cells is weighted by.
            "shares": pa.FixedSizeListArray.from_arrays(
                pa.array(shares.reshape(-1)), shares.shape[1]
            ),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), columns),
        }
    )
    about = {"bank": bank.hash, "block": block.name, "days_since": EPOCH.isoformat()}
    # Random mantissas do not compress: the time would be spent for nothing.
    pq.write_table(
        table.replace_schema_metadata({"asm_atlas": json.dumps(about)}), path, compression="none"
    )
    return {"observed": round(float((shares.min(axis=1) > 0).mean()), 6)}


def _per_cell(values: NDArray[Any]) -> NDArray[Any]:
    """Rearrange a block's pixels (without the halo) to one row a cell."""
    side, px = grid.CELLS_PER_BLOCK, grid.CELL_PX
    inner = values[: grid.BLOCK_PX, : grid.BLOCK_PX].reshape(side, px, side, px)
    return inner.transpose(0, 2, 1, 3).reshape(side * side, px * px)
