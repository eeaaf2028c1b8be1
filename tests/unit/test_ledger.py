from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ReadFailedError
from pipeline.runtime import commits
from pipeline.workflow import ledger

UNIT = "N00.0E009.0"
INPUTS = {"stage": "sample", "scene": "a"}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Writer:
    """Writes the same file each time and counts how often."""

    def __init__(self, content: bytes = b"content", error: Exception | None = None) -> None:
        self.content, self.error, self.times = content, error, 0

    def __call__(self, path: Path) -> dict[str, Any]:
        self.times += 1
        path.write_bytes(self.content)
        if self.error is not None:
            raise self.error
        return {"cells": 400}


def build(root: Path, writer: Writer, inputs: dict[str, Any] | None = None) -> ledger.Entry:
    return ledger.build(root, UNIT, inputs or INPUTS, ".bin", writer)


def record_of(entry: ledger.Entry) -> Path:
    return Path(entry.path).with_suffix(".json")


def test_a_second_run_reuses(tmp_path: Path) -> None:
    writer = Writer()
    first, second = build(tmp_path, writer), build(tmp_path, writer)
    assert writer.times == 1
    assert (first.reused, second.reused) == (False, True)
    assert (first.path, first.sha256, first.facts) == (second.path, second.sha256, second.facts)
    assert first.facts == {"cells": 400}
    assert Path(first.path).read_bytes() == b"content"
    assert ledger.find(tmp_path, UNIT, INPUTS, ".bin") == second


def test_a_changed_input_rebuilds_and_keeps_the_other(tmp_path: Path) -> None:
    writer = Writer()
    first = build(tmp_path, writer)
    second = build(tmp_path, writer, INPUTS | {"scene": "b"})
    assert writer.times == 2
    assert first.path != second.path
    assert build(tmp_path, writer).reused
    assert ledger.find(tmp_path, "N00.1E009.0", INPUTS, ".bin") is None


def test_the_order_of_inputs_is_no_change(tmp_path: Path) -> None:
    build(tmp_path, Writer())
    assert build(tmp_path, Writer(), dict(reversed(INPUTS.items()))).reused


def flip(entry: ledger.Entry) -> None:
    content = bytearray(Path(entry.path).read_bytes())
    content[3] ^= 1
    Path(entry.path).write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda entry: Path(entry.path).write_bytes(b"cont"),
        lambda entry: Path(entry.path).unlink(),
        lambda entry: record_of(entry).unlink(),
        lambda entry: record_of(entry).write_text(""),
        lambda entry: record_of(entry).write_text("[1]"),
        lambda entry: record_of(entry).write_text("null"),
        lambda entry: record_of(entry).write_text('{"status": "done"}'),
        lambda entry: record_of(entry).write_bytes(b"\xff\xfe"),
    ],
)
def test_whatever_is_not_whole_is_made_anew(
    damage: Callable[[ledger.Entry], None], tmp_path: Path
) -> None:
    writer = Writer()
    damage(build(tmp_path, writer))
    assert ledger.find(tmp_path, UNIT, INPUTS, ".bin") is None
    entry = build(tmp_path, writer)
    assert writer.times == 2
    assert not entry.reused
    assert Path(entry.path).read_bytes() == b"content"
    assert build(tmp_path, writer).reused


def test_a_failure_is_recorded_and_tried_again(tmp_path: Path) -> None:
    error = ReadFailedError("band B04 is cut short", where="scene a", next_step="try again")
    entry = build(tmp_path, Writer(error=error))
    assert entry.error is error
    assert entry.path == ""
    (name,) = names_in(tmp_path / UNIT)
    record = json.loads((tmp_path / UNIT / name).read_text())
    assert record["status"] == "failed"
    assert record["cause"] == "ReadFailedError"
    assert record["text"] == str(error)
    assert record["inputs"] == INPUTS
    assert ledger.find(tmp_path, UNIT, INPUTS, ".bin") is None
    again = build(tmp_path, Writer())
    assert again.error is None
    assert Path(again.path).read_bytes() == b"content"


def test_a_failure_travels_without_what_led_to_it(tmp_path: Path) -> None:
    # Dask would send rasterio's own exceptions along, and the client cannot read them back.
    def write(path: Path) -> dict[str, Any]:
        try:
            raise OSError("inside")
        except OSError:
            raise ReadFailedError("it broke") from None

    error = ledger.build(tmp_path, "block", {}, ".tif", write).error
    assert isinstance(error, ReadFailedError)
    assert error.what == "it broke"
    assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)


def test_a_unit_that_was_damaged_and_fails_is_not_done(tmp_path: Path) -> None:
    flip(build(tmp_path, Writer()))
    entry = build(tmp_path, Writer(error=ReadFailedError("gone")))
    assert entry.error is not None
    assert ledger.find(tmp_path, UNIT, INPUTS, ".bin") is None


@pytest.mark.parametrize("error", [RuntimeError("a defect"), MemoryError()])
def test_a_defect_is_not_hidden_and_nothing_half_written_stays(
    error: Exception, tmp_path: Path
) -> None:
    with pytest.raises(type(error)):
        build(tmp_path, Writer(error=error))
    assert names_in(tmp_path / UNIT) == []


def test_the_entry_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(path: Path, value: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commits, "write_json", stopped)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, Writer())
    assert ledger.find(tmp_path, UNIT, INPUTS, ".bin") is None
    assert not build(tmp_path, Writer()).reused


def test_facts_that_are_no_json_are_an_error(tmp_path: Path) -> None:
    def write(path: Path) -> dict[str, Any]:
        path.write_bytes(b"1")
        return {"share": float("nan")}

    with pytest.raises(ValueError, match="JSON"):
        ledger.build(tmp_path, UNIT, INPUTS, ".bin", write)
    assert ledger.find(tmp_path, UNIT, INPUTS, ".bin") is None


def test_a_unit_is_never_stored_where_its_entry_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its own entry"):
        ledger.build(tmp_path, UNIT, INPUTS, ".json", Writer())
