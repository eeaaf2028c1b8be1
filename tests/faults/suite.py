"""Run the real stages, with real Dask workers, against the faulty server, case by case."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from faults import Fault
from images import BANDS, REGION, Files, blocks
from judge import Outcome, outcome
from plan import Case
from server import Server

from pipeline.composite import composite_blocks
from pipeline.config import Config
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.runtime.cluster import Workers
from pipeline.scenes import find_scenes
from pipeline.workflow.context import Context

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"bands": BANDS, "read_tries": 5, "read_timeout": 1.0, "backoff": 0.01}
NAMES = [block.name for block in blocks()]
COMMAND_REGION, COMMAND_BLOCKS = "bbox:5.4,2.3,5.6,2.4", ["N02.3E005.4", "N02.3E005.5"]


class Suite:
    """The server, the workers and the undisturbed composites that every case shares."""

    def __init__(self, server: Server, pool: Workers, files: Files, folder: Path) -> None:
        self.server, self.pool, self.files, self.folder = server, pool, files, folder
        server.files, server.lacking = files.content, files.lacking
        server.killable = _descendants
        store = self.run_without("undisturbed", set(), NAMES)
        self.undisturbed = {name: next((store / name).glob("*.tif")) for name in NAMES}

    def outcomes(self, case: Case) -> tuple[dict[str, Outcome], Exception | None]:
        """Run a case; what became of its blocks, and the error that ended it."""
        error = self.run(case)
        return self._found(case, case.blocks(NAMES)), error

    def run(self, case: Case) -> Exception | None:
        """Find the scenes and composite all blocks; the error that this ended with."""
        settings = SETTINGS | case.settings
        return self._run(case.name, self._plan(case), settings, case.blocks(NAMES))

    def run_without(self, name: str, dates: set[str], names: list[str]) -> Path:
        """Composite blocks from undisturbed scenes but those of some dates; the store."""
        items = [
            item
            for item in self.files.items(f"{self.server.address}{name}/", checksums=False)
            if item["properties"]["datetime"][:10] not in dates
        ]
        error = self._run(name, self.server.plan(name, items, []), SETTINGS, names)
        if error is not None:
            raise error
        return self.store(name)

    def store(self, name: str) -> Path:
        """Where the composites of a case are."""
        return self.folder / name / "interim" / "composite"

    def forget(self, *names: str) -> None:
        """Remove what cases have stored."""
        for name in names:
            shutil.rmtree(self.folder / name)

    def command(self, case: Case, cluster: str) -> tuple[int, dict[str, Outcome], str]:
        """Run a case over two blocks by the command line; exit code, outcomes and what it said."""
        keys = {
            **SETTINGS,
            **case.settings,
            "source": self._plan(case),
            "cluster": cluster,
            "workers": 1,
            "workspace": str(self.folder / case.name),
        }
        config = Config().with_keys(region=COMMAND_REGION, **keys)
        find_scenes(Context(config, resolve_region(COMMAND_REGION, 100), self.pool))
        options = [f"--{key.replace('_', '-')}={value}" for key, value in keys.items()]
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", "composite", COMMAND_REGION, *options],
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if not key.startswith("ASM_")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, self._found(case, COMMAND_BLOCKS), done.stdout + done.stderr

    def _run(
        self, name: str, address: str, settings: dict[str, Any], names: list[str]
    ) -> Exception | None:
        config = Config().with_keys(
            region=REGION,
            source=address,
            workspace=str(self.folder / name),
            **settings,
        )
        context = Context(config, resolve_region(REGION, 100), self.pool)
        chosen = [grid.Block.from_name(block) for block in names]
        try:
            # The picture of the coverage would take longer than the case.
            with patch("pipeline.composite.report_coverage"):
                composite_blocks(context, find_scenes(context), chosen)
        except Exception as error:  # Whatever it is, it is judged.
            return error
        return None

    def _found(self, case: Case, names: list[str]) -> dict[str, Outcome]:
        store = self.store(case.name)
        found = {name: outcome(store, name, self.undisturbed[name]) for name in names}
        self.forget(case.name)
        return found

    def _plan(self, case: Case) -> str:
        base = f"{self.server.address}{case.name}/"
        return self.server.plan(case.name, self.files.items(base, case.checksums), case.faults)


def of_block(faults: Iterable[Fault], block: str) -> list[Fault]:
    """The faults of one block."""
    return [fault for fault in faults if fault.block == block]


def _descendants() -> set[int]:
    """Processes that this one started, and those that they did."""
    return {child.pid for child in psutil.Process().children(recursive=True)}
