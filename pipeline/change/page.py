"""The page of change: one file, every language, no script, nothing from the network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from markupsafe import Markup

from pipeline.change.legend import COLOURS, legend
from pipeline.classes import CANNOT_TELL, CLASSES
from pipeline.map import editions
from pipeline.map.column_rules import Policy
from pipeline.map.credit import credit
from pipeline.map.disclosure import Product
from pipeline.map.files import qgis
from pipeline.map.page import figures
from pipeline.map.page.html import hash_of, style_of, templates
from pipeline.map.page.tables import page_facts
from pipeline.map.page.values import cell_text, fixed
from pipeline.map.provenance import RunInfo
from pipeline.words.catalogue import languages, say
from pipeline.words.notices import notices, watermark

MOST_PLACES = 40
_PLACE_COLUMNS = (
    "place", "change_class", "longitude", "latitude", "probability_from", "probability_to", "cells",
    "area_km2", "last_image_from", "last_image_to",
)  # fmt: skip
_CODED = {"change_class", "change_reason"}
_PLAIN = "#8d8577"


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
    colours = sorted({*COLOURS.values(), _PLAIN})
    style = style_of(colours) + "".join(
        f".tiles .c{c[1:]} {{ border-top-color: {c}; }}\n" for c in colours
    )
    text = templates().get_template("changes.html").render(
        lang=lang,
        title=f"{run.region.title} – {say('change.title', lang)}",
        run=run,
        product=product,
        seasons=seasons,
        editions=[_edition(product, run, policy, one) for one in languages()],
        n_places=len(product.layers["change_places"]),
        policy="default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {hash_of(style)}",
        style=Markup(style),
    )  # fmt: skip
    path.write_text(qgis.printable(text), encoding="utf-8")


def _edition(product: Product, run: RunInfo, policy: Policy, lang: str) -> SimpleNamespace:
    """Return what the page says in one language."""
    mark = watermark(lang, run.simulated, product.disclosure)
    cells, places = product.layers["changes"], product.layers["change_places"]
    why = cells["change_reason"][cells["change_class"] == CANNOT_TELL].value_counts()
    return SimpleNamespace(
        lang=lang,
        say=partial(say, lang=lang),
        notices=notices(lang, run.simulated),
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
            editions.PLACE_DECIMALS[product.disclosure],
        ),
        areas=_rows(product.tables.get("change_areas"), "change_areas", (), policy, lang),
        why=[[say(f"change.{key}", lang), cell_text(int(n), lang)] for key, n in why.items()],
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
    name = say("change.n_places", lang)
    tiles = []
    for word in ("new", "growing", "persisting", "fading"):
        label = say("punctuation.pair", lang, name=name, value=say(f"change.{word}", lang))
        tiles.append((int(kinds.get(word, 0)), label, COLOURS[word]))
    unknown = int((cells["change_class"] == CANNOT_TELL).sum())
    tiles.append((len(cells), say("change.n_squares", lang), _PLAIN))
    tiles.append((unknown, say("change.cannot_tell", lang), COLOURS[CANNOT_TELL]))
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
                say(f"change.{value}", lang) if name in _CODED else _text(name, value, lang, places)
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
    counts = pd.crosstab(series["season"], series["class"])
    counts = counts.reindex(columns=list(CLASSES), fill_value=0)
    rows = [
        [str(season), *(cell_text(int(n), lang) for n in row)]
        for season, row in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    return [say("change.season", lang), *(say(f"classes.{name}", lang) for name in CLASSES)], rows
