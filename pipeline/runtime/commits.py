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
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pipeline.errors import NoAnswerError, StoreCorruptError
from pipeline.runtime.atomic import aside, json_bytes, local_file, sha256_of
from pipeline.runtime.files import write_json
from pipeline.runtime.mirror import Remote, remote_of
from pipeline.runtime.objects import Found

_TRIES = 8


@dataclass(frozen=True)
class Record:
    """What the entry of a block says: JSON next to its file, read and written here alone.

    Parameters
    ----------
    status : str
        ``done`` or ``failed``; empty: there is no entry that can be read.
    sha256 : str
        Of the file.
    facts : dict or None
        What the stage wants to count without opening the file.
    seconds : float or None
        What it took to make.
    cause, text : str
        Class and words of the error.
    inputs : dict or None
        Everything that the result depends on.
    attempt : str
        On object storage, which attempt counts.
    """

    status: str = ""
    sha256: str = ""
    facts: dict[str, Any] | None = None
    seconds: float | None = None
    cause: str = ""
    text: str = ""
    inputs: dict[str, Any] | None = None
    attempt: str = ""

    @classmethod
    def read(cls, data: bytes | Path) -> Record:
        """Read an entry, or the file of one; what cannot be read says nothing."""
        try:
            value = json.loads(data.read_bytes() if isinstance(data, Path) else data)
            record = cls(**{key: part for key, part in value.items() if key in _KEYS})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls()
        whole = record.failed or (record.done and record.sha256 and record.facts is not None)
        return record if whole else cls()

    @property
    def done(self) -> bool:
        """Whether the file was made."""
        return self.status == "done"

    @property
    def failed(self) -> bool:
        """Whether it could not be made."""
        return self.status == "failed"

    def to_dict(self) -> dict[str, Any]:
        """Return what is written; JSON."""
        return {key: part for key, part in vars(self).items() if part not in ("", None)}


_KEYS = {one.name for one in fields(Record)}


@dataclass(frozen=True)
class Seen:
    """An entry as it was found.

    Parameters
    ----------
    record : Record
        What it says.
    tag : str
        Names this version of it in the bucket; empty: there was none.
    """

    record: Record = field(default_factory=Record)
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
        return Seen(Record.read(record))
    found = remote.bucket.get(remote.key)
    if found is None:
        return Seen()
    keep(record, found.data)
    return as_seen(found)


def bring(stored: Path, entry: Record) -> bool:
    """See that the file of a block is here, and is what its entry says.

    Parameters
    ----------
    stored : pathlib.Path
        Its path.
    entry : Record
        Says ``done``.

    Returns
    -------
    bool
        False: it is lost, or is something else.
    """
    try:
        if sha256_of(stored) == entry.sha256:
            return True
    except OSError:
        pass
    remote = remote_of(stored)
    if remote is None:
        return False
    try:
        with local_file(stored) as beside:
            there = remote.bucket.download(attempted(remote.key, entry.attempt), beside)
            if not there or sha256_of(beside) != entry.sha256:
                raise FileNotFoundError
    except FileNotFoundError:
        return False
    return True


def commit(record: Path, entry: Record, seen: Seen, stored: Path | None) -> Record:
    """Let an attempt count, unless another does already.

    Parameters
    ----------
    record : pathlib.Path
        Path of the entry.
    entry : Record
        What it is to say.
    seen : Seen
        What it said when the attempt began: that may be replaced.
    stored : pathlib.Path or None
        The file; None: the attempt failed.

    Returns
    -------
    Record
        The entry that counts; where it is another's, so is the file at ``stored`` now.
    """
    remote = remote_of(record)
    if remote is None:
        write_json(record, entry.to_dict())
        return entry
    entry = replace(entry, attempt=uuid.uuid4().hex[:12])
    own = ""
    if stored is not None:
        own = attempted(remote.key, entry.attempt, stored.suffix)
        remote.bucket.upload(stored, own, once=True)
    counts = _commit(remote, record, entry, seen, stored)
    if own and counts is not entry:
        remote.bucket.delete([own])
    return counts


def _commit(remote: Remote, record: Path, entry: Record, seen: Seen, stored: Path | None) -> Record:
    data = json_bytes(entry.to_dict())
    for _ in range(_TRIES):
        if seen.tag:
            done = remote.bucket.swap(remote.key, data, seen.tag)
        else:
            done = remote.bucket.create(remote.key, data)
        if done is not None:
            keep(record, data)
            return entry
        seen = look(record)
        other = seen.record
        if other.done and (stored is None or bring(stored, other)):
            return other
    raise NoAnswerError(
        "an entry changes again and again while it is written",
        where=str(record),
        next_step="see who else works in this workspace",
    )


def refuse(stored: Path, attempt: str) -> StoreCorruptError:
    """Say that a block which counted is lost, so that the next run makes it anew.

    Parameters
    ----------
    stored : pathlib.Path
        Where its file would be.
    attempt : str
        That its entry named.

    Returns
    -------
    StoreCorruptError
        To be raised.
    """
    record = stored.with_suffix(".json")
    seen = look(record)
    if seen.record.attempt == attempt:
        cause, text = StoreCorruptError.__name__, "its file is lost"
        commit(record, replace(seen.record, status="failed", cause=cause, text=text), seen, None)
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
    return Seen(Record.read(found.data), found.etag)
