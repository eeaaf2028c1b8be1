from __future__ import annotations

import numpy as np
import pytest

from pipeline import featurize, grid
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.ledger import Entry


def test_another_devices_features_are_stored_beside_the_processors() -> None:
    composite = Entry("block", "path", "sha256")
    stored = featurize._inputs(composite, "hash", "cpu")
    assert "device" not in stored
    assert featurize._inputs(composite, "hash", "cuda") == stored | {"device": "cuda"}


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

    monkeypatch.setattr(featurize, "cell_features", stop)
    monkeypatch.setattr(featurize, "read_composite", lambda path: Stored(reflectance=Stored()))
    composite = Entry(grid.Block(0, 0).name, "path", "sha256")
    with pytest.raises(InterruptedError):
        featurize._write(tmp_path, composite, Bank(), device)
    assert asked == [(grid.CELLS_PER_BLOCK, grid.CELL_PX, way)]


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device must be one of cpu, cuda"):
        Config(device="gpu")
