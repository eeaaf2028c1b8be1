"""Statements that files record by code, told in any language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models.statement import Code, Statement
from pipeline.words.catalogue import ENGLISH, entry, say
from pipeline.words.uncoded import translated


def statement(code: str, **parameters: Any) -> Statement:
    """Return a sentence that a file can record; ``+`` adds another.

    Parameters
    ----------
    code : str
        A key of the catalogue's section ``statements``.
    **parameters : object
        Numbers and texts by the placeholders' names; a list of statements is told as one.

    Returns
    -------
    Statement
        With its English text.
    """
    plain = {
        name: [one for part in value for one in _codes(part)] if isinstance(value, list) else value
        for name, value in parameters.items()
    }
    codes = ({"code": code, **plain},)
    return Statement(_joined(codes, ENGLISH, "sentences"), codes)


def _codes(part: Statement) -> tuple[Code, ...]:
    return part.codes or ({"code": "as_given", "text": part.text},)


def tell(record: Mapping[str, Any], key: str, lang: str) -> str:
    """Tell a recorded statement in a language.

    Parameters
    ----------
    record : mapping
        Holds what ``Statement.record`` gave, or an English text only.
    key : str
        What the statement is of.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    str
        The sentences; of a text only, those in English stay that this version does not know.
    """
    try:
        told = _joined(record.get(f"{key}_codes") or (), lang, "sentences")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        told = ""  # of a version that knows other codes
    return told or translated(str(record.get(key, "")), lang)


def _joined(codes: Iterable[Code], lang: str, how: str) -> str:
    """Tell codes one after the other; a parameter that holds codes itself is a list of them."""
    told = [
        say(f"statements.{one['code']}", lang, **{
            name: _joined(value, lang, "list") if isinstance(value, list | tuple) else value
            for name, value in one.items() if name != "code"
        })
        for one in codes
    ]  # fmt: skip
    return str(entry(f"punctuation.{how}", lang)).join(told)
