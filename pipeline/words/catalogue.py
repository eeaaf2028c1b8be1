"""What the program says to people, looked up by code and language."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import UnknownLanguageError

FOLDER = Path(__file__).parent
ENGLISH = "en"


@cache
def languages() -> tuple[str, ...]:
    """Return the codes of the languages that have a file here, English first."""
    return (ENGLISH, *sorted({file.stem for file in FOLDER.glob("*.toml")} - {ENGLISH}))


@cache
def entries(lang: str) -> Mapping[str, Any]:
    """Return what a language's own file holds.

    Parameters
    ----------
    lang : str
        One of :func:`languages`.

    Returns
    -------
    mapping of str to object
        By ``section.key``: a text, or two of them, for one thing and for several.

    Raises
    ------
    UnknownLanguageError
        If there is no file for the language.
    """
    if lang not in languages():
        raise UnknownLanguageError(
            f"no catalogue of words is called {lang!r}",
            where=str(FOLDER),
            next_step=f"choose one of {', '.join(languages())}, or add {lang}.toml",
        )
    tables = tomllib.loads((FOLDER / f"{lang}.toml").read_text(encoding="utf-8"))
    return {f"{name}.{key}": text for name, table in tables.items() for key, text in table.items()}


def entry(code: str, lang: str) -> Any:
    """Return a text as its file has it; that in English where the language lacks it.

    Parameters
    ----------
    code : str
        ``section.key``.
    lang : str
        One of :func:`languages`.

    Returns
    -------
    str or list of str
        With its placeholders; see :func:`entries`.
    """
    return entries(lang).get(code) or entries(ENGLISH)[code]


def say(code: str, lang: str, **parameters: Any) -> str:
    """Return a text with its placeholders filled in.

    Parameters
    ----------
    code : str
        ``section.key``.
    lang : str
        One of :func:`languages`.
    **parameters : object
        By the placeholders' names. Numbers are written as the language writes them. Of a text in
        two forms the first number decides which.

    Returns
    -------
    str
        The text.
    """
    text = entry(code, lang)
    if not isinstance(text, str):
        number = next((value for value in parameters.values() if not isinstance(value, str)), 0)
        text = text[int(abs(number) >= entry("numbers.plural_from", lang))]
    return str(_Filler(lang).vformat(text, (), parameters))


class _Filler(string.Formatter):
    def __init__(self, lang: str) -> None:
        self.lang = lang

    def format_field(self, value: Any, format_spec: str) -> str:
        text = format(value, format_spec)
        return text if isinstance(value, str) else localised(text, self.lang)


def localised(text: str, lang: str) -> str:
    """Return a number, as Python writes it, with the marks of a language.

    Parameters
    ----------
    text : str
        Such as ``1,204.5`` or ``62%``.
    lang : str
        One of :func:`languages`.

    Returns
    -------
    str
        The number.
    """
    names = {",": "thousands", ".": "decimal", "%": "percent"}
    return text.translate(
        str.maketrans({sign: entry(f"numbers.{name}", lang) for sign, name in names.items()})
    )


def number(value: float, lang: str, digits: int = 2) -> str:
    """Write a number without needless zeros.

    Parameters
    ----------
    value : float
        The number.
    lang : str
        One of :func:`languages`.
    digits : int, optional
        Digits after the decimal mark at most.

    Returns
    -------
    str
        The number.
    """
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return localised(text, lang)


def in_every(code: str, **parameters: Any) -> dict[str, str]:
    """Return a text in every language, by the languages' codes."""
    return {lang: say(code, lang, **parameters) for lang in languages()}


def section(name: str, lang: str) -> dict[str, str]:
    """Return every text of a section with its placeholders, by key.

    Parameters
    ----------
    name : str
        Of the section.
    lang : str
        One of :func:`languages`.

    Returns
    -------
    dict of str to str
        The texts; English ones where the language lacks them.
    """
    codes = [code for code in entries(ENGLISH) if code.startswith(f"{name}.")]
    return {code.removeprefix(f"{name}."): str(entry(code, lang)) for code in codes}


def column_names() -> dict[str, str]:
    """Return what the tables in ``data/`` call each language: its English name, in small letters.

    Returns
    -------
    dict of str to str
        By the languages' codes.
    """
    return {lang: str(entry("language.english", lang)).lower() for lang in languages()}


def texts_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a row of one of the tables in ``data/``, by language.

    Parameters
    ----------
    row : mapping of str to object
        Has a text under the name of each language that the table knows; see :func:`column_names`.

    Returns
    -------
    dict of str to str
        By the languages' codes.
    """
    return {lang: str(row[name]) for lang, name in column_names().items() if row.get(name)}


def pick(texts: Mapping[str, str], lang: str) -> str:
    """Return a text of a table in a language.

    Parameters
    ----------
    texts : mapping of str to str
        As from :func:`texts_of`.
    lang : str
        One of :func:`languages`.

    Returns
    -------
    str
        The table's own text; else what the section ``tables`` of the language's file has for the
        English one; else that in English.
    """
    english = texts[ENGLISH]
    return texts.get(lang) or str(entries(lang).get(f"tables.{english}", english))
