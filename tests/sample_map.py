"""A joined run, built in code, for the tests of everything that is published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_model import sample_manifest
from scipy.ndimage import gaussian_filter

from models.statement import Statement
from pipeline.config import Config
from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.map.provenance import RunInfo
from pipeline.sites.candidates import Reach, Search, find_candidates

THRESHOLDS = {"possible": 0.25, "likely": 0.6}
HOSTILE = "<script>alert('x')</script>\"; DROP TABLE cells;-- =1+1 ${7*7} \u202eevil"


@dataclass(frozen=True)
class Joined:
    """Stands for ``pipeline.sites.join.Joined``."""

    cells: pd.DataFrame
    sites: gpd.GeoDataFrame | None
    candidates: gpd.GeoDataFrame
    visits: pd.DataFrame | None = None
    answers: pd.DataFrame | None = None
    known_layers: tuple[Any, ...] = ()


def make_joined(
    west: float = 5.8, north: float = 2.3, rows: int = 60, cols: int = 80, seed: int = 1
) -> Joined:
    """Return cells, sites and candidates of an invented landscape of rows x cols cells."""
    rng = np.random.default_rng(seed)
    first = int(grid.cell_of(west + 0.001, north - 0.001))
    number = first + np.arange(rows)[:, None] * grid.CELL_COLUMNS + np.arange(cols)
    rough = gaussian_filter(rng.standard_normal((rows, cols)), 1.5)
    valley = np.exp(-(((np.arange(cols) / cols) * rows - np.arange(rows)[:, None]) ** 2) / 60)
    score = 1 / (1 + np.exp(-(rough * 9 + 4 * valley - 5.5)))
    clear = gaussian_filter(rng.standard_normal((rows, cols)), 6)
    clear = np.round(3 + 1.5 * clear / clear.std(), 1).clip(0, 6)
    score[clear < 1] = np.nan
    return Joined(*_tables(number, score.astype(np.float32), clear.astype(np.float32), rng))


def _tables(number: Any, score: Any, clear: Any, rng: Any) -> tuple[Any, Any, Any]:
    kinds = np.array(["unlikely", "possible", "likely"])
    kind = kinds[np.digitize(np.nan_to_num(score), list(THRESHOLDS.values()))].astype(object)
    kind[np.isnan(score)] = "cannot_tell"
    lon, lat = grid.cell_centres(number.ravel())
    known = rng.choice(number.size, 24, replace=False)
    hot = np.flatnonzero(np.nan_to_num(score.ravel()) > 0.6)
    known[: min(14, len(hot))] = rng.choice(hot, min(14, len(hot)), replace=False)
    sites = _sites(lon[known], lat[known], score.ravel()[known], rng)
    inside = pd.Series(grid.cell_of(sites.geometry.x, sites.geometry.y)).value_counts()
    cells = pd.DataFrame(
        {
            "cell": number.ravel(),
            "probability": score.ravel(),
            "class": kind.ravel(),
            "observed": np.clip(clear.ravel() / 3, 0, 1).astype(np.float32),
            "clear_observations": clear.ravel(),
            "first_image": "2021-12-03",
            "last_image": "2022-02-21",
            "scenes": np.int16(6),
            "in_training": lon < 6.0,
            "nearest_site_km": np.float32(3.2),
        }
    )
    cells["sites"] = cells["cell"].map(inside).fillna(0).astype(np.int16)
    return cells, sites, _candidates(cells)


def _sites(lon: Any, lat: Any, score: Any, rng: Any) -> gpd.GeoDataFrame:
    n = len(lon)
    lon, lat = lon + rng.uniform(-0.002, 0.002, n), lat + rng.uniform(-0.002, 0.002, n)
    table = pd.DataFrame(
        {
            "pcode": [f"codmine{i:05d}" for i in range(n)],
            "name": [HOSTILE, *[f"Mine d'Ékole {i}" for i in range(1, n)]],
            "mineral": rng.choice(["Or", "Cassitérite", "Coltan"], n),
            "visit_date": [f"{2012 + i % 9}-06-{1 + i:02d}" for i in range(n)],
            "visit_year": [2012 + i % 9 for i in range(n)],
            "precision": "gps",
            "province": "Golfe",
            "workers_numb": rng.integers(0, 300, n),
            "armed_group1": "PMH - Elements indisciplines",
            "childunder15": rng.integers(0, 2, n),
            "FID": [f"fid-{i}" for i in range(n)],
            "geom": "POINT (0 0)",
            "matched": np.nan_to_num(score) >= 0.25,
            "distance_km": rng.uniform(0, 5, n).round(2),
            "probability": score,
        }
    )
    return gpd.GeoDataFrame(table, geometry=shapely.points(lon, lat), crs=grid.CRS)


def _candidates(cells: pd.DataFrame) -> gpd.GeoDataFrame:
    reach = Reach(np.array([0.0]), np.array([0.0]), np.array([1.0]), np.array([True]))
    search = Search(THRESHOLDS["likely"], random=3)
    return find_candidates(cells, reach, search)


def make_run(**changes: Any) -> RunInfo:
    """Return what the invented landscape was made from; fields and configuration keys by name."""
    config = Config().with_keys(
        region="demo",
        disclosure=changes.pop("disclosure", "public"),
        map_lang=changes.pop("map_lang", "en"),
        workspace="/home/someone/data",
        labels="/home/someone/visits.csv",
    )
    run = RunInfo(
        run_id="demo-0123456789abcdef",
        region=Region("demo", "Demo landscape", shapely.box(5.8, 2.0, 6.2, 2.3), simulated=True),
        model=sample_manifest(
            "ridge",
            id="demo-ridge",
            bands=["B02", "B03", "B04", "B08", "B11", "B12"],
            scaling={"clip": 0.4, "steps": 0, "floor": 0.0},
            thresholds=THRESHOLDS,
            scores={
                "how": "5 folds by 0.1-degree square, calibrated within them",
                "pooled": {
                    "n": 900,
                    "positives": 40,
                    "prevalence": 0.044,
                    "auc": 0.957,
                    "ap": 0.64,
                },
                "folds": [
                    {"fold": 0, "n": 450, "positives": 22, "auc": 0.951, "ap": 0.62},
                    {"fold": 1, "n": 450, "positives": 18, "auc": None, "ap": 0.66},
                ],
            },
            data={
                "description": "simulated visits of demo-train",
                "sha256": "da" * 32,
                "licence": "Apache-2.0",
                "rows": 900,
                "positives": 40,
            },
            ground={"description": "demo-train", "squares": [[5.8, 2.0, 6.0, 2.3]]},
            secret_path="/home/someone",
        ),
        choice=Statement("the nearest model that fits the imagery"),
        config=config,
        config_hash="0123456789abcdef",
        code_version="0.1.0",
        code_commit="0123456789abcdef0123456789abcdef01234567",
        created="2022-11-05T10:00:00Z",
        tables=[
            {
                "name": "visits",
                "sha256": "5e" * 32,
                "service": "https://example.org/wfs",
                "fetched": "2022-11-01T08:00:00+00:00",
            },
            {"name": "context_titles", "sha256": "7a" * 32},
        ],
        scenes=[
            {
                "id": f"S2A_DEMO_{day.replace('-', '')}",
                "datetime": f"{day}T09:00:00Z",
                "platform": "sentinel-2a",
                "processing_baseline": "03.01" if day < "2022-01-25" else "04.00",
                "offset": 0 if day < "2022-01-25" else -1000,
                "collection": "sentinel-2-l2a",
                "href": "https://example.org/?token=secret",
            }
            for day in ("2021-12-03", "2021-12-23", "2022-01-12", "2022-02-01", "2022-02-21")
        ],
        simulated=True,
        counts={"scenes": 5, "blocks": 12},
        images=("2021-12-03", "2022-02-21"),
    )
    return replace(run, **changes)
