"""A picture of how a model does where it has not been: curves for each way of holding out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_INK, _MUTED = "#1b1f24", "#5b6470"


def draw_validation(rows: Sequence[dict[str, Any]], path: Path, mark: str = "") -> None:
    """Draw precision by recall, and the share of mines by probability.

    Parameters
    ----------
    rows : sequence of dict
        As ``models.validation.validate`` gives them; those that were left out are not drawn.
    path : pathlib.Path
        The picture, PNG.
    mark : str
        Written across the picture; empty for none.
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
        label = f"{row['name']} ({row['prevalence']:.0%} mines)"
        found.plot(recall, precision, color=shade, marker=".", label=label)
        said, true, _ = zip(*row["reliability"], strict=True)
        reliable.plot(said, true, color=shade, marker=".")
    reliable.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle="--")
    words = (
        (found, "recall: share of the mines found", "precision: share of the found that are mines"),
        (reliable, "probability", "share of mines among rows of that probability"),
    )
    for ax, x, y in words:
        ax.set_xlabel(x, color=_INK)
        ax.set_ylabel(y, color=_INK)
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
