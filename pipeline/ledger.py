"""Which unit of work is done, from what, and why not.

A unit (a block of one stage) is stored as ``<stage>/<unit>/<key>.<suffix>`` where the key is the
hash of everything that the result depends on; the entry ``<key>.json`` beside it is written last
and makes it count. So a second identical run redoes nothing, a changed input redoes exactly the
units that it touches, and a task that a scheduler runs twice does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import fingerprint
from pipeline.errors import AsmAtlasError
from pipeline.runtime.files import read_json, sha256_of, whole_file, write_json
from pipeline.runtime.journal import journal


@dataclass(frozen=True)
class Entry:
    """One unit of one stage.

    Parameters
    ----------
    unit : str
        Name of the block (or region) that it is for.
    path : str
        The stored file; empty if the unit failed.
    sha256 : str
        Of the stored file.
    facts : dict
        What the stage wants to count without opening the file.
    reused : bool
        Whether it was there already.
    error : AsmAtlasError or None
        Why there is no file.
    seconds : float
        What it took to make, now or when it was made.
    """

    unit: str
    path: str = ""
    sha256: str = ""
    facts: dict[str, Any] | None = None
    reused: bool = False
    error: AsmAtlasError | None = None
    seconds: float = 0.0


def key_of(inputs: dict[str, Any]) -> str:
    """Return the key under which a result of these inputs is stored.

    Parameters
    ----------
    inputs : dict
        Everything that the result depends on; JSON.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    return fingerprint(inputs)


def find(root: Path, unit: str, inputs: dict[str, Any], suffix: str) -> Entry | None:
    """Return the stored unit if it is done and whole, else None.

    A file that is not what its entry says (a flipped bit, a lost half) does not count as done, nor
    does a file whose entry cannot be read.

    Parameters
    ----------
    root : pathlib.Path
        The stage's folder.
    unit : str
        Name of the block.
    inputs : dict
        Everything that the result depends on; JSON.
    suffix : str
        Of the stored file, with its dot.

    Returns
    -------
    Entry or None
        With ``reused`` set.
    """
    stored, record = _places(root, unit, inputs, suffix)
    try:
        entry = read_json(record)
        if entry["status"] != "done" or sha256_of(stored) != entry["sha256"]:
            return None
        seconds = float(entry.get("seconds", 0))
        facts, sha256 = entry["facts"], entry["sha256"]
        return Entry(unit, str(stored), sha256, facts, reused=True, seconds=seconds)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build(
    root: Path,
    unit: str,
    inputs: dict[str, Any],
    suffix: str,
    write: Callable[[Path], dict[str, Any]],
    *,
    again: bool = False,
) -> Entry:
    """Return the stored unit, made now if it is not there.

    Parameters
    ----------
    root : pathlib.Path
        The stage's folder.
    unit : str
        Name of the block.
    inputs : dict
        Everything that the result depends on; JSON.
    suffix : str
        Of the stored file, with its dot.
    write : callable
        Writes the file at the path that it is given and returns facts to remember (JSON).
    again : bool
        Make it anew even if it is there.

    Returns
    -------
    Entry
        With ``error`` set, and recorded, when ``write`` raised an AsmAtlasError.
    """
    found = None if again else find(root, unit, inputs, suffix)
    if found is not None:
        return found
    stored, record = _places(root, unit, inputs, suffix)
    started = time.time()
    try:
        with whole_file(stored) as beside:
            beside.touch()  # a process that is killed over it leaves a trace of what was lost
            facts = write(beside)
    except AsmAtlasError as error:
        return fail(root, unit, inputs, suffix, error)
    sha256 = sha256_of(stored)
    seconds = round(time.time() - started, 3)
    done = {"status": "done", "sha256": sha256, "facts": facts, "seconds": seconds}
    write_json(record, done | {"inputs": inputs})
    journal.worked = True
    return Entry(unit, str(stored), sha256, facts, seconds=seconds)


def has_failed(root: Path, unit: str, inputs: dict[str, Any], suffix: str) -> bool:
    """Tell whether a unit was tried from these inputs, and failed.

    Parameters
    ----------
    root : pathlib.Path
        The stage's folder.
    unit : str
        Name of the block.
    inputs : dict
        Everything that the result depends on; JSON.
    suffix : str
        Of the file that is not there.

    Returns
    -------
    bool
        What its entry says.
    """
    try:
        return bool(read_json(_places(root, unit, inputs, suffix)[1])["status"] == "failed")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fail(root: Path, unit: str, inputs: dict[str, Any], suffix: str, error: AsmAtlasError) -> Entry:
    """Record why a unit could not be made.

    Parameters
    ----------
    root : pathlib.Path
        The stage's folder.
    unit : str
        Name of the block.
    inputs : dict
        Everything that the result depends on; JSON.
    suffix : str
        Of the file that is not there.
    error : AsmAtlasError
        Why.

    Returns
    -------
    Entry
        With ``error`` set.
    """
    _, record = _places(root, unit, inputs, suffix)
    cause = {"cause": type(error).__name__, "text": str(error)}
    write_json(record, {"status": "failed", **cause, "inputs": inputs})
    # It travels from worker to client without what led to it: rasterio's own exceptions pickle, but
    # cannot be read back.
    error.__cause__ = error.__context__ = None
    return Entry(unit, error=error.with_traceback(None))


def _places(root: Path, unit: str, inputs: dict[str, Any], suffix: str) -> tuple[Path, Path]:
    """Return the paths of the stored file and of the entry beside it."""
    if suffix == ".json":
        raise ValueError("a unit stored as .json would be overwritten by its own entry")
    stored = root / unit / f"{key_of(inputs)}{suffix}"
    return stored, stored.with_suffix(".json")
