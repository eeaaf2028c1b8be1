"""Candidates: clusters of likely mining that no known site explains, ranked, with the reasons.

Cells that touch, corners included, and are at least possible make a cluster; it counts if one of
its cells is likely. Clusters too large for one visit are cut into parts
(:mod:`pipeline.sites.clusters`). A cluster in reach of a site whose place is known by GPS is that
site, not a candidate. A site whose place is only known to some kilometres cannot be told to be this
cluster rather than its neighbour: the cluster stays, marked by ``known_sites``, and counts for
less.

A cell that stands alone needs more evidence: the odds of its score must be twice those at the
threshold of likely. In a cluster the neighbours, judged from other pixels, say the same; evidence
multiplies odds, so a lone cell has to bring the neighbour's share itself.

With the candidates comes a random sample of cells below possible: visits to what the map suspects
measure false alarms, and only visits to what it does not suspect measure what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.geo import grid
from pipeline.geo.distance import CellIndex
from pipeline.sites.candidate_columns import COLUMNS, describe_clusters, no_candidates
from pipeline.sites.clusters import MOST_CELLS, connected_clusters, split_clusters
from pipeline.sites.matching import TOLERANCE_KM
from pipeline.sites.ranking import CANDIDATE, COMPARED, NO_TABLE, RANDOM, rank_candidates
from pipeline.sites.visits import PRECISION_RADIUS_M

LONE_ODDS = 2.0


@dataclass(frozen=True)
class Reach:
    """Known sites and how far each may truly lie from where the table puts it.

    Parameters
    ----------
    lon, lat : numpy.ndarray of float64, shape (n,)
        Degrees, EPSG:4326.
    radius_km : numpy.ndarray of float64, shape (n,)
        Radius of the location plus the tolerance of the join.
    exact : numpy.ndarray of bool, shape (n,)
        Whether the place was fixed by GPS.
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    radius_km: NDArray[np.float64]
    exact: NDArray[np.bool_]


def reach_of(sites: gpd.GeoDataFrame, tolerance_km: float = TOLERANCE_KM) -> Reach:
    """Return how far sites may truly lie from where their table puts them.

    Parameters
    ----------
    sites : geopandas.GeoDataFrame
        Points with ``precision``.
    tolerance_km : float, optional
        Of the join, kilometres.

    Returns
    -------
    Reach
        Of each site.
    """
    points = sites.geometry
    radius_km = sites["precision"].map(PRECISION_RADIUS_M).to_numpy(float) / 1000 + tolerance_km
    exact = (sites["precision"] == "gps").to_numpy()
    return Reach(points.x.to_numpy(), points.y.to_numpy(), radius_km, exact)


@dataclass(frozen=True)
class Search:
    """How candidates are looked for.

    Parameters
    ----------
    likely : float
        The model's threshold of likely, which lone cells are held against.
    most_cells : int
        Cells of a candidate at most.
    random : int
        Cells below possible to draw.
    seed : int
        Of the drawing.
    squares : bool
        Draw whole squares of the public map, all of whose cells are below possible, each with its
        strongest cell.
    """

    likely: float = 0.5
    most_cells: int = MOST_CELLS
    random: int = 0
    seed: int = 1
    squares: bool = False


def find_candidates(
    cells: pd.DataFrame, reach: Reach | None, search: Search | None = None
) -> gpd.GeoDataFrame:
    """Cluster the cells and rank the clusters that no known site explains.

    Parameters
    ----------
    cells : pandas.DataFrame
        Columns ``cell``, ``probability``, ``class``, ``clear_observations``, ``in_training`` and
        ``nearest_site_km``, one row a cell; and, where the model says them, ``low``, ``high``,
        ``labels``, ``dissimilarity``, ``dispute`` and ``applicable``.
    reach : Reach or None
        The known sites, also those beyond the region; None: no table was given.
    search : Search, optional
        How to look; default: no random sample.

    Returns
    -------
    geopandas.GeoDataFrame
        The columns of :mod:`pipeline.sites.candidate_columns` and polygons in EPSG:4326;
        ``candidate`` numbers them from the north-west, and the random sample after them in the
        order drawn; ``kind`` is ``candidate`` or ``random``; ``part_of`` numbers the large cluster
        that a part was cut from, 0: it is a whole one; ``cell`` is the strongest cell. Ordered by
        rank, without any context layer (:func:`pipeline.sites.ranking.rank_candidates`).
    """
    search = search or Search()
    part = _clustered(cells, search)
    exact, vague = _sites_of(part, reach)
    part = part[~part["cluster"].isin(exact["cluster"])]
    drawn = _drawn(cells, search)
    first = int(part["cluster"].max()) + 1 if len(part) else 0
    drawn = drawn.assign(cluster=first + np.arange(len(drawn)))
    both = pd.concat([one for one in (part, drawn) if len(one)] or [part], ignore_index=True)
    if both.empty:
        return no_candidates()
    found = describe_clusters(both, vague)
    squares = shapely.box(*grid.cell_bounds(both["cell"].to_numpy(np.int64)))
    groups = both.groupby("cluster", sort=True).indices
    outlines = [shapely.union_all(squares[rows]) for _, rows in sorted(groups.items())]
    frame = gpd.GeoDataFrame(found, geometry=outlines, crs=grid.CRS)
    ranked = rank_candidates(frame, (), NO_TABLE if reach is None else COMPARED)
    return ranked[[*COLUMNS, "geometry"]]


def _sites_of(part: pd.DataFrame, reach: Reach | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs (cluster, site) in reach: of sites known by GPS, and of the others."""
    if reach is None or part.empty:
        pairs = pd.DataFrame(
            {"cluster": pd.Series(dtype="int64"), "site": pd.Series(dtype="int64")}
        )
        return pairs, pairs
    squares = CellIndex(part["cell"].to_numpy(np.int64))
    sites, cells = squares.within(reach.lon, reach.lat, reach.radius_km)
    pairs = pd.DataFrame({"cluster": part["cluster"].to_numpy()[cells], "site": sites})
    exact = reach.exact[sites]
    return pairs[exact], pairs[~exact]


def _clustered(cells: pd.DataFrame, search: Search) -> pd.DataFrame:
    """Return the cells of the clusters and parts that count, each with its ``cluster``."""
    part = cells[cells["class"].isin(["likely", "possible"])].sort_values("cell")
    ids = part["cell"].to_numpy(np.int64)
    whole = connected_clusters(ids)
    likely = (part["class"] == "likely").to_numpy()
    size = np.bincount(whole) if len(ids) else np.empty(0, np.int64)
    # In the score's own precision, as the classes are told apart.
    enough = part["probability"].to_numpy(np.float32) >= np.float32(lone_threshold(search.likely))
    counts = np.isin(whole, whole[likely & (enough | (size[whole] > 1))])
    part, ids, whole, likely = part[counts], ids[counts], whole[counts], likely[counts]
    large = size[whole] > search.most_cells
    number = np.unique(whole[large], return_inverse=True)[1]
    from_large = np.zeros(len(ids), np.int64)
    from_large[large] = number + 1
    return part.assign(
        cluster=split_clusters(ids, whole, part["probability"].to_numpy(float), search.most_cells),
        part_of=from_large, likely=likely, kind=CANDIDATE,
    )  # fmt: skip


def lone_threshold(likely: float) -> float:
    """Return the score from which a cell without neighbours counts.

    Parameters
    ----------
    likely : float
        The model's threshold of likely, 0 to 1.

    Returns
    -------
    float
        The score whose odds are ``LONE_ODDS`` times those of the threshold.
    """
    return LONE_ODDS * likely / (1 + (LONE_ODDS - 1) * likely)


def _drawn(cells: pd.DataFrame, search: Search) -> pd.DataFrame:
    """Draw observed cells below possible, in random order."""
    frame = _unsuspected_squares(cells) if search.squares else cells[cells["class"] == "unlikely"]
    frame = frame.sort_values("cell")
    rng = np.random.default_rng(search.seed)
    chosen = rng.choice(len(frame), min(search.random, len(frame)), replace=False)
    return frame.iloc[chosen].assign(part_of=0, likely=False, kind=RANDOM)


def _unsuspected_squares(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the strongest cell of each coarse square that holds no cell from possible on."""
    square = pd.Series(grid.coarse_cell_of(cells["cell"]), index=cells.index)
    suspected = square[~cells["class"].isin(["unlikely", "cannot_tell"])]
    frame = cells[(cells["class"] == "unlikely") & ~square.isin(suspected)]
    strongest = frame.sort_values(["probability", "cell"], ascending=[False, True], kind="stable")
    return strongest[~square[strongest.index].duplicated()]
