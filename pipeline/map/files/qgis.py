"""QGIS documents, written without QGIS: a style for each layer and the project that opens them.

The texts are templates in ``styles/``; every value is escaped. The project refers to the
GeoPackage beside it, and the same project serves inside the GeoPackage.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd
from pyproj import CRS

from pipeline.geo import grid
from pipeline.map.credit import credit
from pipeline.map.editions import PLACE_DECIMALS
from pipeline.map.files import symbology
from pipeline.map.files.sheets import sheet_of
from pipeline.map.files.views import TABLES, LayerView, geometry_kind
from pipeline.sites.layers.kinds import kind_of
from pipeline.words.catalogue import say
from pipeline.words.notices import marks, notice, notices

if TYPE_CHECKING:
    import geopandas as gpd

    from pipeline.map.column_rules import Policy
    from pipeline.map.disclosure import Product
    from pipeline.map.provenance import RunInfo
    from pipeline.sites.layers.layer import Declaration

# Top of the legend first. Coverage is there to be switched on; the score would hide it.
GROUPS = (
    ("inspect", ("sites", "candidates")),
    ("model", ("regions", "cells")),
    ("context", ()),
    ("imagery", ("coverage",)),
    ("sites", TABLES[1:]),
    ("about", TABLES[:1]),
)
_HIDDEN = {"coverage"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def layer_views(
    product: Product, tables: dict[str, pd.DataFrame], run: RunInfo, policy: Policy
) -> list[LayerView]:
    """Describe the layers in the order of the legend.

    Parameters
    ----------
    product : Product
        What is published.
    tables : dict of str to pandas.DataFrame
        Every table of the GeoPackage with the columns as written, without geometry columns.
    run : RunInfo
        Its model's thresholds and its language.
    policy : mapping
        The columns' names.

    Returns
    -------
    list of LayerView
        One for each layer.
    """
    lang = run.config.map.language
    extras: dict[str, dict[str, Any]] = {
        # Placing a thousand labels takes longer than drawing the map.
        "candidates": {
            "label": "rank",
            "label_when": '"rank" <= 30 OR @map_scale < 400000',
            "sort": '"rank"',
        },
        "sites": {"label": "name", "label_size": 8, "label_placement": 6, "label_scale": 250_000},
        "cells": {"sort": '"probability"', "sort_order": 1},
        "regions": {"label": "name", "label_size": 10},
    }
    known = {layer.declaration.table: layer.declaration for layer in product.known_layers}
    views = []
    for name in (name for _, names in _groups(known) for name in names if name in tables):
        columns = [str(column) for column in tables[name].columns]
        rows = policy.get(name, {})
        layer = product.layers.get(name)
        box = (0, 0, 0, 0) if layer is None or not len(layer) else layer.total_bounds
        west, south, east, north = box
        extra = extras.get(name, {})
        views.append(
            LayerView(
                name=name,
                title=known[name].title(lang) if name in known else say(f"layers.{name}", lang),
                columns=columns,
                aliases={c: rows[c].alias(lang) if c in rows else c for c in columns},
                rules=_rules(name, layer, known, run, lang),
                kind=geometry_kind(name, layer) if name in known and layer is not None else "",
                extent=(float(west), float(south), float(east), float(north)),
                visible=name not in _HIDDEN and name not in known,
                **({} if extra.get("label", columns[0]) not in columns else extra),
            )
        )
    return views


def _groups(known: Collection[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the groups of the legend, the context layers in theirs."""
    return [(k, tuple(known) if k == "context" else names) for k, names in GROUPS]


def _rules(
    name: str,
    layer: gpd.GeoDataFrame | None,
    known: Mapping[str, Declaration],
    run: RunInfo,
    lang: str,
) -> list[symbology.Rule]:
    if name not in known or layer is None:
        rules = symbology.rules(name, run.model.thresholds, lang)
        # The legend speaks of industrial mines only where the map knows any.
        any_mine = name != "cells" or layer is None or (layer["class"] == "industrial").any()
        return rules if any_mine else [r for r in rules if "industrial" not in r.filter]
    symbol, number = kind_of(layer.geometry.to_numpy()).symbol, list(known).index(name)
    return symbology.known_layer_rules(known[name].title(lang), symbol, number)


def style(view: LayerView) -> str:
    """Return a layer's QML, for the table ``layer_styles``."""
    return _render("style.qml", layer=view)


def project(product: Product, views: list[LayerView], run: RunInfo, geopackage: str) -> bytes:
    """Return the project as a ``.qgz`` that looks for the GeoPackage in its own folder.

    Parameters
    ----------
    product : Product
        What is published.
    views : list of LayerView
        The layers.
    run : RunInfo
        What the map was made from.
    geopackage : str
        Name of the GeoPackage's file.

    Returns
    -------
    bytes
        Content of the ``.qgz``.
    """
    lang = run.config.map.language
    by_name = {view.name: view for view in views}
    known = [view.name for view in views if view.name.startswith("context_")]
    bounds = tuple(float(edge) for edge in product.layers["cells"].total_bounds)
    about = f"{run.run_id}, {run.model.name}, {run.images[0]} – {run.images[1]}"
    if not run.simulated:
        about = f"{credit(product, run, lang)} {about}"
    name = title(run, product.disclosure)
    return pack_project(
        sheet=sheet_of(
            views, bounds, name, without_expressions(about), product.disclosure, run.simulated, lang
        ),
        title=name,
        words="\n".join(notices(lang, run.simulated)),
        abstract=notice(lang, run.simulated, product.disclosure),
        rights=say(f"editions.{product.disclosure}", lang),
        lang=lang,
        identifier=run.run_id,
        created=run.created,
        decimals=PLACE_DECIMALS[product.disclosure],
        geopackage=geopackage,
        bounds=bounds,
        layers=views,
        groups=[
            {
                "title": say(f"groups.{key}", lang),
                "layers": [by_name[name] for name in names if name in by_name],
            }
            for key, names in _groups(known)
            if any(name in by_name for name in names)
        ],
    )


def pack_project(*, created: str, bounds: Sequence[float], **values: Any) -> bytes:
    """Return a ``.qgz`` of layers of one GeoPackage in its own folder.

    Parameters
    ----------
    created : str
        ISO time, UTC.
    bounds : sequence of float
        West, south, east, north of what is shown; EPSG:4326.
    **values : object
        What the template ``project.qgs`` asks for: ``title``, ``words`` (shown on the map),
        ``abstract``, ``rights``, ``lang``, ``identifier``, ``decimals`` (of coordinates),
        ``geopackage`` (name of the file), ``layers``, ``groups`` and perhaps ``sheet``
        (:class:`pipeline.map.files.sheets.Sheet`).

    Returns
    -------
    bytes
        Content of the ``.qgz``.
    """
    values.setdefault("sheet", None)
    west, south, east, north = bounds
    margin = max(0.09 * max(east - west, north - south), 0.01)
    text = _render(
        "project.qgs",
        created=created[:19],
        wkt=CRS.from_user_input(grid.CRS).to_wkt("WKT2_2019"),
        extent=(west - margin, south - margin, east + margin, north + margin),
        **values,
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        entry = zipfile.ZipInfo("map.qgs", date_time=(1980, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, text)
    return target.getvalue()


def title(run: RunInfo, disclosure: str, lang: str = "") -> str:
    """Return the map's title: region, what it shows, whether it is simulated, its edition.

    Parameters
    ----------
    run : RunInfo
        Region, and whether it is simulated.
    disclosure : str
        ``public`` or ``restricted``.
    lang : str, optional
        Default: the map's own language.

    Returns
    -------
    str
        One line.
    """
    lang = lang or run.config.map.language
    marked = ", ".join(marks(lang, run.simulated, disclosure))
    return without_expressions(f"{run.region.title} – {say('map.title', lang)} ({marked})")


def without_expressions(text: str) -> str:
    """Take from a text what QGIS would evaluate where it shows it: ``[% ... %]``."""
    return text.replace("[%", "[ %")


def printable(text: str) -> str:
    """Drop the characters that XML cannot hold."""
    return _UNPRINTABLE.sub("", text)


def _render(template: str, **values: object) -> str:
    text = _templates().get_template(template).render(**values)
    return printable(text).strip() + "\n"


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "styles"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
