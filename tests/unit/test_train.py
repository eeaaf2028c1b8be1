"""From a table to registered models with their cards, and not twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_model import sample_bank, sample_table

from models.classifiers import CLASSIFIERS
from models.errors import ModelError
from models.manifest import Manifest
from models.registry import load_model
from models.statement import Statement
from pipeline.training.dataset import TrainingTable
from pipeline.training.model_choice import preference
from pipeline.training.register import About, register_models, squares_of

BANK = sample_bank(patches=(3,), count=3)
ABOUT = About(
    name="here",
    data=Statement("made up"),
    data_hash="abc",
    licence="CC0",
    ground="nowhere",
    squares=[(5, 2)],
    how=Statement("five folds"),
    simulated=False,
    seed=1,
)


def table(rows: int = 240) -> TrainingTable:
    features, label, fold, weight = sample_table(BANK.columns, rows)
    text = np.full(rows, "x")
    cell = np.arange(rows) - 5
    return TrainingTable(features, label, fold, np.maximum(cell, -1), text, text, weight)


def train(folder: Path, about: About = ABOUT, **keys: Any) -> list[Manifest]:
    return register_models(table(), BANK, about, folder, **keys)


def test_every_kind_is_registered_with_cards(tmp_path) -> None:
    manifests = train(tmp_path)
    assert {manifest.kind for manifest in manifests} == set(CLASSIFIERS)
    scores = [preference(manifest) for manifest in manifests]
    assert scores == sorted(scores, reverse=True)
    for manifest in manifests:
        model = load_model(tmp_path / manifest.name)
        assert model.manifest == manifest
        probability = model.predict(table().features, BANK.hash).probability
        label = table().label == 1
        assert probability[label].mean() > probability[~label].mean() + 0.3
        assert model.cells.tolist() == list(range(235)), "rows without a place are no cells"
        assert manifest.validation == manifests[0].validation
        assert (tmp_path / manifest.name / "validation.png").stat().st_size > 10_000
        card = (tmp_path / manifest.name / "card.md").read_text()
        assert "| random rows | 240 |" in card
        for word in ("made up", "CC0", "nowhere", "L2A", "B04 B03 B02", "five folds"):
            assert word in card
        assert 0 < manifest.thresholds["possible"] <= manifest.thresholds["likely"] <= 1


def test_the_second_time_is_reused_and_another_table_is_not(tmp_path, capsys) -> None:
    first = train(tmp_path)
    said = capsys.readouterr().out
    assert said.count("random folds AUC") == 1, "one table for all kinds"
    assert "folds as trained" in said
    assert train(tmp_path) == first
    said = capsys.readouterr().out
    assert said.count("(reused)") == 3
    assert "random folds AUC" not in said
    other = train(tmp_path, replace(ABOUT, data_hash="abd"), kinds=["ridge"])
    assert "(reused)" not in capsys.readouterr().out
    assert other[0].inputs not in {manifest.inputs for manifest in first}
    assert load_model(tmp_path / "here-ridge").manifest == other[0]


def test_a_simulated_ground_says_so_in_the_card(tmp_path) -> None:
    train(tmp_path, replace(ABOUT, simulated=True), kinds=["ridge"])
    assert "SIMULATED" in (tmp_path / "here-ridge" / "card.md").read_text()


@pytest.mark.parametrize("name", ["../evil", "Upper", "", "a b"])
def test_a_name_that_is_no_folder(tmp_path, name) -> None:
    with pytest.raises(ModelError):
        train(
            tmp_path / "registry", replace(ABOUT, name=name) if name else replace(ABOUT, name="-")
        )
    assert not (tmp_path / "evil-ridge").exists()


def test_squares() -> None:
    lon, lat = np.array([5.1, 5.9, -0.5]), np.array([2.0, 2.9, -0.1])
    assert squares_of(lon, lat) == [(-1, -1), (5, 2)]
