"""Every key of the configuration as an option of the command line, in its docstring's words."""

from __future__ import annotations

import argparse

from pipeline.config import TABLES, Config, known_keys


def shared_options(place: bool) -> argparse.ArgumentParser:
    """Return the options that verbs share.

    Parameters
    ----------
    place : bool
        Whether a region may be named without ``--region``.

    Returns
    -------
    argparse.ArgumentParser
        To be used as a parent.
    """
    shared = argparse.ArgumentParser(add_help=False)
    if place:
        shared.add_argument("place", nargs="?", metavar="REGION", help="the same as --region")
    shared.add_argument("--config", help="TOML file of configuration keys")
    group = shared.add_argument_group("configuration (also as ASM_ATLAS_KEY, and in the TOML file)")
    words = documented()
    for key, kind in known_keys().items():
        group.add_argument(
            "--" + key.replace("_", "-").replace(".", "-"),
            dest=key,
            type=str if kind is bool else kind,
            help=words[key].replace("%", "%%"),
        )
    return shared


def documented() -> dict[str, str]:
    """Read each key's words from the configuration's own docstrings, so that there is one text."""
    words: dict[str, str] = {}
    for table, kind in {"": Config, **TABLES}.items():
        name = ""
        for line in (kind.__doc__ or "").split("----------", 1)[-1].splitlines():
            text = line.strip()
            if " : " in text and text.split(" : ")[0].isidentifier():
                name = (f"{table}." if table else "") + text.split(" : ")[0]
                words[name] = ""
            elif name and text:
                words[name] = f"{words[name]} {text}".strip()
    return words
