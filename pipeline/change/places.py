"""Places of change: neighbouring cells that are new, stay or fade, as one thing to look at."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline.change.naming import FADING, NEW, PERSISTING
from pipeline.geo import grid
from pipeline.geo.distance import cell_area_km2
from pipeline.sites.clusters import connected_clusters, split_clusters

GROWING = "growing"
PLACE_WORDS = (NEW, GROWING, FADING, PERSISTING)
COLUMNS = (
    "place", "change_class", "cells", "new_cells", "persisting_cells", "fading_cells", "area_km2",
    "probability_from", "probability_to", "first_image_from", "last_image_from", "first_image_to",
    "last_image_to", "cell",
)  # fmt: skip


def find_places(cells: pd.DataFrame) -> gpd.GeoDataFrame:
    """Join the cells where mining was seen in either season to places, and name them.

    Parameters
    ----------
    cells : pandas.DataFrame
        As ``name_cells`` gives them.

    Returns
    -------
    geopandas.GeoDataFrame
        ``COLUMNS`` and outlines, EPSG:4326, one row a place: cells that touch, corners included, in
        parts of 36 at most, as candidates are. A place is ``new`` if all its cells are; ``growing``
        if new cells lie beside such that were there before; ``fading`` if all that was there fades;
        else ``persisting``. Probabilities are the highest of its cells, ``cell`` the one that they
        are highest in. New places come first, then by their probability.
    """
    called = cells[cells["change_class"].isin([NEW, PERSISTING, FADING])].sort_values("cell")
    ids = called["cell"].to_numpy(np.int64)
    score = called[["probability_from", "probability_to"]].max(axis=1).to_numpy(float)
    called = called.assign(
        place=split_clusters(ids, connected_clusters(ids), score),
        score=score,
        area=cell_area_km2(ids),
    )
    for word in (NEW, PERSISTING, FADING):
        called[f"{word}_cells"] = (called["change_class"] == word).astype(int)
    rules = {
        **dict.fromkeys(("new_cells", "persisting_cells", "fading_cells"), "sum"),
        **dict.fromkeys(("probability_from", "probability_to"), "max"),
        **dict.fromkeys(("first_image_from", "first_image_to"), "min"),
        **dict.fromkeys(("last_image_from", "last_image_to"), "max"),
    }
    groups = called.groupby("place", sort=True)
    found = groups.agg(rules)
    found["cells"], found["area_km2"] = groups.size(), groups["area"].sum().round(3)
    found["cell"] = called.sort_values("score").groupby("place")["cell"].last()
    old = found["persisting_cells"] + found["fading_cells"]
    found["change_class"] = np.select(
        [old == 0, found["new_cells"] > 0, found["persisting_cells"] == 0],
        [NEW, GROWING, FADING],
        default=PERSISTING,
    )
    squares = shapely.box(*grid.cell_bounds(ids))
    outlines = [shapely.union_all(squares[rows]) for _, rows in sorted(groups.indices.items())]
    found = found.reset_index()
    frame = gpd.GeoDataFrame(found, geometry=outlines, crs=grid.CRS)
    order = pd.Categorical(frame["change_class"], categories=list(PLACE_WORDS)).codes
    strength = np.where(
        frame["change_class"] == FADING, frame["probability_from"], frame["probability_to"]
    )
    frame = frame.iloc[np.lexsort((-strength, order))].reset_index(drop=True)
    frame["place"] = np.arange(1, len(frame) + 1)
    return frame[[*COLUMNS, "geometry"]]
