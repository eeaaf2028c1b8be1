"""A region of nine blocks that a command line can map in seconds: scenes, a model, a workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from imagery import clear_scl, make_item, save_items, texture
from sample_model import sample_bank, sample_table

from models.statement import Statement
from pipeline.training.dataset import TrainingTable
from pipeline.training.register import About, register_models

ROOT = Path(__file__).resolve().parents[1]
REGION = "bbox:5.6,1.9,5.9,2.2"
NAME = "bbox-e5d6-n1d9-e5d9-n2d2"
BLOCKS = 9
DATES = ("2021-12-05", "2022-01-14")
ABOUT = About(
    name="here",
    data=Statement("made up"),
    data_hash="abc",
    licence="CC0",
    ground="nowhere",
    squares=[(5, 2)],
    how=Statement("five folds"),
    simulated=False,
    seed=1,
)


def make_source(folder: Path, dates: tuple[str, ...] = DATES) -> Path:
    """Write a small scene of each date into each block, and their catalogue."""
    items = []
    for number, date in enumerate(dates):
        for row in range(3):
            for column in range(3):
                seed = 100 * number + 10 * row + column
                bands = {name: texture(seed + i) for i, name in enumerate(("B02", "B03", "B04"))}
                items.append(
                    make_item(
                        folder,
                        bands | {"SCL": clear_scl()},
                        name=f"S2_{date.replace('-', '')}_{row}{column}",
                        date=date,
                        lon=5.63 + 0.1 * column,
                        lat=1.96 + 0.1 * row,
                    )
                )
    return save_items(folder, items)


def make_model(workspace: Path) -> None:
    """Register a model that fits these scenes."""
    bank = sample_bank(patches=(3,), count=3)
    features, label, fold, weight = sample_table(bank.columns, 240)
    text = np.full(240, "x")
    cell = np.maximum(np.arange(240) - 5, -1)
    table = TrainingTable(features, label, fold, cell, text, text, weight)
    register_models(table, bank, ABOUT, workspace / "models", kinds=["ridge"])


def command(workspace: Path, source: Path, *more: str, verb: str = "predict") -> list[str]:
    """Return the command line that maps the region, or looks at its run."""
    made_of = [] if verb == "status" else ["--source", str(source), "--model", "here-ridge"]
    place = [verb, REGION, "--workspace", str(workspace)]
    return [sys.executable, "-m", "pipeline.cli", *place, *made_of, *more]


def plain_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without configuration, finding the same modules."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ASM_ATLAS_")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def run(workspace: Path, source: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Map the region and wait for it."""
    return subprocess.run(
        command(workspace, source, *more),
        env=plain_environment(), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
