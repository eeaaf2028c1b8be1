"""How often, how long and after which failures a read is tried again: the one place that says so.

Three loops go by it: one range of a file (``remote``), decoding one window (``windows``), one page
of a STAC API's answer (``stac_api``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

_LONGEST_WAIT = 60.0
# Refusals of a file that no waiting changes; 403 may be an old signature, 404 a copy that is still
# coming.
_FINAL = (400, 401, 405, 410, 414, 416, 501, 505)
# Refusals by a STAC API that may pass, beside errors of its own.
_PASSING = (408, 425, 429)


@dataclass(frozen=True)
class Limits:
    """Bounds of reading one file's window.

    Parameters
    ----------
    hosts : tuple of str
        Origins that may be read, such as ``https://example.org``.
    tries : int
        Of one request, or of decoding one window, before it counts as failed.
    seconds : float
        For one file's window, all tries together.
    timeout : float
        Seconds without a byte.
    backoff : float
        Seconds before the second try, doubled each time.
    verify_bytes : int
        A file up to this size with a known checksum is read whole and checked.
    connections : int
        Files of one scene that are read side by side.
    """

    hosts: tuple[str, ...] = ()
    tries: int = 5
    seconds: float = 300.0
    timeout: float = 30.0
    backoff: float = 0.5
    verify_bytes: int = 16 << 20
    connections: int = 8


class Budget:
    """Tries and time for one file's window, or one page.

    Parameters
    ----------
    limits : Limits
        How often and how long.

    Attributes
    ----------
    deadline : float
        Moment of ``time.monotonic()`` by which all tries must have ended.
    asked : float
        Seconds that the server asked to wait before the next try; more failures wait longer anyway.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.deadline = time.monotonic() + limits.seconds
        self.asked = 0.0

    def tries(self) -> Iterator[int]:
        """Give the number of each try at one thing, and wait between them, while there is time.

        Yields
        ------
        int
            1 for the first try. Whoever succeeds takes no other.
        """
        for number in range(1, self._limits.tries + 1):
            yield number
            wait = min(max(self.asked, self._limits.backoff * 2 ** (number - 1)), _LONGEST_WAIT)
            self.asked = 0.0
            if number == self._limits.tries or time.monotonic() + wait > self.deadline:
                return
            time.sleep(wait)


def file_may_come(status: int) -> bool:
    """Whether a file may still be had after an answer of this status; 0: there was no answer."""
    return status not in _FINAL


def service_may_answer(status: int | None) -> bool:
    """Whether a STAC API may still answer after this status; None: there was no answer."""
    return status is None or status in _PASSING or status >= 500
