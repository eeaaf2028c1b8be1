from __future__ import annotations

import copy
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sample_model import (
    CURVE,
    sample_bank,
    sample_classifier,
    sample_manifest,
    sample_rows,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from features.bank import bank_bytes
from features.errors import BankMismatchError
from models.classifier import Classifier
from models.classifiers import CLASSIFIERS
from models.errors import ModelError, ModelNotFoundError
from models.forest import Forest
from models.manifest import check_name, read_manifest
from models.registry import SHIPPED, find_model, load_model, registered, write_model
from models.ridge import Ridge
from models.uncertainty import fit_uncertainty

BANK = sample_bank()
CELLS = np.array([3, 8, 21], np.int64)
ROWS = sample_rows(BANK.columns)
FEATURES = ROWS.table


@pytest.fixture(scope="module")
def trained() -> dict[str, Classifier]:
    return {kind: sample_classifier(ROWS, kind) for kind in CLASSIFIERS}


@pytest.fixture
def write(tmp_path: Path, trained: dict[str, Classifier]) -> Callable[..., Path]:
    def writer(kind: str, name: str = "", weights: Any = None, **changes: Any) -> Path:
        folder = tmp_path / (name or f"sample-{kind}")
        folder.mkdir(parents=True)
        manifest = sample_manifest(kind, **({"id": folder.name} | changes))
        classifier = Forest(weights) if weights else trained[kind]
        write_model(folder, manifest, BANK, classifier, fit_uncertainty(ROWS), "# card", CELLS)
        return folder

    return writer


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """As somebody would who wants the file to be believed: with its hash in the manifest."""
    (folder / name).write_bytes(content)
    change_manifest(
        folder, lambda m: m["files"].update({name: hashlib.sha256(content).hexdigest()})
    )


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_model_survives_its_folder(
    kind: str, write: Callable[..., Path], trained: dict[str, Classifier]
) -> None:
    model = load_model(write(kind))
    assert model.name == f"sample-{kind}"
    assert model.bank.hash == BANK.hash
    assert model.cells.tolist() == CELLS.tolist()
    found = model.predict(FEATURES, BANK.hash)
    scores = {part: trained[part].scores(FEATURES) for part in ("ridge", "forest")}
    # Of both, the mean of the calibrated logits.
    scores["mean"] = 4 * (scores["ridge"] + scores["forest"]) / 2 - 2
    assert found.probability == pytest.approx(1 / (1 + np.exp(2 - 4 * scores[kind])), rel=1e-5)
    assert found.probability.dtype == np.float32
    # Written once more, it is the same to the bit.
    again = load_model(write(kind, "again")).predict(FEATURES, BANK.hash)
    for name, values in vars(found).items():
        assert np.array_equal(getattr(again, name), values), name


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_rows_with_nan_stay_nan(kind: str, write: Callable[..., Path]) -> None:
    model = load_model(write(kind))
    features = FEATURES[:4].copy()
    features[1] = np.nan
    features[2, -1] = np.nan
    found = model.predict(features, BANK.hash)
    missing = [False, True, True, False]
    for name in ("probability", "low", "high", "dissimilarity", "dispute"):
        assert np.isnan(getattr(found, name)).tolist() == missing, name
    assert (found.labels == "").tolist() == missing
    assert not found.applicable[[1, 2]].any(), "what was not observed is not inside"
    assert np.isnan(model.predict(features[1:2], BANK.hash).probability).all()
    assert len(model.predict(features[:0], BANK.hash).probability) == 0
    alone = model.predict(FEATURES[:1], BANK.hash).probability
    assert found.probability[0] == pytest.approx(alone[0], rel=1e-6)


def test_features_of_another_bank_are_refused(write: Callable[..., Path]) -> None:
    model = load_model(write("ridge"))
    with pytest.raises(BankMismatchError, match="two banks"):
        model.predict(FEATURES, "0" * 64)


def test_the_sha256_is_that_of_the_whole_manifest(write: Callable[..., Path]) -> None:
    folder = write("ridge")
    before = load_model(folder).sha256
    assert load_model(folder).sha256 == before
    change_manifest(folder, lambda m: m["thresholds"].update(likely=0.9))
    assert load_model(folder).sha256 != before


@pytest.mark.parametrize("name", ["bank.npz", "card.md", "cells.npz", "doubt.npz", "forest.skops"])
def test_a_changed_or_missing_file_is_refused(name: str, write: Callable[..., Path]) -> None:
    folder = write("forest")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name}: not the file"):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: No such file"):
        load_model(folder)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "weights.pkl", "forest.skops", "manifest.json"]
)
def test_only_the_files_of_a_model_are_opened(name: str, write: Callable[..., Path]) -> None:
    folder = write("ridge")
    change_manifest(folder, lambda m: m["files"].update({name: "0" * 64}))
    with pytest.raises(ModelError, match="does not belong"):
        load_model(folder)


@pytest.mark.parametrize("name", ["bank.npz", "cells.npz", "doubt.npz", "weights.npz"])
def test_a_manifest_that_leaves_a_file_out_is_refused(
    name: str, write: Callable[..., Path]
) -> None:
    folder = write("ridge")
    change_manifest(folder, lambda m: m["files"].pop(name))
    with pytest.raises(ModelError):
        load_model(folder)


def test_a_pickle_in_the_folder_is_ignored(write: Callable[..., Path]) -> None:
    folder = write("ridge")
    (folder / "weights.pkl").write_bytes(b"\x80\x04cos\nsystem\n")
    assert load_model(folder).name == "sample-ridge"


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("trapped").touch, ())


def test_pickles_inside_files_are_never_loaded(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()], dtype=object)
    folder = write("ridge")
    replace_file(folder, "cells.npz", npz(cells=trap))
    with pytest.raises(ModelError):
        load_model(folder)
    folder = write("ridge", "second")
    replace_file(folder, "weights.npz", npz(coefficients=trap, intercept=0.0))
    with pytest.raises(ModelError):
        load_model(folder)
    assert not Path("trapped").exists()


class Stranger(LogisticRegression):
    """A type that no forest needs."""


def test_another_type_in_skops_is_refused(write: Callable[..., Path]) -> None:
    folder = write("forest", weights=Pipeline([("scale", Stranger())]))
    with pytest.raises(ModelError, match=r"types that no forest needs.*Stranger"):
        load_model(folder)


@pytest.mark.parametrize(
    "weights", [LogisticRegression(), {"a": 1}, Pipeline([("a", "passthrough")])]
)
def test_other_scikit_learn_objects_are_refused(weights: Any, write: Callable[..., Path]) -> None:
    folder = write("forest", weights=weights)
    with pytest.raises(ModelError, match="something else than a forest"):
        load_model(folder)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("left_child", 10_000, "branches"),
        ("right_child", 0, "branches"),
        ("left_child", -7, "branches"),
        ("feature", 10_000, "column"),
        ("feature", -3, "column"),
    ],
)
def test_a_tree_that_leads_out_of_its_memory_is_refused(
    field: str, value: int, words: str, write: Callable[..., Path], trained: dict[str, Classifier]
) -> None:
    forest = copy.deepcopy(trained["forest"].steps)
    tree = forest[-1].estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(ModelError, match=words):
        load_model(write("forest", weights=forest))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.npz", b""),
        ("weights.npz", b"PK\x05\x06" + bytes(18)),
        ("weights.npz", npz(coefficients=np.ones(3, np.float32), intercept=0.0)),
        ("weights.npz", npz(coefficients=np.ones((2, BANK.columns)), intercept=0.0)),
        ("weights.npz", npz(coefficients=np.full(BANK.columns, np.nan), intercept=0.0)),
        ("weights.npz", npz(coefficients=np.ones(BANK.columns), intercept=np.ones(2))),
        ("cells.npz", npz(cells=np.array([0.5]))),
        ("cells.npz", npz(other=CELLS)),
        ("cells.npz", b"\x93NUMPY"),
        ("bank.npz", bank_bytes(sample_bank(seed=9))),
        ("bank.npz", b"not a bank"),
        ("doubt.npz", b"none"),
        ("doubt.npz", npz(centre=np.ones(BANK.columns))),
    ],
)
def test_files_that_do_not_fit_are_refused(
    name: str, content: bytes, write: Callable[..., Path]
) -> None:
    folder = write("ridge")
    replace_file(folder, name, content)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


def test_a_bomb_is_refused_before_it_is_unpacked(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write("forest")
    monkeypatch.setattr("models.registry._MAX_UNPACKED_BYTES", 1_000)
    with pytest.raises(ModelError, match="too large"):
        load_model(folder)
    monkeypatch.setattr("models.registry._MAX_BYTES", 10)
    with pytest.raises(ModelError, match="too large"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(format=99),
        lambda m: m.update(kind="pickle"),
        lambda m: m.update(kind=["ridge"]),
        lambda m: m.pop("files"),
        lambda m: m.update(files=[]),
        lambda m: m.pop("bank"),
        lambda m: m.update(bank=None),
        lambda m: m.pop("calibration"),
        lambda m: m.update(calibration={"slope": 1}),
        lambda m: m.update(calibration=CURVE | {"intercept": "x"}),
        lambda m: m.update(calibration=CURVE | {"more": 1}),
        lambda m: m.pop("parts"),
        lambda m: m.update(parts={"ridge": {"slope": 1}}),
        lambda m: m.pop("label_sets"),
        lambda m: m.update(label_sets={"mine_from": 0}),
        lambda m: m.pop("id"),
        lambda m: m.update(id="../up"),
    ],
)
def test_a_manifest_that_says_too_little_is_refused(
    change: Callable[[dict[str, Any]], Any], write: Callable[..., Path]
) -> None:
    folder = write("ridge")
    change_manifest(folder, change)
    with pytest.raises(ModelError, match=r"no readable manifest|another format or kind"):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="no readable manifest"):
        read_manifest(tmp_path)


def test_nan_is_never_written_into_a_manifest(write: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write("ridge", calibration=CURVE | {"slope": float("nan")})


def test_an_earlier_registry_wins(write: Callable[..., Path], tmp_path: Path) -> None:
    mine, theirs = write("ridge", "one/a"), write("ridge", "two/a")
    other = write("ridge", "two/b")
    registries = [tmp_path / "one", tmp_path / "two", tmp_path / "nowhere"]
    assert registered(registries) == {"a": mine, "b": other}
    assert find_model("a", registries) == mine
    assert find_model("a", registries[1:]) == theirs


def test_a_folder_that_is_just_being_written_does_not_count(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("ridge", "registry/.a.12345678", id="a")
    (tmp_path / "registry" / "empty").mkdir()
    assert registered([tmp_path / "registry"]) == {}


@pytest.mark.parametrize("name", ["nowhere", "", "..", "../one", "a/../a", "A", "a "])
def test_no_other_name_finds_a_model(name: str, write: Callable[..., Path], tmp_path: Path) -> None:
    write("ridge", "one/a")
    with pytest.raises(ModelNotFoundError, match="registered: a"):
        find_model(name, [tmp_path / "one"])


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "a/b", "..", "a\n", "é", "a" * 65])
def test_names_unfit_for_folders_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="hyphens only"):
        check_name(name)


def test_fit_names_pass() -> None:
    for name in ("a", "0", "amazon-rgb-ridge", "a" * 64):
        assert check_name(name) == name


@pytest.mark.parametrize("folder", registered([SHIPPED]).values(), ids=lambda folder: folder.name)
def test_the_models_that_ship_load(folder: Path) -> None:
    model = load_model(folder)
    assert model.name == folder.name
    nothing = np.full((2, model.bank.columns), np.nan, np.float32)
    assert np.isnan(model.predict(nothing, model.bank.hash).probability).all()
    some = np.full((1, model.bank.columns), 0.4, np.float32)
    assert 0 <= model.predict(some, model.bank.hash).probability[0] <= 1
    assert model.predict(some, model.bank.hash).unlike[0], "no ground looks like that"


def test_nothing_in_a_models_files_names_a_pickle(write: Callable[..., Path]) -> None:
    folder = write("forest")
    for name in ("bank.npz", "cells.npz", "forest.skops"):
        with zipfile.ZipFile(folder / name) as archive:
            assert not [part for part in archive.namelist() if part.endswith((".pkl", ".pickle"))]
    assert skops.io.get_untrusted_types(file=folder / "forest.skops") == ["sklearn.tree._tree.Tree"]


def test_a_ridge_is_two_arrays(write: Callable[..., Path], trained: dict[str, Classifier]) -> None:
    model = load_model(write("ridge"))
    ridge = model.classifier
    assert isinstance(ridge, Ridge)
    assert np.array_equal(ridge.coefficients, trained["ridge"].coefficients)
    assert ridge.intercept == trained["ridge"].intercept
