"""Files that declare something in TOML, read strictly: a slip is an error, never a silence."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DeclarationError

MAX_BYTES = 1 << 20


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    file : pathlib.Path
        At most a mebibyte.

    Returns
    -------
    dict
        What it holds.

    Raises
    ------
    DeclarationError
        If it cannot be read as TOML.
    """
    try:
        content = file.read_bytes()
        if len(content) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DeclarationError(
            f"the declaration cannot be read: {reason}", where=str(file)
        ) from None


def check_keys(found: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    """Refuse keys that are not known, and values of another kind.

    Parameters
    ----------
    found : mapping
        A table of the file.
    known : mapping of str to type
        Its keys and the kind of their values; ``float`` takes whole numbers too.
    where : str
        The file, and the table in it.

    Raises
    ------
    DeclarationError
        If there are any.
    """
    for key, value in found.items():
        if key not in known:
            raise DeclarationError(
                f"unknown key {ascii(key)[:80]}", where=where, next_step=_near(key, known)
            )
        wanted: Any = (int, float) if known[key] is float else known[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and known[key] is not bool):
            raise DeclarationError(
                f"{key} must be {_KINDS[known[key]]}, not {ascii(value)[:80]}", where=where
            )


def check_choice(value: str, known: Collection[str], what: str, where: str) -> str:
    """Return a word if it is among those known.

    Parameters
    ----------
    value : str
        The word.
    known : collection of str
        Those that there are.
    what : str
        What the word is.
    where : str
        The file, and the place in it.

    Returns
    -------
    str
        The word.

    Raises
    ------
    DeclarationError
        If it is not among them.
    """
    if value not in known:
        raise DeclarationError(
            f"{what} is {ascii(value)[:80]}", where=where, next_step=_near(value, known)
        )
    return value


_KINDS = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list",
    dict: "a table",
}  # fmt: skip


def _near(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + "known: " + ", ".join(known)
