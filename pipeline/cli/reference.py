"""The page of verbs, options and configuration keys, made from the code.

``python -m pipeline.cli.reference`` prints it; a test holds ``docs/reference.md`` against it.
"""

from __future__ import annotations

import argparse

from pipeline.cli.main import parser
from pipeline.config import known_keys

_HEAD = """# Verbs, options, configuration

Made from the code by `python -m pipeline.cli.reference`; change it there.

Every key of the configuration can stand in a TOML file (`--config run.toml`), in the
environment as `ASM_ATLAS_KEY`, in `make` as `KEY=` (`MAX_CLOUD=20`, `SLURM_JOBS=4`), and on the
command line as `--key`; the later wins. An unknown key is an error, a variable of make too.
"""


def reference() -> str:
    """Return the page.

    Returns
    -------
    str
        Markdown.
    """
    return "\n".join([_HEAD, "## Verbs", "", *_verbs(parser()), "## Configuration", "", *_keys()])


def _verbs(known: argparse.ArgumentParser, before: str = "asm-atlas") -> list[str]:
    lines = []
    shared = set(known_keys()) | {"help", "config", "place", "version"}
    for action in known._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for name, verb in action.choices.items():
            if any(isinstance(a, argparse._SubParsersAction) for a in verb._actions):
                lines += _verbs(verb, f"{before} {name}")
                continue
            lines += [f"### `{before} {name}`", "", f"{_sentence(verb.description or '')}", ""]
            own = [a for a in verb._actions if a.dest not in shared]
            lines += [f"- `{_form(a)}`: {_cell(a.help or '')}" for a in own]
            lines += [""] if own else []
    return lines


def _form(action: argparse.Action) -> str:
    name = action.option_strings[-1] if action.option_strings else action.dest.upper()
    if action.nargs == 0 or not action.option_strings:
        return name
    value = action.metavar or "|".join(map(str, action.choices or [])) or action.dest.upper()
    return f"{name} {value}"


def _keys() -> list[str]:
    lines = ["| key | default | what |", "|---|---|---|"]
    for name, key in known_keys().items():
        usual = f"`{key.default}`" if key.default != "" else ""
        lines.append(f"| `{name}` | {usual} | {_cell(key.text)} |")
    return [*lines, ""]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("%%", "%").replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
