"""Every key of the configuration as an option of the command line, in its docstring's words."""

from __future__ import annotations

import argparse

from pipeline.config import known_keys


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
    for name, key in known_keys().items():
        kind = type(key.default)
        group.add_argument(
            "--" + name.replace("_", "-").replace(".", "-"),
            dest=name,
            type=str if kind is bool else kind,
            help=key.text.replace("%", "%%"),
        )
    return shared
