"""What a bucket holds of a stage, by one listing: no request a block.

The entries that this machine knows in the version that is listed are believed; others are read,
side by side. What no entry names is swept after a day: an attempt that was killed before its
commit, or the file of an entry that was replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pipeline.runtime.commits import as_seen, keep
from pipeline.runtime.mirror import remote_of, tag_of
from pipeline.runtime.objects import Listed

_DAY_S = 86_400.0
_NAME = re.compile(r"(?P<key>[0-9a-f]{16})(?:\.(?P<attempt>[0-9a-f]{12}))?\.(?P<suffix>[a-z]+)")


def survey(root: Path, units: Iterable[str]) -> frozenset[str] | None:
    """List the entries of some blocks, and bring those here that are not.

    Parameters
    ----------
    root : pathlib.Path
        The stage's folder.
    units : iterable of str
        The blocks.

    Returns
    -------
    frozenset of str or None
        ``<unit>/<key>`` of each entry, which is at its place on this machine now. None: the
        workspace is a folder, and its entries are the files there.
    """
    remote = remote_of(root)
    if remote is None:
        return None
    store, wanted, skip = remote.bucket, set(units), len(remote.key) + 1
    known: set[str] = set()
    unread: list[str] = []
    for unit, objects in groupby(
        store.listed(f"{remote.key}/"), lambda one: one.key[skip:].rpartition("/")[0]
    ):
        entries, files = _sorted(objects)
        if unit in wanted:
            for key, one in entries.items():
                known.add(f"{unit}/{key}")
                if tag_of(root / unit / f"{key}.json") != one.etag.strip('"'):
                    unread.append(one.key)
        doubtful = [key for key in files if key not in entries or len(files[key]) > 1]
        for key in doubtful:
            found = store.get(f"{remote.key}/{unit}/{key}.json")
            counts = as_seen(found).record.attempt if found else None
            store.delete(one.key for attempt, one in files[key] if attempt != counts)
    for name, found in store.get_many(unread):
        keep(root / name[skip:], found.data)
    return frozenset(known)


def _sorted(
    objects: Iterator[Listed],
) -> tuple[dict[str, Listed], dict[str, list[tuple[str, Listed]]]]:
    """Return the entries of one block by key, and the old files by key, each with its attempt."""
    entries: dict[str, Listed] = {}
    files: dict[str, list[tuple[str, Listed]]] = {}
    for one in objects:
        name = _NAME.fullmatch(one.key.rpartition("/")[2])
        if name is None:
            continue
        if name["attempt"] is None and name["suffix"] == "json":
            entries[name["key"]] = one
        elif name["attempt"] and one.age_s > _DAY_S:
            files.setdefault(name["key"], []).append((name["attempt"], one))
    return entries, files
