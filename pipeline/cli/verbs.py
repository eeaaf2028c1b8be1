"""All verbs of the command line, in families: a new one is a module with ``VERBS``, and a line."""

from __future__ import annotations

from pipeline.cli import (
    evaluate,
    imagery,
    monitor,
    regions,
    runs,
    sites,
    stages,
    train,
)

FAMILIES = {
    "what there is to map": regions.VERBS,
    "a map, in the order of the flow": stages.VERBS,
    "known sites and other layers": sites.VERBS,
    "how good it is": evaluate.VERBS,
    "what changes": monitor.VERBS,
    "models": train.VERBS,
    "imagery and features at hand": imagery.VERBS,
    "runs": runs.VERBS,
}
VERBS = {verb.name: verb for family in FAMILIES.values() for verb in family}


def overview() -> str:
    """Return the list of verbs, a line each.

    Returns
    -------
    str
        For a terminal.
    """
    lines = ["usage: asm-atlas VERB [options]", ""]
    for title, family in FAMILIES.items():
        lines += [f"{title}:", *(f"  {verb.name:16} {verb.text}" for verb in family)]
    return "\n".join(
        [
            *lines,
            "",
            "asm-atlas VERB --help shows a verb's options and two examples.",
            "asm-atlas --version, --completion bash|zsh|fish. Begin with: asm-atlas predict demo",
        ]
    )


def version_text() -> str:
    """Return the version, and the commit where it is known."""
    from importlib.metadata import version

    from pipeline.runtime.code import commit

    known = commit()
    return f"asm-atlas {version('asm-atlas')}" + (f", commit {known}" if known else "")
