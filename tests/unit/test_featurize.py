"""A region's own bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from imagery import clear_scl, make_context, make_item, save_items, texture

from features.bank import FilterBank
from features.scaling import Scaling
from pipeline import featurize
from pipeline.composite import composite_blocks
from pipeline.config import Config
from pipeline.errors import ConfigError, NoClearPixelError
from pipeline.featurize import sample_bank
from pipeline.geo import grid
from pipeline.scenes import find_scenes
from pipeline.workflow.context import Context
from pipeline.workflow.ledger import Entry


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Any:
    folder = tmp_path_factory.mktemp("bank")
    bands = {name: texture(seed) for seed, name in enumerate(("B02", "B03", "B04"))}
    save_items(folder / "source", [make_item(folder / "source", bands | {"SCL": clear_scl()})])
    return folder


def sampled(folder: Any, **keys: Any) -> FilterBank:
    context: Context = make_context(folder, **keys)
    found = find_scenes(context)
    done = composite_blocks(context, found, context.region.blocks)
    return sample_bank(context, found, done, Scaling(clip=0.5))


def test_a_regions_bank_follows_the_configuration(folder) -> None:
    bank = sampled(folder, filters=5, patches="3,4", seed=2)
    assert [(group.patch, group.count) for group in bank.groups] == [(3, 5), (4, 5)]
    assert (bank.bands, bank.level, bank.seed) == (("B02", "B03", "B04"), "L2A", 2)
    assert (bank.recipe, bank.biases, bank.symmetric) == ("atlas", (0.25, 1.0, 2.5), True)
    assert sampled(folder, filters=5, patches="3,4", seed=2).hash == bank.hash
    assert sampled(folder, filters=5, patches="3,4", seed=3).hash != bank.hash


def test_a_recipe_may_be_chosen(folder) -> None:
    bank = sampled(folder, filters=5, patches="3", recipe="torchgeo")
    assert (bank.recipe, bank.sides, bank.scaling) == ("torchgeo", "shared", Scaling(0.5, floor=0))


def test_too_few_patches_for_the_filters_are_an_error(folder) -> None:
    with pytest.raises(NoClearPixelError, match="5000 filters need as many patches") as caught:
        sampled(folder, filters=5000, patches="3")
    assert "SEASON" in str(caught.value.next_step)


def test_another_devices_features_are_stored_beside_the_processors() -> None:
    composite = Entry("block", "path", "sha256")
    keys = [
        featurize.Featurizing("hash", 1, featurize._How(device, kind)).inputs(composite)
        for device in ("cpu", "cuda")
        for kind in ("float32", "float16")
    ]
    assert all(keys.count(key) == 1 for key in keys)


@pytest.mark.parametrize("device, way", [("cpu", "auto"), ("cuda", "cuda")])
def test_the_device_is_the_way_of_computing(
    device: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    asked = []

    def stop(pixels: object, bank: object, cells: int, cell_px: int, way: str) -> None:
        asked.append((cells, cell_px, way))
        raise InterruptedError

    class Stored(dict[str, "Stored"]):
        def sel(self, band: list[str]) -> Stored:
            return self

        def to_numpy(self) -> np.ndarray:
            return np.zeros(1)

    class Bank:
        bands = ("B04",)

    monkeypatch.setattr(featurize, "part_features", stop)
    monkeypatch.setattr(featurize, "read_composite", lambda path: Stored(reflectance=Stored()))
    composite = Entry(grid.Block(0, 0).name, "path", "sha256")
    with pytest.raises(InterruptedError):
        featurize._write(tmp_path, composite, Bank(), featurize._How(device, "float32"))
    assert asked == [(2 * grid.CELLS_PER_BLOCK, grid.QUARTER_PX, way)]


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device must be one of cpu, cuda"):
        Config().with_keys(device="gpu")
