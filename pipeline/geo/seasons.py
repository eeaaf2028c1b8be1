"""Windows of months, in which images are looked for."""

from __future__ import annotations

import re

from pipeline.errors import ConfigError

_MONTHS = re.compile(r"([12][0-9]{3})-([0-9]{2})\.\.([12][0-9]{3})-([0-9]{2})")


def season_windows(season: str) -> tuple[tuple[str, str], ...]:
    """Return of every window of a season the first day and the first day after it.

    Parameters
    ----------
    season : str
        ``YYYY-MM..YYYY-MM``, both months included; several with commas; empty: none.

    Returns
    -------
    tuple of tuple of str
        ISO dates, in the order given.

    Raises
    ------
    ConfigError
        If a window is not ``YYYY-MM..YYYY-MM`` in order.
    """
    return tuple(season_months(window) for window in season.split(",")) if season else ()


def season_months(season: str) -> tuple[str, str]:
    """Return the first day of one window of a season and the first day after it, as ISO dates.

    Parameters
    ----------
    season : str
        ``YYYY-MM..YYYY-MM``, both months included.

    Returns
    -------
    tuple of str
        Two ISO dates.

    Raises
    ------
    ConfigError
        If the text is not ``YYYY-MM..YYYY-MM`` in order.
    """
    match = _MONTHS.fullmatch(season)
    if match is None:
        raise ConfigError(
            f"season {season!r} is not of the form YYYY-MM..YYYY-MM",
            next_step="for example SEASON=2024-12..2025-02",
        )
    y0, m0, y1, m1 = (int(part) for part in match.groups())
    if not (1 <= m0 <= 12 and 1 <= m1 <= 12 and (y0, m0) <= (y1, m1)):
        raise ConfigError(
            f"season {season!r} {_wrong_months(y0, m0, y1, m1)}",
            next_step="first the earlier month, then the later one, 01 to 12; over New Year: "
            "SEASON=2023-12..2024-02",
        )
    after = (y1 + 1, 1) if m1 == 12 else (y1, m1 + 1)
    return f"{y0:04d}-{m0:02d}-01", f"{after[0]:04d}-{after[1]:02d}-01"


def _wrong_months(y0: int, m0: int, y1: int, m1: int) -> str:
    for year, month in ((y0, m0), (y1, m1)):
        if not 1 <= month <= 12:
            return f"has a month {month:02d} ({year:04d}-{month:02d})"
    return f"ends before it begins: {y1:04d}-{m1:02d} comes before {y0:04d}-{m0:02d}"
