"""A scorecard of six indicators per site, after the idea of IPIS's Responsible Mining Scorecard.

Every rule is a row of ``data/scorecard.csv``: a question, the columns that answer it, the answers
and the level that they give. Of a question the first row counts that an answer meets; of an
indicator the level is the mean of its answered questions by their weights, 0 (very low) to 3
(high), rounded, halves down. IPIS's own weights are not public: these are ours. A question that the
visit does not answer counts for nothing, an indicator without any answer is "no data", and there is
no overall score. High is good, but for production and accessibility, which describe the site.

A new indicator is its rows in ``data/scorecard.csv``, and a row ``score_<indicator>`` of the sites
in ``data/DISCLOSURE.md``, which says who may see it and what the map calls it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import fingerprint
from pipeline.errors import DeclarationError
from pipeline.runtime.package_data import data_folder
from pipeline.sites.answer_codes import SUFFIX, read_rows
from pipeline.sites.toml_files import check_choice
from pipeline.words.catalogue import ENGLISH, pick, texts_of

LEVELS = ("very_low", "low", "medium", "high")
NO_DATA = "no_data"
PREFIX = "score_"
# What a status record, which nobody made on the spot, may tell of a site.
STATUS = ("qualification", "traceability")
ANSWER_COLUMNS = (
    "pcode", "indicator", "level", "question", "column", "answer", "gives", "weight", "why",
    "vid", "visit_date",
)  # fmt: skip
_FIELDS = ["indicator", "question", "columns", "answers", "level", "weight", "english", "french"]
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_LEAST = re.compile(r">=(\d+)")
_NUMBER_OF = re.compile(r"n>=(\d+)")


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Parameters
    ----------
    indicator, question : str
        What it is about.
    columns : tuple of str
        Patterns of the columns that answer the question.
    answers : tuple of str
        Codes, numbers, ranges (``1..49``, ``>=500``), ``n>=2``: at least two different codes in all
        columns together; ``*``: any answer.
    level : int
        0 very low to 3 high.
    weight : float
        Of the question in its indicator.
    texts : mapping of str to str
        The answer in words, by language.
    """

    indicator: str
    question: str
    columns: tuple[str, ...]
    answers: tuple[str, ...]
    level: int
    weight: float
    texts: Mapping[str, str] = field(hash=False)


@cache
def load_rules() -> tuple[Rule, ...]:
    """Read ``data/scorecard.csv``.

    Returns
    -------
    tuple of Rule
        In the table's order, in which they are tried.

    Raises
    ------
    DeclarationError
        If a row cannot be understood.
    """
    file = data_folder() / "scorecard.csv"
    rules = []
    for number, row in enumerate(read_rows(file, _FIELDS), 2):
        where = f"{file}, row {number}"
        check_choice(row["level"], LEVELS, "the level", where)
        try:
            weight = float(row["weight"])
        except ValueError:
            weight = math.nan
        named = row["indicator"].isidentifier() and row["question"]
        if not 0 < weight <= 10 or not (named and row["columns"] and row["answers"]):
            raise DeclarationError("a row of the scorecard is not whole", where=where)
        rules.append(
            Rule(
                row["indicator"],
                row["question"],
                tuple(row["columns"].split()),
                tuple(row["answers"].split("|")),
                LEVELS.index(row["level"]),
                weight,
                texts_of(row),
            )
        )
    return tuple(rules)


def indicators() -> tuple[str, ...]:
    """Return the indicators, in the order of the table."""
    return tuple(dict.fromkeys(rule.indicator for rule in load_rules()))


def rules_fingerprint() -> str:
    """Return what changes when a rule, or what an answer means, does."""
    names = ("scorecard.csv", "visits/answers.csv")
    return fingerprint([(data_folder() / name).read_text(encoding="utf-8") for name in names])


def with_status(sites: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Add each site's latest recorded qualification and traceability, from any record of it.

    Parameters
    ----------
    sites : pandas.DataFrame
        One row a ``pcode``.
    visits : pandas.DataFrame
        All records, as from ``read_visits``.

    Returns
    -------
    pandas.DataFrame
        The same rows with ``status_qualification``, ``status_qualification_code`` and
        ``status_qualification_date``, and the same of ``traceability``; ``NaN``: never recorded.
    """
    added: dict[str, Any] = {}
    for name in STATUS:
        if f"{name}{SUFFIX}" not in visits:
            continue
        told = visits[visits[f"{name}{SUFFIX}"].notna()].sort_values("visit_date", kind="stable")
        last = told.drop_duplicates("pcode", keep="last").set_index("pcode")
        for column, source in (("", name), (SUFFIX, f"{name}{SUFFIX}")):
            added[f"status_{name}{column}"] = sites["pcode"].map(last[source])
        dates = last["visit_date"].dt.strftime("%Y-%m-%d")
        added[f"status_{name}_date"] = sites["pcode"].map(dates)
    return sites.assign(**added)


def score_sites(sites: pd.DataFrame, lang: str = ENGLISH) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each site its levels, and say which answers made them.

    Parameters
    ----------
    sites : pandas.DataFrame
        As from ``all_sites``, with the columns of :func:`with_status`. What a visit says counts
        only where ``on_site``: the others are second-hand, but for the status.
    lang : str, optional
        Language of ``why``.

    Returns
    -------
    levels : pandas.DataFrame
        ``score_<indicator>``: one of ``LEVELS`` or ``no_data``; the index of ``sites``.
    answers : pandas.DataFrame
        ``ANSWER_COLUMNS``, one row a site and answered question: ``gives`` is the question's own
        level, ``level`` that of the indicator.
    """
    asked: dict[str, dict[str, list[tuple[Rule, list[str]]]]] = {}
    for rule in load_rules():
        columns = [c for c in sites.columns if any(fnmatchcase(c, p) for p in rule.columns)]
        asked.setdefault(rule.indicator, {}).setdefault(rule.question, []).append((rule, columns))
    levels: dict[str, list[str]] = {name: [] for name in asked}
    answers = []
    for row in sites.to_dict("records"):
        for indicator, questions in asked.items():
            found = {q: hit for q, rules in questions.items() if (hit := _first_met(row, rules))}
            level = _level([rule for rule, _, _ in found.values()])
            levels[indicator].append(level)
            for question, (rule, column, answer) in found.items():
                why = pick(rule.texts, lang)
                answers.append(
                    (row["pcode"], indicator, level, question, column, answer, LEVELS[rule.level],
                     rule.weight, why, *_source(row, column))
                )  # fmt: skip
    table = pd.DataFrame({f"{PREFIX}{k}": pd.Series(v, dtype="str") for k, v in levels.items()})
    return table.set_index(sites.index), pd.DataFrame(answers, columns=list(ANSWER_COLUMNS))


def summarise(sites: pd.DataFrame) -> pd.DataFrame:
    """Count the levels of each indicator by province and territoire of the visits.

    Parameters
    ----------
    sites : pandas.DataFrame
        With ``score_<indicator>``, and ``province`` and ``territoire`` where the table has them.

    Returns
    -------
    pandas.DataFrame
        ``unit`` (``all``, ``province`` or ``territoire``), ``province``, ``territoire``,
        ``indicator``, ``sites`` and the count of each level; the levels sum to ``sites``.
    """
    place = pd.DataFrame(
        {
            name: sites[name].fillna("–").astype(str) if name in sites else "–"
            for name in ("province", "territoire")
        },
        index=sites.index,
    )
    rows = []
    levels: dict[str, Any] = {
        "all": {("", ""): place.index},
        "province": {(name, ""): at for name, at in place.groupby("province").groups.items()},
        "territoire": place.groupby(["province", "territoire"]).groups,
    }
    for unit, groups in levels.items():
        for names, index in groups.items():
            for indicator in indicators():
                counts = sites.loc[index, f"{PREFIX}{indicator}"].value_counts()
                numbers = [int(counts.get(level, 0)) for level in (*LEVELS, NO_DATA)]
                rows.append((unit, *names, indicator, len(index), *numbers))
    return pd.DataFrame(
        rows, columns=["unit", "province", "territoire", "indicator", "sites", *LEVELS, NO_DATA]
    )


def _first_met(
    row: Mapping[Any, Any], rules: list[tuple[Rule, list[str]]]
) -> tuple[Rule, str, str] | None:
    """Return of a question's rules the one that counts, and the column and answer that met it."""
    for rule, columns in rules:
        told = [
            (column, text)
            for column in columns
            if (row.get("on_site") or column.startswith("status_")) and (text := _text(row[column]))
        ]
        if met := _met(rule, told):
            return rule, *met
    return None


def _met(rule: Rule, told: list[tuple[str, str]]) -> tuple[str, str] | None:
    codes = {code for _, text in told for code in text.split(";")} - {"none"}
    for answer in rule.answers:
        if match := _NUMBER_OF.fullmatch(answer):
            if len(codes) >= int(match[1]):
                return " ".join(column for column, _ in told), ";".join(sorted(codes))
            continue
        for column, text in told:
            if any(_is(code, answer) for code in text.split(";")):
                return column, text
    return None


def _is(code: str, answer: str) -> bool:
    if answer == "*" or code == answer:
        return True
    number = _float(code)
    if match := _RANGE.fullmatch(answer):
        return int(match[1]) <= number < int(match[2]) + 1
    if match := _LEAST.fullmatch(answer):
        return number >= int(match[1])
    return answer.isdigit() and number == float(answer)


def _level(rules: list[Rule]) -> str:
    if not rules:
        return NO_DATA
    mean = sum(rule.level * rule.weight for rule in rules) / sum(rule.weight for rule in rules)
    return LEVELS[math.ceil(mean - 0.5)]


def _source(row: Mapping[Any, Any], column: str) -> tuple[str, str]:
    """Return the visit's number and date; of a status the date of its own record."""
    if column.startswith("status_"):
        name = column.split("_")[1]
        return "", str(row.get(f"status_{name}_date") or "")
    date = row.get("visit_date")
    day = date.strftime("%Y-%m-%d") if isinstance(date, pd.Timestamp) else str(date)[:10]
    return _text(row.get("vid")), day


def _text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
