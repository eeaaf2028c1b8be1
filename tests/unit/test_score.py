"""Chips to probabilities, and models trained on chips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sample_chips import chip_pixels, write_archive

from models.model import Model
from models.registry import load_model
from pipeline.config import Config
from pipeline.errors import ChipsError, ModelMismatchError
from pipeline.evaluation.score import chip_imagery, score_chips, write_scores
from pipeline.imagery.chips import ChipImagery, Chips, read_chips
from pipeline.training.train_chips import train_chips

LABEL = np.array([0, 1] * 20, np.int8)


COLUMNS = [
    "probability", "low", "high", "labels", "dissimilarity", "dispute", "applicable", "unlike",
]  # fmt: skip


def config(folder: Path) -> Config:
    return Config().with_keys(workspace=str(folder / "work"), filters=8, patches="3")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chips")
    train_chips(
        write_archive(folder / "archive", count=100, located=80),
        "rough",
        config(folder),
        leave_out=["2_2"],
        weights={"negatives": 2.0},
        licence="CC BY 4.0",
    )
    return folder


def load(folder: Path, kind: str) -> Model:
    return load_model(folder / "work" / "models" / f"rough-{kind}")


@pytest.mark.parametrize("kind", ["ridge", "forest", "mean"])
def test_models_of_chips_tell_textures_apart(trained, kind) -> None:
    model = load(trained, kind)
    chips = Chips(chip_pixels(LABEL, seed=7), None, ChipImagery())
    scores = score_chips(chips, model).probability
    assert scores.dtype == np.float32
    assert scores[LABEL == 1].min() > scores[LABEL == 0].max()


def test_the_manifest_says_what_was_left_out(trained) -> None:
    manifest = load(trained, "ridge").manifest
    assert (manifest.bands, manifest.level) == (["B04", "B03", "B02"], "L1C")
    assert "without the squares 2_2" in manifest.data.description
    assert "negatives 2-fold" in manifest.data.description
    assert manifest.data.licence == "CC BY 4.0"
    assert [2, 2] not in manifest.ground.squares
    table = pd.read_csv(trained / "archive" / "chips.csv")
    assert manifest.data.rows == (table["cell"] != "2_2").sum() < 100
    assert len(load(trained, "ridge").cells)


def test_training_again_reuses(trained, capsys) -> None:
    keys = {"leave_out": ["2_2"], "weights": {"negatives": 2.0}, "licence": "CC BY 4.0"}
    train_chips(trained / "archive", "rough", config(trained), **keys)
    assert capsys.readouterr().out.count("(reused)") == 3


@pytest.mark.parametrize("recipe", ["paper", "mosaiks-api"])
def test_models_of_other_recipes_score_chips_of_the_same_imagery(tmp_path, recipe) -> None:
    archive = write_archive(tmp_path / "archive")
    settings = config(tmp_path).with_keys(recipe=recipe)
    train_chips(archive, "rough", settings)
    model = load(tmp_path, "ridge")
    assert model.bank.recipe == model.manifest.bank["recipe"] == recipe
    card = tmp_path / "work" / "models" / "rough-ridge" / "card.md"
    assert f"recipe {recipe}" in card.read_text(encoding="utf-8")
    scores = score_chips(Chips(chip_pixels(LABEL, seed=7), None, ChipImagery()), model).probability
    assert scores[LABEL == 1].mean() > scores[LABEL == 0].mean()


@pytest.mark.parametrize(
    "keys", [{"leave_out": ["nowhere"]}, {"without": ["nothing"]}, {"weights": {"nothing": 2.0}}]
)
def test_what_is_left_out_must_exist(tmp_path, keys) -> None:
    with pytest.raises(ChipsError, match="no"):
        train_chips(write_archive(tmp_path / "a", 30), "x", config(tmp_path), **keys)


def test_chips_without_labels_cannot_be_trained_on(tmp_path) -> None:
    archive = write_archive(tmp_path / "a", 30)
    chips = read_chips(archive / "chips.npz")
    np.savez(archive / "chips.npz", chips=chips.pixels)
    with pytest.raises(ChipsError, match="no labels"):
        train_chips(archive, "x", config(tmp_path))


@pytest.mark.parametrize(
    "said", [("B02,B03,B04", None, None, None), (None, "L2A", None, None), (None, None, 1.0, 0)]
)
def test_other_imagery_is_refused_naming_both(trained, said) -> None:
    chips = Chips(chip_pixels(LABEL), None, chip_imagery(*said))
    with pytest.raises(ModelMismatchError) as caught:
        score_chips(chips, load(trained, "ridge"))
    assert "L1C B04 B03 B02, reflectance 0..0.3 as 0..1 in 255 steps" in caught.value.what
    assert caught.value.exit_code == 51


def test_scores_are_one_row_a_chip(tmp_path, trained) -> None:
    chips = Chips(chip_pixels(LABEL), None, ChipImagery())
    scores = score_chips(chips, load(trained, "ridge"))
    write_scores(scores, tmp_path / "out" / "scores.csv")
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert list(table.columns) == ["chip", *COLUMNS]
    assert table["chip"].tolist() == list(range(len(LABEL)))
    for name in COLUMNS[:3]:
        assert table[name].to_numpy() == pytest.approx(getattr(scores, name), abs=1e-6)
    assert table["labels"].tolist() == scores.labels.tolist()
    assert table["unlike"].tolist() == scores.unlike.astype(int).tolist()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scores.csv"]


def test_the_same_chips_give_the_same_scores_in_any_batch(trained) -> None:
    model = load(trained, "ridge")
    pixels = chip_pixels(np.zeros(70, np.int8))
    together = score_chips(Chips(pixels, None, ChipImagery()), model).probability
    alone = score_chips(Chips(pixels[65:66], None, ChipImagery()), model).probability
    assert together[65] == pytest.approx(alone[0], abs=1e-6)


def test_pixels_in_another_order_or_scale_are_unlike_the_training_chips(trained) -> None:
    model = load(trained, "ridge")
    pixels = chip_pixels(LABEL, seed=7)
    scaled = np.minimum(pixels.astype(int) * 10_000, 255).astype(np.uint8)
    for wrong in (scaled, pixels // 250):
        found = score_chips(Chips(wrong, None, ChipImagery()), model)
        assert found.unlike.all()
        assert not found.applicable.any()
