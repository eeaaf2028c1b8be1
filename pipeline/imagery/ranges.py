"""One range of a remote file, checked: the right bytes, all of them, in time, or a named cause.

GDAL's own reader has no deadline, does not retry a body that was cut, and takes whatever range a
server sends. So bytes are fetched here and GDAL only decodes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import requests

from pipeline.imagery.hrefs import Signed, check_host
from pipeline.runtime.http import FetchError, ask, read_body

# A server that knows no ranges sends the whole file; more than this is not taken.
MOST_WHOLE_BYTES = 64 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class Fetched:
    """Bytes of a file.

    Parameters
    ----------
    start : int
        Where in the file they begin.
    data : bytes
        As many as were asked for, fewer at the file's end.
    total : int
        Size of the file.
    tag : str
        What the server calls this version of the file, empty if it does not say.
    """

    start: int
    data: bytes
    total: int
    tag: str


def fetch(
    link: Signed, start: int, stop: int, *, hosts: tuple[str, ...], timeout: float, deadline: float
) -> Fetched:
    """Fetch a range of a file, once.

    Parameters
    ----------
    link : Signed
        Its address.
    start, stop : int
        First byte, and the first one after the last.
    hosts : tuple of str
        Origins that a redirect may lead to.
    timeout : float
        Seconds without a byte.
    deadline : float
        Moment of ``time.monotonic()`` by which all must have come.

    Returns
    -------
    Fetched
        The range, or the whole file from a server that knows no ranges.

    Raises
    ------
    FetchError
        If anything else came, or nothing.
    UnsafeLinkError
        If a redirect leads to another host.
    """
    headers = {"Range": f"bytes={start}-{stop - 1}", **link.headers}

    def check(address: str) -> None:
        check_host(address, (*hosts, *link.origins), "a redirect")

    with ask(link.address, check, timeout, headers, good=(200, 206)) as response:
        first, wanted, total = _promised(response, start, stop)
        data = read_body(response, wanted, deadline)
        if len(data) != wanted:
            raise FetchError("cut short" if len(data) < wanted else "wrong range")
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        return Fetched(first, data, total, tag)


def _promised(response: requests.Response, start: int, stop: int) -> tuple[int, int, int]:
    """Return what the headers say: first byte, number of bytes, and size of the file."""
    if response.status_code == 200:
        length = int(response.headers.get("Content-Length", -1))
        if not 0 <= length <= MOST_WHOLE_BYTES:
            raise FetchError("no ranges")
        return 0, length, length
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        raise FetchError("wrong range")
    first, last, total = (int(number) for number in match.groups())
    if first != start or last + 1 != min(stop, total):
        raise FetchError("wrong range")
    return first, last + 1 - first, total
