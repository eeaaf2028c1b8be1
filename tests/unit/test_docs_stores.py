"""The page that writes down the stores says what the program writes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from imagery import WEST, clear_scl, make_context, make_item, save_items, texture
from sample_model import sample_bank
from test_dataset import build, make_labels
from test_train import ABOUT, table

from features.bank import bank_bytes
from models.registry import load_model
from pipeline import composite
from pipeline.change.difference import COLUMNS as DIFFERENCES
from pipeline.change.series import COLUMNS as SERIES
from pipeline.composite import composite_blocks
from pipeline.evaluation.sample import STRATA, draw_cells
from pipeline.featurize import featurize_blocks
from pipeline.geo import grid
from pipeline.imagery.items import Scene, SceneBand
from pipeline.predict import _unobserved
from pipeline.scenes import find_scenes
from pipeline.sites.candidates import find_candidates
from pipeline.sites.join import _NEEDED, join_cells
from pipeline.sites.samples import TO_FILL
from pipeline.training.register import register_models
from pipeline.workflow.cells import CellTable

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
BANK = sample_bank(patches=(3,), count=3)


def rows(heading: str) -> list[list[str]]:
    """Names in the first column of each table below a heading, a list a table."""
    (part,) = re.findall(rf"^## {heading}.*?\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    tables = re.findall(r"(?:^\|.*\n)+", part, re.M)
    return [re.findall(r"^\| (\w+) \|", text, re.M)[1:] for text in tables]


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Path:
    """A workspace in which a scene went as far as the features."""
    folder = tmp_path_factory.mktemp("stores")
    bands = {name: texture(seed) for seed, name in enumerate(("B02", "B03", "B04"))}
    item = make_item(folder / "source", bands | {"SCL": clear_scl()})
    save_items(folder / "source", [item])
    context = make_context(folder)
    done = composite_blocks(context, find_scenes(context), context.region.blocks)
    featurize_blocks(context, done, BANK)
    return folder / "work" / "interim"


def stored(stores: Path, pattern: str) -> Path:
    (path,) = stores.glob(pattern)
    return path


def test_the_ledger(stores) -> None:
    entry = json.loads(stored(stores, f"composite/{WEST.name}/*.json").read_text())
    assert [sorted(entry)] == [sorted(names) for names in rows("Ledger entry")]


def test_the_scene_manifest(stores) -> None:
    scene, band = rows("Scene manifest")
    assert scene == [field.name for field in dataclasses.fields(Scene)]
    assert band == [field.name for field in dataclasses.fields(SceneBand)]
    value = json.loads(stored(stores, "scenes/*/*.json").read_text())
    assert sorted(value) == [
        "bands",
        "clouded",
        "duplicates",
        "features",
        "missing",
        "scenes",
        "type",
    ]
    assert sorted(value["scenes"][0]) == sorted(scene)


def test_the_block(stores) -> None:
    assert rows("Block") == [list(composite.COUNTS)]
    with rasterio.open(stored(stores, "composite/*/*.tif")) as file:
        assert list(file.descriptions) == ["B02", "B03", "B04", *composite.COUNTS]
        assert (file.dtypes[0], file.nodata, file.shape) == ("int16", -32768, (1208, 1208))
        assert file.crs.to_string() == grid.CRS
        assert {"level", "reflectance_scale", "simulated"} <= set(file.tags())


def test_the_bank(tmp_path) -> None:
    path = tmp_path / "bank.npz"
    path.write_bytes(bank_bytes(BANK))
    with np.load(path) as arrays:
        assert sorted(arrays) == ["description", "filters_0", "offsets_0"]
        described = json.loads(arrays["description"].tobytes())
    (part,) = re.findall(r"`description` \(JSON as bytes: (.*?)\)", PAGE, re.S)
    assert sorted(re.split(r",\s+", part)) == sorted(described)


def test_the_feature_table(stores) -> None:
    schema = pq.read_schema(stored(stores, "features/*/*.parquet"))
    assert [schema.names] == rows("Feature table")
    made_on_reading = {"quarters"}
    fields = {field.name for field in dataclasses.fields(CellTable)}
    assert set(schema.names) == fields - made_on_reading


def test_the_training_table(tmp_path) -> None:
    _, entry = build(tmp_path, make_labels())
    assert [pq.read_schema(entry.path).names] == rows("Training table")


def test_the_predictions_and_what_is_joined() -> None:
    (names,) = rows("Predictions")
    cells = _unobserved(WEST.cells().reshape(-1)).assign(probability=np.float32(0.9))
    assert list(cells.columns) == names
    assert set(_NEEDED) < set(names)
    region = make_context(Path("x"), region="bbox:5.9,2.0,6.0,2.1").region
    joined = join_cells(cells, None, region, {"possible": 0.3, "likely": 0.6})
    assert set(joined.cells.columns) == {*names, "class", "sites", "nearest_site_km"}
    assert [sorted(find_candidates(joined.cells, None).columns)] == [
        sorted(part) for part in rows("Joined tables")
    ]


def test_the_changes_and_the_series() -> None:
    assert rows("Changes") == [list(DIFFERENCES)]
    assert rows("Series") == [list(SERIES)]


def test_the_models_manifest(tmp_path) -> None:
    register_models(table(), BANK, ABOUT, tmp_path, kinds=["ridge"])
    assert [list(load_model(tmp_path / "here-ridge").manifest.record)] == rows("Model")
    for path in (tmp_path / "here-ridge").iterdir():
        assert f"`{path.name}`" in PAGE


def test_the_sample_and_the_file_to_label(tmp_path) -> None:
    cells = _unobserved(WEST.cells().reshape(-1)).assign(probability=np.float32(0.9))
    drawn = draw_cells(cells, {"possible": 0.3, "likely": 0.6}, 40)
    in_store, in_file = rows("Sample")
    assert in_store == list(drawn.columns)
    assert in_file == ["number", "cell", *TO_FILL]
    (part,) = re.findall(r"^\| stratum \| text \| (.*)$", PAGE, re.M)
    assert re.findall(r"`(\w+)`", part) == list(STRATA)
