"""Notebooks as they are stored: plain, without outputs, calling what the command line calls."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
PARAMETERS = {"region", "season", "source", "labels", "model", "workspace", "disclosure"}


def read(path: Path) -> dict[str, Any]:
    book: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return book


def code(book: dict[str, Any]) -> list[ast.Module]:
    cells = ["".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code"]
    return [ast.parse("\n".join(x for x in c.splitlines() if x[:1] != "%")) for c in cells]


def test_there_are_four() -> None:
    assert [path.stem for path in BOOKS] == [
        "01_scenes", "02_features", "03_training", "04_map_and_sites",
    ]  # fmt: skip


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path: Path) -> None:
    for cell in read(path)["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert len("".join(cell["source"]).splitlines()) <= 40


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_runs_on_the_demo_as_it_is_and_takes_parameters(path: Path) -> None:
    marked = [c for c in read(path)["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert len(marked) == 1
    given = {
        node.targets[0].id: ast.literal_eval(node.value)  # type: ignore[attr-defined]
        for node in ast.parse("".join(marked[0]["source"])).body
        if isinstance(node, ast.Assign)
    }
    assert set(given) >= PARAMETERS
    assert given["region"] == "demo" and given["disclosure"] == "public"


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_defines_no_function_of_its_own(path: Path) -> None:
    for tree in code(read(path)):
        for node in ast.walk(tree):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_ends_with_what_it_does_not_show(path: Path) -> None:
    last = read(path)["cells"][-1]
    assert last["cell_type"] == "markdown"
    assert "".join(last["source"]).startswith("## What this does not show\n")
