"""Statements of files that record no codes: those that versions before the codes have made.

The patterns are the catalogue's own English sentences. Where one is found in a recorded text, the
same sentence of another language takes its place.
"""

from __future__ import annotations

import re
import string
from functools import cache, partial

from pipeline.words.catalogue import ENGLISH, entry, say, section

_FIGURE = r"\d[\d,]*(?:\.\d+)?%?"


def translated(text: str, lang: str) -> str:
    """Translate a recorded English statement.

    Parameters
    ----------
    text : str
        As recorded.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    str
        Figures as the language writes them; what is no sentence of the catalogue (names of files,
        squares, countries) stays as it is.
    """
    if lang == ENGLISH:
        return text
    sentences = text.split("; ")
    for code, pattern in _patterns().items():
        put = partial(_filled, code, lang)
        sentences = [pattern.sub(put, sentence) for sentence in sentences]
    return str(entry("punctuation.sentences", lang)).join(sentences)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Return each statement's pattern by its code, the longest first: some hold others."""
    texts = section("statements", ENGLISH)
    return {
        f"statements.{key}": re.compile("".join(map(_piece, string.Formatter().parse(text))))
        for key, text in sorted(texts.items(), key=lambda item: -len(item[1]))
        if not re.fullmatch(r"\{\w+\}", text)
    }


def _piece(part: tuple[str, str | None, str | None, str | None]) -> str:
    words, name, form, _ = part
    if name is None:
        return re.escape(words)
    value = r"\d+" if form == "d" else _FIGURE if form else ".+?"
    return f"{re.escape(words)}(?P<{name}>{value})"


def _filled(code: str, lang: str, found: re.Match[str]) -> str:
    return say(code, lang, **{name: _value(text) for name, text in found.groupdict().items()})


def _value(text: str) -> str | float:
    if not re.fullmatch(_FIGURE, text):
        return text
    plain = text.replace(",", "")
    return int(plain) if plain.isdigit() else float(plain.rstrip("%")) / (100 if "%" in text else 1)
