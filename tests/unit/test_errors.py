from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path

import pytest
from distributed.protocol import deserialize, serialize

from pipeline import errors
from pipeline.errors import (
    FILE_ACCESS_EXIT_CODE,
    MODEL_FILE_EXIT_CODE,
    AsmAtlasError,
    exit_code_table,
    exit_codes,
)

LEAVES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AsmAtlasError) and not kind.__subclasses__()
]
PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
names = pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)


def test_every_leaf_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in LEAVES]
    assert len(LEAVES) > 20
    assert len(set(codes)) == len(codes)


@names
def test_exit_codes_leave_those_of_the_command_line_alone(kind: type[AsmAtlasError]) -> None:
    # From 126 on codes are the shell's; 53 and 62 are the command line's own.
    assert 10 <= kind.exit_code < 126
    assert kind.exit_code not in (MODEL_FILE_EXIT_CODE, FILE_ACCESS_EXIT_CODE)
    assert "exit_code" in vars(kind)
    assert kind.__doc__ != AsmAtlasError.__doc__


@names
def test_errors_survive_the_way_from_a_worker(kind: type[AsmAtlasError]) -> None:
    error = kind("what", where="where", next_step="next")
    for again in (
        pickle.loads(pickle.dumps(error)),  # noqa: S301
        deserialize(*serialize(error)),
        copy.deepcopy(error),
    ):
        assert type(again) is kind
        assert (again.what, again.where, again.next_step) == ("what", "where", "next")
        assert str(again) == str(error)


def test_the_text_says_what_where_and_what_next() -> None:
    assert str(AsmAtlasError("it broke")) == "it broke"
    error = AsmAtlasError("it broke", where="block N00.0E009.0", next_step="make again")
    assert str(error) == "it broke\n  where: block N00.0E009.0\n  next:  make again"
    assert repr(error) == "AsmAtlasError('it broke', 'block N00.0E009.0', 'make again')"


def test_the_table_of_exit_codes_is_the_one_in_the_docs() -> None:
    codes = [code for code, _, _ in exit_codes()]
    assert len(set(codes)) == len(codes)
    assert {kind.__name__ for kind in LEAVES} <= {name for _, name, _ in exit_codes()}
    assert exit_code_table() in PAGE.read_text(encoding="utf-8"), "python -m pipeline.errors"


def test_an_error_says_what_its_class_usually_needs() -> None:
    error = errors.ClusterError("Slurm does not answer")
    assert "CLUSTER=local" in error.next_step and "next:  see that" in str(error)
    assert errors.ClusterError("x", next_step="y").next_step == "y"


def test_every_error_says_what_to_do_next() -> None:
    without = {kind.__name__ for kind in LEAVES if not kind.usual_step} | {"AsmAtlasError"}
    found = []
    for path in sorted(Path(errors.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                steps = [word.value for word in node.keywords if word.arg == "next_step"]
                empty = not steps or (isinstance(steps[0], ast.Constant) and not steps[0].value)
                if node.func.id in without and empty:
                    found.append(f"{path.name}:{node.lineno} {node.func.id}")
    assert not found
    assert len(without) < len(LEAVES)


def test_an_error_never_carries_what_opens_doors() -> None:
    error = AsmAtlasError("https://a.org/x?sig=abc123 fails", where="token=abc123")
    assert "abc123" not in repr(error) + str(error)
