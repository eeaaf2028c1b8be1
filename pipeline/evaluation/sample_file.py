"""The GeoPackage of a sample: cells to label in QGIS, and what the file says of itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pandas as pd

from pipeline.map import coarsening
from pipeline.map.column_rules import load_policy
from pipeline.map.editions import RESTRICTED, SQUARE_DEGREES
from pipeline.map.files import symbology
from pipeline.map.files.geopackage import dress, write_layers
from pipeline.map.files.qgis import pack_project, without_expressions
from pipeline.map.files.symbology import Layer, Rule
from pipeline.map.files.views import LayerView
from pipeline.sites.samples import (
    ABOUT_TABLE,
    CANNOT_TELL,
    LABELS,
    LAYER,
    MINE,
    NO_MINE,
    STRATA_TABLE,
    TO_FILL,
)
from pipeline.words.catalogue import say
from pipeline.words.notices import marks, notices

_COLOURS = {MINE: "#d7301f", NO_MINE: "#0868ac", CANNOT_TELL: symbology.CANNOT_TELL}


def write_sample(
    path: Path,
    cells: pd.DataFrame,
    strata: pd.DataFrame,
    about: Mapping[str, str],
    lang: str,
    file_name: str = "sample.gpkg",
) -> bytes:
    """Write a sample's cells for the labeller: places and columns to fill, no score, no stratum.

    Parameters
    ----------
    path : pathlib.Path
        A file that does not exist yet.
    cells : pandas.DataFrame
        ``cell`` and ``number`` (0: not drawn, left out).
    strata : pandas.DataFrame
        ``stratum, cells, area_km2, drawn``: how many, not which.
    about : mapping of str to str
        What was drawn, when and from what; with ``title``, ``created`` and ``simulated``.
    lang : str
        Language of the form, of :func:`pipeline.words.catalogue.languages`.
    file_name : str, optional
        What the file will be called, for the project.

    Returns
    -------
    bytes
        A project (``.qgz``) that opens the file beside it.
    """
    drawn = cells[cells["number"] > 0].sort_values("number")[["number", "cell"]]
    layer = coarsening.squares(drawn.reset_index(drop=True), SQUARE_DEGREES[RESTRICTED])
    simulated = about["simulated"] == "yes"
    codes = ["notices.simulated"] if simulated else []
    codes += ["editions.restricted_note", "sample.how_to_label"]
    words = " ".join(say(code, lang) for code in codes)
    rows = pd.DataFrame([*about.items(), ("words", words)], columns=["item", "value"])
    title = f"{about['title']} – {say('sample.title', lang)}"
    title += f" ({', '.join(marks(lang, simulated, RESTRICTED))})"
    write_layers(
        path,
        {LAYER: layer},
        {STRATA_TABLE: strata, ABOUT_TABLE: rows},
        dict.fromkeys((LAYER, STRATA_TABLE, ABOUT_TABLE), f"{title}. {words}"),
        {
            "TITLE": title,
            "DISCLOSURE": RESTRICTED,
            "SIMULATED": about["simulated"],
            "SAMPLE": about["sample"],
        },
        about["created"],
    )
    with closing(sqlite3.connect(path)) as base, base:
        for name, kind in TO_FILL.items():
            base.execute(f'ALTER TABLE "{LAYER}" ADD COLUMN "{name}" {kind}')
    view = _view(title, tuple(float(edge) for edge in layer.total_bounds), lang)
    notes = {name: f"RESTRICTED. {row.note}" for name, row in load_policy()[LAYER].items()}
    dress(path, [view], {LAYER: notes}, None, "", about["created"])
    return pack_project(
        title=without_expressions(title),
        words="\n".join(notices(lang, simulated)),
        abstract=words,
        rights=say("editions.restricted", lang),
        lang=lang,
        identifier=about["sample"],
        created=about["created"],
        decimals=4,
        geopackage=file_name,
        bounds=view.extent,
        layers=[view],
        groups=[{"title": say("layers.sample", lang), "layers": [view]}],
    )


def _view(title: str, extent: tuple[float, ...], lang: str) -> LayerView:
    policy = load_policy()[LAYER]
    columns = ["number", "cell", *TO_FILL]
    texts = {MINE: say("sample.mine", lang), NO_MINE: say("sample.no_mine", lang)}
    texts[CANNOT_TELL] = say("classes.cannot_tell", lang)
    west, south, east, north = extent
    return LayerView(
        name=LAYER,
        title=title,
        columns=columns,
        aliases={name: policy[name].alias(lang) for name in columns},
        rules=[
            _outline(
                say("sample.not_labelled", lang), '"label" IS NULL OR "label" = \'\'', "#e6a700"
            ),
            *(_outline(texts[name], f"\"label\" = '{name}'", _COLOURS[name]) for name in LABELS),
        ],
        extent=(west, south, east, north),
        visible=True,
        label="number",
        sort='"number"',
        widgets={"label": texts, "share": "share", "date": "date"},
        locked=("number", "cell"),
    )


def _outline(label: str, where: str, colour: str) -> Rule:
    """Draw an outline only: whoever labels must see the ground inside."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    line = {
        "line_color": f"{red},{green},{blue},255", "line_width": "0.7", "joinstyle": "miter",
    }  # fmt: skip
    return Rule(label, where, (Layer("SimpleLine", line),))
