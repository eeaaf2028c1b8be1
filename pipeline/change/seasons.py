"""The seasons of a series: first, last, and those between, a year or a quarter apart."""

from __future__ import annotations

from pipeline.errors import ConfigError
from pipeline.geo.seasons import season_months

STEPS = {"": 0, "quarter": 3, "year": 12}
_EXAMPLE = "for example FROM=2023-12..2024-02 TO=2024-12..2025-02"
_MOST = 200


def seasons_between(first: str, last: str, every: str = "") -> list[str]:
    """Return the seasons of a series in order of time.

    Parameters
    ----------
    first, last : str
        ``YYYY-MM..YYYY-MM``, one window each; the last starts after the first has ended.
    every : str, optional
        ``year`` or ``quarter``: also the first season moved on by so much, again and again, as
        long as it ends before the last one starts; empty: no other.

    Returns
    -------
    list of str
        With the first and the last.

    Raises
    ------
    ConfigError
        If a season is not of that form, or they are not one after the other.
    """
    if every not in STEPS:
        raise ConfigError(f"every must be year or quarter, not {every!r}")
    for season in (first, last):
        if not season or "," in season:
            raise ConfigError(
                f"FROM and TO are one season each, not {season!r}", next_step=_EXAMPLE
            )
    (_, after_first), (start_last, _) = season_months(first), season_months(last)
    if start_last < after_first:
        raise ConfigError(
            f"TO ({last}) must start after FROM ({first}) has ended", next_step=_EXAMPLE
        )
    seasons = [first]
    while STEPS[every]:
        season = _moved(first, STEPS[every] * len(seasons))
        if season_months(season)[1] > start_last:
            break
        seasons.append(season)
        if len(seasons) > _MOST:
            raise ConfigError(f"a series of more than {_MOST} seasons", next_step=_EXAMPLE)
    return [*seasons, last]


def _moved(season: str, months: int) -> str:
    ends = []
    for end in season.split(".."):
        year, month = (int(part) for part in end.split("-"))
        year, month = divmod(12 * year + month - 1 + months, 12)
        ends.append(f"{year:04d}-{month + 1:02d}")
    return "..".join(ends)
