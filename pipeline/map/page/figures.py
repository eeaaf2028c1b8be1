"""The report's pictures: the map, what the imagery could show, how the scores are spread."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from pipeline.map.files import raster, symbology
from pipeline.words.catalogue import number, say

# A word, what the legend says, and a colour.
Rule = tuple[str, str, str]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.map.disclosure import Product

_NOTHING = "#ffffff"
_INK, _MUTED = "#1b1f24", "#5b6470"
_LABELLED = 20
_MOST_SITES = 20_000


@dataclass(frozen=True)
class Picture:
    """A picture and the legend that stands beside it.

    Parameters
    ----------
    png : str
        A ``data:`` address.
    legend : list of (str, str, str)
        For each entry its form (``square``, ``hatch``, ``outline``, ``circle``, ``diamond``), its
        colour and its text.
    """

    png: str
    legend: list[tuple[str, str, str]]


def draw_map(product: Product, thresholds: dict[str, float], lang: str, mark: str) -> Picture:
    """Draw the score of each square with the sites and the candidates.

    Parameters
    ----------
    product : Product
        What may be shown.
    thresholds : dict of str to float
        The model's thresholds.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    mark : str
        Written across the picture; empty for none.

    Returns
    -------
    Picture
        The map.
    """
    breaks = symbology.score_breaks(thresholds)
    cells = product.layers["cells"]
    classes = np.digitize(np.nan_to_num(cells["probability"], nan=-1.0), breaks[1:-1]) + 2.0
    classes[cells["probability"].isna()] = 1
    kinds = symbology.score_classes(thresholds, lang)
    legend = [("square", colour, label) for _, _, label, colour in kinds]
    legend = [*legend[::-1], ("hatch", symbology.CANNOT_TELL, say("classes.cannot_tell", lang))]
    industrial = (cells["class"] == "industrial").to_numpy()
    classes[industrial] = 2 + len(symbology.SCORE_COLOURS)
    if industrial.any():
        legend.append(("square", symbology.INDUSTRIAL, say("map.industrial", lang)))
    colours = (*symbology.SCORE_COLOURS, symbology.INDUSTRIAL)
    fig, ax = _squares(cells, product.square, classes, colours, lang)
    candidates, sites = product.ranked, product.layers.get("sites")
    if len(candidates):
        _outline(ax, candidates)
        legend.append(("outline", symbology.CANDIDATE, say("map.candidate", lang)))
    if sites is not None and "matched" in sites:
        legend += _draw_sites(ax, sites, lang)
    return Picture(_finished(fig, mark, lang), legend)


def draw_changes(product: Product, rules: Sequence[Rule], lang: str, mark: str) -> Picture:
    """Draw what happened to each square between two seasons, and outline the new places.

    Parameters
    ----------
    product : Product
        With the layers ``changes`` and ``change_places``.
    rules : sequence of Rule
        Word, legend text and colour of each class, the hatched one last.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    mark : str
        Written across the picture; empty for none.

    Returns
    -------
    Picture
        The map.
    """
    cells, places = product.layers["changes"], product.layers["change_places"]
    classes = np.ones(len(cells))
    for code, (word, _, _) in enumerate(rules[:-1], 2):
        classes[(cells["change_class"] == word).to_numpy()] = code
    colours = [colour for _, _, colour in rules[:-1]]
    fig, ax = _squares(cells, product.square, classes, colours, lang)
    fresh = places[places["change_class"] == "new"]
    _outline(ax, fresh.assign(rank=fresh["place"]))
    legend = [("square", colour, label) for _, label, colour in rules[:-1]]
    legend.append(("hatch", rules[-1][2], rules[-1][1]))
    return Picture(_finished(fig, mark, lang), legend)


def draw_coverage(product: Product, lang: str, mark: str) -> Picture:
    """Draw how often each square was seen without cloud.

    Parameters
    ----------
    product : Product
        What may be shown.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    mark : str
        Written across the picture; empty for none.

    Returns
    -------
    Picture
        The map.
    """
    cells = product.layers["cells"]
    looks = cells["clear_observations"].to_numpy(float)
    classes = np.digitize(np.floor(np.nan_to_num(looks)), symbology.CLEAR_BREAKS) + 2.0
    classes[(cells["class"] == "cannot_tell").to_numpy()] = 1
    labels = symbology.clear_labels(lang)
    legend = [("square", *entry) for entry in zip(symbology.CLEAR_COLOURS, labels, strict=True)]
    legend.append(("hatch", symbology.CANNOT_TELL, say("classes.cannot_tell", lang)))
    fig, _ = _squares(cells, product.square, classes, symbology.CLEAR_COLOURS, lang)
    return Picture(_finished(fig, mark, lang), legend)


def draw_spread(product: Product, thresholds: dict[str, float], lang: str, mark: str) -> str:
    """Draw how many squares have which score, on a logarithmic axis; a PNG as ``data:``.

    Parameters
    ----------
    product : Product
        What may be shown.
    thresholds : dict of str to float
        The model's thresholds.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    mark : str
        Written across the picture; empty for none.

    Returns
    -------
    str
        A PNG as ``data:``.
    """
    from matplotlib.figure import Figure

    breaks = symbology.score_breaks(thresholds)
    values = product.layers["cells"]["probability"].dropna().to_numpy(float)
    counts, edges = np.histogram(values, bins=40, range=(0, 1))
    middle = (edges[:-1] + edges[1:]) / 2
    colours = [symbology.SCORE_COLOURS[int(np.digitize(m, breaks[1:-1]))] for m in middle]
    fig = Figure(figsize=(7.2, 3.6))
    ax = fig.add_axes((0.1, 0.15, 0.88, 0.82))
    ax.bar(middle, counts, width=1 / 40, color=colours, edgecolor="#8d8577", linewidth=0.4)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(0, max(2.0, counts.max() * 2.2))
    ax.set_xlim(0, 1)
    for key in ("possible", "likely"):
        ax.axvline(thresholds[key], color=_INK, lw=1, ls=(0, (4, 2)))
        ax.annotate(
            f"{say(f'classes.{key}', lang)} ≥ {number(thresholds[key], lang)}",
            (thresholds[key], 0.98), xycoords=("data", "axes fraction"), xytext=(4, 0),
            textcoords="offset points", va="top", fontsize=8, color=_INK,
        )  # fmt: skip
    ax.xaxis.set_major_formatter(lambda x, _: number(x, lang))
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0f}")
    ax.set_xlabel(say("layers.cells", lang))
    ax.set_ylabel(say("map.squares", lang))
    ax.spines[["top", "right"]].set_visible(False)
    return _png(fig, mark)


def _panel(cells: gpd.GeoDataFrame, lang: str, square: float) -> tuple[Figure, Axes]:
    """Return an empty map of the right shape, with degrees along its edges."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    west, south, east, north = cells.total_bounds
    stretch = 1 / max(0.05, math.cos(math.radians((south + north) / 2)))
    wide, high = east - west, (north - south) * stretch
    margin = max(square, 0.02 * wide, 0.02 * high / stretch)
    ax_wide, ax_high = wide + 2 * margin, high + 2 * margin * stretch
    scale = min(8.2 / ax_wide, 9.0 / ax_high)
    left, bottom, edge = 0.75, 0.4, 0.15
    size = (ax_wide * scale + left + edge, ax_high * scale + bottom + edge)
    fig = Figure(figsize=size)
    ax = fig.add_axes(
        (left / size[0], bottom / size[1], ax_wide * scale / size[0], ax_high * scale / size[1])
    )
    ax.set_xlim(west - margin, east + margin)
    ax.set_ylim(south - margin, north + margin)
    ax.set_aspect(stretch)
    ax.set_facecolor(_NOTHING)
    for axis, sides in ((ax.xaxis, "EW"), (ax.yaxis, "NS")):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(
            FuncFormatter(
                lambda value, _, sides=sides: (
                    f"{number(abs(value), lang)}° {say(f'compass.{sides[int(value < 0)]}', lang)}"
                )
            )
        )
    ax.tick_params(labelsize=9, colors=_MUTED, length=3)
    for spine in ax.spines.values():
        spine.set_color("#b9b2a5")
    return fig, ax


def _squares(
    cells: gpd.GeoDataFrame,
    square: float,
    classes: NDArray[np.float64],
    colours: Sequence[str],
    lang: str,
) -> tuple[Figure, Axes]:
    """Begin a map: class 1 (cannot tell) and 2.. (the colours in order) as one image."""
    from matplotlib import rc_context
    from matplotlib.colors import to_rgba_array

    fig, ax = _panel(cells, lang, square)
    image, transform = raster.to_array(cells[["cell"]].assign(kind=classes), "kind", square)
    palette = np.vstack([to_rgba_array([_NOTHING, "#d4d4d4"]), to_rgba_array(list(colours))])
    kinds = np.nan_to_num(image, nan=0).astype(np.uint8)
    step = max(1, math.ceil(max(kinds.shape) / 4000))
    pixels = (palette * 255).astype(np.uint8)[kinds[::step, ::step]]
    rows, cols = kinds.shape
    west, north = transform.c, transform.f
    extent = (west, west + cols * transform.a, north + rows * transform.e, north)
    ax.imshow(pixels, extent=extent, interpolation="nearest", aspect=ax.get_aspect(), zorder=1)
    if kinds.size <= 40_000 and (kinds == 1).any():
        # A hatch as well as a grey: it reads in a photocopy too.
        with rc_context({"hatch.color": symbology.CANNOT_TELL, "hatch.linewidth": 0.7}):
            ax.contourf(
                np.linspace(extent[0], extent[1], cols * 4),
                np.linspace(extent[3], extent[2], rows * 4),
                np.kron(kinds == 1, np.ones((4, 4))), levels=[0.5, 1.5], colors="none",
                hatches=["///"], zorder=2,
            )  # fmt: skip
    return fig, ax


def _outline(ax: Axes, candidates: gpd.GeoDataFrame) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    rings = [
        np.asarray(ring.coords)
        for shape in candidates.geometry
        for part in shape.geoms
        for ring in (part.exterior, *part.interiors)
    ]
    ax.add_collection(LineCollection(rings, colors="white", linewidths=2.6, zorder=3))
    ax.add_collection(LineCollection(rings, colors=symbology.CANDIDATE, linewidths=1.3, zorder=4))
    halo = [withStroke(linewidth=2.4, foreground="white")]
    for row in candidates.head(_LABELLED).itertuples():
        ax.annotate(
            str(row.rank), (row.geometry.bounds[2], row.geometry.bounds[3]), xytext=(2, 1),
            textcoords="offset points", fontsize=11, fontweight="bold", color=_INK,
            path_effects=halo, zorder=6, annotation_clip=True,
        )  # fmt: skip


def _draw_sites(ax: Axes, sites: gpd.GeoDataFrame, lang: str) -> list[tuple[str, str, str]]:
    found = sites["matched"].fillna(False).to_numpy(bool)
    looks = {
        "missed": (~found, "D", "diamond", symbology.MISSED, "#111111"),
        "found": (found, "o", "circle", symbology.FOUND, "#ffffff"),
    }
    size = 34 if len(sites) < 500 else 8
    legend = []
    for key, (mask, marker, form, face, edge) in looks.items():
        some = sites[mask].head(_MOST_SITES)
        if len(some):
            ax.scatter(
                some.geometry.x, some.geometry.y, s=size, marker=marker, c=face, edgecolors=edge,
                linewidths=1.0, zorder=5,
            )  # fmt: skip
            legend.append((form, face, say(f"map.site_{key}", lang)))
    return legend


def _finished(fig: Figure, mark: str, lang: str) -> str:
    """Add the scale and the north arrow."""
    (ax,) = fig.axes
    _scale_bar(ax, lang)
    ax.annotate(
        "N", (0.965, 0.975), xytext=(0.965, 0.90), xycoords="axes fraction", ha="center", va="top",
        fontsize=12, fontweight="bold", color=_INK, zorder=8, bbox=_plate(),
        arrowprops={"arrowstyle": "-|>", "color": _INK, "lw": 1.6, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    return _png(fig, mark)


def _scale_bar(ax: Axes, lang: str) -> None:
    west, east = ax.get_xlim()
    south, north = ax.get_ylim()
    km = 111.32 * math.cos(math.radians((south + north) / 2))
    target = (east - west) * km / 4
    power = 10 ** math.floor(math.log10(target))
    length = max(n * power for n in (1, 2, 5) if n * power <= target)
    left, base = west + (east - west) * 0.03, south + (north - south) * 0.035
    ax.plot(
        [left, left + length / km], [base, base], color=_INK, lw=3, solid_capstyle="butt", zorder=8
    )
    ax.annotate(
        f"{number(length, lang)} km", (left, base), xytext=(0, 4), textcoords="offset points",
        fontsize=9, color=_INK, zorder=8, bbox=_plate(),
    )  # fmt: skip


def _plate() -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.75}


def _png(fig: Figure, mark: str) -> str:
    (ax,) = fig.axes
    if mark:
        ax.text(
            0.5, 0.5, mark, transform=ax.transAxes, rotation=24, ha="center", va="center",
            fontsize=44, fontweight="bold", color="#1b1f24", alpha=0.13, zorder=9,
        )  # fmt: skip
    target = io.BytesIO()
    fig.savefig(target, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode("ascii")
