"""A picture of how a model does where it has not been: curves for each way of holding out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.words.catalogue import ENGLISH, say

_INK, _MUTED = "#1b1f24", "#5b6470"


def draw_validation(
    rows: Sequence[dict[str, Any]], path: Path | IO[bytes], mark: str = "", lang: str = ENGLISH
) -> None:
    """Draw precision by recall, and the share of mines by probability.

    Parameters
    ----------
    rows : sequence of dict
        As ``models.validation.validate`` gives them; those that were left out are not drawn.
    path : pathlib.Path or binary stream
        The picture, PNG.
    mark : str
        Written across the picture; empty for none.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    judged = [row for row in rows if "left_out" not in row]
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(judged)))
    fig = Figure(figsize=(11, 4.6))
    fig.subplots_adjust(0.06, 0.11, 0.73, 0.97, wspace=0.2)
    FigureCanvasAgg(fig)
    found, reliable = fig.subplots(1, 2)
    for row, shade in zip(judged, shades, strict=True):
        recall, precision = zip(*row["precision_by_recall"], strict=True)
        label = say("chart.way", lang, way=row["name"], share=row["prevalence"])
        found.plot(recall, precision, color=shade, marker=".", label=label)
        said, true, _ = zip(*row["reliability"], strict=True)
        reliable.plot(said, true, color=shade, marker=".")
    reliable.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle="--")
    for ax, x, y in ((found, "recall", "precision"), (reliable, "probability", "share")):
        ax.set_xlabel(say(f"chart.{x}", lang), color=_INK)
        ax.set_ylabel(say(f"chart.{y}", lang), color=_INK)
        ax.set_xlim(0, 1.02)
        ax.set_ylim(0, 1.02)
        ax.grid(color="#e3e6ea", linewidth=0.6)
    if judged:
        fig.legend(loc="center right", fontsize=8, frameon=False)
    if mark:
        fig.text(
            0.45, 0.5, mark, rotation=24, ha="center", va="center",
            fontsize=40, fontweight="bold", color=_INK, alpha=0.13,
        )  # fmt: skip
    fig.savefig(path, format="png", dpi=100, facecolor="white", metadata={"Software": None})
