"""The table of classifiers: a kind is one module and one line, and all else follows from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_model import sample_bank, sample_classifier, sample_manifest, sample_rows
from test_train import ABOUT, table

from models.classifier import Classifier, classifier_of
from models.classifiers import CLASSIFIERS
from models.errors import ModelError
from models.manifest import read_manifest
from models.registry import load_model
from models.uncertainty import fit_uncertainty
from pipeline.cli.main import main
from pipeline.training.model_choice import preference
from pipeline.training.model_table import list_models
from pipeline.training.register import register_models
from pipeline.training.tuning_settings import settings

BANK = sample_bank(patches=(3,), count=3)
# All that somebody writes who adds one.
MODULE = '''
"""Logistic regression, with a fit for each draw of places."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from models.arrays import pack, unpack
from models.classifier import Classifier
from models.errors import ModelError
from models.transform import transform
from models.uncertainty import bootstrap_counts


class Logistic(Classifier):
    """Log odds of a mine: by a fit to all places, and by one to each draw of them."""

    files = ("logistic.npz",)
    handicap = 0.004

    def __init__(self, coefficients, intercepts):
        self.coefficients, self.intercepts = coefficients, intercepts

    @classmethod
    def fit(cls, rows):
        """Fit to all places, and to each draw of them."""
        counts = bootstrap_counts(rows.places.max() + 1, rows.seed)
        fits = [
            LogisticRegression().fit(transform(rows.table), rows.labels, rows.weights * count)
            for count in (np.ones(len(rows.places)), *(0.01 + counts[:, rows.places]))
        ]
        return cls(np.vstack([f.coef_ for f in fits]), np.hstack([f.intercept_ for f in fits]))

    def scores(self, features):
        """Return the log odds."""
        return transform(features) @ self.coefficients[0] + self.intercepts[0]

    def replicates(self, features, uncertainty):
        """Return the log odds by each draw."""
        return transform(features) @ self.coefficients[1:].T + self.intercepts[1:]

    def store(self):
        """Return the two arrays."""
        return {self.files[0]: pack(coefficients=self.coefficients, intercepts=self.intercepts)}

    @classmethod
    def load(cls, files, manifest):
        """Read the two arrays."""
        found = cls(**unpack(files[cls.files[0]]))
        if not np.isfinite(found.coefficients).all():
            raise ModelError("coefficients are finite numbers")
        return found

    @property
    def columns(self):
        """Columns of features that it takes."""
        return self.coefficients.shape[1]
'''


@pytest.fixture
def logistic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new kind: its module, and its line in the table."""
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "logistic_of_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(CLASSIFIERS, "logistic", "logistic_of_tests.Logistic")
    yield "logistic"
    sys.modules.pop("logistic_of_tests", None)


def test_a_kind_that_was_added_is_trained_stored_loaded_and_listed(
    logistic: str, tmp_path: Path
) -> None:
    registry = tmp_path / "work" / "models"
    manifests = register_models(table(), BANK, ABOUT, registry)
    assert {manifest.kind for manifest in manifests} == {"ridge", "forest", "mean", logistic}
    folder = registry / "here-logistic"
    assert {path.name for path in folder.iterdir()} == {
        "bank.npz", "card.md", "cells.npz", "doubt.npz", "logistic.npz", "manifest.json",
        "validation.png",
    }  # fmt: skip
    assert "A logistic on random convolutional features" in (folder / "card.md").read_text()
    manifest = read_manifest(folder)
    assert preference(manifest) == pytest.approx(manifest.scores.pooled.auc - 0.004)
    model = load_model(folder)
    found = model.predict(table().features, BANK.hash)
    mine = table().label == 1
    assert found.probability[mine].mean() > found.probability[~mine].mean() + 0.3
    assert (found.low <= found.probability).all() and (found.probability <= found.high).all()
    assert (found.low < found.high).mean() > 0.9 and found.applicable.any()
    assert np.isfinite(found.dispute).all()
    # Trained on the same table again it is the same, to the bit.
    register_models(table(), BANK, replace(ABOUT, name="again"), registry, kinds=[logistic])
    again = load_model(registry / "again-logistic").predict(table().features, BANK.hash)
    assert np.array_equal(again.probability, found.probability)
    lines = list_models(str(tmp_path / "work"))
    assert any(line.startswith("here-logistic: logistic for L2A B04") for line in lines)


def test_its_file_is_checked_when_it_is_loaded(logistic: str, tmp_path: Path) -> None:
    register_models(table(), BANK, ABOUT, tmp_path, kinds=[logistic])
    weights = tmp_path / "here-logistic" / "logistic.npz"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(ModelError, match="not the file"):
        load_model(tmp_path / "here-logistic")


def test_commands_and_the_search_know_it(
    logistic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [tried.kind for changed, tried in settings() if changed == "kind"][-1] == logistic
    options = ["train", "--chips", str(tmp_path), "--workspace", str(tmp_path)]
    assert main([*options, "--kind", logistic]) == 42, "there are no chips: the kind is known"
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*options, "--kind", "oracle"])
    said = capsys.readouterr().err
    assert all(kind in said for kind in CLASSIFIERS)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_kind_keeps_the_contract(kind: str) -> None:
    rows = sample_rows(12)
    fitted = classifier_of(kind).learned(rows)
    one = fitted.classifier
    assert isinstance(one, classifier_of(kind)) and isinstance(one, Classifier)
    assert classifier_of(kind).learned(rows) is fitted, "fitted once"
    assert set(one.store()) == set(one.files)
    assert one.columns == 12
    assert fitted.scores.shape == fitted.apart.shape == one.scores(rows.table).shape == (300,)
    assert one.replicates(rows.table, fit_uncertainty(rows).replicates).shape == (300, 40)
    assert fitted.scores[rows.labels == 1].mean() > fitted.scores[rows.labels == 0].mean()
    small = sample_classifier(rows, kind)
    loaded = type(small).load(small.store(), sample_manifest(kind))
    assert np.array_equal(loaded.scores(rows.table), small.scores(rows.table))


def test_no_two_kinds_share_a_file_but_a_mean_has_those_of_its_parts() -> None:
    files = {kind: set(classifier_of(kind).files) for kind in CLASSIFIERS}
    assert files.pop("mean") == files["ridge"] | files["forest"]
    names = [name for own in files.values() for name in own]
    assert len(names) == len(set(names))
