"""Pictures of one cell: the composite, and what each scene showed of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
from numpy.typing import NDArray

from pipeline.words.catalogue import say

_COLUMNS = 6
_INCHES = 1.9
_MUTED = np.float32(0.55)


@dataclass(frozen=True)
class Look:
    """One picture of the ground around a cell.

    Parameters
    ----------
    date : str
        ISO; empty: the composite.
    pixels : numpy.ndarray of float32, shape (bands, y, x)
        Reflectance of red, green and blue, or of one band; any number where it is not clear.
    clear : numpy.ndarray of bool, shape (y, x)
        Which pixels were used.
    corner : tuple of int
        Row and column of the cell's first pixel.
    side : int
        Of the cell, pixels.
    """

    date: str
    pixels: NDArray[np.float32]
    clear: NDArray[np.bool_]
    corner: tuple[int, int]
    side: int

    @property
    def share(self) -> float:
        """Share of the cell's own pixels that were used."""
        row, col = self.corner
        return float(self.clear[row : row + self.side, col : col + self.side].mean())


def draw_looks(path: Path, looks: Sequence[Look], title: str, words: str, lang: str) -> None:
    """Draw all pictures with one stretch, so that dates can be compared.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write.
    looks : sequence of Look
        The composite first; not empty.
    title, words : str
        What it is, and what it says of itself.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    seen = np.concatenate([look.pixels[:, look.clear].ravel() for look in looks])
    low, high = np.percentile(seen, [1, 99]) if seen.size else (0.0, 1.0)
    rows = math.ceil(len(looks) / _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _INCHES, rows * (_INCHES + 0.25) + 1.1), dpi=110)
    for number, look in enumerate(looks):
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        bright = np.clip((look.pixels - low) / max(high - low, 1e-6), 0, 1)
        bright = np.where(look.clear, bright, _MUTED)
        picture = np.broadcast_to(bright, (3, *look.clear.shape))
        axes.imshow(np.moveaxis(picture, 0, -1), interpolation="nearest")
        row, col = look.corner
        axes.add_patch(
            Rectangle(
                (col - 0.5, row - 0.5), look.side, look.side, fill=False, color="#ffd92f", lw=1.2
            )
        )
        axes.set_axis_off()
        name = look.date or say("explain.composite", lang)
        clear = say("explain.clear_share", lang, share=round(100 * look.share))
        axes.set_title(f"{name}\n{clear}", fontsize=8)
    figure.suptitle(title, fontsize=11, x=0.02, ha="left")
    note = f"{words} {say('explain.note', lang)}"
    figure.text(0.02, 0.01, fill(note, 230), fontsize=6.5, va="bottom")
    figure.subplots_adjust(
        left=0.02, right=0.98, bottom=0.75 / figure.get_figheight(),
        top=1 - 0.75 / figure.get_figheight(), wspace=0.06, hspace=0.32,
    )  # fmt: skip
    figure.savefig(path, metadata={"Title": title, "Description": words})
