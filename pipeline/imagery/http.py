"""One range of a remote file, checked: the right bytes, all of them, in time, or a named cause.

GDAL's own reader has no deadline, does not retry a body that was cut, and takes whatever range a
server sends. So bytes are fetched here and GDAL only decodes them.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import urljoin

import requests
import urllib3

from pipeline.imagery.hrefs import Signed, check_host

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 3
_PIECE = 1 << 18
# A server that knows no ranges sends the whole file; more than this is not taken.
MOST_WHOLE_BYTES = 64 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NAMED = {
    401: "forbidden (401)",
    403: "forbidden (403)",
    404: "not found (404)",
    410: "not found (410)",
    429: "throttled (429)",
    500: "server error (500)",
    503: "unavailable (503)",
}
# Refusals that no waiting changes; 403 may be an old signature, 404 a copy that is still coming.
_FINAL = (400, 401, 405, 410, 414, 416, 501, 505)
_sessions = threading.local()


class FetchError(Exception):
    """Bytes did not come as asked for.

    Parameters
    ----------
    cause : str
        Short and always the same for the same kind of failure.
    wait : float
        Seconds that the server asks to wait, 0 if it does not.
    final : bool
        Whether the same question will have the same answer.
    """

    def __init__(self, cause: str, wait: float = 0.0, *, final: bool = False) -> None:
        self.cause = cause
        self.wait = wait
        self.final = final
        super().__init__(cause)


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
    address = link.address
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity", **link.headers}
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            with _session().get(
                address, headers=headers, timeout=timeout, stream=True, allow_redirects=False
            ) as response:
                if response.status_code in _REDIRECTS:
                    address = urljoin(address, response.headers.get("Location", ""))
                    check_host(address, (*hosts, *link.origins), "a redirect")
                    continue
                return _take(response, start, stop, deadline)
        # Before the headers came, and in the middle of the body.
        except (requests.Timeout, urllib3.exceptions.ReadTimeoutError):
            raise FetchError("timed out") from None
        except urllib3.exceptions.IncompleteRead:
            raise FetchError("cut short") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            short = isinstance(error.__context__, urllib3.exceptions.IncompleteRead)
            raise FetchError("cut short" if short else "connection lost") from None
    raise FetchError("too many redirects")


def _take(response: requests.Response, start: int, stop: int, deadline: float) -> Fetched:
    status = response.status_code
    if status not in (200, 206):
        wait = response.headers.get("Retry-After", "")
        cause = _NAMED.get(status, f"answer {status}")
        seconds = float(wait) if wait.isdigit() else 0.0
        raise FetchError(cause, seconds, final=status in _FINAL)
    length = int(response.headers.get("Content-Length", -1))
    if status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None:
            raise FetchError("wrong range")
        first, last, total = (int(number) for number in match.groups())
        if first != start or last + 1 != min(stop, total):
            raise FetchError("wrong range")
    else:
        first, total = 0, length
        if not 0 <= length <= MOST_WHOLE_BYTES:
            raise FetchError("no ranges")
        last = total - 1
    wanted = last + 1 - first
    pieces, got = [], 0
    # One receipt at a time: a server that sends a byte now and then must not outlive the deadline.
    while got <= wanted and (piece := response.raw.read1(_PIECE, decode_content=False)):
        pieces.append(piece)
        got += len(piece)
        if time.monotonic() > deadline:
            raise FetchError("timed out")
    if got != wanted:
        raise FetchError("cut short" if got < wanted else "wrong range")
    tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return Fetched(first, b"".join(pieces), total, tag)


def _session() -> requests.Session:
    """Return this thread's own session: its connections stay open from one range to the next."""
    session: requests.Session | None = getattr(_sessions, "session", None)
    if session is None:
        session = _sessions.session = requests.Session()
    return session
