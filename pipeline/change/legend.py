"""What the layers and the page of change call each class of a square, and in which colour."""

from __future__ import annotations

from pipeline.classes import CANNOT_TELL
from pipeline.words.catalogue import say

COLOURS = {
    "new": "#d7301f",
    "growing": "#fc8d59",
    "persisting": "#6b4c9a",
    "fading": "#2c7fb8",
    "none": "#f3efe6",
    CANNOT_TELL: "#8a8a8a",
}


def legend(lang: str) -> list[tuple[str, str, str]]:
    """Return word, text and colour of each class of a square; ``cannot_tell`` is the last."""
    words = ("new", "persisting", "fading", "none", CANNOT_TELL)
    return [(word, say(f"change.{word}", lang), COLOURS[word]) for word in words]
