"""Which columns each edition may hold, and what they are called: the table ``data/DISCLOSURE.md``.

A column that the table does not call public is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd

from pipeline.errors import DisclosureError
from pipeline.map.editions import PUBLIC, RESTRICTED
from pipeline.runtime.package_data import data_folder
from pipeline.sites.join import Joined
from pipeline.sites.layers.joins import JOINS
from pipeline.words.catalogue import ENGLISH, in_every, languages, pick, say, texts_of


@dataclass(frozen=True)
class Column:
    """One row of the table: who may see a column, and what it is called.

    Parameters
    ----------
    disclosure : str
        Which products may hold it.
    texts : mapping of str to str
        What the map calls it, by language.
    note : str
        What a reader of the table needs to know.
    """

    disclosure: str
    texts: Mapping[str, str]
    note: str

    def alias(self, lang: str) -> str:
        """Return the column's name as the map shows it."""
        return pick(self.texts, lang)


Policy = Mapping[str, Mapping[str, Column]]


def load_policy(file: Path | None = None) -> Policy:
    """Read the table of columns.

    Raises
    ------
    DisclosureError
        If the table cannot be read, a row has not the cells of ``| layer | column | class |
        English | ... | what it holds |``, a class is neither public nor restricted, or a column is
        there twice.
    """
    file = file or data_folder() / "DISCLOSURE.md"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DisclosureError(f"the rules cannot be read: {error}", where=str(file)) from None
    rows: dict[str, dict[str, Column]] = {}
    heading: list[str] = []
    for number, line in enumerate(lines, 1):
        parts = [part.strip() for part in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            heading = []
        elif parts[:3] == ["layer", "column", "class"]:
            heading = [name.lower() for name in parts]
        elif heading and set(line) - set("|-: "):
            where = f"{file}, line {number}"
            if len(parts) == len(heading) - 1:  # the last note was empty, and its bar with it
                parts.append("")
            if len(parts) != len(heading) or parts[2] not in (PUBLIC, RESTRICTED):
                raise DisclosureError("a row of the rules cannot be understood", where=where)
            layer, column, disclosure = parts[:3]
            if column in rows.setdefault(layer, {}):
                raise DisclosureError(f"{layer}.{column} is there twice", where=where)
            texts = texts_of(dict(zip(heading, parts, strict=True)))
            rows[layer][column] = Column(disclosure, texts, parts[-1])
    if not rows:
        raise DisclosureError("the rules hold no table of columns", where=str(file))
    for columns in rows.values():
        _add_reasons(columns)
    return rows


def _add_reasons(columns: dict[str, Column]) -> None:
    """Let the reasons in a language that the table does not name be as those in English."""
    english = columns.get(f"reasons_{ENGLISH}")
    if english is not None:
        for lang, name in in_every("language.english").items():
            texts = {ENGLISH: f"Reasons ({name})"}
            columns.setdefault(f"reasons_{lang}", Column(english.disclosure, texts, english.note))


def policy_of(joined: Joined) -> Policy:
    """Return the rules for a run: those of the table, and what its context layers declare.

    Parameters
    ----------
    joined : Joined
        With its context layers.

    Returns
    -------
    mapping
        As from :func:`load_policy`.

    Raises
    ------
    DisclosureError
        If a layer would give cells, candidates or sites a column that they have already.
    """
    rows = {layer: dict(columns) for layer, columns in load_policy().items()}
    for layer in joined.known_layers:
        about = layer.declaration
        own = {c.name: Column(c.disclosure, c.texts, c.note) for c in about.columns}
        shown = PUBLIC if about.public != "none" else RESTRICTED
        made = {
            "count": Column(shown, in_every("columns.count"), "features in the area or in reach"),
            "km": Column(shown, in_every("columns.km"), "great-circle distance"),
        }
        told = {
            "simulated": Column(
                PUBLIC, in_every("columns.simulated"), "true: an invented landscape"
            )
        }
        rows[about.table] = own | ({"count": made["count"]} if about.public == "counts" else {})
        rows[about.table] |= told
        for column in [*about.along, JOINS[about.how].column]:
            name, rule = f"{about.name}_{column}", (own | made)[column]
            for target in ("cells", "candidates", "sites"):
                if name in rows[target]:
                    raise DisclosureError(
                        f"a context layer would give {target} a second column {name}",
                        where=about.where,
                        next_step="give the layer another name",
                    )
                rows[target][name] = Column(
                    rule.disclosure,
                    {
                        lang: say(
                            "punctuation.pair", lang, name=about.title(lang), value=rule.alias(lang)
                        )
                        for lang in languages()
                    },
                    f"{rule.note}; {about.credit}".strip("; "),
                )
    return rows


def denied(policy: Policy, disclosure: str, layer: str, columns: list[str]) -> list[str]:
    """Return those of a layer's columns that a product may not hold.

    Parameters
    ----------
    policy : mapping
        The columns' rules.
    disclosure : str
        ``public`` or ``restricted``.
    layer : str
        Name of the layer.
    columns : list of str
        Its columns.

    Returns
    -------
    list of str
        Those that may not be shown, in their order.
    """
    if disclosure == RESTRICTED:
        return []
    rules = policy.get(layer, {})
    return [name for name in columns if name not in rules or rules[name].disclosure != PUBLIC]


def allowed(policy: Policy, disclosure: str, layer: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without the keys that the product may not hold.

    Parameters
    ----------
    policy : mapping
        The columns' rules.
    disclosure : str
        ``public`` or ``restricted``.
    layer : str
        Name of the layer that the record belongs to.
    record : dict
        Keys are columns.

    Returns
    -------
    dict
        What may be shown of it.
    """
    out = set(denied(policy, disclosure, layer, list(record)))
    return {key: value for key, value in record.items() if key not in out}


def permitted(
    layer: gpd.GeoDataFrame, policy: Policy, disclosure: str, name: str
) -> gpd.GeoDataFrame:
    """Drop what is denied; put the rest into the table's order, what it does not name last.

    Parameters
    ----------
    layer : geopandas.GeoDataFrame
        A layer.
    policy : mapping
        The columns' rules.
    disclosure : str
        ``public`` or ``restricted``.
    name : str
        Of the layer.

    Returns
    -------
    geopandas.GeoDataFrame
        Candidates by rank, others in their order.
    """
    columns = [str(column) for column in layer.columns if column != layer.geometry.name]
    out = set(denied(policy, disclosure, name, columns))
    known = [column for column in policy.get(name, {}) if column in columns and column not in out]
    rest = [column for column in columns if column not in out and column not in known]
    if name == "candidates" and "rank" in columns:
        layer = layer.sort_values("rank")
    return layer[[*known, *rest, layer.geometry.name]].reset_index(drop=True)
