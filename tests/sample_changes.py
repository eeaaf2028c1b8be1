"""What changed between two seasons of an invented region, built in code."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_layers import AREAS, box, declare, layer

from pipeline.change.layers import Changes
from pipeline.change.naming import name_cells
from pipeline.change.places import find_places
from pipeline.geo import grid
from pipeline.sites.join import Joined

THRESHOLDS = {"possible": 0.25, "likely": 0.6}
SEASONS = ("2020-12..2021-02", "2021-12..2022-02")


def make_changes(folder: Path) -> Changes:
    """A region of 20 x 20 cells: a new mine, one that grows, one that stays, one that fades."""
    first = int(grid.cell_of(5.901, 2.099))
    number = (first + np.arange(20)[:, None] * grid.CELL_COLUMNS + np.arange(20)).ravel()
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"cell": number, "change": rng.normal(0, 0.3, 400)})
    for season, day in (("from", "2020-12-06"), ("to", "2021-12-03")):
        last = f"{int(day[:4]) + 1}-02-21"
        told = {
            "probability": 0.01, "low": 0.005, "high": 0.02, "dissimilarity": 0.4, "observed": 1.0,
            "clear_observations": 4.0, "first_image": day, "last_image": last,
        }  # fmt: skip
        rows = rows.assign(**{f"{name}_{season}": value for name, value in told.items()})
    at = {"new": [22], "fading": [315], "old": [90, 227], "grown": [91], "fog": [399]}
    rows.loc[at["new"] + at["grown"], ["probability_to", "change"]] = 0.9, 7.0
    rows.loc[at["old"], ["probability_from", "probability_to"]] = 0.9
    rows.loc[at["fading"], ["probability_from", "change"]] = 0.9, -7.0
    rows.loc[at["fog"], ["probability_to", "change", "first_image_to", "last_image_to"]] = None
    rows["change_low"], rows["change_high"] = rows["change"] - 0.5, rows["change"] + 0.5
    cells = name_cells(rows, THRESHOLDS)
    sites = gpd.GeoDataFrame(
        {"pcode": ["m1"]}, geometry=[shapely.Point(5.9125, 2.0925)], crs="EPSG:4326"
    )
    zones = layer(folder, declare(AREAS, id="title"), [box(5.9, 2.05, 0.05), box(7.0, 3.0, 0.1)])
    kept = []
    for season, text in (("from", SEASONS[0]), ("to", SEASONS[1])):
        part = {name: cells[f"{name}_{season}"] for name in
                ("probability", "low", "high", "first_image", "last_image")}  # fmt: skip
        named = np.where(part["probability"] > 0.6, "likely", "unlikely")
        named = np.where(part["probability"].isna(), "cannot_tell", named)
        kept.append(pd.DataFrame({"cell": number, "season": text, **part, "class": named}))
    places = find_places(cells).rename(columns={"place": "candidate"})
    joined = Joined(cells, sites, places, known_layers=[zones])
    return Changes(joined, pd.concat(kept, ignore_index=True), SEASONS)
