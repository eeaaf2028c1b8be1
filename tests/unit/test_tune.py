"""The search over settings: what it judges by, and that it goes on where it was cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sample_chips import write_archive

from models.transform import transform
from pipeline.cli.main import main
from pipeline.config import Config
from pipeline.errors import ChipsError
from pipeline.training import tuning
from pipeline.training import tuning_settings as declared
from pipeline.training.tuning_settings import CHANGES, CHOSEN, Setting

SMALL = Setting(filters=2, patches=(3,))
TRIED = [("chosen", SMALL), ("transform", replace(SMALL, transform="none")),
         ("biases", replace(SMALL, biases=(1.0,)))]  # fmt: skip


@pytest.fixture
def few(monkeypatch) -> list[Setting]:
    """Three settings of few filters, and a list of those that were featurized."""
    done: list[Setting] = []

    def features_of(material: tuning.Material, setting: Setting) -> np.ndarray:
        done.append(setting)
        return real(material, setting)

    real = tuning.features_of
    monkeypatch.setattr(tuning, "settings", lambda: iter(TRIED))
    monkeypatch.setattr(tuning, "CHOSEN", SMALL)
    monkeypatch.setattr(tuning, "SEEDS", (2,))
    monkeypatch.setattr(tuning, "features_of", features_of)
    return done


def run(folder: Path, **keys: object) -> pd.DataFrame:
    return tuning.tune_chips(
        folder / "chips", folder / "table.csv", Config().with_keys(workspace=str(folder)), **keys
    )


def test_every_setting_has_its_row_and_the_second_time_is_reused(tmp_path, few) -> None:
    write_archive(tmp_path / "chips", 120)
    table = run(tmp_path)
    assert set(table["changed"]) >= {"chosen", "transform", "biases", "seed"}
    assert table["auc"].is_monotonic_decreasing
    assert table["auc"].iloc[0] > 0.9, "the sample's mines have another texture"
    assert (table["rows"] == 120).all()
    assert set(table.loc[table["changed"].str.startswith("seed"), "seed"]) == {2}
    features = [setting.bank for setting in few]
    assert len(features) == len(set(features)), "a transform needs no features of its own"
    written = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    assert written.equals(pd.read_csv(tmp_path / "table.csv", keep_default_na=False))
    assert written["how"].str.contains("regions held out").all()
    first = len(few)
    again = run(tmp_path)
    assert len(few) == first
    assert again.equals(table)
    assert run(tmp_path, weights={"negatives": 2.0})["auc"].notna().all()
    assert len(few) == 2 * first, "other weights are another search"


def test_what_was_cut_off_goes_on(tmp_path, few, monkeypatch) -> None:
    write_archive(tmp_path / "chips", 120)
    whole = tuning.scores_of

    def breaks(material: tuning.Material, setting: Setting, given: np.ndarray) -> np.ndarray:
        if setting == TRIED[2][1]:
            raise KeyboardInterrupt
        return whole(material, setting, given)

    monkeypatch.setattr(tuning, "scores_of", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not (tmp_path / "table.csv").exists()
    monkeypatch.setattr(tuning, "scores_of", whole)
    before = len(few)
    run(tmp_path)
    assert TRIED[0][1] not in few[before:], "what was finished is not done again"


def test_easy_negatives_train_and_do_not_judge(tmp_path) -> None:
    write_archive(tmp_path / "chips", 120)
    table = pd.read_csv(tmp_path / "chips" / "chips.csv")
    table.loc[table["subset"] == "negatives", "subset"] = np.where(
        np.arange((table["subset"] == "negatives").sum()) % 2, "easy", "hard"
    )
    table.to_csv(tmp_path / "chips" / "chips.csv", index=False)
    material = tuning.read_material(tmp_path / "chips", [], {"easy": 3.0}, ["easy"])
    easy = (table["subset"] == "easy").to_numpy()
    assert np.array_equal(material.judged, ~easy)
    assert set(material.found.weight[easy]) == {3.0}
    scores = np.where(easy, 9.0, material.found.label + 0.0)
    found = tuning.judged(material, scores)
    assert (found["auc"], found["rows"]) == (1.0, int((~easy).sum()))
    assert found["auc_all"] < 1
    fewer = tuning.read_material(tmp_path / "chips", ["easy"], {}, [])
    assert len(fewer.found.rows) == int((~easy).sum())


@pytest.mark.parametrize("option", [{"without": ["x"]}, {"easy": ["x"]}, {"weights": {"x": 2.0}}])
def test_an_unknown_subset_is_named(tmp_path, option) -> None:
    write_archive(tmp_path / "chips", 60)
    with pytest.raises(ChipsError, match="'x'") as caught:
        run(tmp_path, **option)
    assert caught.value.exit_code == 42


def test_the_verb_ends_with_the_code_of_what_is_wrong(tmp_path, capsys) -> None:
    out = tmp_path / "table.csv"
    asked = ["tune", "--chips", str(tmp_path), "--out", str(out), "--workspace", str(tmp_path)]
    assert main(asked) == 42
    assert "not an archive of chips" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_a_score_has_not_seen_its_region(tmp_path) -> None:
    write_archive(tmp_path / "chips", 120)
    material = tuning.read_material(tmp_path / "chips", [], {}, [])
    features = tuning.features_of(material, SMALL)
    held = material.found.region == 1
    label = np.where(held, 1 - material.found.label, material.found.label).astype(np.int8)
    turned = replace(material, found=replace(material.found, label=label))
    one, other = (tuning.scores_of(said, replace(SMALL, kind="forest"), features)
                  for said in (material, turned))  # fmt: skip
    assert np.array_equal(one[held], other[held])
    assert not np.array_equal(one[~held], other[~held])


def test_a_transform_is_what_the_model_sees(tmp_path) -> None:
    write_archive(tmp_path / "chips", 20)
    material = tuning.read_material(tmp_path / "chips", [], {}, [])
    values = tuning.features_of(material, SMALL)
    seen = {
        name: transform(replace(SMALL, transform=name).given(values))
        for name in declared.TRANSFORMS
    }
    assert seen["root"] == pytest.approx(np.sqrt(values))
    assert seen["none"] == pytest.approx(values, rel=1e-5)
    assert seen["fourth root"] == pytest.approx(values**0.25)
    # Up to a constant, which a ridge does not see.
    steps = np.diff(seen["logarithm"], axis=0)
    assert steps == pytest.approx(np.diff(np.log(values + 1e-3), axis=0), abs=1e-4)


def test_the_declared_settings_differ_in_one_thing() -> None:
    tried = list(declared.settings())
    assert tried[0] == ("chosen", CHOSEN)
    # Of the kinds one is the chosen one.
    assert len({setting for _, setting in tried}) == len(tried) == sum(map(len, CHANGES.values()))
    for changed, setting in tried[1:]:
        assert replace(setting, **{changed: getattr(CHOSEN, changed)}) == CHOSEN
        assert setting.recipe.logarithm == (setting.floor > 0)
