"""Which code this is: its commit, where it runs from a repository."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_ROOT = Path(__file__).parents[2]


@cache
def commit() -> str:
    """Return the commit that this code is, as far as that can be known.

    Returns
    -------
    str
        40 hexadecimal digits, with ``-changed`` behind them where files differ from it; empty where
        neither a repository nor an installation from one says it.
    """
    if (_ROOT / ".git").exists():
        said = _git("rev-parse", "HEAD")
        return f"{said}-changed" if said and _git("status", "--porcelain", "-uno") else said
    try:
        told = distribution("asm-atlas").read_text("direct_url.json") or ""
    except PackageNotFoundError:
        return ""
    # pip writes the commit here when it installs from a repository (PEP 610).
    return told.partition('"commit_id": "')[2].partition('"')[0]


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
