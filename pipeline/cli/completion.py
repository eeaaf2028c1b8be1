"""Completion of verbs and options in bash, zsh and fish, by argcomplete."""

from __future__ import annotations

import argparse
import os

import argcomplete
from argcomplete.shell_integration import shellcode

from pipeline.cli.parser import PROGRAM, add_options
from pipeline.cli.verbs import VERBS
from pipeline.errors import ConfigError

SHELLS = ("bash", "zsh", "fish")


def shell_code(shell: str = "") -> str:
    """Return what switches completion on in a shell.

    Parameters
    ----------
    shell : str
        One of ``SHELLS``.

    Returns
    -------
    str
        To be run by it: ``eval "$(asm-atlas --completion bash)"``.

    Raises
    ------
    ConfigError
        If it is another one.
    """
    if shell not in SHELLS:
        step = f'eval "$({PROGRAM} --completion bash)"'
        raise ConfigError(f"completion is for one of {', '.join(SHELLS)}", next_step=step)
    return shellcode([PROGRAM], shell=shell)


def complete() -> None:
    """Write what may follow to where the shell reads it, and end; the shell's own process asks."""
    line = os.environ.get("COMP_LINE", "")
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--completion", choices=SHELLS)
    levels = {"": parser.add_subparsers()}
    for name, verb in VERBS.items():
        family, _, word = name.rpartition(" ")
        if family not in levels:
            levels[family] = levels[""].add_parser(family).add_subparsers()
        added = levels[family].add_parser(word, add_help=False)
        if f" {name} " in line:
            add_options(added, verb)
    argcomplete.autocomplete(parser)
