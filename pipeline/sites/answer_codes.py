"""Answers in French, English or code, brought to one code each; the original stays beside it.

What means what is the table ``data/visits/answers.csv``: ``columns`` is a pattern of column names,
``value`` an answer as tables write it (case, accents and blanks do not matter), ``code`` what it
becomes, and a column a language what the code means. An empty code is "not recorded".
"""

from __future__ import annotations

import csv
import re
import unicodedata
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import DeclarationError
from pipeline.runtime.package_data import data_folder
from pipeline.words.catalogue import pick, texts_of

SUFFIX = "_code"
# Several answers in one cell, and several codes in one.
_BETWEEN = re.compile(r"[,;]")
_FIELDS = ["columns", "value", "code", "english", "french"]
_YES_NO = "yes_no"

Words = dict[str, dict[str, str]]


def add_codes(table: pd.DataFrame) -> pd.DataFrame:
    """Add the code of each answer that the table of answers has a pattern for.

    Parameters
    ----------
    table : pandas.DataFrame
        Visits, texts.

    Returns
    -------
    pandas.DataFrame
        The same columns, and after them ``<column>_code`` for each column that a pattern fits:
        text, several codes joined by ``;``; ``NaN`` where nothing was recorded, ``unrecognised``
        where the table of answers does not know the words.
    """
    added = {}
    for column in table.columns:
        words = codes_of_column(str(column))
        if words is not None and column + SUFFIX not in table:
            codes = {text: _code(text, words) for text in table[column].dropna().unique()}
            added[f"{column}{SUFFIX}"] = table[column].map(codes).astype("str")
    return pd.concat([table, pd.DataFrame(added, index=table.index)], axis=1)


def count_unrecognised(table: pd.DataFrame) -> dict[str, int]:
    """Count the answers of each column that the table of answers does not know.

    Parameters
    ----------
    table : pandas.DataFrame
        As from :func:`add_codes`.

    Returns
    -------
    dict of str to int
        Columns with any, and how many.
    """
    codes = [str(name) for name in table.columns if str(name).endswith(SUFFIX)]
    counts = {
        name.removesuffix(SUFFIX): int(table[name].fillna("").str.contains("unrecognised").sum())
        for name in codes
    }
    return {name: count for name, count in counts.items() if count}


def codes_of_column(column: str) -> dict[str, str] | None:
    """Return the answers of a column and their codes; None if no pattern fits it."""
    found = [words for pattern, words in _answers().items() if fnmatchcase(column, pattern)]
    return found[0] if found else None


def yes_no_words() -> dict[str, str]:
    """Return words for yes (``1``), no (``0``) and not recorded (empty), in small letters."""
    return {row["value"].casefold(): row["code"] for row in _rows() if row["columns"] == _YES_NO}


def code_meanings(lang: str) -> dict[tuple[str, str], str]:
    """Return what the codes mean.

    Parameters
    ----------
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    dict of (str, str) to str
        Pattern and code, and the words.
    """
    return {(row["columns"], row["code"]): pick(texts_of(row), lang) for row in _rows()}


def comparable(text: str) -> str:
    """Return a text without case, accents and needless blanks, to compare with.

    Parameters
    ----------
    text : str
        As a table writes it.

    Returns
    -------
    str
        ``" Métier d’or"`` becomes ``"metier d'or"``.
    """
    bare = "".join(
        sign
        for sign in unicodedata.normalize("NFKD", text.replace("’", "'"))
        if not unicodedata.combining(sign)
    )
    return " ".join(bare.casefold().split())


def _code(text: str, words: dict[str, str]) -> str | float:
    """Return the code of one cell: as a whole, else part by part."""
    key = comparable(text)
    if key in words:
        return words[key] or float("nan")
    parts = [comparable(part) for part in _BETWEEN.split(text) if part.strip()]
    if len(parts) < 2:
        return "unrecognised" if parts else float("nan")
    codes = dict.fromkeys(words.get(part, "unrecognised") for part in parts)
    return ";".join(code for code in codes if code) or float("nan")


@cache
def _answers() -> Words:
    table: Words = {}
    for row in _rows():
        if row["columns"] != _YES_NO:
            table.setdefault(row["columns"], {})[comparable(row["value"])] = row["code"]
    return table


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(read_rows(data_folder() / "visits" / "answers.csv", _FIELDS))


def read_rows(file: Path, fields: list[str]) -> list[dict[str, Any]]:
    """Read one of the tables of rules in ``data/``.

    Parameters
    ----------
    file : pathlib.Path
        A CSV file, UTF-8.
    fields : list of str
        The columns that it must have, in order.

    Returns
    -------
    list of dict
        Its rows as texts.

    Raises
    ------
    DeclarationError
        If the columns differ, or a row has more or fewer cells.
    """
    rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    if not rows or rows[0] != fields:
        raise DeclarationError(
            f"the table's columns must be {', '.join(fields)}",
            where=str(file),
            next_step=f"it has {', '.join(rows[0]) if rows else 'none'}",
        )
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(fields):
            raise DeclarationError(
                f"a row has {len(row)} cells, not {len(fields)}", where=f"{file}, row {number}"
            )
    return [dict(zip(fields, row, strict=True)) for row in rows[1:]]
