"""Archives of chips: read only if they are what they should be."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_chips import write_archive

from features.scaling import Scaling
from models.errors import TrainingError
from pipeline.errors import ChipsError
from pipeline.geo import grid
from pipeline.imagery import chips as module
from pipeline.imagery.chips import (
    ChipImagery,
    cells_of,
    fold_groups,
    located,
    read_chips,
    read_table,
)
from pipeline.training.chips import read_labelled_chips

PIXELS = np.arange(5 * 8 * 8 * 3, dtype=np.uint16).reshape(5, 8, 8, 3)


def save(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_an_archive_is_read(tmp_path) -> None:
    label = np.array([0, 1, 0, 1, 1])
    small = PIXELS.astype(np.uint8)
    chips = read_chips(save(tmp_path / "chips.npz", chips=small, label=label))
    assert chips.label is not None
    assert chips.label.tolist() == label.tolist()
    reflectance = chips.reflectance(slice(1, 3))
    assert reflectance.shape == (2, 3, 8, 8)
    assert reflectance.dtype == np.float32
    assert reflectance[0, 2, 4, 5] == pytest.approx(small[1, 4, 5, 2] * 0.30 / 255)
    wide = read_chips(save(tmp_path / "wide.npz", chips=PIXELS))
    assert wide.label is None
    assert wide.reflectance()[4, 0, 7, 7] == pytest.approx(PIXELS[4, 7, 7, 0] * 1e-4)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pixels": PIXELS},
        {"chips": PIXELS.astype(float)},
        {"chips": PIXELS[0]},
        {"chips": PIXELS[:0]},
        {"chips": PIXELS[..., :2]},
        {"chips": np.zeros((1, 1025, 2, 3), np.uint8)},
        {"chips": PIXELS, "label": np.array([0, 1, 0, 1, 2])},
        {"chips": PIXELS, "label": np.array([0, 1, 0, 1, 257])},
        {"chips": PIXELS, "label": np.array([0, 1, 0, 1, 0.5])},
        {"chips": PIXELS, "label": np.array([0, 1, 0])},
        {"chips": PIXELS, "label": np.array(list("01010"))},
    ],
)
def test_another_form_is_refused(tmp_path, arrays) -> None:
    with pytest.raises(ChipsError) as caught:
        read_chips(save(tmp_path / "chips.npz", **arrays))
    assert caught.value.exit_code == 42
    assert "chips.npz" in caught.value.where


def test_objects_are_never_unpickled(tmp_path) -> None:
    with pytest.raises(ChipsError):
        read_chips(save(tmp_path / "chips.npz", chips=np.array([{}, {}], dtype=object)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"text"])
def test_no_archive_at_all(tmp_path, content) -> None:
    (tmp_path / "chips.npz").write_bytes(content)
    with pytest.raises(ChipsError):
        read_chips(tmp_path / "chips.npz")
    with pytest.raises(ChipsError):
        read_chips(tmp_path / "nowhere.npz")


def test_damage_inside_the_archive(tmp_path) -> None:
    path = save(
        tmp_path / "chips.npz", chips=np.random.default_rng(1).integers(0, 255, (9, 8, 8, 3))
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(ChipsError):
        read_chips(path)


def test_a_header_that_promises_more_than_there_is(tmp_path) -> None:
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 8, 8, 3)}
    np.lib.format.write_array_header_1_0(buffer, header)
    with zipfile.ZipFile(tmp_path / "chips.npz", "w") as archive:
        archive.writestr("chips.npy", buffer.getvalue())
    with pytest.raises(ChipsError):
        read_chips(tmp_path / "chips.npz")


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch) -> None:
    path = save(tmp_path / "chips.npz", chips=np.zeros((50, 64, 64, 3), np.uint8))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    with pytest.raises(ChipsError, match="unpacks to more"):
        read_chips(path)


def test_bands_are_declared_in_order(tmp_path) -> None:
    path = save(tmp_path / "chips.npz", chips=PIXELS[..., :2])
    imagery = ChipImagery(("B08", "B04"), "L2A", Scaling(1.0))
    assert read_chips(path, imagery).imagery == imagery


def test_the_table_is_sorted_by_chip(tmp_path) -> None:
    archive = write_archive(tmp_path, count=6)
    table = pd.read_csv(archive / "chips.csv")
    table.sample(frac=1, random_state=1).to_csv(archive / "chips.csv", index=False)
    assert read_table(archive / "chips.csv", 6)["chip"].tolist() == list(range(6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="cell"), "no column cell"),
        (lambda t: t.assign(chip=0), "once"),
        (lambda t: t.iloc[1:], "once"),
        (lambda t: t.assign(chip="x"), "once"),
        (lambda t: t.drop(columns="lon"), "no column lon"),
        (lambda t: t.assign(lat=95.0), "column lat"),
        (lambda t: t.assign(lon=np.nan), "column lon"),
        (lambda t: t.assign(ulx="east"), "column ulx"),
        (lambda t: t.assign(epsg=np.inf), "column epsg"),
        (lambda t: t.assign(epsg=np.nan, lon="east"), "column lon"),
        (lambda t: t.assign(epsg=np.nan, lat=np.inf), "column lat"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, change, words) -> None:
    archive = write_archive(tmp_path, count=6)
    change(pd.read_csv(archive / "chips.csv")).to_csv(archive / "chips.csv", index=False)
    with pytest.raises(ChipsError, match=words):
        read_table(archive / "chips.csv", 6)


def test_places_and_folds(tmp_path) -> None:
    archive = write_archive(tmp_path, count=120, located=50)
    table = read_table(archive / "chips.csv", 120)
    known = located(table)
    assert known.sum() == 50
    cells = cells_of(table)
    assert (cells[~known] == -1).all()
    lon, lat = table["lon"].to_numpy(float)[known], table["lat"].to_numpy(float)[known]
    assert np.array_equal(cells[known], grid.cell_of(lon, lat))
    groups = fold_groups(table)
    assert set(groups[known]) == set(table["cell"][known]), "located chips: their square"
    runs = pd.Series(groups[~known])
    assert runs.nunique() == 2
    assert runs.value_counts().max() == 50, "others: runs of neighbours"


def test_a_rough_place_tells_the_region(tmp_path) -> None:
    archive = write_archive(tmp_path, count=80)
    table = pd.read_csv(archive / "chips.csv")
    rough = table.assign(epsg=table["epsg"].where(table.index < 60))
    rough.to_csv(archive / "chips.csv", index=False)
    found = read_labelled_chips(archive)
    assert np.isnan(found.lonlat[0, 60:]).all(), "not exact enough for a cell"
    square = np.floor(table["lon"]).to_numpy(int)
    for name in np.unique(square):
        assert len(np.unique(found.region[square == name])) == 1
    assert len(np.unique(found.region)) == len(np.unique(square))
    rough.drop(columns=["lon", "epsg"]).to_csv(archive / "chips.csv", index=False)
    with pytest.raises(TrainingError, match="two 1-degree squares"):
        _ = read_labelled_chips(archive).region
