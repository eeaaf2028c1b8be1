"""What the page's own map is drawn from: squares, outlines, points, colours and words as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from pipeline.map.editions import DECIMALS, PUBLIC
from pipeline.map.files import symbology
from pipeline.map.page import packed
from pipeline.sites.layers.kinds import kind_of
from pipeline.words.catalogue import ENGLISH, entry, in_every, languages, section

if TYPE_CHECKING:
    import geopandas as gpd

    from pipeline.map.column_rules import Policy
    from pipeline.map.disclosure import Product

# A layer of more places than this is left to the GeoPackage.
MOST_PLACES = 150_000
# The places drawn at random, which the product keeps with the candidates.
_DRAWN = "drawn"
# The same in every row, and told above the map.
_EVERYWHERE = ("model", "run", "simulated")
_REGION = "#54278f"
_GREY = "#d4d4d4"


def map_data(
    product: Product, policy: Policy, thresholds: Mapping[str, float], titles: dict[str, str]
) -> dict[str, Any]:
    """Return everything that the page's map shows.

    Parameters
    ----------
    product : Product
        What may be shown.
    policy : mapping
        The columns' rules.
    thresholds : mapping
        The model's.
    titles : dict of str to str
        Of the page, by language.

    Returns
    -------
    dict
        What JSON can hold; see :mod:`pipeline.map.page.packed`.
    """
    cells = product.layers["cells"].sort_values("cell")
    public = product.disclosure == PUBLIC
    digits = DECIMALS[PUBLIC] if public else packed.PLACE_DIGITS
    layers, too_large = [], []
    for name, layer, title, colour in _layers(product):
        if int(shapely.get_num_coordinates(layer.geometry.to_numpy()).sum()) > MOST_PLACES:
            too_large.append(title)
            continue
        layers.append(_packed_layer(name, layer, title, colour, policy, digits))
    return {
        "disclosure": product.disclosure,
        "digits": digits,
        "words": {lang: _script_words(lang) for lang in languages()},
        "titles": titles,
        "squares": packed.pack_squares(cells["cell"], round(1 / product.square)),
        "cells": packed.pack_table("cells", cells, policy, _EVERYWHERE),
        "looks": _looks(cells, thresholds),
        "found": symbology.FOUND,
        "missed": symbology.MISSED,
        "layers": layers,
        "too_large": too_large,
    }


def _layers(product: Product) -> list[tuple[str, gpd.GeoDataFrame, dict[str, str], str]]:
    """Return name, layer, title by language and colour, from the bottom up."""
    found = []
    for number, layer in enumerate(product.known_layers):
        about = layer.declaration
        colour = symbology.KNOWN_LAYER_COLOURS[number % len(symbology.KNOWN_LAYER_COLOURS)]
        title = {lang: about.title(lang) for lang in languages()}
        if about.table in product.layers:
            found.append((about.table, product.layers[about.table], title, colour))
    candidates = product.layers["candidates"]
    own = {
        "regions": (product.layers.get("regions"), _REGION),
        _DRAWN: (candidates.drop(product.ranked.index), symbology.RANDOM),
        "candidates": (product.ranked, symbology.CANDIDATE),
        "sites": (product.layers.get("sites"), symbology.FOUND),
    }
    for name, (layer, colour) in own.items():
        if layer is not None and len(layer):
            found.append((name, layer, _title(name), colour))
    return found


def _packed_layer(
    name: str,
    layer: gpd.GeoDataFrame,
    title: dict[str, str],
    colour: str,
    policy: Policy,
    digits: int,
) -> dict[str, Any]:
    shapes = layer.geometry.to_numpy()
    points = kind_of(shapes).symbol == "marker"
    form = "circle" if points else "outline"
    legend = [[form, colour, title]]
    if name == "sites":
        legend = [
            ["diamond", symbology.MISSED, in_every("map.site_missed")],
            ["circle", symbology.FOUND, in_every("map.site_found")],
        ]
    elif name == "candidates":
        legend = [[form, colour, in_every("map.candidate")]]
    table = "candidates" if name == _DRAWN else name
    return {
        **packed.pack_table(table, layer, policy, _EVERYWHERE),
        # Its columns follow the rules of that table.
        **({"name": name, "rules": table} if name != table else {}),
        "title": title,
        "colour": colour,
        "points": points,
        "dash": {"regions": [6, 4], _DRAWN: [2, 3]}.get(name, []),
        "shown": name in ("candidates", _DRAWN, "sites"),
        "legend": legend,
        "shapes": packed.pack_shapes(shapes, digits),
    }


def _looks(cells: gpd.GeoDataFrame, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return each way to colour squares: title, legend, palette, and the place of each in it.

    The palette's first is for "cannot tell".
    """
    score_kinds = 1 + np.digitize(cells["probability"], symbology.score_breaks(thresholds)[1:-1])
    industrial = (cells["class"] == "industrial").to_numpy()
    score_kinds[industrial] = 1 + len(symbology.SCORE_COLOURS)
    score_kinds[cells["probability"].isna()] = 0
    looks = np.floor(np.nan_to_num(cells["clear_observations"].to_numpy(float)))
    clear_kinds = 1 + np.digitize(looks, symbology.CLEAR_BREAKS)
    clear_kinds[(cells["class"] == "cannot_tell").to_numpy()] = 0
    classes = {lang: symbology.score_classes(thresholds, lang) for lang in languages()}
    labels = {lang: symbology.clear_labels(lang) for lang in languages()}
    score = [
        ["square", colour, {lang: classes[lang][at][2] for lang in classes}]
        for at, (*_, colour) in enumerate(classes[ENGLISH])
    ][::-1]
    if industrial.any():
        score.append(["square", symbology.INDUSTRIAL, in_every("map.industrial")])
    clear = [
        ["square", colour, {lang: labels[lang][at] for lang in labels}]
        for at, colour in enumerate(symbology.CLEAR_COLOURS)
    ]
    unknown = ["hatch", symbology.CANNOT_TELL, in_every("classes.cannot_tell")]
    return {
        "score": {
            "title": in_every("layers.cells"),
            "palette": [_GREY, *symbology.SCORE_COLOURS, symbology.INDUSTRIAL],
            "kinds": packed.pack_numbers(score_kinds),
            "legend": [*score, unknown],
        },
        "clear": {
            "title": in_every("layers.coverage"),
            "palette": [_GREY, *symbology.CLEAR_COLOURS],
            "kinds": packed.pack_numbers(clear_kinds),
            "legend": [*clear, unknown],
        },
    }


def _title(name: str) -> dict[str, str]:
    return in_every("map.kind_random" if name == _DRAWN else f"layers.{name}")


def _script_words(lang: str) -> dict[str, str]:
    """Return what the page's script says in a language, with the placeholders that it fills."""
    words = section("script", lang) | section("classes", lang) | section("compass", lang)
    codes = ("map.yes", "map.no", "punctuation.pair")
    return words | {code.split(".")[1]: str(entry(code, lang)) for code in codes}
