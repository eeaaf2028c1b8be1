"""What a context layer is: its file, its columns and who may see them, how it is joined.

``data/context/*.toml`` declare the layers that we know of; a folder of the user may declare others,
or the same ones otherwise. ``docs/sites.md`` describes the form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DeclarationError
from pipeline.runtime.atomic import is_safe_path
from pipeline.runtime.package_data import data_folder
from pipeline.sites.layers.joins import JOINS
from pipeline.sites.layers.kinds import ANY, GEOMETRIES
from pipeline.sites.layers.layer import PUBLIC, Column, Declaration
from pipeline.sites.text_values import TYPES
from pipeline.sites.toml_files import check_choice, check_keys, read_toml
from pipeline.words.catalogue import column_names, texts_of

DISCLOSURES = ("public", "restricted")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
# Of a file that whoever makes QGIS's or the map's own columns could confuse with.
_TAKEN = ("fid", "geom", "geometry", "count", "km", "simulated")
_MAX_KM, _MAX_DAYS, _MAX_COLUMNS = 100.0, 36_500, 40
_LAYER: dict[str, type] = {
    "name": str, "kind": str, "how": str, "distance_km": float,
    "days": int, "date": str, "id": str, "file": str, "layer": str, "service": str,
    "along": list, "industrial": bool, "public": str, "credit": str, "licence": str, "note": str,
    "columns": list,
}  # fmt: skip
_COLUMN: dict[str, type] = {
    "name": str, "type": str, "from": str, "required": bool, "choices": list, "disclosure": str,
    "note": str,
}  # fmt: skip


def load_declarations(folder: Path | None = None) -> list[Declaration]:
    """Read every declaration: the packaged ones, and those of a folder instead of or beside them.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where the user keeps layers and declarations of their own; it need not be there.

    Returns
    -------
    list of Declaration
        By name.

    Raises
    ------
    DeclarationError
        If one is not in its form, or two of one folder have the same name.
    """
    found: dict[str, Declaration] = {}
    for place in [data_folder() / "context", *([folder] if folder else [])]:
        own: dict[str, Declaration] = {}
        for file in sorted(place.glob("*.toml")):
            declaration = parse(read_toml(file), str(file))
            if declaration.name in own:
                raise DeclarationError(
                    f"the layer {declaration.name} is declared twice",
                    where=f"{file}; {own[declaration.name].where}",
                )
            own[declaration.name] = declaration
        found |= own
    return [found[name] for name in sorted(found)]


def parse(content: Mapping[str, Any], where: str) -> Declaration:
    """Check one declaration.

    Parameters
    ----------
    content : mapping
        As read from TOML.
    where : str
        The file.

    Returns
    -------
    Declaration
        What it declares.

    Raises
    ------
    DeclarationError
        If a key is unknown or missing, or a value cannot be used.
    """
    names = dict.fromkeys(column_names().values(), str)
    check_keys(content, _LAYER | names, where)
    for key in ("name", "english", "kind", "how", "public", "credit", "licence"):
        if not content.get(key):
            raise DeclarationError(f"the declaration lacks {key}", where=where)
    columns = tuple(
        _column(item, f"{where}, column {number}")
        for number, item in enumerate(content.get("columns", []), 1)
    )
    known = [column.name for column in columns]
    if len(set(known)) < len(known) or len(known) > _MAX_COLUMNS:
        raise DeclarationError(
            f"columns must be at most {_MAX_COLUMNS}, each of its own name", where=where
        )
    made = Declaration(
        **{key: content[key] for key in _LAYER.keys() & content.keys() - {"columns", "along"}},
        texts=texts_of(content),
        columns=columns,
        along=tuple(check_choice(str(name), known, "a column along", where)
                    for name in content.get("along", [])),
        where=where,
    )  # fmt: skip
    _check(made, known)
    return made


def _column(item: Any, where: str) -> Column:
    check_keys({"column": item}, {"column": dict}, where)
    check_keys(item, _COLUMN | dict.fromkeys(column_names().values(), str), where)
    for key in ("name", "type", "english"):
        if not item.get(key):
            raise DeclarationError(f"the column lacks {key}", where=where)
    if not _NAME.fullmatch(item["name"]) or item["name"] in _TAKEN:
        raise DeclarationError(f"no name of a column: {ascii(item['name'])[:80]}", where=where)
    check_choice(item["type"], TYPES, "its type", where)
    check_choice(item.get("disclosure", "restricted"), DISCLOSURES, "its disclosure", where)
    choices = item.get("choices", [])
    if bool(choices) != (item["type"] == "choice") or not all(isinstance(c, str) for c in choices):
        raise DeclarationError("choices belong to the type choice, as texts", where=where)
    rest = {key: item[key] for key in ("required", "disclosure", "note") if key in item}
    return Column(
        item["name"], item["type"], texts_of(item), item.get("from", item["name"]),
        choices=tuple(choices), **rest,
    )  # fmt: skip


def _check(made: Declaration, names: list[str]) -> None:
    where = made.where
    if not _NAME.fullmatch(made.name):
        raise DeclarationError(f"no name of a layer: {ascii(made.name)[:80]}", where=where)
    check_choice(made.kind, (*GEOMETRIES, ANY), "kind", where)
    check_choice(made.how, JOINS, "how", where)
    check_choice(made.public, PUBLIC, "public", where)
    for key in ("date", "id"):
        if getattr(made, key):
            check_choice(getattr(made, key), names, key, where)
    rules = {
        "within needs areas: kind polygon": made.how == "within" and made.kind != "polygon",
        f"nearest and count need a distance_km of more than 0 and at most {_MAX_KM:g}":
            made.how != "within" and not 0 < made.distance_km <= _MAX_KM,
        "distance_km belongs to nearest and count": made.how == "within" and made.distance_km != 0,
        "days belong to count, and need a column of dates":
            made.days != 0 and (made.how != "count" or not made.date),
        f"days must be 0 to {_MAX_DAYS}": not 0 <= made.days <= _MAX_DAYS,
        "date must be a column of dates":
            bool(made.date) and made.column(made.date).type != "date",
        "a count takes no column along": made.how == "count" and bool(made.along),
        "industrial areas are joined by within": made.industrial and made.how != "within",
        "columns of a layer that is not public cannot be":
            made.public != "rounded" and any(c.disclosure == "public" for c in made.columns),
        "a layer is counted in public only if it is counted at all":
            made.public == "counts" and made.how != "count",
        "file must be a name in the folder, without ..":
            bool(made.file) and not _inside(made.file),
    }  # fmt: skip
    for rule, broken in rules.items():
        if broken:
            raise DeclarationError(rule, where=where)


def _inside(file: str) -> bool:
    path = Path(file)
    return is_safe_path(file) and not path.is_absolute() and ".." not in path.parts
