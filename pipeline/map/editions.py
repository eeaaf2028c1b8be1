"""The two editions: how finely each shows places, and how old what the public one shows must be."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable

from pipeline.errors import DisclosureError
from pipeline.geo import grid
from pipeline.geo.regions import Region, with_public_name
from pipeline.scenes import SceneList
from pipeline.workflow.context import Context

PUBLIC, RESTRICTED = "public", "restricted"
# Side of the squares that each shows; the public one's is set in pipeline/geo/grid.py.
SQUARE_DEGREES = {PUBLIC: grid.PUBLIC_DEGREES, RESTRICTED: grid.CELL_DEGREES}
# Decimals of a square's corners, and of the places of candidates.
DECIMALS = {name: grid.decimals_of(square) for name, square in SQUARE_DEGREES.items()}
PLACE_DECIMALS = DECIMALS | {RESTRICTED: 4}
PUBLIC_AGE_MONTHS = 6


def last_public_day(created: str) -> str:
    """Return the ISO date of the last day that a public product made then may show."""
    day = dt.date.fromisoformat(created[:10])
    years, month = divmod(day.year * 12 + day.month - 1 - PUBLIC_AGE_MONTHS, 12)
    last = calendar.monthrange(years, month + 1)[1]
    return dt.date(years, month + 1, min(day.day, last)).isoformat()


def refuse_young(dates: Iterable[str], day: str, where: str) -> None:
    """Refuse images that the public product may not tell of yet.

    Parameters
    ----------
    dates : iterable of str
        When images were taken, ISO.
    day : str
        When the product is made, ISO.
    where : str
        Name of the region.

    Raises
    ------
    DisclosureError
        If one is younger than six months.
    """
    last_day = last_public_day(day)
    newest = max((date[:10] for date in dates), default="")
    if newest > last_day:
        raise DisclosureError(
            f"the newest image is of {newest}, and the public map holds back what is younger than "
            f"{PUBLIC_AGE_MONTHS} months (after {last_day})",
            where=where,
            next_step="the same command with DISCLOSURE=restricted, or with a season that ends "
            "earlier",
        )


def refuse_young_scenes(found: SceneList, context: Context) -> None:
    """Refuse a public product of a season that is too young, before hours of work.

    What is published is held against its images once more.

    Parameters
    ----------
    found : SceneList
        Scenes of the season.
    context : Context
        Configuration and region.

    Raises
    ------
    DisclosureError
        If the public product is asked for and a scene is younger than six months.
    """
    if context.config.map.disclosure == PUBLIC:
        now = dt.datetime.now(dt.UTC).isoformat()
        refuse_young([scene.end for scene in found.scenes], now, context.region.name)


def region_as_shown(context: Context) -> Region:
    """Return the region as its product may name it.

    Parameters
    ----------
    context : Context
        Configuration and region.

    Returns
    -------
    Region
        The same ground.
    """
    if context.config.map.disclosure != PUBLIC:
        return context.region
    return with_public_name(context.region, SQUARE_DEGREES[PUBLIC])
