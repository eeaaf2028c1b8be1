"""No page and no comment names a file, a module or a name that is not there."""

from __future__ import annotations

import importlib
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = "pipeline|features|models|tests|docs|notebooks"
PATH = re.compile(rf"(?<![\w/.-])((?:{TOPS})/[\w./-]*\w)(?![<*{{])")
DOTTED = re.compile(r"(?<![\w/.])((?:pipeline|features|models)(?:\.[A-Za-z_]\w*)+)")
ROLE = re.compile(r":(?:mod|func|class|meth|data|attr):`~?\.?([\w.]+)`")
WORD = re.compile(r"``([a-z]+(?:_[a-z]+)+)(?:\(\))?``")
# Files of users, what a variable holds, and what the code puts together.
NO_MODULES = re.compile(r"(features|models)\.(parquet|csv|json|xlsx|md|shape|bank_)")
COMPOSED = {"status_qualification", "status_qualification_date"}
NOT_IN_GIT = ("pipeline/data",)


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    )
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def pages() -> list[str]:
    return [name for name in tracked() if name.endswith(".md") and name != "CHANGELOG.md"]


def modules() -> list[str]:
    return [name for name in tracked() if re.match(r"(pipeline|features|models)/.*\.py$", name)]


def tokens(name: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO((ROOT / name).read_text("utf-8")).readline)


def prose(name: str) -> Iterator[tuple[str, str]]:
    """Yield the comments and texts of a module, or the lines of a page, and where each is."""
    if not name.endswith(".py"):
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1):
            yield f"{name}:{number}", line
        return
    for token in tokens(name):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield f"{name}:{token.start[0]}", token.string


def is_there(dotted: str) -> bool:
    """Say whether a dotted name leads to a module, or to something in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
            continue
        if count == len(parts):  # not imported: a worker's start changes this process
            return True
        found = importlib.import_module(".".join(parts[:count]))
        for part in parts[count:]:
            if part in getattr(found, "__dataclass_fields__", {}):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("name", [*pages(), *modules(), "Makefile", "pyproject.toml"])
def test_what_is_cited_is_there(name: str) -> None:
    wrong = []
    own = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for where, text in prose(name):
        for path in PATH.findall(text):
            if not (ROOT / path).exists() and path not in NOT_IN_GIT:
                wrong.append(f"{where}: {path}")
        for dotted in DOTTED.findall(text):
            if not NO_MODULES.match(dotted) and not is_there(dotted):
                wrong.append(f"{where}: {dotted}")
        for cited in ROLE.findall(text):
            if not is_there(cited) and not is_there(f"{own}.{cited}"):
                wrong.append(f"{where}: {cited}")
        if re.search(r"\b[Ss]tage \d", text):
            wrong.append(f"{where}: a stage by its number")
    assert wrong == []


def test_a_name_in_a_docstring_is_in_the_code() -> None:
    known, cited = set(COMPOSED), {}
    for name in tracked():
        if not name.endswith(".py"):
            if name.endswith((".html", ".js", ".css", ".toml", ".csv", ".qgs", ".xml", "URE.md")):
                known.update(re.findall(r"\w+", (ROOT / name).read_text("utf-8")))
            continue
        for token in tokens(name):
            if token.type == tokenize.NAME:
                known.add(token.string)
            elif token.type == tokenize.STRING and not token.string.startswith('"""'):
                known.update(re.findall(r"\w+", token.string))
            elif token.type == tokenize.STRING and not name.startswith("tests/"):
                cited |= dict.fromkeys(WORD.findall(token.string), f"{name}:{token.start[0]}")
    assert {word: where for word, where in cited.items() if word not in known} == {}
