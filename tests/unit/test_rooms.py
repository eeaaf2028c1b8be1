"""The layout: what lies at the top of ``pipeline/``, and a layer and a line for every room."""

from __future__ import annotations

import ast
import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
CHECKOUT = ROOT.parent
STAGES = {"scenes", "composite", "featurize", "train", "predict", "join", "publish"}
RUNNERS = {"run", "plan", "monitor", "export"}
SHARED = {"config", "errors", "classes", "redaction"}


def rooms() -> set[str]:
    return {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}


def test_only_stages_and_what_all_share_lie_at_the_top() -> None:
    files = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    assert files == STAGES | RUNNERS | SHARED


def test_every_room_has_its_layer() -> None:
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (own,) = (contract for contract in contracts if contract.get("containers") == ["pipeline"])
    layers = [name.strip() for layer in own["layers"] for name in layer.split("|")]
    assert sorted(layers) == sorted(rooms() | STAGES | RUNNERS | SHARED)
    assert own["exhaustive"] and not own.get("ignore_imports")


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in (node.module, *inner) if name in known}
    return found


def test_no_file_imports_in_a_circle() -> None:
    """Not even for types: what two files need of each other lies below both."""
    known = {
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts): path
        for folder in ("pipeline", "models", "features")
        for path in (CHECKOUT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    graph = {name: imports_of(path, known) for name, path in known.items()}
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(graph | {"pipeline.errors": {"pipeline.run"}}).static_order())
    tuple(TopologicalSorter(graph).static_order())


def test_the_readme_says_what_is_in_every_room() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert {name for name in rooms() if f"`{name}/`" in readme} == rooms()


def test_no_file_is_too_long_to_read() -> None:
    long = {
        path.relative_to(CHECKOUT).as_posix(): count
        for folder in ("pipeline", "models", "features")
        for path in (CHECKOUT / folder).rglob("*.py")
        if (count := path.read_text(encoding="utf-8").count("\n")) > 500
    }
    assert long == {}


def test_every_room_says_what_it_is_for() -> None:
    for name in rooms():
        first = (ROOT / name / "__init__.py").read_text(encoding="utf-8").splitlines()[0]
        assert re.match(r'"""[A-Z].{20,}', first), name
