"""A map's folder: styled GeoPackage, QGIS project, COGs, STAC item and manifest.

Everything is written into a folder beside the run's, flushed to disk, opened again and held against
the rules of disclosure; only then does the folder take its place, in one moment. A folder without a
manifest is not a published map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pystac
import rasterio
import shapely

from pipeline.errors import StoreCorruptError
from pipeline.geo.geopackage import column_names
from pipeline.map import column_rules, editions
from pipeline.map import disclosure as rules
from pipeline.map.check import check_folder
from pipeline.map.column_rules import Policy
from pipeline.map.disclosure import Product
from pipeline.map.files import geopackage, inspection, qgis, raster
from pipeline.map.files.views import LayerView
from pipeline.map.manifest import RunManifest, file_digest, to_json
from pipeline.map.provenance import RunInfo
from pipeline.runtime.files import whole_folder
from pipeline.sites.join import Joined
from pipeline.words.catalogue import ENGLISH, say
from pipeline.words.notices import notice

MAP, PROJECT, COG, COVERAGE, ITEM = (
    "map.gpkg", "map.qgz", "probability.tif", "coverage.tif", "item.json",
)  # fmt: skip
FILES = (MAP, PROJECT, COG, COVERAGE, *inspection.FILES, ITEM)
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
    policy = column_rules.policy_of(joined)
    product = rules.disclose(joined, run, policy)
    counts = count(product)
    with whole_folder(folder) as part:
        _write(product, run, policy, counts, part)
        if also is not None:
            also(part)
        check(product, policy, part)
        for stray in part.glob("*.aux.xml"):
            stray.unlink()  # GDAL's notes on what the check has read
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


def _write(
    product: Product, run: RunInfo, policy: Policy, counts: dict[str, int], folder: Path
) -> None:
    lang = run.config.map.language
    manifest = RunManifest.of(product, run, policy)
    words = notice(lang, run.simulated, product.disclosure)
    tags = {
        "TITLE": qgis.title(run, product.disclosure),
        "DISCLOSURE": product.disclosure,
        "SIMULATED": "yes" if run.simulated else "no",
        "DISCLAIMER": words,
        "RUN": run.run_id,
        "MODEL": run.model.name,
    }
    tables = {"provenance": manifest.rows().assign(simulated=run.simulated), **product.tables}
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
    mark = f"{say('editions.simulated', ENGLISH)}: " if run.simulated else ""
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
    (folder / ITEM).write_text(to_json(_item(product, run, manifest, folder)), encoding="utf-8")
    files = {name: file_digest(folder / name) for name in FILES}
    replace(manifest, counts=run.counts | counts, files=files).write(folder)


def _notes(view: LayerView, policy: Policy, disclosure: str) -> dict[str, str]:
    """Say what each column holds, and mark those that only the restricted product has."""
    known = policy.get(view.name, {})
    marked = set(column_rules.denied(policy, editions.PUBLIC, view.name, list(view.columns)))
    notes = {}
    for column in view.columns:
        mark = "RESTRICTED. " if disclosure == editions.RESTRICTED and column in marked else ""
        notes[column] = f"{mark}{known[column].note if column in known else ''}".strip()
    return notes


def _item(product: Product, run: RunInfo, manifest: RunManifest, folder: Path) -> dict[str, Any]:
    """Describe the run as a STAC item whose footprint is the box around its squares."""
    digits = editions.DECIMALS[product.disclosure]
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
            "description": " ".join(manifest.words.values()),
            "created": run.created,
            "proj:code": "EPSG:4326",
            "processing:software": {"asm-atlas": run.code_version},
            "asm:simulated": run.simulated,
            "asm:disclosure": product.disclosure,
            "asm:model": run.model.name,
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
