"""The page of verbs, options and configuration keys, made from the code.

``python -m pipeline.cli.reference`` prints it; a test holds ``docs/reference.md`` against it.
"""

from __future__ import annotations

from itertools import groupby

from pipeline.cli.parser import PROGRAM, details, sentence
from pipeline.cli.verb import Option, Verb
from pipeline.cli.verbs import FAMILIES
from pipeline.config import known_keys
from pipeline.runtime.settings import Key

_HEAD = """# Verbs, options, configuration

Made from the code by `python -m pipeline.cli.reference`; change it there. [Verbs](#verbs),
[configuration](#configuration).

A key of the configuration can come from a TOML file (`--config run.toml`), from the
environment as `ASM_ATLAS_KEY`, from `make` as `KEY=` (`MAX_CLOUD=20`, `SLURM_JOBS=4`), and from the
command line as `--key`; the later wins. In the file, keys are in the tables named below, or outside
of all tables by their own names (`read_tries = 3`), but not both. An unknown key is an error, a
variable of make too. A verb takes as options the keys that it uses; one file serves all verbs.

`asm-atlas VERB --help` shows what is used most, `--help-all` all of it. To complete verbs and
options, put `eval "$(asm-atlas --completion bash)"` (or `zsh`) into the shell's start-up file; for
fish: `asm-atlas --completion fish | source`.
"""


def reference() -> str:
    """Return the page.

    Returns
    -------
    str
        Markdown.
    """
    lines = [_HEAD, "## Verbs", ""]
    for title, family in FAMILIES.items():
        lines += [f"**{title[:1].upper()}{title[1:]}**: {', '.join(map(_link, family))}.", ""]
    for family in FAMILIES.values():
        for verb in family:
            lines += _verb(verb)
    lines += ["## Configuration", ""]
    for group, keys in groupby(known_keys().values(), lambda key: key.group):
        lines += [f"### `[{group}]`", "", "| key | in the table | what |", "|---|---|---|"]
        lines += [*map(_row, keys), ""]
    return "\n".join(lines)


def _link(verb: Verb) -> str:
    return f"[{verb.name}](#{PROGRAM}-{verb.name.replace(' ', '-')})"


def _verb(verb: Verb) -> list[str]:
    names = {key.name for key in verb.uses()}
    parts = []
    for group, keys in groupby(known_keys().values(), lambda key: key.group):
        all_ = [key.name for key in keys]
        used = [name for name in all_ if name in names]
        if used:
            parts.append(f"`[{group}]`" + (f" {', '.join(used)}" if used != all_ else ""))
    return [
        f"### `{PROGRAM} {verb.name}`",
        "",
        sentence(verb.text),
        "",
        *(f"    {PROGRAM} {example}" for example in verb.examples),
        "",
        *map(_option, verb.options),
        *[""] * bool(verb.options),
        *([f"Keys: {'; '.join(parts)}.", ""] if parts else []),
    ]


def _option(option: Option) -> str:
    names, about = option
    words = "|".join(about.get("choices") or ())
    value = words or about.get("metavar") or names[-1].lstrip("-").replace("-", "_").upper()
    takes = about.get("action") in (None, "append")
    form = " ".join([names[-1]] * names[-1].startswith("-") + [value] * takes)
    usual = f" (default: {about['default']})" if about.get("default") else ""
    return f"- `{form}`: {_cell(about['help'])}{usual}"


def _row(key: Key) -> str:
    choices = ", ".join(f"`{choice}`" for choice in key.allowed.choices)
    what = key.text + (f" One of {choices}." if choices else "")
    return f"| `{key.name}` | `{key.field}` | {_cell(what)}{_cell(details(key))} |"


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
