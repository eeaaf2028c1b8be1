"""Stored features of blocks, written in code as `featurize` stores them, with mines planted in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.bank import FilterBank
from pipeline.composite import NODATA
from pipeline.geo import grid
from pipeline.imagery.items import Scene, SceneBand
from pipeline.runtime.atomic import sha256_of
from pipeline.scenes import SceneList
from pipeline.workflow.ledger import Entry

FIRST_DAY, LAST_DAY = 8_000, 8_059


def feature_entry(
    folder: Path,
    block: grid.Block,
    bank: FilterBank,
    mines: NDArray[np.int64] | None = None,
    observed: NDArray[np.float32] | None = None,
    seed: int = 1,
) -> Entry:
    """Store the features of a block's 400 cells; those of mines have larger first columns."""
    cells = block.cells().reshape(-1)
    rng = np.random.default_rng([seed, block.row, block.col])
    # The four quarters of a cell are alike.
    features = rng.random((len(cells), bank.columns)).astype(np.float32)
    if mines is not None:
        features[np.isin(cells, mines), :3] += 2
    share = np.ones(len(cells), np.float32) if observed is None else observed
    features[share == 0] = np.nan
    seen = share > 0
    table = pa.table(
        {
            "cell": cells,
            "observed": share,
            "clear": np.where(seen, 4, 0).astype(np.float32),
            "first_day": np.where(seen, FIRST_DAY, NODATA).astype(np.int32),
            "last_day": np.where(seen, LAST_DAY, NODATA).astype(np.int32),
            "scenes": np.full(len(cells), 6, np.int16),
            "shares": pa.FixedSizeListArray.from_arrays(
                pa.array(np.repeat(share, 4 * len(bank.groups)).astype(np.float32)),
                4 * len(bank.groups),
            ),
            "features": pa.FixedSizeListArray.from_arrays(
                pa.array(np.tile(features, 4).reshape(-1)), 4 * bank.columns
            ),
        }
    )
    about = json.dumps({"bank": bank.hash, "block": block.name})
    path = folder / f"{block.name}-{seed}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"asm_atlas": about}), path)
    return Entry(block.name, str(path), sha256_of(path), {"observed": float(seen.mean())})


def scene_list(**changes: Any) -> SceneList:
    """One scene of imagery of the sample bank, without files; changes as fields of the scene."""
    bands = changes.pop("bands", ("B02", "B03", "B04"))
    usual: dict[str, Any] = {
        "id": "s",
        "collection": "",
        "platform": "",
        "datetime": "2021-12-01T00:00:00+00:00",
        "end": "2021-12-01T00:00:00+00:00",
        "acquisition": "a",
        "baseline": "05.09",
        "level": "L2A",
        "clip": 0.0,
        "steps": 0,
        "ready": False,
        "simulated": False,
        "offset_rule": "",
        "footprint": "POLYGON ((5 2, 6 2, 6 3, 5 2))",
        "bands": {name: SceneBand("x.tif", 1, 1e-4, 0.0, 0.0, "") for name in bands},
    }
    return SceneList((Scene(**(usual | changes)),), tuple(bands), 0)
