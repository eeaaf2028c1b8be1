"""How each layer is drawn, in QGIS and on the page alike: colours, breaks and rules.

The colours are ColorBrewer's OrRd and YlGnBu, which stay apart for colour-blind eyes and in grey.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.errors import StoreCorruptError
from pipeline.words.catalogue import number, say

SCORE_COLOURS = ("#f6e8d0", "#fdd49e", "#fc8d59", "#d7301f", "#7f0000")
CLEAR_COLOURS = ("#ffffd9", "#c7e9b4", "#41b6c4", "#1d6fb1", "#0c2c84")
CLEAR_BREAKS = (1, 3, 5, 8)
CANNOT_TELL = "#8a8a8a"
CANDIDATE = "#111111"
RANDOM = "#2166ac"
INDUSTRIAL = "#54278f"
# ColorBrewer's Dark2.
KNOWN_LAYER_COLOURS = ("#1b9e77", "#7570b3", "#e7298a", "#66a61e", "#a6761d", "#666666")
FOUND, MISSED = "#0868ac", "#ffffff"


@dataclass(frozen=True)
class Layer:
    """One layer of a symbol: its QGIS class and properties.

    Parameters
    ----------
    kind : str
        QGIS class.
    properties : mapping of str to str
        QGIS properties.
    line : mapping of str to str, optional
        Properties of the line that the layer repeats.
    """

    kind: str
    properties: Mapping[str, str]
    line: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Rule:
    """Features that meet a filter (a QGIS expression) are drawn so.

    ``coarsest`` is the scale's denominator above which they are left out; 0: never.

    Parameters
    ----------
    label : str
        What the legend says.
    filter : str
        QGIS expression.
    symbol : tuple of Layer
        From the bottom up.
    form : str
        ``fill``, ``line`` or ``marker``.
    coarsest : int
        Scale's denominator above which the features are left out; 0: never.
    """

    label: str
    filter: str
    symbol: tuple[Layer, ...]
    form: str = "fill"
    coarsest: int = 0


def score_breaks(thresholds: Mapping[str, float]) -> list[float]:
    """Return the six edges of the five score classes, rising from 0 to 1.

    Two classes lie below "possible", one up to "likely", two above. The thresholds are rounded to
    float32, as the scores are, so that a score on an edge is drawn as it was classed.

    Raises
    ------
    StoreCorruptError
        If the thresholds are missing or not in order between 0 and 1.
    """
    try:
        possible, likely = (float(np.float32(thresholds[name])) for name in ("possible", "likely"))
    except (KeyError, TypeError, ValueError):
        possible = likely = math.nan
    if not 0 <= possible <= likely <= 1:
        raise StoreCorruptError(
            "the model's manifest holds no usable thresholds",
            where=str(thresholds),
            next_step="train the model again: make train",
        )
    return [0.0, possible / 2, possible, likely, (likely + 1) / 2, 1.0]


def score_classes(
    thresholds: Mapping[str, float], lang: str
) -> list[tuple[float, float, str, str]]:
    """Return low edge, high edge, legend text and colour of each class that is not empty."""
    kinds = ("unlikely", "unlikely", "possible", "likely", "likely")
    edges = score_breaks(thresholds)
    names = {kind: say(f"classes.{kind}", lang) for kind in kinds}
    digits = next((d for d in (2, 3, 4) if len({f"{e:.{d}f}" for e in edges}) == 6), 4)
    return [
        (
            low,
            high,
            f"{number(low, lang, digits)} – {number(high, lang, digits)} {names[kind]}",
            colour,
        )
        for low, high, kind, colour in zip(edges, edges[1:], kinds, SCORE_COLOURS, strict=False)
        if low < high
    ]


def clear_labels(lang: str) -> list[str]:
    """Return the legend texts of the classes of clear dates."""
    edges = [
        say("map.dates", lang, count=low)
        if high - low == 1
        else say("map.dates_between", lang, low=low, high=high - 1)
        for low, high in itertools.pairwise(CLEAR_BREAKS)
    ]
    most = say("map.dates_or_more", lang, count=CLEAR_BREAKS[-1])
    return [say("map.no_date", lang), *edges, most]


def rules(layer: str, thresholds: Mapping[str, float], lang: str) -> list[Rule]:
    """Return a layer's rules in the order of its legend.

    Parameters
    ----------
    layer : str
        Name of the layer.
    thresholds : mapping
        The model's.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    list of Rule
        One for each entry of the legend.
    """
    if layer == "cells":
        return [
            *_score_rules(thresholds, lang),
            _hatched("probability", "IS NULL", lang),
            _industrial(lang),
        ]
    if layer == "coverage":
        edges = [0, *CLEAR_BREAKS, 10**6]
        looks = [
            _between("clear_observations", low, high, label, colour, ' AND NOT "cannot_tell"')
            for low, high, label, colour in zip(
                edges, edges[1:], clear_labels(lang), CLEAR_COLOURS, strict=False
            )
        ]
        return [*looks, _hatched("cannot_tell", "", lang)]
    if layer == "candidates":
        outline = {"line_color": rgb(CANDIDATE), "line_width": "0.7", "joinstyle": "miter"}
        halo = {**outline, "line_color": rgb("#ffffff"), "line_width": "1.3"}
        symbol = (Layer("SimpleLine", halo), Layer("SimpleLine", outline))
        drawn = {**outline, "line_color": rgb(RANDOM), "line_style": "dot"}
        chance = (Layer("SimpleLine", halo), Layer("SimpleLine", drawn))
        return [
            Rule(say("map.candidate", lang), "\"kind\" = 'candidate'", symbol),
            Rule(say("map.kind_random", lang), "\"kind\" = 'random'", chance),
        ]
    if layer == "regions":
        border = {"line_color": rgb("#54278f"), "line_width": "0.6", "line_style": "dash"}
        return [Rule(say("layers.regions", lang), "", (Layer("SimpleLine", border),))]
    if layer == "sites":
        return [
            Rule(say("map.missed", lang), 'NOT "matched"', _marker("diamond", MISSED), "marker"),
            Rule(say("map.found", lang), '"matched"', _marker("circle", FOUND), "marker"),
        ]
    return []


def known_layer_rules(title: str, symbol: str, number: int) -> list[Rule]:
    """Return how a context layer is drawn: outlines or dots of one colour.

    Parameters
    ----------
    title : str
        What the legend says.
    symbol : str
        ``fill``, ``line`` or ``marker``.
    number : int
        Of the layer, which decides its colour.

    Returns
    -------
    list of Rule
        One.
    """
    colour = KNOWN_LAYER_COLOURS[number % len(KNOWN_LAYER_COLOURS)]
    if symbol == "marker":
        dot = {"name": "triangle", "color": rgb(colour), "outline_color": rgb("#ffffff"),
               "outline_width": "0.2", "size": "2.6"}  # fmt: skip
        return [Rule(title, "", (Layer("SimpleMarker", dot),), symbol)]
    border = {"line_color": rgb(colour), "line_width": "0.4"}
    return [Rule(title, "", (Layer("SimpleLine", border),), symbol)]


def point_rule(label: str, where: str, colour: str) -> Rule:
    """Return a dot of one colour for the features that meet a filter.

    Parameters
    ----------
    label : str
        What the legend says.
    where : str
        QGIS expression.
    colour : str
        As ``#rrggbb``.

    Returns
    -------
    Rule
        The rule.
    """
    dot = {"name": "circle", "color": rgb(colour), "outline_color": rgb("#111111"),
           "outline_width": "0.3", "size": "3.2"}  # fmt: skip
    return Rule(label, where, (Layer("SimpleMarker", dot),), "marker")


def _industrial(lang: str) -> Rule:
    """Cover the score of cells in an industrial mine: they are not called artisanal."""
    veil = {
        "color": rgb("#bdbdbd", 230),
        "outline_color": rgb(INDUSTRIAL),
        "outline_width": "0.3",
    }
    return Rule(
        say("map.industrial", lang), "\"class\" = 'industrial'", (Layer("SimpleFill", veil),)
    )


def _score_rules(thresholds: Mapping[str, float], lang: str) -> list[Rule]:
    found = [
        _between("probability", low, 2.0 if high == 1 else high, label, colour)
        for low, high, label, colour in score_classes(thresholds, lang)
    ]
    return found[::-1]


def _between(column: str, low: float, high: float, label: str, colour: str, also: str = "") -> Rule:
    # The lowest class is nearly transparent: it shows where the map has looked, and no more. The
    # others have an edge of their own colour, which closes the hairlines between neighbours.
    fill = {"color": rgb(colour), "outline_color": rgb(colour), "outline_width": "0.1"}
    # Nearly all squares are below possible: drawing them makes a whole province slow.
    coarsest = 250_000 if colour in SCORE_COLOURS[:2] else 0
    if colour == SCORE_COLOURS[0]:
        fill = {"color": rgb(colour, 140), "outline_style": "no"}
    where = f'"{column}" >= {low:.9g} AND "{column}" < {high:.9g}{also}'
    return Rule(label, where, (Layer("SimpleFill", fill),), coarsest=coarsest)


def _hatched(column: str, test: str, lang: str) -> Rule:
    return Rule(say("classes.cannot_tell", lang), f'"{column}" {test}'.strip(), hatch())


def hatch() -> tuple[Layer, ...]:
    """Return the symbol of what the map cannot tell."""
    lines = {"angle": "45", "distance": "1.6", "color": rgb(CANNOT_TELL)}
    line = {"line_color": rgb(CANNOT_TELL), "line_width": "0.2"}
    veil = {"color": rgb("#d9d9d9", 110), "outline_style": "no"}
    return (Layer("SimpleFill", veil), Layer("LinePatternFill", lines, line))


def _marker(shape: str, colour: str) -> tuple[Layer, ...]:
    ring = "#111111" if colour == MISSED else "#ffffff"
    return (
        Layer(
            "SimpleMarker",
            {
                "name": shape,
                "color": rgb(colour),
                "outline_color": rgb(ring),
                "outline_width": "0.4",
                "size": "3" if shape == "circle" else "3.4",
            },
        ),
    )


def rgb(colour: str, alpha: int = 255) -> str:
    """Return a colour ``#rrggbb`` as QGIS writes it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"{red},{green},{blue},{alpha}"
