"""What every page is made of: templates, style, and the hashes that let nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from pipeline.words.catalogue import in_every, languages

_TEMPLATES = Path(__file__).parent / "templates"


def templates() -> jinja2.Environment:
    """Return the environment that the pages are rendered in; it knows the languages' names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["languages"] = in_every("language.name")
    return environment


def own_file(name: str) -> str:
    """Return the text of a file of ``templates/``."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def style_of(colours: Iterable[str]) -> str:
    """Return a page's style, which shows the chosen language only.

    Parameters
    ----------
    colours : iterable of str
        As ``#rrggbb``: each gets a class, such as ``c1b9e77``.

    Returns
    -------
    str
        CSS.
    """
    hidden = ",\n".join(
        f'#to-{lang}:checked ~ {within}[data-lang]:not([data-lang="{lang}"])'
        for lang in languages()
        for within in ("* ", "")
    )
    rules = "".join(f".c{c[1:]} {{ --c: {c}; }}\n" for c in colours)
    return f"{own_file('report.css')}{hidden} {{ display: none; }}\n{rules}"


def hash_of(text: str) -> str:
    """Return the source expression that allows this inline text and no other."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def embedded(value: Any) -> str:
    """Return JSON that no browser can take for anything but data inside a script element.

    Parameters
    ----------
    value : object
        What JSON can hold; NaN is refused.

    Returns
    -------
    str
        Without ``<``, ``>``, ``&`` and line separators.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
