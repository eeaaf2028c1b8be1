"""What 24f73d1 stored is found: no key of a costly stage has changed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.manifest import read_manifest
from models.registry import load_model
from models.statement import Statement
from pipeline.composite import composite_blocks
from pipeline.errors import ReadFailedError
from pipeline.featurize import featurize_blocks
from pipeline.predict import predict_cells
from pipeline.runtime.atomic import read_json
from pipeline.scenes import find_scenes, load_scenes
from pipeline.train import dataset_region
from pipeline.training.register import About, training_key
from pipeline.workflow import ledger
from pipeline.workflow.context import Context

COSTLY = ("composite", "features", "banks", "dataset", "predictions")


def stored(workspace: Path) -> dict[str, tuple[int, int]]:
    """Name the files of the costly stages, with their sizes and when they changed."""
    files = [path for stage in COSTLY for path in (workspace / "interim" / stage).rglob("*.*")]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_an_entry_lies_under_the_key_of_its_inputs(workspace: Path) -> None:
    entries = [path for stage in COSTLY for path in workspace.glob(f"interim/{stage}/*/*.json")]
    assert {path.parents[1].name for path in entries} == set(COSTLY)
    for path in entries:
        assert ledger.key_of(read_json(path)["inputs"]) == path.stem


def test_the_scene_list_is_found(workspace: Path, context_of: Callable[..., Context]) -> None:
    (listed,) = (workspace / "interim" / "scenes" / "demo").iterdir()
    before = load_scenes(context_of())
    assert len(before.scenes) == 12 and before.simulated
    assert before.bands == ("B02", "B03", "B04", "B08", "B11", "B12")
    # Found again in the catalogue it is the same list, but for where the files lie now.
    after = find_scenes(context_of())
    assert list(listed.parent.iterdir()) == [listed]
    for one, other in zip(before.scenes, after.scenes, strict=True):
        for name, band in one.bands.items():
            now = other.bands[name]
            assert vars(now) | {"href": ""} == vars(band) | {"href": ""}
            assert now.href.split("/raw/")[1] == band.href.split("/raw/")[1]
        assert vars(other) | {"bands": {}} == vars(one) | {"bands": {}}


def test_nothing_is_made_again(workspace: Path, context_of: Callable[..., Context]) -> None:
    context = context_of()
    before = stored(workspace)
    model = load_model(workspace / "models" / "demo-1-ridge")
    (predicted,) = workspace.glob("interim/predictions/demo/*.json")
    assert model.sha256 == read_json(predicted)["inputs"]["model"]
    found, blocks = load_scenes(context), context.region.blocks
    composites = composite_blocks(context, found, blocks)
    features = featurize_blocks(context, composites, model.bank)
    predictions = predict_cells(context, features, model, blocks)
    assert len(composites) == len(features) == 4
    assert all(entry.reused for entry in (*composites, *features, predictions))
    dataset_region(context)
    assert stored(workspace) == before


@pytest.mark.parametrize(
    "settings", [{"blend": "medoid"}, {"cloud_dilation": 1}, {"scl_unclear": "0,1"}]
)
def test_other_settings_are_other_composites(
    context_of: Callable[..., Context], settings: dict[str, Any]
) -> None:
    # The pixels are not here: what is not found is read, and fails.
    context = context_of(**settings)
    blocks = context.region.blocks[:1]
    with pytest.raises(ReadFailedError, match=r"B02\.tif"):
        composite_blocks(context, load_scenes(context), blocks)


@pytest.mark.parametrize("kind", ["ridge", "forest", "mean"])
def test_the_key_of_a_model(workspace: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(workspace / "models" / f"demo-1-{kind}")
    (dataset,) = (workspace / "interim" / "dataset" / "demo").glob("*.json")
    (bank,) = (workspace / "interim" / "banks" / "demo").glob("*.json")
    # A model is of the libraries that trained it; those of 24f73d1 may be others by now.
    monkeypatch.setattr(importlib.metadata, "version", manifest.software.__getitem__)
    about = About(
        name="demo-1",
        data=Statement(),
        data_hash=read_json(dataset)["sha256"],
        licence="",
        ground="",
        squares=[],
        how=Statement(),
        simulated=True,
        seed=1,
    )
    assert training_key(about, read_json(bank)["facts"]["hash"], kind) == manifest.inputs
