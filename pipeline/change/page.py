"""The page of change: one file, both languages, no script, nothing from the network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from markupsafe import Markup

from pipeline.change.words import COLOURS, legend, tell
from pipeline.map import disclosure as rules
from pipeline.map.credit import credit
from pipeline.map.disclosure import Policy, Product
from pipeline.map.files import qgis
from pipeline.map.page import figures
from pipeline.map.page.report import (
    LANGUAGES,
    cell_text,
    fixed,
    hash_of,
    own_file,
    page_facts,
    templates,
)
from pipeline.map.provenance import RunInfo
from pipeline.words.map_words import say, warnings

MOST_PLACES = 40
_PLACE_COLUMNS = (
    "place", "change_class", "longitude", "latitude", "probability_from", "probability_to", "cells",
    "area_km2", "last_image_from", "last_image_to",
)  # fmt: skip
_CODED = {"change_class", "change_reason"}


def write_page(
    product: Product, run: RunInfo, policy: Policy, seasons: tuple[str, str], path: Path
) -> None:
    """Write the page.

    Parameters
    ----------
    product : Product
        What may be shown.
    run : RunInfo
        What it was made from; its configuration says in which language the page starts.
    policy : mapping
        The columns' rules.
    seasons : tuple of str
        The two that were compared.
    path : pathlib.Path
        The file, new.
    """
    lang = run.config.map.language
    colours = {*COLOURS.values(), "#8d8577"}
    style = own_file("report.css") + "".join(
        f".c{c[1:]} {{ --c: {c}; }}\n.tiles .c{c[1:]} {{ border-top-color: {c}; }}\n"
        for c in sorted(colours)
    )
    text = templates().get_template("changes.html").render(
        lang=lang,
        title=f"{run.region.title} – {tell('title', lang)}",
        run=run,
        product=product,
        seasons=seasons,
        editions=[_edition(product, run, policy, one) for one in LANGUAGES],
        n_places=len(product.layers["change_places"]),
        policy="default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {hash_of(style)}",
        style=Markup(style),
    )  # fmt: skip
    path.write_text(qgis.printable(text), encoding="utf-8")


def _edition(product: Product, run: RunInfo, policy: Policy, lang: str) -> SimpleNamespace:
    """Return what the page says in one language."""
    mark = say("simulated", lang) if run.simulated else ""
    if product.disclosure == rules.RESTRICTED:
        mark = f"{mark} {say('restricted', lang)}".strip()
    cells, places = product.layers["changes"], product.layers["change_places"]
    why = cells["change_reason"][cells["change_class"] == "cannot_tell"].value_counts()
    return SimpleNamespace(
        lang=lang,
        t=lambda key: tell(key, lang),
        s=lambda key: say(key, lang),
        marks=warnings(lang, run.simulated),
        mark=mark,
        dates=[_dates(cells, season) for season in ("from", "to")],
        map=figures.draw_changes(product, legend(lang), lang, mark),
        tiles=_tiles(cells, places, lang),
        places=_rows(
            places.head(MOST_PLACES),
            "change_places",
            _PLACE_COLUMNS,
            policy,
            lang,
            2 if product.disclosure == rules.PUBLIC else 4,
        ),
        areas=_rows(product.tables.get("change_areas"), "change_areas", (), policy, lang),
        why=[[tell(str(key), lang), cell_text(int(n), lang)] for key, n in why.items()],
        series=_series(product.tables["series"], lang),
        facts=page_facts(product, run, policy, lang),
        credit=credit(product, run, lang),
    )


def _dates(cells: pd.DataFrame, season: str) -> str:
    first = cells[f"first_image_{season}"].dropna().astype(str)
    last = cells[f"last_image_{season}"].dropna().astype(str)
    return f"{first.min()[:10]} – {last.max()[:10]}" if len(first) else "–"


def _tiles(cells: pd.DataFrame, places: pd.DataFrame, lang: str) -> list[tuple[str, str, str]]:
    """Return the key figures: number, what it counts, colour."""
    kinds = places["change_class"].value_counts()
    tiles = [
        (int(kinds.get(word, 0)), f"{tell('n_places', lang)} : {tell(word, lang)}"
         if lang == "fr" else f"{tell('n_places', lang)}: {tell(word, lang)}", COLOURS[word])
        for word in ("new", "growing", "persisting", "fading")
    ]  # fmt: skip
    unknown = int((cells["change_class"] == "cannot_tell").sum())
    tiles.append((len(cells), tell("n_squares", lang), "#8d8577"))
    tiles.append((unknown, tell("cannot_tell", lang), COLOURS["cannot_tell"]))
    return [(cell_text(value, lang), label, colour) for value, label, colour in tiles]


def _rows(
    table: pd.DataFrame | None,
    layer: str,
    shown: tuple[str, ...],
    policy: Policy,
    lang: str,
    places: int = 2,
) -> tuple[list[str], list[str], list[list[str]]]:
    """Return columns, heading and rows in words."""
    if table is None or not len(table):
        return [], [], []
    columns = [str(c) for c in (shown or table.columns) if c in table and c != "simulated"]
    heading = [policy[layer][name].alias(lang) for name in columns]
    rows = []
    for row in pd.DataFrame(table[columns]).astype(object).itertuples(index=False):
        rows.append(
            [
                tell(str(value), lang) if name in _CODED else _text(name, value, lang, places)
                for name, value in zip(columns, row, strict=True)
            ]
        )
    return columns, heading, rows


def _text(name: str, value: object, lang: str, places: int) -> str:
    if "image" in name:
        return str(value)[:10]
    if name in ("longitude", "latitude"):
        return fixed(value, lang, places)
    return fixed(value, lang, 2) if "probability" in name else cell_text(value, lang)


def _series(series: pd.DataFrame, lang: str) -> tuple[list[str], list[list[str]]]:
    """Count the squares of each class in each season."""
    words = ("likely", "possible", "unlikely", "cannot_tell")
    counts = pd.crosstab(series["season"], series["class"]).reindex(columns=words, fill_value=0)
    rows = [
        [str(season), *(cell_text(int(n), lang) for n in row)]
        for season, row in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    return [tell("season", lang), *(tell(word, lang) for word in words)], rows
