"""From visits to labelled cells: which cell, which season, and what counts as background.

A visited place is a positive where IPIS stood on it with a GPS. Cells without a visit are not known
to be free of mining, since IPIS is not exhaustive: those far from every visit serve as background,
and the table says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from sklearn.neighbors import BallTree

from pipeline import grid
from pipeline.config import season_windows
from pipeline.errors import NoLabelsError
from pipeline.regions import Region
from pipeline.sites.visits import all_sites

EARTH_RADIUS_M = 6_371_008.8
# Mines reach beyond the point where the visitor stood.
BACKGROUND_DISTANCE_M = 1_000.0


@dataclass(frozen=True)
class VisitLabels:
    """What visits say about the cells of a region.

    Parameters
    ----------
    positives : pandas.DataFrame
        ``cell`` (int64), ``pcode``, ``visit_date`` (ISO) and ``shift`` (years from the configured
        season to the one nearest the visit), one row a visited cell.
    places : numpy.ndarray of float64, shape (n, 3)
        Longitude, latitude and radius in metres of every place that is known by GPS.
    left_out : dict of str to int
        Sites that gave no positive, by reason.
    """

    positives: pd.DataFrame
    places: NDArray[np.float64]
    left_out: dict[str, int]

    def blocks(self, shift: int) -> list[grid.Block]:
        """Blocks that hold a positive of one season."""
        cells = self.positives.loc[self.positives["shift"] == shift, "cell"]
        return sorted({grid.block_of_cell(cell) for cell in cells})

    def background(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which cells lie farther from every known place than it may reach."""
        lon, lat = grid.cell_centres(cells)
        tree = BallTree(np.radians(self.places[:, 1::-1]), metric="haversine")
        reach = (BACKGROUND_DISTANCE_M + self.places[:, 2].max()) / EARTH_RADIUS_M
        near, distances = tree.query_radius(
            np.radians(np.column_stack([lat, lon])), reach, return_distance=True
        )
        return np.array(
            [
                not np.any(away * EARTH_RADIUS_M < BACKGROUND_DISTANCE_M + self.places[index, 2])
                for index, away in zip(near, distances, strict=True)
            ]
        )


def label_visits(visits: pd.DataFrame, region: Region, season: str) -> VisitLabels:
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
    VisitLabels
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
    active = np.ones(len(sites), bool)
    if "workers_numb" in sites:
        active = ~(sites["workers_numb"].astype("Float64") == 0).fillna(False).to_numpy(bool)
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
    positives = pd.DataFrame(
        {
            "cell": grid.cell_of(lon[good], lat[good]),
            "pcode": chosen["pcode"].to_numpy(),
            "visit_date": [day.isoformat() for day in days],
            "shift": [nearest_season(day, season) for day in days],
        }
    ).drop_duplicates(["cell", "shift"])
    places = np.column_stack([lon, lat, sites["radius_m"].to_numpy(float)])
    # Far-away places cannot disturb the background; near ones outside the region can. A place known
    # only to 5 km is one cell among hundreds: keeping clear of all would leave no river to learn.
    west, south, east, north = shapely.buffer(region.geometry, 0.2).bounds
    near = precise & (lon > west) & (lon < east) & (lat > south) & (lat < north)
    return VisitLabels(positives.reset_index(drop=True), places[near], left_out)


def nearest_season(day: date, season: str) -> int:
    """Return by how many years a season must move to lie nearest to a day."""
    if not season:
        return 0
    begin, end = (date.fromisoformat(text) for text in season_windows(season)[-1])
    middle = begin + (end - begin) / 2
    return round((day - middle).days / 365.25)


def shifted(season: str, years: int) -> str:
    """Move a season by whole years."""
    if not season:
        return season
    return re.sub(r"\d{4}(?=-)", lambda year: f"{int(year[0]) + years:04d}", season)
