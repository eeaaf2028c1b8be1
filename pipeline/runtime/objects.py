"""The few verbs on objects that a workspace on object storage needs: S3, by s3fs.

Nothing is cached, every condition is the store's own (``If-None-Match``, ``If-Match``), and moments
are by the store's clock. What the network loses is tried again for ``PATIENCE_S``; each write
carries what makes it recognisable, so that one whose answer was lost is not taken for another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pipeline.runtime.s3 import ABSENT, Absent, Refused, code_of, filesystem, named

T = TypeVar("T")

# A store that is started anew, or a network that is down for a minute, ends no run.
PATIENCE_S = 120.0
AT_ONCE = 32


@dataclass(frozen=True)
class Found:
    """An object as it was read.

    Parameters
    ----------
    data : bytes
        What it holds.
    etag : str
        Names this version of it.
    age_s : float
        Seconds since it was written, by the store's clock.
    """

    data: bytes
    etag: str
    age_s: float


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells of it.

    Parameters
    ----------
    key : str
        Its name.
    etag : str
        Names this version of it.
    size : int
        Bytes.
    age_s : float
        Seconds since it was written, by the store's clock.
    """

    key: str
    etag: str
    size: int
    age_s: float


class Bucket:
    """One bucket, by the credentials and the endpoint that AWS's own settings name.

    Parameters
    ----------
    name : str
        The bucket.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._bare = False  # some stores compare entity tags without their quotes
        self.patience_s = PATIENCE_S
        self._s3: Any = filesystem(os.getpid())

    def get(self, key: str) -> Found | None:
        """Read a small object; None: there is none."""
        try:
            return self._tried("read", key, lambda: self._get(key))
        except Absent:
            return None

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, Found]]:
        """Read small objects, some of them side by side, and yield those that there are."""

        async def one(key: str, places: asyncio.Semaphore) -> tuple[str, Found | None]:
            async with places:
                try:
                    return key, await self._get(key)
                except OSError as error:
                    if code_of(error) in ABSENT:
                        return key, None
                    raise

        async def every(part: list[str]) -> list[tuple[str, Found | None]]:
            places = asyncio.Semaphore(AT_ONCE)
            return await asyncio.gather(*(one(key, places) for key in part))

        wanted = list(keys)
        for start in range(0, len(wanted), 1000):
            part = wanted[start : start + 1000]
            told = self._tried("read", part[0], lambda part=part: every(part))  # type: ignore[misc]
            yield from ((key, found) for key, found in told if found is not None)

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that must not be there.

        Parameters
        ----------
        key : str
            The object.
        data : bytes
            Here and in ``swap`` it must be this writer's alone: who finds it there takes it for a
            write of its own whose answer was lost.

        Returns
        -------
        str or None
            Its tag; None: another was there.
        """
        return self._put_if(key, data, IfNoneMatch="*")

    def swap(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace that version of an object alone.

        Parameters
        ----------
        key : str
            The object.
        data : bytes
            What it is to hold.
        etag : str
            The version that was seen.

        Returns
        -------
        str or None
            The new tag; None: it is another version by now.
        """
        done = self._put_if(key, data, IfMatch=etag.strip('"') if self._bare else etag)
        if done is not None or self._bare:
            return done
        now = self.get(key)
        if now is None or now.etag != etag:
            return None
        # It is what was expected, and still refused: this store wants the tag without quotes.
        done = self._put_if(key, data, IfMatch=etag.strip('"'))
        self._bare = done is not None
        return done

    def put(self, key: str, data: bytes) -> None:
        """Write a small object, whatever was there."""
        self._tried("write", key, lambda: self._call("put_object", Key=key, Body=data))

    def upload(self, path: Path, key: str, *, once: bool = False) -> None:
        """Write a file as an object.

        Parameters
        ----------
        path : pathlib.Path
            The file, of any size.
        key : str
            The object.
        once : bool
            Whether the key is of this attempt alone: then what is there already is this.
        """
        mode = "create" if once else "overwrite"
        where = f"{self.name}/{key}"
        # The answer to a first try may have been lost.
        with contextlib.suppress(Refused):
            self._tried("write", key, lambda: self._s3._put_file(str(path), where, mode=mode))

    def download(self, key: str, path: Path) -> bool:
        """Read an object into a file; False: there is none."""
        where = f"{self.name}/{key}"
        try:
            self._tried("read", key, lambda: self._s3._get_file(where, str(path)))
        except Absent:
            return False
        return True

    def listed(self, prefix: str) -> Iterator[Listed]:
        """List what lies below a prefix, in the order of the keys, a thousand at a request."""
        more: dict[str, str] = {}
        while True:
            page = self._tried(
                "list",
                prefix,
                lambda more=more: self._call("list_objects_v2", Prefix=prefix, **more),  # type: ignore[misc]
            )
            now = _moment(page)
            for one in page.get("Contents", []):
                age = now - one["LastModified"].timestamp()
                yield Listed(one["Key"], one["ETag"], one["Size"], age)
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there do not matter."""
        for key in keys:
            self._tried("delete", key, lambda key=key: self._call("delete_object", Key=key))  # type: ignore[misc]

    @property
    def endpoint(self) -> str:
        """The address that requests go to, without what opens it."""
        return str(self._s3.s3.meta.endpoint_url)

    def _put_if(self, key: str, data: bytes, **condition: str) -> str | None:
        try:
            told = self._tried(
                "write", key, lambda: self._call("put_object", Key=key, Body=data, **condition)
            )
        except (Refused, Absent):
            # An answer may have been lost, and this be the second try of a write that was done.
            now = self.get(key)
            return now.etag if now is not None and now.data == data else None
        return str(told["ETag"])

    async def _get(self, key: str) -> Found:
        told = await self._call("get_object", Key=key)
        async with told["Body"] as stream:
            data = await stream.read()
        return Found(data, told["ETag"], _moment(told) - told["LastModified"].timestamp())

    async def _call(self, method: str, **arguments: Any) -> Any:
        return await self._s3._call_s3(method, Bucket=self.name, **arguments)

    def _tried(self, what: str, key: str, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Try until it is done, refused for a reason, or the patience is at its end."""
        from fsspec.asyn import sync

        end, wait = time.monotonic() + self.patience_s, 0.2
        while True:
            try:
                done: T = sync(self._s3.loop, attempt)
                return done
            except Exception as error:
                trouble, later = named(what, f"s3://{self.name}/{key}", error)
                if not later or time.monotonic() + wait > end:
                    raise trouble from None
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, 5.0)


def _moment(told: dict[str, Any]) -> float:
    """Return the store's clock as an answer tells it, in seconds."""
    date = told.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return email.utils.parsedate_to_datetime(date).timestamp() if date else time.time()


@lru_cache(maxsize=16)
def _bucket(name: str, process: int) -> Bucket:
    return Bucket(name)


def bucket(name: str) -> Bucket:
    """Return a bucket as this process talks to it.

    Parameters
    ----------
    name : str
        The bucket.

    Returns
    -------
    Bucket
        One for each name and process: connections are not handed on to children.
    """
    return _bucket(name, os.getpid())
