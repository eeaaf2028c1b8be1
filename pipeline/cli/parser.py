"""A verb's options and help: its own, and those of the keys that it uses."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NoReturn

from pipeline.cli.verb import Verb, flag
from pipeline.cli.verbs import VERBS
from pipeline.config import known_keys
from pipeline.runtime.settings import Key

PROGRAM = "asm-atlas"
_FIXED = ("--help", "--help-all")


class _Format(argparse.RawDescriptionHelpFormatter):
    """Examples as they are, and a column for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


class VerbParser(argparse.ArgumentParser):
    """The parser of one verb.

    Parameters
    ----------
    verb : Verb
        Which one.
    everything : bool, optional
        Whether the help shows all keys that it uses, in all their words.
    """

    def __init__(self, verb: Verb, everything: bool = False) -> None:
        keys = verb.uses()
        hidden = 0 if everything else sum(not verb.shows(key) for key in keys)
        notes = f"{hidden} more options: --help-all.\n" * bool(hidden)
        notes += "A TOML file and variables ASM_ATLAS_KEY give keys too: docs/reference.md"
        super().__init__(
            prog=f"{PROGRAM} {verb.name}",
            usage="%(prog)s" + " [REGION]" * ("region" in verb.keys) + " [options]",
            description="\n".join(
                [sentence(verb.text), "", *(f"  {PROGRAM} {one}" for one in verb.examples)]
            ),
            epilog=notes if keys else None,
            formatter_class=_Format,
            add_help=False,
        )
        add_options(self, verb, everything)
        self._verb = verb

    def format_help(self) -> str:
        """Return the help, with no empty line between groups of keys."""
        groups = "|".join({key.group for key in self._verb.uses()}) or "-"
        return re.sub(rf"\n(\n({groups}):\n)", r"\1", super().format_help())

    def options_of(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the options that words give.

        Parameters
        ----------
        words : sequence of str
            What follows the verb.

        Returns
        -------
        argparse.Namespace
            With ``verb`` and, where it uses keys, ``config``.
        """
        unused = {flag(key): key.name for key in self._verb.tolerates()}
        mine = option_names(self._verb) + list(unused)
        for word in words[: words.index("--") if "--" in words else None]:
            name = word.partition("=")[0]
            if name.startswith("--") and not any(one.startswith(name) for one in mine):
                self._refuse(name, mine)
        options = self.parse_args(words)
        given = [name for name, key in unused.items() if getattr(options, key) is not None]
        if given:
            print(f"{self.prog}: makes no use of {', '.join(given)}", file=sys.stderr)
        return options

    def _refuse(self, name: str, mine: list[str]) -> NoReturn:
        if name in map(flag, known_keys().values()):
            users = ", ".join(one.name for one in VERBS.values() if name in option_names(one))
            self.error(
                f"{self._verb.name} does not use {name}, in a TOML file or the environment it does "
                f"no harm; these verbs use it: {users}"
            )
        near = difflib.get_close_matches(name, mine, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{self.prog} --help-all lists them"
        self.error(f"no option {name}; {hint}")


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        VerbParser(self.const, everything=True).print_help()
        parser.exit()


def add_options(parser: argparse.ArgumentParser, verb: Verb, everything: bool = True) -> None:
    """Give a parser what a verb takes: its own options first, then keys, group by group.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Still empty.
    verb : Verb
        Which one.
    everything : bool, optional
        Whether the help shows all keys, in all their words.
    """
    keys = {key.name: key for key in verb.uses()}
    own = parser.add_argument_group("options")
    if "region" in keys:
        own.add_argument("place", nargs="?", metavar="REGION", help=_help(keys["region"], False))
    for names, about in verb.options:
        usual = f" (default: {about['default']})" if about.get("default") else ""
        own.add_argument(*names, **about | {"help": about["help"].replace("%", "%%") + usual})
    own.add_argument("-h", "--help", action="help", help="show this; --help-all: all options")
    own.add_argument("--help-all", action=_HelpAll, nargs=0, const=verb, help=argparse.SUPPRESS)
    if keys:
        own.add_argument("--config", metavar="FILE", help="TOML file of keys")
    for group, members in groupby(keys.values(), lambda key: key.group):
        section = parser.add_argument_group(group)
        for key in members:
            shown = everything or verb.shows(key)
            added = section.add_argument(
                flag(key),
                dest=key.name,
                metavar=_metavar(key),
                help=_help(key, everything) if shown else argparse.SUPPRESS,
            )
            choices = [str(choice) for choice in key.allowed.choices]
            if choices:
                added.completer = lambda found=choices, **_: found  # type: ignore[attr-defined]
    for key in verb.tolerates():
        own.add_argument(flag(key), dest=key.name, help=argparse.SUPPRESS)
    parser.set_defaults(verb=verb)


def option_names(verb: Verb) -> list[str]:
    """Return the names of all options that a verb takes."""
    own = [name for names, _ in verb.options for name in names if name.startswith("--")]
    keys = [flag(key) for key in verb.uses()]
    return [*own, *_FIXED, *(["--config", *keys] if keys else [])]


def details(key: Key, everything: bool = True) -> str:
    """Return a key's limits and default in parentheses, as far as it has them.

    Parameters
    ----------
    key : Key
        The key.
    everything : bool, optional
        Whether limits are wanted.

    Returns
    -------
    str
        Empty: anything is allowed, and none is the default.
    """
    limits = key.allowed.words if everything and not key.allowed.choices else ""
    value = f"{key.default:g}" if isinstance(key.default, float) else key.default
    usual = f"default: {value}" if value not in ("", False) else ""
    return f" ({'; '.join(filter(None, (limits, usual)))})" if limits or usual else ""


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _metavar(key: Key) -> str:
    if key.allowed.choices:
        return "|".join(map(str, key.allowed.choices))
    return {bool: "true|false", int: "N", float: "X", str: "TEXT"}[type(key.default)]


def _help(key: Key, everything: bool) -> str:
    text = key.text.rstrip(".") if everything else key.text.partition(". ")[0].rstrip(".")
    return (text + details(key, everything)).replace("``", "").replace("%", "%%")
