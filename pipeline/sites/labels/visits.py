"""From visits to labelled cells: which cell, and which season.

A visited place is a positive where IPIS stood on it with a GPS. Cells without a visit are not known
to be free of mining, since IPIS is not exhaustive: they are unlabelled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline import grid
from pipeline.errors import NoLabelsError
from pipeline.regions import Region
from pipeline.sites.labels.rows import MINE, Labels, make_rows, nearest_season
from pipeline.sites.visits import all_sites


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
    precise = (sites["precision"] == "gps").to_numpy()
    # Zero diggers is a site that was found abandoned; not recorded is not zero.
    workers = np.full(len(sites), np.nan)
    if "workers_numb" in sites:
        workers = sites["workers_numb"].astype("Float64").to_numpy(float, na_value=np.nan)
    active = workers != 0
    good = inside & on_site & precise & active
    left_out = {
        "outside the region": int((~inside).sum()),
        "not visited on site": int((inside & ~on_site).sum()),
        "place only approximate": int((inside & on_site & ~precise).sum()),
        "abandoned": int((inside & on_site & precise & ~active).sum()),
    }
    if not good.any():
        raise NoLabelsError(
            f"no visit gives a labelled cell in {region.name}",
            where="; ".join(f"{count} {reason}" for reason, count in left_out.items()),
            next_step="choose a region that was visited, or another table with LABELS=",
        )
    chosen = sites[good]
    days = [day.date() for day in chosen["visit_date"]]
    positives = make_rows(
        grid.cell_of(lon[good], lat[good]),
        MINE,
        "visit",
        chosen["pcode"].astype(str).tolist(),
        [day.isoformat() for day in days],
        [nearest_season(day, season) for day in days],
        size=workers[good],
    ).drop_duplicates(["cell", "shift"])
    places = np.column_stack([lon, lat, sites["radius_m"].to_numpy(float)])
    # Far-away places cannot disturb the background; near ones outside the region can. A place known
    # only to 5 km is one cell among hundreds: keeping clear of all would leave no river to learn.
    west, south, east, north = shapely.buffer(region.geometry, 0.2).bounds
    near = precise & (lon > west) & (lon < east) & (lat > south) & (lat < north)
    return Labels(positives.reset_index(drop=True), places[near], left_out)
