"""One question to somebody else's server: redirects checked, the answer in time, failures named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urljoin

import requests
import urllib3

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 3
_PIECE = 1 << 18
_NAMED = {
    401: "forbidden (401)",
    403: "forbidden (403)",
    404: "not found (404)",
    410: "not found (410)",
    429: "throttled (429)",
    500: "server error (500)",
    503: "unavailable (503)",
}
_sessions = threading.local()


class FetchError(Exception):
    """Bytes did not come as asked for.

    Parameters
    ----------
    cause : str
        Short and always the same for the same kind of failure.
    status : int
        Of the answer, where the server gave one that refuses; else 0.
    wait : float
        Seconds that the server asks to wait, 0 if it does not.
    """

    def __init__(self, cause: str, status: int = 0, wait: float = 0.0) -> None:
        self.cause = cause
        self.status = status
        self.wait = wait
        super().__init__(cause)


@contextmanager
def ask(
    address: str,
    check: Callable[[str], object],
    timeout: float,
    headers: Mapping[str, str] | None = None,
    good: tuple[int, ...] = (200,),
) -> Iterator[requests.Response]:
    """Ask for an address and give the answer, whose body :func:`read_body` reads.

    Parameters
    ----------
    address : str
        Of http or https.
    check : callable
        Called with the address that a redirect leads to; raises where that may not be followed.
    timeout : float
        Seconds without a byte.
    headers : mapping of str to str, optional
        Sent along.
    good : tuple of int, optional
        Statuses of an answer that is taken.

    Yields
    ------
    requests.Response
        Nothing of its body was read. No compression was asked for: such a body could unfold into
        any size.

    Raises
    ------
    FetchError
        If there is no such answer, or the connection fails while its body is read.
    """
    headers = {"Accept-Encoding": "identity", **(headers or {})}
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            with _get(address, headers, timeout) as response:
                if response.status_code in good:
                    yield response
                    return
                if response.status_code not in _REDIRECTS:
                    raise _refused(response)
                address = urljoin(address, response.headers.get("Location", ""))
                check(address)
    # Before the headers came, and in the middle of the body.
    except (requests.Timeout, urllib3.exceptions.ReadTimeoutError):
        raise FetchError("timed out") from None
    except urllib3.exceptions.IncompleteRead:
        raise FetchError("cut short") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        short = isinstance(error.__context__, urllib3.exceptions.IncompleteRead)
        raise FetchError("cut short" if short else "connection lost") from None
    raise FetchError("too many redirects")


def read_body(response: requests.Response, most: int, deadline: float) -> bytes:
    """Read the body of an answer.

    Parameters
    ----------
    response : requests.Response
        Of :func:`ask`.
    most : int
        Bytes after which there is no need to go on: what is returned may be a little longer.
    deadline : float
        Moment of ``time.monotonic()`` by which all must have come.

    Returns
    -------
    bytes
        As they came.

    Raises
    ------
    FetchError
        If they come too late.
    """
    pieces, got = [], 0
    # One receipt at a time: a server that sends a byte now and then must not outlive the deadline.
    while got <= most and (piece := response.raw.read1(_PIECE, decode_content=False)):
        pieces.append(piece)
        got += len(piece)
        if time.monotonic() > deadline:
            raise FetchError("timed out")
    return b"".join(pieces)


def _get(address: str, headers: Mapping[str, str], timeout: float) -> requests.Response:
    try:
        return _session().get(
            address, headers=headers, timeout=timeout, stream=True, allow_redirects=False
        )
    except requests.RequestException:
        raise
    except ValueError:  # requests reads where a redirect leads, followed or not
        raise FetchError("a redirect to no address") from None


def _refused(response: requests.Response) -> FetchError:
    status, wait = response.status_code, response.headers.get("Retry-After", "")
    cause = _NAMED.get(status, f"answer {status}")
    return FetchError(cause, status, float(wait) if wait.isdecimal() else 0.0)


def _session() -> requests.Session:
    """Return this thread's own session: its connections stay open from one question to the next."""
    session: requests.Session | None = getattr(_sessions, "session", None)
    if session is None:
        session = _sessions.session = requests.Session()
    return session
