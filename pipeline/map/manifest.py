"""``manifest.json``: what a published folder holds, and what it was made from."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.map import column_rules
from pipeline.map.column_rules import Policy
from pipeline.map.credit import credit
from pipeline.map.disclosure import Product
from pipeline.map.files.crate import CRATE, crate
from pipeline.map.provenance import RunInfo
from pipeline.runtime.atomic import sha256_of
from pipeline.runtime.files import whole_file
from pipeline.words.catalogue import ENGLISH, languages
from pipeline.words.notices import notices

MANIFEST = "manifest.json"
# Lists of the facts: what the provenance calls their members, and which part names one.
_LISTED = {"scenes": ("scene", "id"), "tables": ("table", "name")}


@dataclass(frozen=True)
class RunManifest:
    """The record of one published folder; nothing that its rules of disclosure deny.

    Parameters
    ----------
    run, region, title : str
        Name of the folder; name and title of the region.
    simulated : bool
        Whether the landscape is invented.
    disclosure : str
        ``public`` or ``restricted``.
    square_degrees : float
        Side of the map's squares.
    created : str
        ISO 8601, UTC.
    code_version, code_commit, configuration_hash : str
        What made it.
    configuration, model : dict
        The settings by flat key, and the model's manifest, as far as the edition tells them.
    images : dict of str to str
        ``first`` and ``last`` date of the imagery.
    tables, scenes : list of dict
        What the map was joined with and made from.
    words : dict of str to str
        The warnings by language.
    credit : str
        Who is to be credited.
    context : dict of str to str
        Credit and licence of each context layer.
    seasons : list of str
        The two that were compared; empty for a map.
    counts : dict of str to int
        Rows of each layer, and what the stages counted.
    files : dict of str to dict
        ``sha256`` and ``bytes`` of every other file.
    """

    run: str
    region: str
    title: str
    simulated: bool
    disclosure: str
    square_degrees: float
    created: str
    code_version: str
    code_commit: str
    configuration_hash: str
    configuration: dict[str, Any]
    model: dict[str, Any]
    images: dict[str, str]
    tables: list[dict[str, Any]]
    scenes: list[dict[str, Any]]
    words: dict[str, str]
    credit: str
    context: dict[str, str]
    seasons: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    files: dict[str, dict[str, str | int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, product: Product, run: RunInfo, policy: Policy, seasons: Sequence[str] = ()
    ) -> RunManifest:
        """Return the record of a product before its files are written.

        Parameters
        ----------
        product : Product
            What is published.
        run : RunInfo
            What it was made from.
        policy : mapping
            The columns' rules.
        seasons : sequence of str, optional
            The two that were compared.

        Returns
        -------
        RunManifest
            Without counts and files.
        """

        def allowed(layer: str, record: dict[str, Any]) -> dict[str, Any]:
            return column_rules.allowed(policy, product.disclosure, layer, record)

        return cls(
            run=run.run_id,
            region=run.region.name,
            title=run.region.title,
            simulated=run.simulated,
            disclosure=product.disclosure,
            square_degrees=product.square,
            created=run.created,
            code_version=run.code_version,
            code_commit=run.code_commit,
            configuration_hash=run.config_hash,
            configuration=allowed("config", run.config.flat()),
            model=allowed("model", run.model_record),
            images={"first": run.images[0], "last": run.images[1]},
            tables=[allowed("tables", table) for table in run.tables],
            scenes=[allowed("scenes", scene) for scene in run.scenes],
            words=dict(zip(languages(), notices(ENGLISH, run.simulated), strict=True)),
            credit=credit(product, run, ENGLISH),
            context={
                layer.declaration.table: f"{layer.declaration.credit}; {layer.declaration.licence}"
                for layer in product.known_layers
            },
            seasons=list(seasons),
        )

    @classmethod
    def read(cls, folder: Path) -> RunManifest:
        """Read the record of a published folder.

        Parameters
        ----------
        folder : pathlib.Path
            The folder.

        Returns
        -------
        RunManifest
            What it says; keys that this version does not know are left out.

        Raises
        ------
        OSError, ValueError, TypeError
            If there is none, or it is not a whole one.
        """
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = {one.name for one in dataclasses.fields(cls)}
        return cls(**{key: part for key, part in dict(value).items() if key in known})

    @property
    def facts(self) -> dict[str, Any]:
        """What tables and pages tell of it: all but counts and files; JSON."""
        left_out = {"counts", "files"} if self.seasons else {"counts", "files", "seasons"}
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def to_dict(self) -> dict[str, Any]:
        """Return the record as it is written; JSON."""
        return self.facts | {"counts": self.counts, "files": self.files}

    def rows(self) -> pd.DataFrame:
        """Return the facts as rows of section, item and value, for the table in the GeoPackage."""
        rows = []
        for key, value in self.facts.items():
            if key in _LISTED:
                section, name = _LISTED[key]
                for one in value:
                    rest = ", ".join(f"{k} {v}" for k, v in one.items() if k != name)
                    rows.append((section, str(one.get(name, "")), rest))
            elif isinstance(value, dict):
                rows += [
                    (
                        key,
                        k,
                        v if isinstance(v, str) else json.dumps(v, default=str, sort_keys=True),
                    )
                    for k, v in value.items()
                ]
            else:
                rows.append(("run", key, str(value)))
        return pd.DataFrame(rows, columns=["section", "item", "value"])

    def write(self, folder: Path) -> None:
        """Write the record; that of a map as a research object too, which goes first.

        Parameters
        ----------
        folder : pathlib.Path
            The folder.
        """
        records = {} if self.seasons else {CRATE: crate(self.to_dict())}
        for name, record in (records | {MANIFEST: self.to_dict()}).items():
            with whole_file(folder / name) as part:
                part.write_text(to_json(record), encoding="utf-8")


def record_file(folder: Path, path: Path) -> None:
    """Enter a file that came after the manifest (the report) into it."""
    manifest = RunManifest.read(folder)
    manifest.files[path.name] = file_digest(path)
    manifest.write(folder)


def file_digest(path: Path) -> dict[str, str | int]:
    """Return the sha256 and the size of a file, as manifests tell them."""
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def to_json(value: Any) -> str:
    """Return a value as indented JSON; NaN becomes null, what JSON has no form for becomes text."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: NaN becomes null, what has no form becomes text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
