"""Stage 10: joined rows -> styled GeoPackage, QGIS project, COG, STAC item and manifest.

Everything is written into a folder beside the run's, flushed to disk, opened again and held against
the rules of disclosure; only then does the folder take its place, in one moment. A folder without a
manifest is not a published map.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pystac
import rasterio
import shapely

from pipeline.errors import StoreCorruptError
from pipeline.geo.geopackage import column_names
from pipeline.map import disclosure as rules
from pipeline.map.check import check_folder
from pipeline.map.credit import credit
from pipeline.map.files import geopackage, inspection, qgis, raster
from pipeline.map.files.crate import CRATE, crate
from pipeline.map.files.views import LayerView
from pipeline.runtime.atomic import restore
from pipeline.runtime.files import put_in_place, whole_file
from pipeline.words.map_words import say, warning, warnings

if TYPE_CHECKING:
    from pipeline.map.disclosure import Policy, Product
    from pipeline.map.provenance import RunInfo
    from pipeline.sites.join import Joined

MAP, PROJECT, COG, COVERAGE, ITEM, MANIFEST = (
    "map.gpkg", "map.qgz", "probability.tif", "coverage.tif", "item.json", "manifest.json",
)  # fmt: skip
FILES = (MAP, PROJECT, COG, COVERAGE, *inspection.FILES, ITEM)
# Lists of the facts: what the provenance calls their members, and which part names one.
_LISTED = {"scenes": ("scene", "id"), "tables": ("table", "name")}
REPORT, SHEETS = "report.html", "inspection.pdf"


def publish(
    joined: Joined, run: RunInfo, folder: Path, also: Callable[[Path], object] | None = None
) -> dict[str, int]:
    """Write one run's map into its folder.

    Parameters
    ----------
    joined : Joined
        The run's cells, sites and candidates.
    run : RunInfo
        What they were made from; its configuration says which product is asked for.
    folder : pathlib.Path
        The run's folder. An earlier one is replaced in one moment, with all that it holds.
    also : callable, optional
        Writes further files into the folder that it is given, before that takes its place.

    Returns
    -------
    dict of str to int
        Rows of each layer, cells of each class, sites matched and held back.

    Raises
    ------
    DisclosureError
        If the product would hold, or holds, more than its rules allow; nothing is left behind.
    StoreCorruptError
        If what was written cannot be read back, or the joined tables are incomplete.
    """
    policy = rules.policy_of(joined)
    product = rules.disclose(joined, run, policy)
    counts = count(product)
    restore(folder)
    staging = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _write(product, run, policy, counts, staging)
        if also is not None:
            also(staging)
        check(product, policy, staging)
        for stray in staging.glob("*.aux.xml"):
            stray.unlink()  # GDAL's notes on what the check has read
        _flush(staging)
        put_in_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counts


def count(product: Product) -> dict[str, int]:
    """Count what a product holds."""
    cells = product.layers["cells"]
    counts = {name: len(layer) for name, layer in product.layers.items()}
    candidates = product.layers["candidates"]
    if "kind" in candidates:
        drawn = int((candidates["kind"] == "random").sum())
        counts |= {"candidates": len(candidates) - drawn, "drawn_at_random": drawn}
    counts |= {str(name): int(n) for name, n in cells["class"].value_counts().items()}
    if "sites" in product.layers:
        matched = product.layers["sites"].get("matched")
        counts["sites_matched"] = 0 if matched is None else int((matched == True).sum())  # noqa: E712
        counts["sites_held_back"] = product.held_back
    return counts


def provenance(product: Product, run: RunInfo, policy: Policy) -> dict[str, Any]:
    """Return what the map was made from, as the manifest tells it; nothing that is denied.

    Parameters
    ----------
    product : Product
        What is published.
    run : RunInfo
        What it was made from.
    policy : mapping
        The columns' rules.

    Returns
    -------
    dict
        JSON.
    """

    def allowed(layer: str, record: dict[str, Any]) -> dict[str, Any]:
        return rules.allowed(policy, product.disclosure, layer, record)

    return {
        "run": run.run_id,
        "region": run.region.name,
        "title": run.region.title,
        "simulated": run.simulated,
        "disclosure": product.disclosure,
        "square_degrees": product.square,
        "created": run.created,
        "code_version": run.code_version,
        "code_commit": run.code_commit,
        "configuration_hash": run.config_hash,
        "configuration": allowed("config", run.config.flat()),
        "model": allowed("model", run.model),
        "images": {"first": run.images[0], "last": run.images[1]},
        "tables": [allowed("tables", table) for table in run.tables],
        "scenes": [allowed("scenes", scene) for scene in run.scenes],
        "words": dict(zip(("en", "fr"), warnings("en", run.simulated), strict=True)),
        "credit": credit(product, run, "en"),
        "context": {
            layer.declaration.table: f"{layer.declaration.credit}; {layer.declaration.licence}"
            for layer in product.known_layers
        },
    }


def record_file(folder: Path, path: Path) -> None:
    """Enter a file that came after the manifest (the report) into it."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][path.name] = file_digest(path)
    _write_manifest(folder, manifest)


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    for name, record in ((CRATE, crate(manifest)), (MANIFEST, manifest)):
        with whole_file(folder / name) as part:
            part.write_text(to_json(record), encoding="utf-8")


def _write(
    product: Product, run: RunInfo, policy: Policy, counts: dict[str, int], folder: Path
) -> None:
    lang = run.config.map.language
    facts = provenance(product, run, policy)
    words = f"{warning(lang, run.simulated)} {say(f'{product.disclosure}_long', lang)}"
    tags = {
        "TITLE": qgis.title(run, product.disclosure),
        "DISCLOSURE": product.disclosure,
        "SIMULATED": "yes" if run.simulated else "no",
        "DISCLAIMER": words,
        "RUN": run.run_id,
        "MODEL": str(run.model.get("id", "")),
    }
    tables = {"provenance": rows_of(facts).assign(simulated=run.simulated), **product.tables}
    columns = {}
    for name, frame in [*product.layers.items(), *tables.items()]:
        plain = pd.DataFrame(frame.drop(columns="geometry", errors="ignore"))
        columns[name] = plain.rename(columns=column_names(list(plain.columns)))
    views = qgis.layer_views(product, columns, run, policy)
    project = qgis.project(product, views, run, MAP)
    notes = {view.name: _notes(view, policy, product.disclosure) for view in views}
    geopackage.write_layers(
        folder / MAP,
        product.layers,
        tables,
        {view.name: f"{view.title}. {words}" for view in views},
        tags,
        run.created,
    )
    geopackage.dress(folder / MAP, views, notes, project, "map", run.created)
    (folder / PROJECT).write_bytes(project)
    mark = f"{say('simulated', 'en')}: " if run.simulated else ""
    raster.write_probability(
        folder / COG,
        product.layers["cells"],
        product.square,
        f"{mark}model score 0..1, NaN = cannot tell",
        tags,
    )
    raster.write_coverage(folder / COVERAGE, product.layers["coverage"], product.square, mark, tags)
    about = {"title": tags["TITLE"], "words": words, "edition": product.disclosure}
    about |= {"created": run.created, "run": run.run_id, "simulated": tags["SIMULATED"]}
    points = inspection.inspection_points(product.layers["candidates"], product.disclosure)
    inspection.write_inspection(folder, points, about, policy, lang)
    (folder / ITEM).write_text(to_json(_item(product, run, facts, folder)), encoding="utf-8")
    files = {name: file_digest(folder / name) for name in FILES}
    manifest = facts | {"counts": run.counts | counts, "files": files}
    for name in FILES:
        _flush(folder / name)
    _write_manifest(folder, manifest)


def _notes(view: LayerView, policy: Policy, disclosure: str) -> dict[str, str]:
    """Say what each column holds, and mark those that only the restricted product has."""
    known = policy.get(view.name, {})
    marked = set(rules.denied(policy, rules.PUBLIC, view.name, list(view.columns)))
    notes = {}
    for column in view.columns:
        mark = "RESTRICTED. " if disclosure == rules.RESTRICTED and column in marked else ""
        notes[column] = f"{mark}{known[column].note if column in known else ''}".strip()
    return notes


def rows_of(facts: dict[str, Any]) -> pd.DataFrame:
    """Flatten the facts into rows of section, item and value, for the table in the GeoPackage."""
    rows = []
    for key, value in facts.items():
        if key in _LISTED:
            section, name = _LISTED[key]
            for one in value:
                rest = ", ".join(f"{k} {v}" for k, v in one.items() if k != name)
                rows.append((section, str(one.get(name, "")), rest))
        elif isinstance(value, dict):
            rows += [
                (key, k, v if isinstance(v, str) else json.dumps(v, default=str, sort_keys=True))
                for k, v in value.items()
            ]
        else:
            rows.append(("run", key, str(value)))
    return pd.DataFrame(rows, columns=["section", "item", "value"])


def _item(product: Product, run: RunInfo, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Describe the run as a STAC item whose footprint is the box around its squares."""
    digits = rules.DECIMALS[product.disclosure]
    bounds = product.layers["cells"].total_bounds
    west, south, east, north = (round(float(edge), digits) for edge in bounds)
    with rasterio.open(folder / COG) as source:
        shape, transform = list(source.shape), list(source.transform)[:6]
    item = pystac.Item(
        id=run.run_id,
        geometry=shapely.geometry.mapping(shapely.box(west, south, east, north)),
        bbox=[west, south, east, north],
        datetime=None,
        start_datetime=pd.Timestamp(run.images[0]).tz_localize(None).to_pydatetime(),
        end_datetime=pd.Timestamp(run.images[1]).tz_localize(None).to_pydatetime(),
        properties={
            "title": qgis.title(run, product.disclosure),
            "description": " ".join(facts["words"].values()),
            "created": run.created,
            "proj:code": "EPSG:4326",
            "processing:software": {"asm-atlas": run.code_version},
            "asm:simulated": run.simulated,
            "asm:disclosure": product.disclosure,
            "asm:model": str(run.model.get("id", "")),
            "asm:region": run.region.name,
        },
        stac_extensions=[
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
            "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
        ],
    )
    kinds = {
        COG: ("probability", pystac.MediaType.COG, ["data"]),
        MAP: ("map", pystac.MediaType.GEOPACKAGE, ["data"]),
        PROJECT: ("project", "application/x-qgis-project", ["metadata"]),
        COVERAGE: ("coverage", pystac.MediaType.COG, ["data"]),
        inspection.GEOJSON: ("inspection", pystac.MediaType.GEOJSON, ["data"]),
        inspection.GPX: ("waypoints", "application/gpx+xml", ["data"]),
        inspection.FORM: ("form", pystac.MediaType.GEOPACKAGE, ["data"]),
    }
    for name, (key, media, roles) in kinds.items():
        digest = file_digest(folder / name)
        # A multihash: 0x12 = sha256, 0x20 = 32 bytes.
        extra: dict[str, Any] = {
            "file:size": digest["bytes"],
            "file:checksum": "1220" + str(digest["sha256"]),
        }
        if name == COG:
            extra |= {"proj:shape": shape, "proj:transform": transform}
            extra |= {"bands": [{"name": "probability", "data_type": "float32", "nodata": "nan"}]}
        if name == COVERAGE:
            extra |= {"proj:shape": shape, "proj:transform": transform}
            extra |= {
                "bands": [
                    {"name": band, "data_type": "int16", "nodata": raster.NO_CELL}
                    for band in raster.COVERAGE_BANDS
                ]
            }
        item.add_asset(
            key, pystac.Asset(f"./{name}", media_type=media, roles=roles, extra_fields=extra)
        )
    record: dict[str, Any] = item.to_dict(include_self_link=False)
    return record


def check(product: Product, policy: Policy, folder: Path) -> None:
    """Open what was written and hold it against the rules.

    Parameters
    ----------
    product : Product
        What was to be written.
    policy : mapping
        The columns' rules.
    folder : pathlib.Path
        Holds the files.

    Raises
    ------
    DisclosureError
        If a layer holds a column that is denied, or a geometry or a pixel finer than allowed.
    StoreCorruptError
        If a file is not whole, or rows were lost.
    """
    written = check_folder(folder, product.disclosure, policy)
    for name, layer in product.layers.items():
        if len(written[name]) != len(layer):
            raise StoreCorruptError("rows were lost while writing", where=f"{MAP}, {name}")
    for name, (_, places) in inspection.read_inspection(folder).items():
        if len(places) != len(product.layers["candidates"]):
            raise StoreCorruptError("rows were lost while writing", where=name)
    pystac.Item.from_file(str(folder / ITEM))


def file_digest(path: Path) -> dict[str, str | int]:
    """Return the sha256 and the size of a file, as manifests tell them."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json(value: Any) -> str:
    """Return a value as indented JSON; NaN becomes null, what JSON has no form for becomes text."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: NaN becomes null, what has no form becomes text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
