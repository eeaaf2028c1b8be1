"""Layers on disk: what was written comes back, in memory that does not grow with their number."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pipeline.imagery.layers import Layers


def test_strips_join_to_what_was_written() -> None:
    rng = np.random.default_rng(1)
    written = rng.integers(-30_000, 30_000, (9, 3, 700, 501)).astype(np.int16)
    with Layers(3, 700, 501) as layers:
        for layer in written:
            layers.append(layer)
        assert len(layers) == 9
        read = np.zeros_like(written)
        covered = np.zeros(700, int)
        for rows, strip in layers.strips():
            read[:, :, rows] = strip
            covered[rows] += 1
    assert (covered == 1).all()
    assert np.array_equal(read, written)


def test_a_layer_of_another_shape_or_type_is_refused() -> None:
    with Layers(1, 4, 4) as layers:
        with pytest.raises(ValueError, match="int16"):
            layers.append(np.zeros((1, 4, 5), np.int16))
        with pytest.raises(ValueError, match="int16"):
            layers.append(np.zeros((1, 4, 4), np.int32))  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_layers() -> None:
    peaks = []
    for count in (5, 80):
        layer = np.zeros((4, 600, 600), np.int16)
        tracemalloc.start()
        with Layers(*layer.shape) as layers:
            for _ in range(count):
                layers.append(layer)
            for _, strip in layers.strips():
                strip.sort(axis=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Layers(1, 4, 4) as layers:
        layers.append(np.ones((1, 4, 4), np.int16))
        assert list(Path(tmp_path).iterdir()) == []
