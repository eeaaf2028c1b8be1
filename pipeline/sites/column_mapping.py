"""Tables of visits whose columns differ from IPIS's table of the DRC: what is what, in a TOML file.

``docs/sites.md`` describes the form; ``data/visits/*.toml`` are worked examples. Every column of
the other table stays, called ``source_<name>``, so that what was translated can be compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import DeclarationError, VisitsError
from pipeline.runtime.package_data import data_folder
from pipeline.sites.text_values import read_numbers, refuse
from pipeline.sites.toml_files import check_choice, check_keys, read_toml
from pipeline.sites.visit_tables import describe_row, escape_names

SOURCE_PREFIX = "source_"
# Columns of the IPIS form, and a few that only other countries' tables have.
_PLAIN = (
    "vid", "cid", "id", "source", "project", "pcode", "name", "visit_date", "visit_onsite",
    "visit_onsite_novisitreason", "longitude", "latitude", "location_origin", "province",
    "province_old", "territoire", "collectivite", "groupement", "village", "workers_numb",
    "access_dry", "access_wet", "is_3t_mine", "is_gold_mine", "mercury", "presence",
    "interference", "mechanisation", "traceability", "qualification", "childunder15",
    "childunder15work", "women", "womenwork", "accident_dead", "accident_injured",
)  # fmt: skip
_NUMBERED = (("mineral", 3), ("selling_points_mineral", 3), ("final_destination_mineral", 3),
             ("state_service", 4))  # fmt: skip
_OF_GROUPS = (
    "", "type_", "frequency_", "taxation_", "commerce_taxation_", "entrance_taxation_",
    "monopoly_", "buying_minerals_", "digging_", "forced_labour_", "pillaging_", "pit_ownership_",
)  # fmt: skip
COLUMNS = (
    *_PLAIN,
    *(f"{name}{number}" for name, count in _NUMBERED for number in range(1, count + 1)),
    *(f"{about}armed_group{number}" for number in (1, 2, 3) for about in _OF_GROUPS),
)
# What every row is where the mapping says nothing of it.
_UNSAID = {"project": "", "visit_onsite": "1"}
_LISTS = {"mineral": 3, "state_service": 4}
_BETWEEN = re.compile(r"[,;]")
_PACKAGED = re.compile(r"[a-z0-9_-]{1,40}")
_SECTIONS = {
    "title": str, "credit": str, "published": str, "note": str, "columns": dict, "constants": dict,
    "positive": dict, "split": dict, "flags": dict, "values": dict, "dates": dict,
}  # fmt: skip


@dataclass(frozen=True)
class ColumnMapping:
    """What the columns and values of another table are in the IPIS form.

    Parameters
    ----------
    where : str
        The file.
    columns : dict of str to str
        Our column, and theirs.
    constants : dict of str to str
        Our column, and the value that every visit has.
    positive : dict of str to str
        Our column of yes or no, and their column of counts: more than none is yes.
    split : dict of str to str
        ``mineral`` or ``state_service``, and their column with a list.
    flags : dict of str to dict of str to str
        ``mineral``: their columns of 1 and 0, and what each stands for.
    values : dict of str to dict of str to str
        Our column: their values, and ours; ``*`` stands for any other.
    dates : dict of str to str
        Our column, and how dates are written there (``%d/%m/%Y``).
    published : str
        Where everybody can read the table already; empty: nowhere, and no public map names its
        sites.
    credit : str
        Whom to credit, and the licence; empty: not stated.
    """

    where: str
    columns: dict[str, str]
    constants: dict[str, str] = field(default_factory=dict)
    positive: dict[str, str] = field(default_factory=dict)
    split: dict[str, str] = field(default_factory=dict)
    flags: dict[str, dict[str, str]] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    published: str = ""
    credit: str = ""


def load_mapping(mapping: str | Path) -> ColumnMapping:
    """Read a mapping.

    Parameters
    ----------
    mapping : str or pathlib.Path
        A ``.toml`` file, or the name of one in ``data/visits/``.

    Returns
    -------
    ColumnMapping
        Checked.

    Raises
    ------
    DeclarationError
        If it is not there, or holds a key, column or form that is not known.
    """
    file = mapping_file(mapping)
    where = str(file)
    content = read_toml(file)
    check_keys(content, _SECTIONS, where)
    parts = {name: content.get(name, {}) for name, kind in _SECTIONS.items() if kind is dict}
    for name, part in parts.items():
        for ours, theirs in part.items():
            known = tuple(_LISTS) if name in ("split", "flags") else COLUMNS
            check_choice(ours, known, f"a key of [{name}]", where)
            if name not in ("flags", "values"):
                check_keys({ours: theirs}, {ours: str}, f"{where}, [{name}]")
                continue
            check_keys({ours: theirs}, {ours: dict}, f"{where}, [{name}]")
            check_keys(theirs, dict.fromkeys(theirs, str), f"{where}, [{name}.{ours}]")
    if not parts["columns"]:
        raise DeclarationError("the mapping has no [columns]", where=where)
    about = {name: content.get(name, "").strip() for name in ("published", "credit")}
    return ColumnMapping(where, **parts, **about)


def mapping_file(mapping: str | Path) -> Path:
    """Return the file of a mapping.

    Parameters
    ----------
    mapping : str or pathlib.Path
        A ``.toml`` file, or the name of one in ``data/visits/``.

    Returns
    -------
    pathlib.Path
        Its place.

    Raises
    ------
    DeclarationError
        If there is none.
    """
    text = str(mapping)
    folder = data_folder() / "visits"
    if _PACKAGED.fullmatch(text) and (folder / f"{text}.toml").is_file():
        return folder / f"{text}.toml"
    if text.endswith(".toml") and Path(text).is_file():
        return Path(text)
    raise DeclarationError(
        "there is no such mapping of columns",
        where=ascii(text)[:200],
        next_step="name a .toml file, or one of "
        + ", ".join(sorted(file.stem for file in folder.glob("*.toml"))),
    )


def apply_mapping(table: pd.DataFrame, mapping: ColumnMapping, where: str) -> pd.DataFrame:
    """Bring another table into the IPIS form.

    Parameters
    ----------
    table : pandas.DataFrame
        Texts.
    mapping : ColumnMapping
        What is what.
    where : str
        The table's file, for the error.

    Returns
    -------
    pandas.DataFrame
        Our columns, and every column of the table as ``source_<name>``; same rows.

    Raises
    ------
    VisitsError
        If the table lacks a column, or has a value, that the mapping speaks of or leaves out; it
        lists what is there.
    """
    _check_columns(table, mapping, where)
    ours: dict[str, Any] = {name: table[theirs] for name, theirs in mapping.columns.items()}
    # A mapping is its user's own word: rows are visits on the spot unless it says otherwise.
    for name, value in {**_UNSAID, **mapping.constants}.items():
        if name in ours:
            continue
        ours[name] = pd.Series(value, index=table.index, dtype="str")
    for name, theirs in mapping.split.items():
        parts = table[theirs].fillna("").str.split(_BETWEEN)
        rows = [[part.strip() for part in row if part.strip()] for row in parts]
        ours |= _numbered(name, rows)
    for name, flags in mapping.flags.items():
        rows = [
            [flags[column] for column in flags if str(row[column]).strip() in ("1", "1.0")]
            for row in table[list(flags)].to_dict("records")
        ]
        ours |= _numbered(name, rows)
    for name, theirs in mapping.positive.items():
        ours[name] = _positive(table[theirs], theirs, where)
    for name, form in mapping.dates.items():
        ours[name] = _dates(ours[name], form, name, where)
    for name, values in mapping.values.items():
        ours[name] = _translated(ours[name], values, name, where)
    kept = table.rename(columns={name: f"{SOURCE_PREFIX}{name}" for name in table.columns})
    result = pd.DataFrame(ours, index=table.index).astype("str")
    return pd.concat([result, kept], axis=1)


def is_mapped(table: pd.DataFrame) -> bool:
    """Return whether a table of visits came through a mapping."""
    return any(str(name).startswith(SOURCE_PREFIX) for name in table.columns)


def _check_columns(table: pd.DataFrame, mapping: ColumnMapping, where: str) -> None:
    asked = {*mapping.columns.values(), *mapping.positive.values(), *mapping.split.values()}
    asked |= {column for flags in mapping.flags.values() for column in flags}
    missing = sorted(asked - set(table.columns))
    if missing:
        raise VisitsError(
            f"the table lacks columns that the mapping names: {escape_names(missing)}",
            where=f"{where}, mapping {mapping.where}",
            next_step="it has " + ", ".join(ascii(str(name))[1:-1][:40] for name in table.columns),
        )
    for name in (*mapping.values, *mapping.dates):
        given = {*mapping.columns, *mapping.constants}
        if name not in given and not re.fullmatch(r"(mineral|state_service)\d", name):
            raise DeclarationError(
                f"[values] or [dates] translate {name}, which [columns] does not have",
                where=mapping.where,
            )


def _numbered(name: str, rows: list[list[str]]) -> dict[str, Any]:
    """Spread lists over numbered columns; what is more than they hold stays in the source's own."""
    columns = {}
    for number in range(_LISTS[name]):
        values = [row[number] if len(row) > number else None for row in rows]
        columns[f"{name}{number + 1}"] = pd.Series(values, dtype="str")
    return columns


def _refused(texts: pd.Series[Any], bad: Any, rule: str, where: str) -> None:
    refuse(
        VisitsError, texts, bad, rule, lambda row: f"{where}, {describe_row(row)}", "visits",
        "add the values to the mapping, or correct the rows",
    )  # fmt: skip


def _positive(texts: pd.Series[Any], column: str, where: str) -> pd.Series[Any]:
    numbers, bad = read_numbers(texts)
    _refused(texts, bad, f"{column} must be a count", where)
    return (numbers > 0).map({True: "1", False: "0"}).where(numbers.notna(), None).astype("str")


def _dates(texts: pd.Series[Any], form: str, name: str, where: str) -> pd.Series[Any]:
    dates = pd.to_datetime(texts, format=form, errors="coerce")
    bad = texts.notna() & dates.isna()
    _refused(texts, bad, f"{name} must be a date of the form {form}", where)
    return dates.dt.strftime("%Y-%m-%d").astype("str")


def _translated(
    texts: pd.Series[Any], values: dict[str, str], name: str, where: str
) -> pd.Series[Any]:
    bare = texts.str.strip()
    known = bare.isna() | bare.isin(list(values))
    if "*" not in values:
        unknown = escape_names(sorted(set(bare[~known])))
        rule = f"{name} holds values that the mapping leaves out ({unknown})"
        _refused(texts, ~known, rule, where)
    found = bare.map(values).where(known, values.get("*"))
    return found.where(found.notna() & (found != ""), None).astype("str")
