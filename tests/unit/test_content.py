"""What two published folders say is compared, not their bytes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import rasterio
from sample_map import make_joined, make_run

from pipeline.errors import InputFileError, StageMissingError
from pipeline.map.files.content_hash import content_hashes, whole_hash
from pipeline.map.folder import publish


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("content") / "run"
    publish(make_joined(rows=20, cols=20), make_run(), path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_another_run_at_another_time_says_the_same(folder: Path, tmp_path: Path) -> None:
    run = make_run(run_id="demo-fedcba9876543210", created="2023-01-02T03:04:05Z")
    publish(make_joined(rows=20, cols=20), run, tmp_path / "later")
    found, again = content_hashes(folder), content_hashes(tmp_path / "later")
    assert found == again
    assert whole_hash(found) == whole_hash(again)
    assert {"map.gpkg/cells", "map.gpkg/provenance", "probability.tif", "map.qgz"} <= set(found)


def one_cell(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "map.gpkg")) as base:
        # A trigger on the layer wants functions that only GDAL has.
        for (name,) in base.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        base.execute("UPDATE cells SET probability = 0.123 WHERE rowid = 7")
        base.commit()
    return "map.gpkg/cells"


def one_pixel(folder: Path) -> str:
    with rasterio.open(folder / "probability.tif") as file:
        profile, values, tags = file.profile, file.read(), file.tags()
        names = file.descriptions
    values[0, 3, 3] = 0.5
    profile["driver"] = "GTiff"
    with rasterio.open(folder / "probability.tif", "w", **profile) as file:
        file.write(values)
        file.update_tags(**tags)
        file.descriptions = names
    return "probability.tif"


def one_setting(folder: Path) -> str:
    path = folder / "manifest.json"
    value = json.loads(path.read_text())
    value["configuration"]["min_observed"] = 0.9
    path.write_text(json.dumps(value))
    return "manifest.json"


@pytest.mark.parametrize("change", [one_cell, one_pixel, one_setting])
def test_what_differs_is_named(folder: Path, copy: Path, change: Callable[[Path], str]) -> None:
    name = change(copy)
    found, again = content_hashes(folder), content_hashes(copy)
    assert {part for part in found if found[part] != again.get(part)} == {name}
    assert whole_hash(found) != whole_hash(again)


def test_a_folder_without_a_run_and_a_broken_file_are_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(StageMissingError, match="no published run"):
        content_hashes(tmp_path)
    (copy / "map.qgz").write_bytes(b"PK")
    with pytest.raises(InputFileError) as caught:
        content_hashes(copy)
    assert caught.value.where.endswith("map.qgz")
