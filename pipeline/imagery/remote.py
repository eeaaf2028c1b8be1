"""A remote file that GDAL reads as if it were here: pages fetched by checked ranges, kept, counted.

GDAL may make light of a read that fails; this file does not: once a page could not be had, the
failure stays with it, and whoever reads must ask for it before any pixel counts.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterable

from pipeline.errors import AsmAtlasError
from pipeline.imagery.hrefs import signed
from pipeline.imagery.providers import named_provider
from pipeline.imagery.ranges import Fetched, fetch
from pipeline.imagery.retry import Budget, Limits, file_may_come
from pipeline.runtime.http import FetchError

PAGE = 1 << 16
CHANGED = "changed while it was read"
# Read on a miss: more than GDAL asks for, since its next question is usually for what follows.
_AHEAD_PAGES = 4
_MOST_PAGES_A_REQUEST = 256
_KEPT_BYTES = 64 << 20


class RemoteFile:
    """One version of one remote file, and the pages of it that have come.

    Parameters
    ----------
    href : str
        Its address, unsigned.
    provider : str
        Name of the table's row that tells how to get in.
    limits : Limits
        Hosts that may be read, tries and times.
    """

    def __init__(self, href: str, provider: str, limits: Limits) -> None:
        self._href = href
        self._provider = named_provider(provider)
        self._pages: dict[int, bytes] = {}
        self._tag = ""
        self.total = -1
        self.start(limits)

    def start(self, limits: Limits) -> None:
        """Give the file its tries and time."""
        self._limits = limits
        self.budget = Budget(limits)
        self.failure: FetchError | AsmAtlasError | None = None

    def start_over(self) -> None:
        """Forget all pages, which may be wrong; tries and time go on being counted."""
        self.failure = None
        self._pages.clear()
        self.total = -1

    def keep_only_head(self) -> int:
        """Drop all pages but the first ones and return how many bytes stay."""
        self._pages = {page: data for page, data in self._pages.items() if page < _AHEAD_PAGES}
        return sum(map(len, self._pages.values()))

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch byte ranges (first, and the one after the last), neighbours in one request."""
        pages = sorted({page for start, stop in ranges for page in _pages_of(start, stop)})
        self._need(pages)

    def whole(self) -> bytes:
        """Return all of the file, fetched now where it is missing; empty after a failure."""
        if self.total < 0:
            self._need([0])
        self.prefetch([(0, max(self.total, 1))])
        return b"" if self.failure else b"".join(self._pages[page] for page in sorted(self._pages))

    def read(self, start: int, size: int) -> bytes:
        """Return bytes, fewer at the file's end, none after a failure."""
        if self.total >= 0:
            size = min(size, self.total - start)
        if size <= 0:
            return b""
        pages = list(_pages_of(start, start + size))
        if any(page not in self._pages for page in pages):
            self._need([*pages, *range(pages[-1] + 1, pages[0] + _AHEAD_PAGES)])
        if self.failure is not None:
            return b""
        joined = b"".join(self._pages.get(page, b"") for page in pages)
        begin = start - pages[0] * PAGE
        return joined[begin : begin + size]

    def _need(self, pages: list[int]) -> None:
        if self.total >= 0:
            last = (self.total - 1) // PAGE
            pages = [page for page in pages if page <= last]
        missing = [page for page in pages if page not in self._pages]
        while missing and self.failure is None:
            run = 1
            most = min(len(missing), _MOST_PAGES_A_REQUEST)
            while run < most and missing[run] == missing[0] + run:
                run += 1
            self._fetch(missing[0], missing[0] + run)
            missing = [page for page in missing[run:] if page not in self._pages]

    def _fetch(self, first: int, after: int) -> None:
        start, stop = first * PAGE, after * PAGE
        if self.total >= 0:
            stop = min(stop, self.total)
        anew = False
        for _ in self.budget.tries():
            try:
                link = signed(self._href, self._provider, anew=anew)
                got = fetch(
                    link,
                    start,
                    stop,
                    hosts=self._limits.hosts,
                    timeout=self._limits.timeout,
                    deadline=self.budget.deadline,
                )
            except FetchError as error:
                self.failure, self.budget.asked = error, error.wait
                # A refused signature may just be too old.
                anew = error.cause.startswith("forbidden")
                if not file_may_come(error.status):
                    return
            except AsmAtlasError as error:
                self.failure = error
                return
            else:
                self._keep(got)
                return

    def _keep(self, got: Fetched) -> None:
        self.failure = None
        if self.total >= 0 and (got.total, got.tag) != (self.total, self._tag):
            # Half of one version and half of another is neither: whoever reads starts over.
            self.failure = FetchError(CHANGED)
            return
        self.total, self._tag = got.total, got.tag
        for offset in range(0, len(got.data), PAGE):
            self._pages[(got.start + offset) // PAGE] = got.data[offset : offset + PAGE]


class Cursor(io.RawIOBase):
    """A place in a remote file, as GDAL wants it.

    Parameters
    ----------
    file : RemoteFile
        Shared by all cursors on it.
    """

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        """Read from the place on; nothing after a failure."""
        size = size if size >= 0 else max(self._file.total - self._place, 0)
        data = self._file.read(self._place, size)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the place."""
        base = (0, self._place, max(self._file.total, 0))[whence]
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True


class Kept:
    """Files of this process whose beginnings stay, so that the next block need not ask again.

    Parameters
    ----------
    most : int
        Bytes that may stay.
    """

    def __init__(self, most: int = _KEPT_BYTES) -> None:
        self._most = most
        self._bytes = 0
        self._files: OrderedDict[tuple[str, str], tuple[RemoteFile, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, href: str, version: str) -> RemoteFile | None:
        """Give a file that was put here, and keep it no longer: one reader at a time."""
        with self._lock:
            file, size = self._files.pop((href, version), (None, 0))
            self._bytes -= size
            return file

    def put(self, href: str, version: str, file: RemoteFile, *, whole: bool) -> None:
        """Keep a file's head, or all of it; the ones unused for longest make room.

        Parameters
        ----------
        href, version : str
            What it is asked for by.
        file : RemoteFile
            Nobody reads it now.
        whole : bool
            All of it is here, and small.
        """
        size = file.total if whole else file.keep_only_head()
        with self._lock:
            _, known = self._files.pop((href, version), (None, 0))
            self._files[href, version] = (file, size)
            self._bytes += size - known
            while self._bytes > self._most:
                self._bytes -= self._files.popitem(last=False)[1][1]


def _pages_of(start: int, stop: int) -> range:
    return range(start // PAGE, -(-stop // PAGE))
