"""What a published folder says, as hashes: two runs that say the same have the same ones.

Bytes differ from run to run where clocks get into files (a GeoPackage's ``last_change``, a zip's
times), so each layer, table, raster and page is hashed as what a reader finds in it, with the run's
name, its moment and its workspace taken out.
"""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from pipeline.config import SURROUNDINGS
from pipeline.errors import InputFileError, StageMissingError
from pipeline.map.manifest import MANIFEST, RunManifest

Clean = Callable[[str], str]
_TEXT = (".html", ".csv", ".geojson", ".gpx", ".json", ".txt", ".md")
_UNREADABLE = (OSError, ValueError, sqlite3.Error, zipfile.BadZipFile, rasterio.RasterioIOError)
# Records that list the other files, and what they say of their bytes.
_LISTS = ("item.json", "ro-crate-metadata.json")
_OF_BYTES = ("file:size", "file:checksum", "contentSize", "sha256")
# Columns that hold when a row was written.
_CLOCKS = ("last_change", "update_time", "last_saved", "timestamp")
# Indexes and counters, which follow from the tables.
_DERIVED = ("rtree_", "sqlite_", "gpkg_ogr_contents")


def content_hashes(folder: Path) -> dict[str, str]:
    """Return a hash of every layer, table, raster and page of a run's folder.

    Parameters
    ----------
    folder : pathlib.Path
        As ``publish`` left it.

    Returns
    -------
    dict of str to str
        sha256 by name, such as ``map.gpkg/cells``; printed sheets (``.pdf``) are left out.

    Raises
    ------
    StageMissingError
        If there is no manifest: nothing was published there.
    InputFileError
        If a file cannot be read.
    """
    try:
        manifest = RunManifest.read(folder)
        # To the second: files end a moment in their own ways.
        own = {manifest.run: "RUN", manifest.created[:19]: "CREATED"}
        card = (manifest.model.get("files") or {}).get("card.md", "")
        trained = str(manifest.model.get("created", ""))[:19]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StageMissingError(
            "no published run lies here", where=str(folder), next_step="make predict REGION=..."
        ) from None
    workspace = str(manifest.configuration.get("workspace") or "")
    # The card of a model says when it was trained.
    own |= {value: name for value, name in ((trained, "TRAINED"), (card, "CARD")) if value}
    own |= {workspace: "WORKSPACE"} if len(workspace) > 1 else {}

    def clean(text: str) -> str:
        for value, name in own.items():
            text = text.replace(value, name)
        return text

    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".aux.xml", ".pdf")) or path.name.startswith("."):
            continue
        try:
            found |= {f"{path.name}{part}": digest for part, digest in _parts(path, clean)}
        except _UNREADABLE as error:
            raise InputFileError(f"it cannot be read: {error}", where=str(path)) from None
    return found


def whole_hash(found: dict[str, str]) -> str:
    """Return one hash of all of them."""
    return _digest(json.dumps(found, sort_keys=True))


def _parts(path: Path, clean: Clean) -> Iterator[tuple[str, str]]:
    if path.name == MANIFEST:
        yield "", _digest(clean(_manifest(path)))
    elif path.name in _LISTS:
        yield "", _digest(clean(json.dumps(_without_bytes(json.loads(path.read_text())))))
    elif path.suffix in _TEXT:
        yield "", _digest(clean(path.read_text(encoding="utf-8")))
    elif path.suffix == ".gpkg":
        yield from _tables(path, clean)
    elif path.suffix == ".tif":
        yield "", _raster(path, clean)
    elif path.suffix == ".qgz":
        yield "", _digest(_zip(path.read_bytes(), clean))
    else:
        yield "", hashlib.sha256(path.read_bytes()).hexdigest()


def _manifest(path: Path) -> str:
    """Return a manifest without hashes of the files' bytes, and without where it was made."""
    value = json.loads(path.read_text(encoding="utf-8"))
    settings = value.get("configuration") or {}
    value["configuration"] = {k: v for k, v in settings.items() if k not in SURROUNDINGS}
    return json.dumps(value | {"files": sorted(value.get("files", {}))}, sort_keys=True)


def _without_bytes(value: Any) -> Any:
    """Return JSON without the sizes and hashes of files' bytes."""
    if isinstance(value, dict):
        return {k: _without_bytes(v) for k, v in value.items() if k not in _OF_BYTES}
    return [_without_bytes(item) for item in value] if isinstance(value, list) else value


def _tables(path: Path, clean: Clean) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as base:
        base.execute("PRAGMA trusted_schema=OFF")
        base.row_factory = sqlite3.Row
        names = [
            row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for name in sorted(names):
            if name.startswith(_DERIVED):
                continue
            quoted = name.replace('"', '""')
            digest = hashlib.sha256()
            for row in base.execute(f'SELECT * FROM "{quoted}"'):
                values = [_cell(row[key], clean) for key in row.keys() if key not in _CLOCKS]  # noqa: SIM118
                digest.update(json.dumps(values).encode())
            yield f"/{name}", digest.hexdigest()


def _cell(value: Any, clean: Clean) -> Any:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, str):
        # QGIS keeps a project as the hex text of a zip, which holds clocks.
        return _zip(bytes.fromhex(value), clean) if value.startswith("504b0304") else clean(value)
    return value


def _zip(content: bytes, clean: Clean) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        parts = {
            info.filename: clean(packed.read(info).decode("utf-8", "surrogateescape"))
            for info in packed.infolist()
        }
    return json.dumps(parts, sort_keys=True)


def _raster(path: Path, clean: Clean) -> str:
    with rasterio.open(path, driver="GTiff") as file:
        about = [
            list(file.dtypes), list(file.shape), list(file.transform), str(file.crs),
            str(file.nodata), list(file.descriptions), file.tags(),
        ]  # fmt: skip
        values = np.ascontiguousarray(file.read())
    return _digest(
        clean(json.dumps(about, sort_keys=True)) + hashlib.sha256(values.tobytes()).hexdigest()
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
