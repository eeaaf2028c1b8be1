"""Texts of other people's tables, read as values of a type; a text that cannot be is an error.

``TYPES`` are the types that a column of a layer may be declared to have: a new one is an entry.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import AsmAtlasError
from pipeline.sites.answer_codes import yes_no_words

MAX_TEXT = 1_000
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)([T Z].*)?")
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)

# Values, missing where a text cannot be read; and which texts cannot.
Read = tuple["pd.Series[Any]", Any]


def read_numbers(texts: pd.Series[Any]) -> Read:
    """Read numbers.

    Parameters
    ----------
    texts : pandas.Series of str
        NaN: nothing there.

    Returns
    -------
    values : pandas.Series of float64
        NaN where there is none.
    bad : pandas.Series of bool
        Texts that are no number.
    """
    numbers = pd.to_numeric(texts, errors="coerce")
    return numbers, texts.notna() & numbers.isna()


def read_answers(texts: pd.Series[Any]) -> Read:
    """Read yes and no, in any word or number that ``data/visits/answers.csv`` has for them.

    Parameters
    ----------
    texts : pandas.Series of str
        NaN: nothing there.

    Returns
    -------
    values : pandas.Series of boolean
        NA where nothing was recorded.
    bad : pandas.Series of bool
        Texts that are neither.
    """
    words = texts.str.strip().str.casefold().str.removesuffix(".0")
    codes = words.map(yes_no_words())
    answers = codes.map({"1": True, "0": False}).astype("boolean")
    return answers, words.notna() & ~words.isin(list(yes_no_words()))


def read_dates(texts: pd.Series[Any]) -> Read:
    """Read dates of the form YYYY-MM-DD, with a time or without.

    Parameters
    ----------
    texts : pandas.Series of str
        NaN: nothing there.

    Returns
    -------
    values : pandas.Series of datetime64
        NaT where there is none.
    bad : pandas.Series of bool
        Texts that are no date.
    """
    days = texts.str.strip().str.extract(_DATE)[0]
    dates = pd.to_datetime(days, format="%Y-%m-%d", errors="coerce")
    return dates, texts.notna() & dates.isna()


def plain_text(text: str) -> str:
    """Take from a text what could act on its reader: control and direction signs, formulas.

    Parameters
    ----------
    text : str
        From outside.

    Returns
    -------
    str
        The same words.
    """
    signs = (sign if not unicodedata.category(sign).startswith("C") else " " for sign in text)
    bare = " ".join("".join(signs).split())
    return f"'{bare}" if _FORMULA.match(bare) and not _NUMBER.fullmatch(bare) else bare


def refuse(
    error: type[AsmAtlasError],
    texts: pd.Series[Any],
    bad: Any,
    rule: str,
    place: Callable[[int], str],
    of: str,
    next_step: str,
) -> None:
    """Raise an error that names the first bad text and counts them; nothing where there is none.

    Parameters
    ----------
    error : type of AsmAtlasError
        The error.
    texts : pandas.Series
        As the file has them.
    bad : array_like of bool
        Which cannot be used; NA: they can.
    rule : str
        What they must be.
    place : callable
        Says where a row is, given its number from 0.
    of : str
        What the rows are, such as ``visits``.
    next_step : str
        What to do about it.

    Raises
    ------
    AsmAtlasError
        The error, if there is a bad one.
    """
    rows = np.flatnonzero(np.asarray(pd.array(bad, dtype="boolean").fillna(False), bool))
    if rows.size:
        value = ascii(texts.iloc[rows[0]])[:80]
        raise error(
            f"{rule}: {rows.size:,} {of}, the first with {value}",
            where=place(int(rows[0])),
            next_step=next_step,
        )


@dataclass(frozen=True)
class ValueType:
    """A type that a column may be declared to have.

    Parameters
    ----------
    dtype : str
        Of the values.
    rule : str
        What a value must be; ``{choices}`` is what the column declares.
    read : callable
        Given texts and the column's choices: values, and which texts cannot be read.
    """

    dtype: Any
    rule: str
    read: Callable[[pd.Series[Any], Sequence[str]], Read]


def _text(texts: pd.Series[Any], choices: Sequence[str]) -> Read:
    return texts.map(plain_text, na_action="ignore"), texts.str.len() > MAX_TEXT


def _choice(texts: pd.Series[Any], choices: Sequence[str]) -> Read:
    plain, too_long = _text(texts, choices)
    chosen = plain.str.casefold().map({choice.casefold(): choice for choice in choices})
    return chosen, too_long | (plain.notna() & chosen.isna())


def _number(texts: pd.Series[Any], choices: Sequence[str]) -> Read:
    numbers, bad = read_numbers(texts)
    return numbers, bad | np.isinf(numbers.astype(float))


def _whole(texts: pd.Series[Any], choices: Sequence[str]) -> Read:
    numbers, bad = _number(texts, choices)
    return numbers, bad | (numbers.notna() & (numbers % 1 != 0))


def _date(texts: pd.Series[Any], choices: Sequence[str]) -> Read:
    dates, bad = read_dates(texts)
    return dates.dt.strftime("%Y-%m-%d"), bad


TYPES = {
    "text": ValueType("str", f"may not be longer than {MAX_TEXT:,} characters", _text),
    "choice": ValueType("str", "must be one of {choices}", _choice),
    "number": ValueType("float64", "must be a number", _number),
    "whole": ValueType("Int64", "must be a whole number", _whole),
    "date": ValueType("str", "must be YYYY-MM-DD", _date),
    "yes_no": ValueType("boolean", "must be yes or no", lambda texts, _: read_answers(texts)),
}
