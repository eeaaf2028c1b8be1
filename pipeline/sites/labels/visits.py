"""From visits to labelled cells: which cell, and which season.

A visited place is a positive where somebody stood on it with a GPS. Cells without a visit are not
known to be free of mining, since no table of visits is exhaustive: they are unlabelled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from pipeline.config import LabelSettings
from pipeline.errors import NoLabelsError
from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.sites.column_mapping import load_mapping
from pipeline.sites.labels.rows import MINE, LabelKind, Labels, make_rows, reasons, shift_for_date
from pipeline.sites.visit_tables import are_visits
from pipeline.sites.visits import all_sites, read_visits, recorded_by_others
from pipeline.words.statements import statement

OUTSIDE, NOT_ON_SITE, OTHERS, APPROXIMATE, ABANDONED = (
    "outside", "not_on_site", "others", "approximate", "abandoned",
)  # fmt: skip
_MAPPING = "or say it in a LABELS_MAPPING= file (docs/sites.md)"
# What to do about each.
HELP = {
    NOT_ON_SITE: f"visit_onsite must be 1 where somebody stood there: correct it, {_MAPPING}",
    OTHERS: "their project does not begin with IPIS: in a table of IPIS's form, of somebody "
    "else; if they are visits of your own, name a LABELS_MAPPING= file (docs/sites.md)",
    APPROXIMATE: f"location_origin must be GPS where a place was measured: correct it, {_MAPPING}",
    ABANDONED: "workers_numb is 0 at all of them: choose a region with working mines",
}


def label_visits(visits: pd.DataFrame, region: Region, season: str) -> Labels:
    """Turn visits into positives of a region.

    Parameters
    ----------
    visits : pandas.DataFrame
        As read by ``pipeline.sites.visits.read_visits``.
    region : Region
        Where labels are wanted.
    season : str
        ``YYYY-MM..YYYY-MM``; its months, moved by whole years, are the season of each visit. Empty:
        one composite serves all visits.

    Returns
    -------
    Labels
        The positives, and what became of every visit.

    Raises
    ------
    NoLabelsError
        If no visit in the region gives a positive.
    """
    sites = all_sites(visits)
    lon, lat = sites["longitude"].to_numpy(float), sites["latitude"].to_numpy(float)
    inside = shapely.contains_xy(region.geometry, lon, lat)
    on_site = sites["on_site"].to_numpy(bool)
    others = recorded_by_others(sites).to_numpy(bool) & ~on_site
    precise = (sites["precision"] == "gps").to_numpy()
    # Zero diggers is a site that was found abandoned; not recorded is not zero.
    workers = np.full(len(sites), np.nan)
    if "workers_numb" in sites:
        workers = sites["workers_numb"].astype("Float64").to_numpy(float, na_value=np.nan)
    active = workers != 0
    good = inside & on_site & precise & active
    left_out = {
        OUTSIDE: int((~inside).sum()),
        NOT_ON_SITE: int((inside & ~on_site & ~others).sum()),
        OTHERS: int((inside & others).sum()),
        APPROXIMATE: int((inside & on_site & ~precise).sum()),
        ABANDONED: int((inside & on_site & precise & ~active).sum()),
    }
    if not good.any():
        raise NoLabelsError(
            f"no visit gives a labelled cell in {region.name}",
            where="; ".join(told.text for told in reasons(left_out)),
            next_step=_next_step(left_out),
        )
    chosen = sites[good]
    days = chosen["visit_date"].dt.strftime("%Y-%m-%d").tolist()
    positives = make_rows(
        grid.cell_of(lon[good], lat[good]),
        MINE,
        "visit",
        chosen["pcode"].astype(str).tolist(),
        days,
        [shift_for_date(day, season) for day in days],
        size=workers[good],
    ).drop_duplicates(["cell", "shift"])
    places = np.column_stack([lon, lat, sites["radius_m"].to_numpy(float)])
    # Far-away places cannot disturb the background; near ones outside the region can. A place known
    # only to 5 km is one cell among hundreds: keeping clear of all would leave no river to learn.
    west, south, east, north = shapely.buffer(region.geometry, 0.2).bounds
    near = precise & (lon > west) & (lon < east) & (lat > south) & (lat < north)
    return Labels(positives.reset_index(drop=True), places[near], left_out)


def _read(path: Path, region: Region, season: str, settings: LabelSettings) -> Labels:
    about = statement("visits", file=path.name)
    labels = label_visits(read_visits(path, settings.mapping), region, season)
    return replace(labels, about=(about,))


def _credit(path: Path, settings: LabelSettings) -> str:
    if not settings.file:  # the demo's own visits
        return ""
    if settings.mapping:
        return load_mapping(settings.mapping).credit or "visits: not stated"
    return "IPIS open data, ODC-BY 1.0 (credit IPIS)"


VISITS = LabelKind(
    lambda settings, labels: labels if labels and are_visits(labels, settings.mapping) else None,
    _read,
    _credit,
)


def _next_step(left_out: dict[str, int]) -> str:
    """Say what helps against what keeps most visits of the region out."""
    here = {reason: count for reason, count in left_out.items() if reason != OUTSIDE and count}
    if not here:
        return "choose a region that was visited, or another table with LABELS="
    return HELP[max(here, key=lambda reason: here[reason])]
