"""The commands of docs/africa.md on the real visits, with SIMULATED scenes of the same places.

Only the address differs from the field: the commands are read from the page, ``SOURCE`` becomes a
STAC API here, and the files lie with a server of ranges. The imagery covers six blocks of the
territory, in two seasons six years apart; mines are painted where the visits lie.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from range_server import RangeServer, range_server
from simulate import SEASONS, simulate
from stac_server import Page, stac_server

from pipeline.composite import read_composite
from pipeline.demo.frame import Frame
from pipeline.geo.grid import Block
from pipeline.sites.visits import read_visits

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "africa.md"
FRAME = Frame(28.9, 1.1, 29.2, 1.3, margin=0)
BLOCKS = [
    Block.from_name(f"N01.{row}E0{col}") for row in (1, 2) for col in ("28.9", "29.0", "29.1")
]
BUCKET = "simulated-archive"
SECRET = "never-to-be-seen"
PER_PAGE = 2

pytestmark = pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ,
    reason="ASM_ATLAS_TEST_DATA is not set: the folder with ipis/visits.csv",
)


@dataclass
class Done:
    """A command that has run: its exit code, what it said, and what was asked of the servers."""

    code: int
    said: str
    searches: list[dict[str, Any]]
    reads: list[tuple[str, int, int]]


@dataclass
class Field:
    """A workspace, the commands that ran in it first, and how to run them again."""

    workspace: Path
    server: RangeServer
    run: Any
    first: dict[str, Done] = field(default_factory=dict)


def documented() -> dict[str, dict[str, str]]:
    """Each command of the page: its verb, and its variables as make hands them on."""
    lines = re.findall(
        r"^\$ make (scenes|train|predict) (.+)$", PAGE.read_text(encoding="utf-8"), re.M
    )
    return {verb: dict(word.split("=", 1) for word in words.split()) for verb, words in lines}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("africa")
    visits = Path(os.environ["ASM_ATLAS_TEST_DATA"]) / "ipis" / "visits.csv"
    started = time.monotonic()
    items = simulate(folder / "archive", read_visits(visits), FRAME, seed=1)
    print(f"\nSIMULATED: {len(items)} scenes in {time.monotonic() - started:.0f} s")
    with range_server() as files, stac_server() as api:
        for path in (folder / "archive").rglob("*.tif"):
            name = path.relative_to(folder / "archive").as_posix()
            # The same file by a plain link and by an s3 link.
            files.files[name] = files.files[f"{BUCKET}/{name}"] = path.read_bytes()
        for index, item in enumerate(items):
            for asset in item["assets"].values():
                link = f"{files.address}/{asset['href']}?sig={SECRET}"
                asset["href"] = f"s3://{BUCKET}/{asset['href']}" if index % 2 else link
        api.serve(pages(items))

        def run(verb: str) -> Done:
            words = documented()[verb] | {"SOURCE": api.address, "LABELS": str(visits)}
            words |= {"WORKSPACE": str(folder / "work"), "WORKERS": "2"}
            words["HOSTS"] = f"{files.address.removeprefix('http://')},{BUCKET}"
            access = {
                "AWS_ENDPOINT_URL": files.address,
                "AWS_ACCESS_KEY_ID": "simulated",
                "AWS_SECRET_ACCESS_KEY": SECRET,
            }
            settings = {f"ASM_ATLAS_{name}": value for name, value in words.items()}
            command = [sys.executable, "-m", "pipeline.cli", verb]
            api.asked, files.asked, begun = [], [], time.monotonic()
            ended = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | access | settings,
                capture_output=True,
                text=True,
                timeout=600,
            )
            said = ended.stdout + ended.stderr
            print(f"$ asm-atlas {verb}: {time.monotonic() - begun:.0f} s\n{said}")
            return Done(ended.returncode, said, list(api.asked), list(files.asked))

        result = Field(folder / "work", files, run)
        for verb in ("scenes", "train", "predict"):
            result.first[verb] = run(verb)
            assert result.first[verb].code == 0, result.first[verb].said
        yield result


def pages(items: list[dict[str, Any]]) -> list[Page]:
    """The archive two items a page, with one beside it that a wrong season would read in vain."""
    wrong = json.loads(json.dumps(items[0]).replace("20161211", "20201211"))
    wrong["properties"]["datetime"] = "2020-07-11T08:04:11Z"
    for asset in wrong["assets"].values():
        asset["href"] = asset["href"].replace("sentinel-2-l2a", "not-there")
    every = [*items, wrong]
    parts = [every[first : first + PER_PAGE] for first in range(0, len(every), PER_PAGE)]
    last = len(parts) - 1
    return [Page(part, None if k == last else k + 1) for k, part in enumerate(parts)]


def folder_of(mapped: Field) -> Path:
    (latest,) = (mapped.workspace / "processed").glob("*/latest")
    return latest.resolve()


def entries(mapped: Field, stage: str) -> list[dict[str, Any]]:
    found = (mapped.workspace / "interim" / stage).glob("*/*.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def test_visits_are_learned_from_the_season_around_them(mapped: Field) -> None:
    asked = {question["datetime"][:7] for question in mapped.first["train"].searches}
    assert {"2016-12", "2022-12"} <= asked
    seen = [
        {scene["datetime"][:10] for scene in entry["inputs"]["scenes"]}
        for entry in entries(mapped, "composite")
    ]
    dates = [{over.date for over in passes} for passes in SEASONS.values()]
    assert all(any(days <= season for season in dates) for days in seen)
    assert all(any(days & season for days in seen) for season in dates)
    (table,) = (mapped.workspace / "interim" / "dataset").rglob("*.parquet")
    days = pd.read_parquet(table, columns=["date"])["date"]
    years = pd.to_datetime(days[days != ""]).dt.year
    # The seasons end in 2017 and 2023; VISIT_YEARS is 2.
    near = np.minimum(abs(years - 2017), abs(years - 2023))
    assert set(years) & {2017, 2018} and set(years) & {2022, 2023} and near.max() <= 2


def test_old_and_new_baselines_give_one_reflectance(mapped: Field) -> None:
    medians: dict[tuple[str, str], Any] = {}
    for path in (mapped.workspace / "interim" / "composite").glob("*/*.tif"):
        entry = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if entry["facts"]["clear_share"] > 0.9:
            values = read_composite(path)["reflectance"].to_numpy()
            year = entry["inputs"]["scenes"][0]["datetime"][:4]
            medians[path.parent.name, year] = np.nanmedian(values, axis=(1, 2))
    assert len(medians) == 2 * len(BLOCKS)
    for block in BLOCKS:
        # An offset forgotten or taken twice would be 0.1; six years of weather are not.
        difference = medians[block.name, "2022"] - medians[block.name, "2016"]
        assert np.abs(difference).max() < 0.02, block.name


def test_scenes_come_through_the_api_and_pixels_in_ranges(mapped: Field) -> None:
    for verb in ("train", "predict"):
        done = mapped.first[verb]
        assert len(done.searches) >= 4 and not len(done.searches) % 4, "every page of each search"
        assert {tuple(question["collections"]) for question in done.searches} == {
            ("sentinel-2-l2a",)
        }
    reads = mapped.first["train"].reads + mapped.first["predict"].reads
    assert not [path for path, _, _ in reads if "not-there" in path]
    by_link = [path for path, _, _ in reads if not path.startswith(f"/{BUCKET}/")]
    by_s3 = [path for path, _, _ in reads if path.startswith(f"/{BUCKET}/")]
    assert by_link and not [path for path in by_link if "?" in path], "stored without its query"
    assert by_s3 and all("X-Amz-Signature=" in path for path in by_s3), "signed in the task"
    sizes = {
        path: len(mapped.server.files[path.partition("?")[0].lstrip("/")]) for path, *_ in reads
    }
    assert not [path for path, first, stop in reads if stop - first >= max(sizes[path], 1 << 21)]


def test_places_that_were_not_trained_on_are_ranked_well(mapped: Field) -> None:
    scores = {}
    for path in (mapped.workspace / "models").glob("*/manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        assert manifest["simulated"] and manifest["level"] == "L2A"
        assert "whole 0.1-degree blocks held out" in manifest["scores"]["how"]
        scores[manifest["kind"]] = manifest["scores"]["pooled"]["auc"]
    print(f"\nSIMULATED imagery, real places, blocks held out: AUC {scores}")
    assert scores["ridge"] >= 0.85


def test_the_map_tells_what_was_not_seen(mapped: Field) -> None:
    cells = gpd.read_file(folder_of(mapped) / "map.gpkg", layer="cells")
    centre = cells.geometry.to_crs(3857).centroid.to_crs(4326)
    seen = np.zeros(len(cells), bool)
    for block in BLOCKS:
        west, south, east, north = block.bounds
        seen |= centre.x.between(west, east) & centre.y.between(south, north)
    assert seen.sum() == 600 and len(cells) == 216 * 100
    assert (cells["class"][~seen] == "cannot_tell").all()
    assert (cells["class"][seen] != "cannot_tell").mean() > 0.99


def test_everything_says_that_it_is_simulated(mapped: Field) -> None:
    folder = folder_of(mapped)
    assert json.loads((folder / "manifest.json").read_text())["simulated"] is True
    assert json.loads((folder / "item.json").read_text())["properties"]["asm:simulated"] is True
    assert "SIMULATED" in (folder / "report.html").read_text(encoding="utf-8").upper()
    with rasterio.open(folder / "probability.tif") as raster:
        assert "SIMULATED" in str(raster.tags()).upper()
    for layer in ("cells", "candidates", "sites"):
        assert gpd.read_file(folder / "map.gpkg", layer=layer)["simulated"].all(), layer
    for path in (mapped.workspace / "interim" / "composite").glob("*/*.tif"):
        with rasterio.open(path) as raster:
            assert raster.tags()["simulated"] == "true"


def test_no_signature_and_no_address_gets_out(mapped: Field) -> None:
    secrets = [SECRET.encode(), b"X-Amz-"]
    for path in mapped.workspace.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], path
    addresses = [mapped.server.address.encode(), b"127.0.0.1", BUCKET.encode()]
    folder = folder_of(mapped)
    for path in folder.iterdir():
        content = path.read_bytes()
        if path.suffix == ".qgz":
            with zipfile.ZipFile(path) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        assert not [word for word in (*addresses, *secrets) if word in content], path
    # Text in a database may be split over its pages.
    with sqlite3.connect(folder / "map.gpkg") as database:
        dump = "\n".join(str(row) for row in all_rows(database)).encode()
    database.close()
    assert not [word for word in (*addresses, *secrets) if word in dump]


def all_rows(database: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        if not name.startswith("rtree"):
            yield from database.execute(f'SELECT * FROM "{name}"')


def test_a_second_run_does_nothing(mapped: Field) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for stage in ("interim/composite", "interim/features", "models", "processed")
            for path in (mapped.workspace / stage).rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    before = state()
    for verb in ("train", "predict"):
        again = mapped.run(verb)
        assert again.code == 0, again.said
        assert not again.reads, "no pixel is read again"
    assert "(reused)" in again.said and "nothing to do" in again.said
    assert state() == before
