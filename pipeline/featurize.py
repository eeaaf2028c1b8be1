"""Turn composited blocks into cell features, stored once, reused by later models and regions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.bank import FilterBank, bank_bytes, load_bank
from features.errors import BankError
from features.rcf import part_features
from features.sampling import make_bank
from features.scaling import Scaling
from pipeline.composite import EPOCH, read_composite
from pipeline.errors import (
    NoClearPixelError,
    StoreCorruptError,
)
from pipeline.geo import grid
from pipeline.imagery.blend import NODATA
from pipeline.runtime.files import whole_file
from pipeline.runtime.mirror import fetched
from pipeline.scenes import SceneList
from pipeline.workflow import ledger
from pipeline.workflow.blocks import BlockStage, run_blocks
from pipeline.workflow.context import Context

# Raise it when features of the same bank and composite change.
VERSION = 5
PATCHES_PER_BLOCK = 4_000
# A block of which less was observed gives no patches.
_LEAST_OBSERVED = 0.01


@dataclass(frozen=True)
class _How:
    """What of the configuration changes the stored numbers."""

    device: str
    feature_type: str


@dataclass(frozen=True)
class Featurizing(BlockStage[ledger.Entry]):
    """The stage ``featurize``: the composite of a block, as features of its cells.

    Parameters
    ----------
    bank_hash : str
        Of the filters.
    columns : int
        That they give.
    how : _How
        What else changes the numbers.
    bank_file : str
        Where a worker finds the filters.
    """

    bank_hash: str
    columns: int
    how: _How
    bank_file: str = ""
    verb = "featurize"
    store = "features"
    suffix = ".parquet"

    @property
    def product(self) -> str:
        """What is stored of a block."""
        return f"features of bank {self.bank_hash[:12]}"

    def unit(self, item: ledger.Entry) -> str:
        """Return the name of the block."""
        return item.unit

    def follows(self, item: ledger.Entry) -> bool:
        """Return whether this run made the composite."""
        return not item.reused

    def inputs(self, item: ledger.Entry) -> dict[str, Any]:
        """Return what the numbers depend on."""
        return {
            "stage": "features",
            "version": VERSION,
            "block": item.unit,
            "composite": item.sha256,
            "bank": self.bank_hash,
            # A GPU's features are near the processor's, not the same bits: both are stored.
            "how": asdict(self.how),
        }

    def write(self, path: Path, item: ledger.Entry) -> dict[str, Any]:
        """Compute the features and write them."""
        return _write(path, item, _load_bank(self.bank_file, self.bank_hash), self.how)

    def summary(self, entries: Sequence[ledger.Entry]) -> str:
        """Return which filters were used."""
        return f"{self.columns} columns of bank {self.bank_hash[:12]}"


def featurize_blocks(
    context: Context, composites: Sequence[ledger.Entry], bank: FilterBank
) -> list[ledger.Entry]:
    """Compute and store the features of composited blocks.

    Parameters
    ----------
    context : Context
        Where the store is, who works, and whether anything may be made.
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
        If those of a block are not stored and may not be made.
    """
    how = _How(context.config.features.device, context.config.features.dtype)
    bank_file = str(_keep_bank(context, bank)) if context.makes(Featurizing.verb) else ""
    return run_blocks(context, Featurizing(bank.hash, bank.columns, how, bank_file), composites)


def sample_bank(
    context: Context, scenes: SceneList, composites: Sequence[ledger.Entry], scaling: Scaling
) -> FilterBank:
    """Sample a new bank from a region's composites, the same one each time.

    Parameters
    ----------
    context : Context
        Seed, recipe, patch sizes and number of filters.
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

    def blocks() -> Iterator[NDArray[np.float32]]:
        for composite in composites:
            reflectance = _reflectance(ledger.file_of(composite), scenes.bands)
            if np.isfinite(reflectance).all(axis=0).mean() > _LEAST_OBSERVED:
                yield reflectance

    config = context.config
    try:
        return make_bank(
            blocks,
            scenes.bands,
            scenes.level,
            scaling,
            config.features.recipe,
            config.features.patch_sizes,
            config.features.filters,
            seed=config.run.seed,
            per_image=PATCHES_PER_BLOCK,
            rng=np.random.default_rng([config.run.seed, len(composites)]),
        )
    except BankError as error:
        raise NoClearPixelError(
            f"no bank can be sampled: {error}",
            next_step="choose a longer SEASON or a larger region",
        ) from None


def _keep_bank(context: Context, bank: FilterBank) -> Path:
    path = context.store("banks") / f"{bank.hash[:16]}.npz"
    if not fetched(path).is_file():
        with whole_file(path) as beside:
            beside.write_bytes(bank_bytes(bank))
    return path


@lru_cache(maxsize=4)
def _load_bank(path: str, bank_hash: str) -> FilterBank:
    bank = load_bank(fetched(Path(path)))
    if bank.hash != bank_hash:
        raise StoreCorruptError(f"{path} is not bank {bank_hash}", where=path)
    return bank


def _reflectance(path: Path, bands: Sequence[str]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = (
        read_composite(path)["reflectance"].sel(band=list(bands)).to_numpy()
    )
    return values


def _write(path: Path, composite: ledger.Entry, bank: FilterBank, how: _How) -> dict[str, Any]:
    block = grid.Block.from_name(composite.unit)
    stored = read_composite(ledger.file_of(composite))
    reflectance = stored["reflectance"].sel(band=list(bank.bands)).to_numpy()
    way = "auto" if how.device == "cpu" else how.device
    quarters = 2 * grid.CELLS_PER_BLOCK
    features, shares = part_features(reflectance, bank, quarters, grid.QUARTER_PX, way)
    features, shares = _four_a_cell(features), _four_a_cell(shares)
    first = _per_cell(stored["first_day"].to_numpy())
    last = _per_cell(stored["last_day"].to_numpy())
    earliest = np.where(first == NODATA, 32767, first).min(axis=1)
    observed = shares.mean(axis=1).min(axis=1)
    table = pa.table(
        {
            "cell": block.cells().reshape(-1),
            "observed": observed,
            "clear": _per_cell(stored["clear"].to_numpy()).mean(axis=1, dtype=np.float32),
            "first_day": np.where(earliest == 32767, NODATA, earliest).astype(np.int32),
            "last_day": last.max(axis=1).astype(np.int32),
            "scenes": np.full(len(shares), (composite.facts or {})["scenes"], np.int16),
            # Of each patch size: what a mean over several quarters is weighted by.
            "shares": _lists(shares),
            "features": _lists(features.astype(how.feature_type, copy=False)),
        }
    )
    about = {"bank": bank.hash, "block": block.name, "days_since": EPOCH.isoformat()}
    # Random mantissas do not compress: the time would be spent for nothing.
    pq.write_table(
        table.replace_schema_metadata({"asm_atlas": json.dumps(about)}), path, compression="none"
    )
    return {"observed": round(float((observed > 0).mean()), 6)}


def _four_a_cell(quarters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rearrange rows of quarters to cells, shape (cells, 4, columns)."""
    side = grid.CELLS_PER_BLOCK
    square = quarters.reshape(side, 2, side, 2, -1).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(square).reshape(side * side, 4, -1)


def _lists(values: NDArray[Any]) -> pa.FixedSizeListArray:
    """Return rows as lists of one length."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values[0].size)


def _per_cell(values: NDArray[Any]) -> NDArray[Any]:
    """Rearrange a block's pixels (without the halo) to one row a cell."""
    side, px = grid.CELLS_PER_BLOCK, grid.CELL_PX
    inner = values[: grid.BLOCK_PX, : grid.BLOCK_PX].reshape(side, px, side, px)
    return inner.transpose(0, 2, 1, 3).reshape(side * side, px * px)
