"""Which unit of work is done, from what, and why not.

A unit (a block of one stage) is stored as ``<stage>/<unit>/<key>.<suffix>`` where the key is the
hash of everything that the result depends on; the entry ``<key>.json`` beside it is written last
and makes it count. So a second identical run redoes nothing, a changed input redoes exactly the
units that it touches, and a task that a scheduler runs twice does no harm.

How an entry is read and written, in a folder or on object storage: ``pipeline.runtime.commits``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import fingerprint
from pipeline.errors import AsmAtlasError, ObjectStoreError
from pipeline.runtime.atomic import local_file, sha256_of
from pipeline.runtime.commits import Record, Seen, bring, commit, look, refuse
from pipeline.runtime.journal import journal
from pipeline.runtime.mirror import is_mirror


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
    attempt : str
        On object storage, which attempt's file it is.
    """

    unit: str
    path: str = ""
    sha256: str = ""
    facts: dict[str, Any] | None = None
    reused: bool = False
    error: AsmAtlasError | None = None
    seconds: float = 0.0
    attempt: str = ""


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


def find(
    root: Path,
    unit: str,
    inputs: dict[str, Any],
    suffix: str,
    known: frozenset[str] | None = None,
) -> Entry | None:
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
    known : frozenset of str, optional
        Of ``pipeline.runtime.survey``: entries are believed, and who reads a file brings it
        (:func:`file_of`).

    Returns
    -------
    Entry or None
        With ``reused`` set.
    """
    stored, record = _places(root, unit, inputs, suffix)
    if known is None:
        return _stored(unit, stored, look(record))
    found = Record.read(record) if f"{unit}/{stored.stem}" in known else Record()
    return _entry(unit, stored, found, reused=True) if found.done else None


def file_of(entry: Entry) -> Path:
    """Return the file of a unit; on object storage it is brought here, and checked.

    Parameters
    ----------
    entry : Entry
        Done.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    StoreCorruptError
        If the bucket has lost it. The unit counts as failed then.
    """
    stored = Path(entry.path)
    says = Record("done", entry.sha256, attempt=entry.attempt)
    if is_mirror(stored) and not bring(stored, says):
        raise refuse(stored, entry.attempt)
    return stored


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
    stored, record = _places(root, unit, inputs, suffix)
    seen = look(record)
    found = None if again else _stored(unit, stored, seen)
    if found is not None:
        return found
    started = time.time()
    try:
        with local_file(stored) as beside:
            beside.touch()  # a process that is killed over it leaves a trace of what was lost
            facts = write(beside)
    except ObjectStoreError:
        raise  # that is no fault of the block
    except AsmAtlasError as error:
        return fail(root, unit, inputs, suffix, error, seen)
    seconds = round(time.time() - started, 3)
    done = Record("done", sha256_of(stored), facts, seconds, inputs=inputs)
    journal.worked = True
    return _entry(unit, stored, commit(record, done, seen, stored))


def make(
    root: Path,
    unit: str,
    inputs: dict[str, Any],
    suffix: str,
    write: Callable[[Path], dict[str, Any]],
) -> Entry:
    """Return the stored unit, made now if it is not there.

    Parameters
    ----------
    root : pathlib.Path
        As for ``build``, and so are all below.
    unit : str
        Name of the unit.
    inputs : dict
        Everything that the result depends on; JSON.
    suffix : str
        Of the stored file, with its dot.
    write : callable
        Writes the file and returns facts.

    Returns
    -------
    Entry
        Without an error.

    Raises
    ------
    AsmAtlasError
        Whatever ``write`` raised; it is recorded.
    """
    entry = build(root, unit, inputs, suffix, write)
    if entry.error is not None:
        raise entry.error
    return entry


def has_failed(
    root: Path,
    unit: str,
    inputs: dict[str, Any],
    suffix: str,
    known: frozenset[str] | None = None,
) -> bool:
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
    known : frozenset of str, optional
        As for :func:`find`.

    Returns
    -------
    bool
        What its entry says.
    """
    stored, record = _places(root, unit, inputs, suffix)
    if known is not None and f"{unit}/{stored.stem}" not in known:
        return False
    return Record.read(record).failed


def fail(
    root: Path,
    unit: str,
    inputs: dict[str, Any],
    suffix: str,
    error: AsmAtlasError,
    seen: Seen | None = None,
) -> Entry:
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
    seen : Seen, optional
        Its entry when the attempt began, which may be replaced; default: none.

    Returns
    -------
    Entry
        With ``error`` set; on object storage, what another has made of it meanwhile.
    """
    stored, record = _places(root, unit, inputs, suffix)
    failed = Record("failed", cause=type(error).__name__, text=str(error), inputs=inputs)
    counts = commit(record, failed, seen or Seen(), None)
    if counts.done:
        return _entry(unit, stored, counts)
    # It travels from worker to client without what led to it: rasterio's own exceptions pickle, but
    # cannot be read back.
    error.__cause__ = error.__context__ = None
    return Entry(unit, error=error.with_traceback(None))


def _stored(unit: str, stored: Path, seen: Seen) -> Entry | None:
    """Return a unit as its entry says, if that says so and the file is what it says."""
    if not seen.record.done or not bring(stored, seen.record):
        return None
    return _entry(unit, stored, seen.record, reused=True)


def _entry(unit: str, stored: Path, says: Record, reused: bool = False) -> Entry:
    return Entry(
        unit, str(stored), says.sha256, says.facts, reused, None, says.seconds or 0.0, says.attempt
    )


def _places(root: Path, unit: str, inputs: dict[str, Any], suffix: str) -> tuple[Path, Path]:
    """Return the paths of the stored file and of the entry beside it."""
    if suffix == ".json":
        raise ValueError("a unit stored as .json would be overwritten by its own entry")
    stored = root / unit / f"{key_of(inputs)}{suffix}"
    return stored, stored.with_suffix(".json")
