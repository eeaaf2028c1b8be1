"""A wheel holds the code and the data that ship, and nothing of a workspace."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("pipeline/", "features/", "models/", "data/")
# What a run leaves in a checkout, some of it confidential.
LEFT = (
    "data/raw/demo/seed-1/catalog.json",
    "data/interim/joined/ituri/visits/0.parquet",
    "data/processed/ituri/latest/map.gpkg",
    "data/models/own/weights.npz",
    "data/layers/titles.gpkg",
    "data/removals.csv",
    "pipeline/__pycache__/run.cpython-311.pyc",
)


def test_a_wheel_holds_what_git_tracks_and_no_more(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="make install-dev installs what builds the wheel")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    tracked = [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    for name in tracked:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in LEFT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(build, cwd=tmp_path, capture_output=True, check=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    shipped = {name for name in tracked if name.startswith(SHIPPED)}
    assert found == {
        name.replace("data/", "pipeline/data/", 1) if name.startswith("data/") else name
        for name in shipped
    }
    assert {"data/DISCLOSURE.md", "data/scorecard.csv", "data/regions/demo.geojson"} <= shipped
    assert {"data/visits/answers.csv", "data/context/mining_titles.toml"} <= shipped
    assert "models/registry/amazon-rgb/manifest.json" in shipped
