"""A workspace that commit 24f73d1 wrote, without its pixels.

``files/workspace.zip`` holds what a run on four blocks of the demo left (seed 1, one filter of 3
pixels, ``model = demo-1-ridge``): the ledger's entries, one table of each kind, a model, manifests,
a labelled sample and its areas. Files of pixels and the larger tables are not in it; empty ones
take their place, which pass for whole.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import shapely

from pipeline.config import Config
from pipeline.geo.regions import resolve_region
from pipeline.runtime import commits
from pipeline.runtime.atomic import read_json, sha256_of
from pipeline.runtime.cluster import Workers
from pipeline.workflow.context import Context

FILES = Path(__file__).parent / "files"
SUFFIXES = {"composite": ".tif", "features": ".parquet", "dataset": ".parquet"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack the workspace."""
    with zipfile.ZipFile(FILES / "workspace.zip") as archive:
        archive.extractall(tmp_path)
    (tmp_path / "processed" / "demo" / "latest").symlink_to("1c64cc4ca798")
    recorded = {}
    for stage, suffix in SUFFIXES.items():
        for entry in (tmp_path / "interim" / stage).glob("*/*.json"):
            stored = entry.with_suffix(suffix)
            if not stored.exists():
                stored.touch()
                recorded[stored] = read_json(entry)["sha256"]
    monkeypatch.setattr(commits, "sha256_of", lambda path: recorded.get(path) or sha256_of(path))
    return tmp_path


@pytest.fixture
def context_of(workspace: Path) -> Callable[..., Context]:
    """Give the surroundings of the run, with other settings where they are named."""

    def of(**settings: object) -> Context:
        asked = {"region": "demo", "filters": 1, "patches": "3", "model": "demo-1-ridge"}
        config = Config().with_keys(workspace=str(workspace), cluster="none", **asked | settings)
        ground = shapely.box(5.8, 2.0, 6.0, 2.2)
        region = replace(resolve_region("demo", 100), geometry=ground, training="")
        return Context(config, region, Workers("none"))

    return of
