"""Which model: the nearest that fits, or a refusal that names both sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from imagery import make_context
from sample_cells import scene_list
from sample_model import sample_bank, sample_table
from test_train import ABOUT, table

from features.bank import FilterBank
from models.manifest import FORMAT, read_manifest
from pipeline.errors import ModelMismatchError, NoModelError, UnknownModelError
from pipeline.training import model_choice
from pipeline.training.model_choice import check_fits, choose_model, load_named, misfit
from pipeline.training.model_table import list_models
from pipeline.training.register import register_models

BANK = sample_bank(patches=(3,), count=3)
assert len(sample_table(3)) == 4


@pytest.fixture(autouse=True)
def no_shipped_models(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(model_choice, "SHIPPED", tmp_path / "none")


def register(folder: Path, name: str, squares: list[tuple[int, int]], **about: Any) -> None:
    bank: FilterBank = about.pop("bank", BANK)
    said = replace(ABOUT, name=name, squares=squares, **about)
    register_models(table(120), bank, said, folder / "work" / "models", kinds=["ridge"])


def test_the_nearest_that_fits_is_taken(tmp_path) -> None:
    register(tmp_path, "far", [(28, -2)])
    register(tmp_path, "near", [(9, 3), (40, 40)])
    register(tmp_path, "nearest-but-simulated", [(5, 2)], simulated=True)
    model, why = choose_model(make_context(tmp_path), scene_list())
    assert model.name == "near-ridge"
    assert "nearest of 2 that fit" in why.text
    lines = list_models(str(tmp_path / "work"))
    assert [line.split()[0] for line in lines[1:4]] == ["far-ridge", "near-ridge",
                                                        "nearest-but-simulated-ridge"]  # fmt: skip
    assert len({len(line) for line in lines[:4]}) == 1, "aligned"
    judged = read_manifest(tmp_path / "work" / "models" / "far-ridge").validation
    for figure in (judged[0]["auc"], judged[1]["auc"], judged[1]["ap"], judged[1]["brier"]):
        assert f"{figure:.3f}" in lines[1]
    assert any(line.startswith("far-ridge: ridge for L2A B04") for line in lines[4:])
    asked, why = choose_model(make_context(tmp_path, model="far-ridge"), scene_list())
    assert (asked.name, why.text) == ("far-ridge", "asked for by name")


@pytest.mark.parametrize(
    ("imagery", "words"),
    [
        ({"bands": ("B04", "B03")}, "bands B02 are missing"),
        ({"level": "L1C"}, "level L2A is not L1C"),
        ({"clip": 0.3, "steps": 255}, "scaling"),
        ({"simulated": True}, "one is simulated"),
    ],
)
def test_imagery_that_does_not_fit_is_refused_naming_both(tmp_path, imagery, words) -> None:
    register(tmp_path, "here", [(5, 2)])
    scenes = scene_list(**imagery)
    model = load_named(str(tmp_path / "work"), "here-ridge")
    assert words in misfit(model.manifest, scenes)
    with pytest.raises(ModelMismatchError, match="the imagery is") as caught:
        check_fits(model.manifest, scenes)
    assert caught.value.exit_code == 51
    with pytest.raises(NoModelError) as none:
        choose_model(make_context(tmp_path), scenes)
    assert none.value.exit_code == 50
    assert words in none.value.where
    assert "make train" in none.value.next_step


def test_pixels_scaled_as_the_models_fit(tmp_path) -> None:
    register(tmp_path, "here", [(5, 2)])
    manifest = load_named(str(tmp_path / "work"), "here-ridge").manifest
    assert misfit(manifest, scene_list(clip=0.5, steps=0)) == ""
    # What the bank makes of the pixels, a logarithm or not, is no matter of the imagery.
    linear = replace(manifest, scaling=replace(manifest.scaling, floor=0))
    assert misfit(linear, scene_list(clip=0.5, steps=0)) == ""


def test_no_model_at_all(tmp_path) -> None:
    with pytest.raises(NoModelError, match="no model is registered"):
        choose_model(make_context(tmp_path), scene_list())
    assert list_models(str(tmp_path / "work")) == ["no model is registered"]


@pytest.mark.parametrize("name", ["nobody", "../../etc", ""])
def test_an_unknown_model(tmp_path, name) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load_named(str(tmp_path), name)
    assert caught.value.exit_code == 52


def test_a_changed_model_is_not_used(tmp_path) -> None:
    register(tmp_path, "here", [(5, 2)])
    weights = tmp_path / "work" / "models" / "here-ridge" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(UnknownModelError, match="not the file"):
        load_named(str(tmp_path / "work"), "here-ridge")


def test_one_model_of_an_older_format_does_not_hide_the_others(tmp_path) -> None:
    register(tmp_path, "here", [(5, 2)])
    register(tmp_path, "old", [(5, 2)])
    manifest = tmp_path / "work" / "models" / "old-ridge" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    context = make_context(tmp_path, region="bbox:5.9,2.0,6.0,2.1")
    assert choose_model(context, scene_list())[0].name == "here-ridge"
    lines = list_models(str(tmp_path / "work"))[-2:]
    assert [line.split(":")[0] for line in lines] == ["here-ridge", "old-ridge"]
    assert "train it again" in lines[1]
