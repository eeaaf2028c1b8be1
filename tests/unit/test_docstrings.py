"""Public functions and classes say what goes in, what comes out and what is raised."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest
from numpydoc.validate import Validator, get_doc_object, validate

PACKAGES = ("features", "models", "pipeline")
# No docstring; a parameter that is not there, or out of order; one without a type or without words;
# something returned without words.
CHECKS = {"GL08", "PR02", "PR03", "PR04", "PR07", "RT03"}
# And of whatever takes this many parameters, or describes any: all of them, and what comes out.
MANY = 3
SECTIONS = {"PR01", "RT01", "YD01"}
# The demo's painters, called by one another only, and the words of the code builder say it in a
# sentence.
SENTENCES = ("pipeline.demo.", "features.vector.Function.")


def modules() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        paths = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(paths, f"{package}."):
            # A worker's start changes this process.
            if module.name != "pipeline.runtime.worker":
                yield module.name


def public(module_name: str) -> Iterator[str]:
    """Names of what a module defines itself, methods and properties included."""
    module = importlib.import_module(module_name)
    for name, thing in vars(module).items():
        own = getattr(thing, "__module__", None) == module_name
        if name.startswith("_") or not own or not (inspect.isclass(thing) or callable(thing)):
            continue
        yield f"{module_name}.{name}"
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                if not method.startswith("_") and (
                    inspect.isroutine(value) or isinstance(value, property)
                ):
                    yield f"{module_name}.{name}.{method}"


def described_elsewhere(name: str) -> bool:
    """Say whether a docstring points to another one, which must be there and whole."""
    text = Validator._load_obj(name).__doc__ or ""
    found = re.fullmatch(r"See ``([\w.]+)``\.", text)
    return bool(found) and not complaints(found[1])


def complaints(name: str) -> list[str]:
    if described_elsewhere(name):
        return []
    checks = CHECKS | (SECTIONS if needs_sections(name) else set())
    return [f"{name}: {code} {text}" for code, text in validate(name)["errors"] if code in checks]


def needs_sections(name: str) -> bool:
    about = Validator(get_doc_object(Validator._load_obj(name)))
    if about.doc_parameters:
        return True
    inherited = inspect.isclass(about.obj) and "__init__" not in vars(about.obj)
    many = len(about.signature_parameters) >= MANY
    return many and not inherited and not name.startswith(SENTENCES)


@pytest.mark.parametrize("module", list(modules()))
def test_docstrings_are_complete(module: str) -> None:
    assert importlib.import_module(module).__doc__
    found = [line for name in public(module) for line in complaints(name)]
    assert not found, "\n".join(found)


def undescribed(first: int, second: int) -> int:
    """Add two numbers.

    Parameters
    ----------
    first : int
        One.
    third : int
    """
    return first + second


def test_the_check_can_fail() -> None:
    found = " ".join(complaints(f"{__name__}.undescribed"))
    for code in ("PR01", "PR02", "PR07", "RT01"):
        assert code in found
