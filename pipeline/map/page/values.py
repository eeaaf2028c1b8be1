"""Values of the product as a reader of the page sees them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.words.catalogue import localised, number, say


def cell_text(value: Any, lang: str, digits: int = 2) -> str:
    """Write one value for a reader: a dash for nothing, words for a truth.

    Parameters
    ----------
    value : object
        A number, text, truth, list or dict of them, or nothing.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    digits : int, optional
        Digits after the decimal mark at most.

    Returns
    -------
    str
        Its words.
    """
    if value is None or (isinstance(value, float) and value != value) or value is pd.NaT:
        return "–"
    if isinstance(value, bool):
        return say("map.yes" if value else "map.no", lang)
    if isinstance(value, int):
        return localised(f"{value:,}", lang)
    if isinstance(value, float):
        return number(value, lang, digits)
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell_text(one, lang, digits)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(one, lang, digits) for one in value)
    return str(value)


def fixed(value: Any, lang: str, digits: int) -> str:
    """Write a column's value with the same decimals as its neighbours.

    Parameters
    ----------
    value : object
        A number, or what ``cell_text`` writes.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.
    digits : int
        Digits after the decimal mark.

    Returns
    -------
    str
        Its words.
    """
    if not isinstance(value, float) or value != value:
        return cell_text(value, lang)
    return localised(f"{value:.{digits}f}", lang)


def share_text(share: float, lang: str) -> str:
    """Write a share from 0 to 1 in per cent, without decimals."""
    return say("punctuation.share", lang, share=100 * share)
