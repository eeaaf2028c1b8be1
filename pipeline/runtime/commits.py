"""How a finished block gets into the workspace, and which of two attempts at it counts.

In a folder: its file is there, and its entry is written beside it. On object storage: its file is
put under a key that is this attempt's alone (``<key>.<attempt>.tif``), and then its entry, on the
condition that nobody else's has come. So the first commit counts; who comes second takes that one
and deletes his own. An entry of a block that failed may be replaced, and so may one whose file is
lost: each on the condition that it still is the entry that was seen.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import NoAnswerError, StoreCorruptError
from pipeline.runtime.atomic import aside, json_bytes, local_file, read_json, sha256_of
from pipeline.runtime.files import write_json
from pipeline.runtime.mirror import Remote, remote_of
from pipeline.runtime.objects import Found

_TRIES = 8


@dataclass(frozen=True)
class Seen:
    """An entry as it was found.

    Parameters
    ----------
    entry : dict
        What it says; empty: there is none that can be read.
    tag : str
        Names this version of it in the bucket; empty: there was none.
    """

    entry: dict[str, Any]
    tag: str = ""


def look(record: Path) -> Seen:
    """Read an entry as it is now.

    Parameters
    ----------
    record : pathlib.Path
        Its path.

    Returns
    -------
    Seen
        What it says.
    """
    remote = remote_of(record)
    if remote is None:
        try:
            return Seen(_checked(read_json(record)))
        except (OSError, ValueError):
            return Seen({})
    found = remote.bucket.get(remote.key)
    if found is None:
        return Seen({})
    keep(record, found.data)
    return as_seen(found)


def bring(stored: Path, entry: dict[str, Any]) -> bool:
    """See that the file of a block is here, and is what its entry says.

    Parameters
    ----------
    stored : pathlib.Path
        Its path.
    entry : dict
        Says ``done``.

    Returns
    -------
    bool
        False: it is lost, or is something else.
    """
    try:
        if sha256_of(stored) == entry["sha256"]:
            return True
    except OSError:
        pass
    remote = remote_of(stored)
    if remote is None:
        return False
    try:
        with local_file(stored) as beside:
            there = remote.bucket.download(attempted(remote.key, entry.get("attempt", "")), beside)
            if not there or sha256_of(beside) != entry["sha256"]:
                raise FileNotFoundError
    except FileNotFoundError:
        return False
    return True


def commit(record: Path, entry: dict[str, Any], seen: Seen, stored: Path | None) -> dict[str, Any]:
    """Let an attempt count, unless another does already.

    Parameters
    ----------
    record : pathlib.Path
        Path of the entry.
    entry : dict
        What it is to say.
    seen : Seen
        What it said when the attempt began: that may be replaced.
    stored : pathlib.Path or None
        The file; None: the attempt failed.

    Returns
    -------
    dict
        The entry that counts; where it is another's, so is the file at ``stored`` now.
    """
    remote = remote_of(record)
    if remote is None:
        write_json(record, entry)
        return entry
    entry = entry | {"attempt": uuid.uuid4().hex[:12]}
    own = ""
    if stored is not None:
        own = attempted(remote.key, entry["attempt"], stored.suffix)
        remote.bucket.upload(stored, own, once=True)
    counts = _commit(remote, record, entry, seen, stored)
    if own and counts is not entry:
        remote.bucket.delete([own])
    return counts


def _commit(
    remote: Remote, record: Path, entry: dict[str, Any], seen: Seen, stored: Path | None
) -> dict[str, Any]:
    data = json_bytes(entry)
    for _ in range(_TRIES):
        if seen.tag:
            done = remote.bucket.swap(remote.key, data, seen.tag)
        else:
            done = remote.bucket.create(remote.key, data)
        if done is not None:
            keep(record, data)
            return entry
        seen = look(record)
        other = seen.entry
        if other.get("status") == "done" and (stored is None or bring(stored, other)):
            return other
    raise NoAnswerError(
        "an entry changes again and again while it is written",
        where=str(record),
        next_step="see who else works in this workspace",
    )


def refuse(stored: Path, entry: dict[str, Any]) -> StoreCorruptError:
    """Say that a block which counted is lost, so that the next run makes it anew.

    Parameters
    ----------
    stored : pathlib.Path
        Where its file would be.
    entry : dict
        Its ``sha256`` and ``attempt``.

    Returns
    -------
    StoreCorruptError
        To be raised.
    """
    record = stored.with_suffix(".json")
    seen = look(record)
    if seen.entry.get("attempt") == entry["attempt"]:
        lost = {"status": "failed", "cause": "StoreCorruptError", "text": "its file is lost"}
        commit(record, seen.entry | lost, seen, None)
    return StoreCorruptError(
        "a stored block is lost, or is not what was written",
        where=str(stored),
        next_step="run the same command again: it is made anew",
    )


def attempted(key: str, attempt: str, suffix: str = "") -> str:
    """Return the key under which one attempt's file is put.

    Parameters
    ----------
    key : str
        Of the block's file or of its entry.
    attempt : str
        As the entry says.
    suffix : str, optional
        Of the file; default: that of the key.

    Returns
    -------
    str
        Such as ``interim/composite/N02.0E005.9/0123456789abcdef.6f1c02a9d3b7.tif``.
    """
    stem, _, own = key.rpartition(".")
    return f"{stem}.{attempt}{suffix or '.' + own}"


def keep(record: Path, data: bytes) -> None:
    """Keep a copy of an entry on this machine, by which a listing is held."""
    record.parent.mkdir(parents=True, exist_ok=True)
    beside = aside(record)
    try:
        beside.write_bytes(data)
        beside.replace(record)
    finally:
        beside.unlink(missing_ok=True)


def as_seen(found: Found) -> Seen:
    """Return an entry as it was read from a bucket; what cannot be read says nothing."""
    try:
        return Seen(_checked(json.loads(found.data)), found.etag)
    except ValueError:
        return Seen({}, found.etag)


def _checked(value: Any) -> dict[str, Any]:
    """Return an entry that can be used; ValueError: it is none."""
    if not isinstance(value, dict) or value.get("status") not in ("done", "failed"):
        raise ValueError("no entry")
    if value["status"] == "done" and not {"sha256", "facts"} <= value.keys():
        raise ValueError("no whole entry")
    return value
