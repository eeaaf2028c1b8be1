"""The engine of blocks: each stage finds, makes, fails and retries by the same rules."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from imagery import make_context

import pipeline
from pipeline.change.difference import Differencing
from pipeline.composite import Compositing
from pipeline.errors import ReadFailedError, StageMissingError
from pipeline.featurize import Featurizing
from pipeline.runtime.journal import journal
from pipeline.workflow.blocks import BlockStage, run_blocks
from pipeline.workflow.ledger import Entry

UNITS = ("a", "b", "c", "d")
worked: list[str] = []


@pytest.fixture(autouse=True)
def nothing_worked() -> None:
    worked.clear()


@dataclass(frozen=True)
class First(BlockStage[str]):
    """Writes the name of the unit; fails where it is asked to."""

    failing: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    verb = store = "composite"
    suffix = ".txt"
    begins = True
    remakes = True

    def unit(self, item: str) -> str:
        return item

    def inputs(self, item: str) -> dict[str, Any]:
        return {"unit": item}

    def write(self, path: Path, item: str) -> dict[str, Any]:
        worked.append(item)
        if item in self.failing:
            raise ReadFailedError("it broke", where=item, next_step="mend it")
        path.write_text(item)
        return {"lacks": int(item in self.lacking)}

    def effort(self, item: str) -> int:
        return ord(item)

    def gaps(self, entry: Entry) -> int:
        return int((entry.facts or {}).get("lacks", 0))

    def summary(self, entries: Sequence[Entry]) -> str:
        return "well done"


@dataclass(frozen=True)
class Second(BlockStage[Entry]):
    """Works on what the first has stored."""

    failing: tuple[str, ...] = ()
    verb = "featurize"
    store = "features"
    suffix = ".txt"

    def unit(self, item: Entry) -> str:
        return item.unit

    def inputs(self, item: Entry) -> dict[str, Any]:
        return {"of": item.sha256}

    def follows(self, item: Entry) -> bool:
        return not item.reused

    def write(self, path: Path, item: Entry) -> dict[str, Any]:
        worked.append(f"{item.unit} again")
        if item.unit in self.failing:
            raise ReadFailedError("it broke here", where=item.unit, next_step="mend it")
        path.write_text(item.unit)
        return {}


def test_what_is_missing_is_made_and_what_is_stored_is_found(tmp_path, capsys) -> None:
    context = make_context(tmp_path)
    entries = run_blocks(context, First(), UNITS[:2])
    assert [entry.unit for entry in entries] == ["a", "b"]
    assert worked == ["b", "a"], "the most work goes first"
    worked.clear()
    entries = run_blocks(context, First(), UNITS)
    assert [entry.reused for entry in entries] == [True, True, False, False]
    assert [Path(entry.path).read_text() for entry in entries] == list(UNITS)
    assert worked == ["d", "c"]
    assert "4 blocks: 2 made, 2 reused; well done" in capsys.readouterr().out


def test_the_first_failure_is_raised_when_all_others_are_stored(tmp_path) -> None:
    context = make_context(tmp_path)
    with pytest.raises(ReadFailedError, match=r"it broke \(2 of 4 blocks failed") as caught:
        run_blocks(context, First(failing=("b", "c")), UNITS)
    assert caught.value.where == "block b; b"
    assert caught.value.next_step == "mend it"
    assert sorted(worked) == list(UNITS)
    worked.clear()
    assert [entry.reused for entry in run_blocks(context, First(), UNITS)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_what_failed_before_goes_last(tmp_path) -> None:
    context = make_context(tmp_path)
    with pytest.raises(ReadFailedError):
        run_blocks(context, First(failing=("d",)), UNITS[-1:])
    worked.clear()
    run_blocks(context, First(), UNITS)
    assert worked == ["c", "b", "a", "d"]


def test_a_stage_that_may_make_nothing_names_what_is_missing(tmp_path) -> None:
    context = make_context(tmp_path)
    run_blocks(context, First(), UNITS[:1])
    loading = replace(context, only="featurize")
    assert [entry.unit for entry in run_blocks(loading, First(), UNITS[:1])] == ["a"]
    with pytest.raises(StageMissingError, match="block b has no stored composite") as caught:
        run_blocks(loading, First(), UNITS)
    assert str(caught.value.next_step).startswith("make composite")
    assert worked == ["a"]


def test_a_block_with_gaps_is_made_again_but_serves_later_stages(tmp_path) -> None:
    context = make_context(tmp_path)
    run_blocks(context, First(lacking=("a",)), UNITS[:2])
    worked.clear()
    loading = replace(context, only="featurize")
    assert all(entry.reused for entry in run_blocks(loading, First(), UNITS[:2]))
    entries = run_blocks(context, First(), UNITS[:2])
    assert worked == ["a"]
    assert [entry.reused for entry in entries] == [False, True]


@pytest.mark.parametrize("stage", [First, Second])
def test_retry_failed_works_on_the_failed_alone_in_every_stage(tmp_path, stage: type) -> None:
    context = make_context(tmp_path)
    items: Any = UNITS
    if stage is Second:
        run_blocks(context, First(), UNITS)
        items = run_blocks(context, First(), UNITS)
    with pytest.raises(ReadFailedError):
        run_blocks(context, stage(failing=("b",)), items[:2])
    worked.clear()
    retrying = replace(context, retry_failed=True)
    with pytest.raises(StageMissingError, match=f"2 blocks of {stage.verb} have not been tried"):
        run_blocks(retrying, stage(), items)
    assert [name[0] for name in worked] == ["b"]
    assert len(run_blocks(context, stage(), items)) == 4


def test_a_retry_goes_on_into_the_stages_that_the_failure_kept_from_starting(tmp_path) -> None:
    context = make_context(tmp_path)
    with pytest.raises(ReadFailedError):
        run_blocks(context, First(failing=("b",)), UNITS)
    worked.clear()
    retrying = replace(context, retry_failed=True)
    items = run_blocks(retrying, First(), UNITS)
    assert worked == ["b"]
    assert len(run_blocks(retrying, Second(), items)) == 4


def test_a_retry_goes_on_with_what_it_has_made(tmp_path) -> None:
    context = make_context(tmp_path)
    run_blocks(context, Second(), run_blocks(context, First(), UNITS[:3]))
    with pytest.raises(ReadFailedError):
        run_blocks(context, First(failing=("d",)), UNITS)
    worked.clear()
    retrying = replace(context, retry_failed=True)
    run_blocks(retrying, Second(), run_blocks(retrying, First(), UNITS))
    assert worked == ["d", "d again"]


def test_every_stage_is_in_the_journal(tmp_path) -> None:
    context = make_context(tmp_path)
    path = tmp_path / "journal.jsonl"
    with journal.opened(path, None):
        items = run_blocks(context, First(), UNITS)
        with pytest.raises(ReadFailedError):
            run_blocks(context, Second(failing=("c",)), items)
        counts = journal.made, journal.failed, journal.reused
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    stages = [(line["stage"], line["total"]) for line in lines if line["event"] == "stage"]
    assert stages == [("composite", 4), ("featurize", 4)]
    assert sum(line["event"] == "block" for line in lines) == 8
    assert counts == (7, 1, 0)


def test_nothing_else_sends_blocks_to_the_workers() -> None:
    """A loop over blocks is written once."""
    root = Path(pipeline.__file__).parent
    found = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "map"
        and isinstance(node.value, ast.Attribute) and node.value.attr == "workers"
    ]  # fmt: skip
    assert found == ["workflow/blocks.py"]
    stages = {stage.verb: stage.store for stage in (Compositing, Featurizing, Differencing)}
    assert stages == {"composite": "composite", "featurize": "features", "monitor": "changes"}
