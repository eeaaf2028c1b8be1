"""How far a reader may go: which hosts, how often, how long."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import Config
from pipeline.imagery.hrefs import allowed_hosts
from pipeline.imagery.providers import address_of, provider_of


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


def limits_of(config: Config, source: str) -> Limits:
    """Return the limits that a configuration sets for reading from a source.

    Parameters
    ----------
    config : Config
        Tries, times and further hosts.
    source : str
        Where the scenes were found.

    Returns
    -------
    Limits
        The limits.
    """
    return Limits(
        hosts=allowed_hosts(address_of(source), provider_of(source), config.imagery.hosts),
        tries=config.reading.tries,
        seconds=config.reading.seconds,
        timeout=config.reading.timeout,
        backoff=config.reading.backoff,
        verify_bytes=config.reading.verify_mib << 20,
        connections=config.reading.connections,
    )
