"""Whether object storage refuses what it must refuse."""

from __future__ import annotations

import uuid

from pipeline.errors import NoConditionsError
from pipeline.runtime.objects import Bucket


def probe(store: Bucket, prefix: str) -> None:
    """See that a store refuses what it must refuse: without that commits would be lost.

    Raises
    ------
    NoConditionsError
        If it writes where a condition does not hold, or refuses where it does.
    """
    key = f"{prefix}.probe/{uuid.uuid4().hex}"
    first = store.create(key, b"first")
    try:
        second = store.create(key, b"second")
        wrong = store.swap(key, b"third", '"00000000000000000000000000000000"')
        right = store.swap(key, b"fourth", first or "")
        again = store.swap(key, b"fifth", first or "")
    finally:
        store.delete([key])
    if first is None or right is None or not (second is wrong is again is None):
        what = "If-None-Match" if first is None or second is not None else "If-Match"
        raise NoConditionsError(
            f"the object storage does not keep the condition {what} of writes, so that two "
            "machines could overwrite each other's results",
            where=f"s3://{store.name}/{prefix}",
            next_step="use a store that does (docs/cluster.md names some), or a shared folder",
        )
