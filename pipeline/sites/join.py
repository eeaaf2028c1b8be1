"""Predictions and known sites, side by side: what matches and what does not, on both sides.

IPIS is not exhaustive, so a cell without a site is unlabelled, not wrong; and a map cannot tell
everywhere, so a site outside the map is not missed. Every site that goes in comes out once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from models.sphere import PointIndex
from pipeline.classes import CALLED, CANNOT_TELL, INDUSTRIAL, classify
from pipeline.geo import grid
from pipeline.geo.distance import CellIndex
from pipeline.geo.regions import Region
from pipeline.sites.candidates import Search, find_candidates, reach_of
from pipeline.sites.layers.attach import in_industrial
from pipeline.sites.layers.layer import KnownLayer
from pipeline.sites.matching import TOLERANCE_KM, visit_age
from pipeline.sites.scorecard import score_sites, with_status
from pipeline.sites.visits import all_sites
from pipeline.words.catalogue import ENGLISH

_NEEDED = (
    "cell",
    "probability",
    "observed",
    "clear_observations",
    "first_image",
    "last_image",
    "scenes",
    "in_training",
)


@dataclass(frozen=True)
class Joined:
    """A run's result, joined with what is known on the ground.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row a cell of the region: the predictions' columns, ``class`` (of
        ``pipeline.classes``, or ``industrial``: would be likely or possible, and lies in an
        industrial mine), ``sites``
        (int16, known sites in it) and ``nearest_site_km`` (float32, NaN without sites).
    sites : geopandas.GeoDataFrame or None
        Points, EPSG:4326, one row a known site of the region: every column of its latest on-site
        visit, ``mineral``, ``visit_year``, ``precision``, ``on_site``, ``matched`` (bool),
        ``distance_km`` to the nearest likely or possible cell (0 inside; NaN without any),
        ``probability`` (the highest within the location's radius; NaN where the map cannot tell),
        ``cell_class`` (of the cell that holds it, or "not_mapped"), ``in_training``,
        ``visit_age_years`` (from the visit to the newest image) and the scorecard's levels (see
        :mod:`pipeline.sites.scorecard`). None: no table was given.
    candidates : geopandas.GeoDataFrame
        See :func:`pipeline.sites.candidates.find_candidates`.
    visits : pandas.DataFrame or None
        Every visit to, and record of, the listed sites.
    answers : pandas.DataFrame or None
        The answers that made the levels.
    known_layers : sequence of KnownLayer
        What else is known about the ground.
    """

    cells: pd.DataFrame
    sites: gpd.GeoDataFrame | None
    candidates: gpd.GeoDataFrame
    visits: pd.DataFrame | None = None
    answers: pd.DataFrame | None = None
    known_layers: Sequence[KnownLayer] = ()


def join_cells(
    predictions: pd.DataFrame,
    visits: pd.DataFrame | None,
    region: Region,
    thresholds: Mapping[str, float],
    tolerance_km: float = TOLERANCE_KM,
    layers: Sequence[KnownLayer] = (),
    lang: str = ENGLISH,
    random_places: int = 0,
    seed: int = 1,
) -> Joined:
    """Join a region's predictions with the table of visits.

    A site matches if a likely or possible cell lies within the radius of its location (see
    :data:`pipeline.sites.visits.PRECISION_RADIUS_M`) plus the tolerance. Sites beyond the region's
    border count for distances and for candidates, and are not listed.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns ``cell, probability`` (NaN: cannot tell) ``, observed, clear_observations,
        first_image, last_image, scenes, in_training``; each cell once.
    visits : pandas.DataFrame or None
        As from :func:`pipeline.sites.visits.read_visits`.
    region : Region
        The ground that was asked for.
    thresholds : mapping
        ``possible`` and ``likely``, probabilities from the model's manifest.
    tolerance_km : float, optional
        Kilometres.
    layers : sequence of KnownLayer, optional
        Those that are industrial tell industrial pits apart; the columns of all are added when a
        map is made (``pipeline.sites.layers.attach``).
    lang : str, optional
        Language of the scorecard's reasons.
    random_places : int, optional
        Cells below possible to draw for visits.
    seed : int, optional
        Of the drawing.

    Returns
    -------
    Joined
        Cells, sites and candidates.

    Raises
    ------
    ValueError
        If a column is missing, a cell stands there twice, or the thresholds are not in order.
    """
    cells = _classified(predictions, thresholds)
    search = Search(float(thresholds["likely"]), random=random_places, seed=seed)
    ids = cells["cell"].to_numpy(np.int64)
    called = cells["class"].isin(CALLED).to_numpy()
    cells.loc[called & in_industrial(ids, layers), "class"] = INDUSTRIAL
    if visits is None:
        cells = cells.assign(sites=np.int16(0), nearest_site_km=np.float32(np.nan))
        return Joined(cells, None, find_candidates(cells, None, search), known_layers=layers)
    sites = site_points(all_sites(visits))
    reach = reach_of(sites, tolerance_km)
    owners = grid.cell_of(reach.lon, reach.lat)
    inside = pd.Series(owners).value_counts().reindex(ids, fill_value=0).to_numpy()
    nearest = PointIndex(reach.lon, reach.lat).nearest(*grid.cell_centres(ids))[1]
    cells = cells.assign(
        sites=np.minimum(inside, np.iinfo(np.int16).max).astype(np.int16),
        nearest_site_km=np.where(inside > 0, 0.0, nearest).astype(np.float32),
    )
    here = np.isin(owners, ids) | shapely.contains_xy(region.geometry, reach.lon, reach.lat)
    listed = with_status(_matched_sites(sites[here], cells, tolerance_km), visits)
    levels, answers = score_sites(listed, lang)
    listed = gpd.GeoDataFrame(pd.concat([listed, levels], axis=1), crs=grid.CRS)
    records = visits[visits["pcode"].isin(listed["pcode"])].reset_index(drop=True)
    candidates = find_candidates(cells, reach, search)
    return Joined(cells, listed, candidates, records, answers, layers)


def site_points(sites: pd.DataFrame) -> gpd.GeoDataFrame:
    """Give the sites of a table of visits their points, ``mineral`` and ``mineral_code``."""
    points = gpd.points_from_xy(sites["longitude"], sites["latitude"])
    named = sites.assign(mineral=sites["mineral1"], mineral_code=sites["mineral1_code"])
    return gpd.GeoDataFrame(named, geometry=points, crs=grid.CRS)


def _classified(predictions: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    missing = [name for name in _NEEDED if name not in predictions]
    if missing:
        raise ValueError(f"the predictions lack {', '.join(missing)}")
    if predictions["cell"].duplicated().any():
        raise ValueError("a cell stands twice in the predictions")
    cells = predictions.sort_values("cell").reset_index(drop=True)
    cells["probability"] = cells["probability"].astype(np.float32)
    named = classify(cells["probability"], thresholds, cells.get("dissimilarity"))
    return cells.assign(**{"class": pd.Series(named, dtype="str")})


def _matched_sites(
    sites: gpd.GeoDataFrame, cells: pd.DataFrame, tolerance: float
) -> gpd.GeoDataFrame:
    lon, lat = sites["longitude"].to_numpy(float), sites["latitude"].to_numpy(float)
    radius_km = sites["radius_m"].to_numpy(float) / 1000
    ids = cells["cell"].to_numpy(np.int64)
    called = cells["class"].isin([*CALLED, INDUSTRIAL]).to_numpy()
    distance = CellIndex(ids[called]).nearest(lon, lat)[1]
    known = (cells["class"] != CANNOT_TELL).to_numpy()
    at, cell = CellIndex(ids[known]).within(lon, lat, radius_km)
    around = pd.Series(cells["probability"].to_numpy(float)[known][cell]).groupby(at).max()
    own = grid.cell_of(lon, lat)
    owner = pd.Series(cells["class"].to_numpy(), index=ids).reindex(own)
    trained = pd.Series(cells["in_training"].to_numpy(bool), index=ids).reindex(own)
    newest = cells["last_image"].dropna().astype(str).max()
    sites = sites.reset_index(drop=True)
    return sites.assign(
        matched=distance <= radius_km + tolerance,
        distance_km=distance,
        probability=around.reindex(sites.index).to_numpy(float),
        cell_class=owner.fillna("not_mapped").to_numpy(),
        in_training=trained.astype("boolean").fillna(False).to_numpy(bool),
        visit_age_years=np.nan if newest != newest else visit_age(sites["visit_date"], newest),
    )
