"""Changes -> a folder of its own: GeoPackage with styles, QGIS project, page, tables, manifest.

Written beside, opened again, held against the rules of disclosure, and put in place in one moment,
as the map itself is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.change.legend import COLOURS, legend
from pipeline.change.page import write_page
from pipeline.classes import CANNOT_TELL
from pipeline.errors import StoreCorruptError
from pipeline.map import editions
from pipeline.map.check import check_folder
from pipeline.map.column_rules import Policy
from pipeline.map.disclosure import Product
from pipeline.map.files import geopackage, qgis, symbology
from pipeline.map.files.inspection import plain_csv
from pipeline.map.files.symbology import Layer, Rule
from pipeline.map.files.views import LayerView
from pipeline.map.manifest import RunManifest, file_digest
from pipeline.map.provenance import RunInfo
from pipeline.runtime.files import whole_folder
from pipeline.words.catalogue import say
from pipeline.words.notices import marks, notice, notices

PACKAGE, PROJECT, PAGE = "changes.gpkg", "changes.qgz", "changes.html"
# QGIS's number of placing labels outside of polygons: a square may be smaller than its number.
_BESIDE = 8
_TABLE_FILES = {"change_areas": "change_areas.csv", "series": "series.csv"}


def write_changes(
    product: Product, run: RunInfo, policy: Policy, seasons: tuple[str, str], folder: Path
) -> None:
    """Write one comparison into its folder.

    Parameters
    ----------
    product : Product
        What may be shown (``disclose_changes``).
    run : RunInfo
        What it was made from.
    policy : mapping
        The columns' rules.
    seasons : tuple of str
        The two that were compared.
    folder : pathlib.Path
        Replaced in one moment.

    Raises
    ------
    DisclosureError
        If what was written holds more than its rules allow; nothing is left behind.
    StoreCorruptError
        If it cannot be read back, or rows were lost.
    """
    with whole_folder(folder) as beside:
        manifest = RunManifest.of(product, run, policy, seasons)
        _package(product, run, policy, manifest, seasons, beside)
        for name, file in _TABLE_FILES.items():
            if name in product.tables:
                (beside / file).write_text(plain_csv(product.tables[name]), encoding="utf-8")
        write_page(product, run, policy, seasons, beside / PAGE)
        files = {path.name: file_digest(path) for path in sorted(beside.iterdir())}
        counts = {name: len(layer) for name, layer in product.layers.items()}
        replace(manifest, counts=counts, files=files).write(beside)
        check_changes(product, run, policy, beside)
        for stray in beside.glob("*.aux.xml"):
            stray.unlink()


def check_changes(product: Product, run: RunInfo, policy: Policy, folder: Path) -> None:
    """Open what was written and hold it against the rules, those of age too.

    Parameters
    ----------
    product : Product
        What was to be written.
    run : RunInfo
        When it was made.
    policy : mapping
        The columns' rules.
    folder : pathlib.Path
        Holds the files.

    Raises
    ------
    DisclosureError
        If a column is denied, a place too fine or an image too young.
    StoreCorruptError
        If a file is not whole, or rows were lost.
    """
    written = check_folder(folder, product.disclosure, policy)
    for name, table in {**product.layers, **product.tables}.items():
        if len(written[name]) != len(table):
            raise StoreCorruptError("rows were lost while writing", where=f"{PACKAGE}, {name}")
    if product.disclosure == editions.PUBLIC:
        for name in ("changes", "change_places", "series"):
            for column in written[name].filter(like="last_image"):
                editions.refuse_young(
                    written[name][column].dropna().astype(str), run.created, run.region.name
                )


def _package(
    product: Product,
    run: RunInfo,
    policy: Policy,
    manifest: RunManifest,
    seasons: tuple[str, str],
    folder: Path,
) -> None:
    lang = run.config.map.language
    words = notice(lang, run.simulated, product.disclosure)
    title = title_of(run, product.disclosure, seasons, lang)
    tables = {**product.tables, "provenance": manifest.rows().assign(simulated=run.simulated)}
    views = [
        _view(name, frame, product, policy, lang)
        for name, frame in [*product.layers.items(), *tables.items()]
    ]
    by_name = {view.name: view for view in views}
    groups = (("changes", ("change_places", "changes")),
              ("tables", ("change_areas", "series", "provenance")))  # fmt: skip
    project = qgis.pack_project(
        title=title,
        words="\n".join(notices(lang, run.simulated)),
        abstract=words,
        rights=say(f"editions.{product.disclosure}", lang),
        lang=lang,
        identifier=run.run_id,
        created=run.created,
        decimals=editions.PLACE_DECIMALS[product.disclosure],
        geopackage=PACKAGE,
        bounds=by_name["changes"].extent,
        layers=[by_name[n] for _, names in groups for n in names if n in by_name],
        groups=[
            {
                "title": say(f"groups.{key}", lang),
                "layers": [by_name[name] for name in names if name in by_name],
            }
            for key, names in groups
        ],
    )
    tags = {
        "TITLE": title,
        "DISCLOSURE": product.disclosure,
        "SIMULATED": "yes" if run.simulated else "no",
        "DISCLAIMER": words,
        "RUN": run.run_id,
        "MODEL": run.model.name,
    }
    described = {view.name: f"{view.title}. {words}" for view in views}
    path = folder / PACKAGE
    geopackage.write_layers(path, product.layers, tables, described, tags, run.created)
    notes = {view.name: {c: r.note for c, r in policy.get(view.name, {}).items()} for view in views}
    geopackage.dress(path, views, notes, project, "map", run.created)
    (folder / PROJECT).write_bytes(project)


def title_of(run: RunInfo, disclosure: str, seasons: tuple[str, str], lang: str) -> str:
    """Return the title: region, seasons, whether it is simulated, its edition.

    Parameters
    ----------
    run : RunInfo
        Region, and whether it is simulated.
    disclosure : str
        ``public`` or ``restricted``.
    seasons : tuple of str
        The two that were compared.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    str
        One line.
    """
    what = say("punctuation.pair", lang, name=say("change.title", lang), value=", ".join(seasons))
    marked = ", ".join(marks(lang, run.simulated, disclosure))
    return qgis.without_expressions(f"{run.region.title} – {what} ({marked})")


def _view(name: str, frame: pd.DataFrame, product: Product, policy: Policy, lang: str) -> LayerView:
    known = policy.get(name, {})
    columns = [str(column) for column in frame.columns if column != "geometry"]
    box = (0.0, 0.0, 0.0, 0.0)
    if name in product.layers and len(frame):
        west, south, east, north = product.layers[name].total_bounds
        box = (float(west), float(south), float(east), float(north))
    extra: dict[str, Any] = {}
    if name == "change_places":
        extra = {"label": "place", "label_when": "\"change_class\" = 'new'", "sort": '"place"'}
        extra |= {"label_size": 8, "label_placement": _BESIDE}
    return LayerView(
        name=name,
        title=say(f"layers.{name}", lang),
        columns=columns,
        aliases={c: known[c].alias(lang) if c in known else c for c in columns},
        rules=_RULES[name](lang) if name in _RULES else [],
        extent=box,
        visible=True,
        **extra,
    )


def _square_rules(lang: str) -> list[Rule]:
    drawn = []
    for word, text, colour in legend(lang):
        where = f"\"change_class\" = '{word}'"
        fill = {"color": symbology.rgb(colour), "outline_style": "no"}
        symbol: tuple[Layer, ...] = (Layer("SimpleFill", fill),)
        if word == "none":
            fill["color"] = symbology.rgb(colour, 120)
        if word == CANNOT_TELL:
            symbol = symbology.hatch()
        drawn.append(Rule(text, where, symbol))
    return drawn


def _place_rules(lang: str) -> list[Rule]:
    drawn = []
    for word in ("new", "growing", "persisting", "fading"):
        line = {
            "line_color": symbology.rgb(COLOURS[word]),
            "line_width": "0.7",
            "joinstyle": "miter",
        }
        halo = {**line, "line_color": symbology.rgb("#ffffff"), "line_width": "1.3"}
        symbol = (Layer("SimpleLine", halo), Layer("SimpleLine", line))
        drawn.append(Rule(say(f"change.{word}", lang), f"\"change_class\" = '{word}'", symbol))
    return drawn


_RULES: dict[str, Callable[[str], list[Rule]]] = {
    "changes": _square_rules,
    "change_places": _place_rules,
}
