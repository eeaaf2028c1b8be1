"""A model's manifest: a type that is read and written in one place, and loses nothing."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from sample_model import sample_manifest, sample_record

from models.errors import ModelError
from models.manifest import Manifest, read_manifest, write_manifest
from models.registry import SHIPPED, registered


@pytest.mark.parametrize("folder", registered([SHIPPED]).values(), ids=lambda folder: folder.name)
def test_what_is_read_is_written_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(folder)
    write_manifest(tmp_path, manifest)
    text = (folder / "manifest.json").read_bytes()
    assert (tmp_path / "manifest.json").read_bytes() == text
    # The fields say the same as the file, in the same order.
    made = json.loads(json.dumps(replace(manifest).record))
    told = json.loads(text)
    assert list(made) == list(told)
    for key in set(told) - {"data", "scores", "apart"}:
        assert made[key] == told[key], key
    for key in ("data", "scores", "apart"):
        assert made[key].items() >= told[key].items()


def test_fields_go_by_their_own_names() -> None:
    manifest = sample_manifest("mean", id="here", context=3)
    assert (manifest.name, manifest.neighbourhood) == ("here", 3)
    assert replace(manifest, name="there").record["id"] == "there"
    assert manifest.calibration.slope == 4
    assert manifest.label_sets.level == 0.9
    assert manifest.scores.pooled.auc == 0.9
    assert set(manifest.parts) == set(manifest.shares) == {"ridge", "forest"}
    with pytest.raises(FrozenInstanceError):
        manifest.kind = "ridge"  # type: ignore[misc]


def test_keys_of_a_newer_file_are_kept_and_count() -> None:
    plain = sample_manifest("ridge")
    newer = sample_manifest("ridge", later={"a": 1})
    assert newer.record["later"] == {"a": 1}
    assert newer.sha256 != plain.sha256
    dated = sample_manifest("ridge", created="2030-01-01T00:00:00+00:00")
    assert dated.sha256 == plain.sha256, "the date is not a part of what a model is"


def test_what_older_files_do_not_say_is_what_they_meant() -> None:
    manifest = sample_manifest("ridge")
    assert (manifest.neighbourhood, manifest.quarters) == (1, False)
    assert manifest.data.unlabelled is None and not manifest.data.samples
    about = {"rows": 9, "prior": 0.1, "how": "given", "share": 0.2}
    data = sample_record("ridge")["data"] | {"unlabelled": about}
    assert sample_manifest("ridge", data=data).data.unlabelled.prior == 0.1


@pytest.mark.parametrize("number", [0, -1.0, float("inf"), float("nan"), "x", None])
def test_a_dispute_that_is_no_number_above_0_is_refused(number: object) -> None:
    with pytest.raises((ModelError, TypeError, ValueError)):
        Manifest.from_record(sample_record("ridge", most_disputed=number))
