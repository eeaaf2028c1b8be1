"""A table of visits to the simulated mines in the form of IPIS's open data."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.frame import PIXEL_METRES, Frame
from pipeline.demo.mines import Mine

_ARMED = (
    "armed_group",
    "type_armed_group",
    "frequency_armed_group",
    "taxation_armed_group",
    "commerce_taxation_armed_group",
    "entrance_taxation_armed_group",
    "monopoly_armed_group",
    "buying_minerals_armed_group",
    "digging_armed_group",
    "forced_labour_armed_group",
    "pillaging_armed_group",
    "pit_ownership_armed_group",
)
COLUMNS = (
    *("FID", "vid", "cid", "id", "source", "project", "pcode", "name", "visit_date"),
    *("visit_onsite", "visit_onsite_novisitreason", "geom", "longitude", "latitude"),
    *("location_origin", "province", "province_old", "territoire", "collectivite"),
    *("groupement", "village", "workers_numb", "access_dry", "access_wet"),
    *("is_3t_mine", "is_gold_mine"),
    *(
        f"{stem}{k}"
        for k in (1, 2, 3)
        for stem in ("mineral", "selling_points_mineral", "final_destination_mineral")
    ),
    *("mercury", "presence", "interference"),
    *(f"{stem}{k}" for k in (1, 2, 3) for stem in _ARMED),
    "mechanisation",
    *(f"state_service{k}" for k in (1, 2, 3, 4)),
    *("traceability", "qualification", "childunder15", "childunder15work"),
    *("women", "womenwork"),
)
_SEASON_MIDDLE = date(2022, 1, 15)
_WORK = (
    "Creuser, Lavage",
    "Lavage",
    "Creuser, Transport des minerais",
    "Creuser, Lavage, Concassage",
)


def build_visits(
    rng: np.random.Generator, frame: Frame, mines: list[Mine]
) -> tuple[list[dict[str, Any]], NDArray[np.bool_]]:
    """Invent visits: incomplete, imprecise, and more likely where a mine is large.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    frame : Frame
        Turns pixels into degrees.
    mines : list of Mine
        The true mines.

    Returns
    -------
    list of dict
        One row a visit, in time order; columns that are null are left out.
    numpy.ndarray of bool, shape (len(mines),)
        Which mines were visited at their site.
    """
    rows: list[dict[str, Any]] = []
    visited = np.zeros(len(mines), bool)
    site = 0
    for index, mine in enumerate(mines):
        chance = 0.75 if mine.area_ha >= 0.5 else 0.4
        if rng.random() > chance:
            continue
        # Large workings are several sites to those who work there.
        for _ in range(1 + sum(mine.area_ha > size for size in (1, 2, 3.5, 5, 8, 12, 18))):
            site += 1
            point, origin = _location(rng, mine)
            lon, lat = frame.transform @ (float(point[0]), float(point[1]))
            place = _place_columns(site, lon, lat, origin, rng)
            dates = sorted(_dates(rng, 1 + int(rng.random() < 0.22) + int(rng.random() < 0.08)))
            for when in dates:
                row = {**place, **_visit_columns(rng, when, mine)}
                visited[index] |= row["visit_onsite"] == 1
                rows.append(row)
    rows.sort(key=lambda row: (row["visit_date"], row["pcode"]))
    for number, row in enumerate(rows, 1):
        row.update(vid=number, cid=number, FID=f"simulated_mines_opendata_p_ipis.{number}")
    return rows, visited


def write_visits(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write visits as UTF-8 CSV with IPIS's columns in IPIS's order."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _location(rng: np.random.Generator, mine: Mine) -> tuple[NDArray[np.float64], str]:
    """Draw where the visitor's position was taken, in pixels, and how."""
    turn = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(turn), np.sin(turn)])
    if rng.random() < 0.1:
        # Taken from a map or from the nearest village.
        centre = np.array(mine.shape.centroid.coords[0])
        return centre + away * rng.uniform(500, 2000) / PIXEL_METRES, "Approximation"
    parts = getattr(mine.shape, "geoms", [mine.shape])
    part = max(parts, key=lambda geometry: float(geometry.area))
    # People stand at the edge of the workings, or by the camp beside them.
    edge = part.exterior.interpolate(rng.random(), normalized=True)
    centre = np.array(part.centroid.coords[0])
    point = centre + rng.uniform(0.2, 1.0) * (np.array([edge.x, edge.y]) - centre)
    if rng.random() < 0.2:
        point = point + away * rng.uniform(20, 90) / PIXEL_METRES
    spread = rng.normal(0, 12, 2) / PIXEL_METRES
    return point + spread, str(rng.choice(["GPS", "GPS "], p=[0.97, 0.03]))


def _dates(rng: np.random.Generator, count: int) -> list[date]:
    """Draw dates, most of them within a year of the season, some of them known by year only."""
    dates = []
    for _ in range(count):
        if rng.random() < 0.75:
            when = _SEASON_MIDDLE + timedelta(days=int(rng.normal(0, 120)))
        else:
            when = date(2019, 1, 1) + timedelta(days=int(rng.integers(0, 1460)))
        when = min(max(when, date(2019, 1, 2)), date(2022, 12, 30))
        dates.append(date(when.year, 1, 1) if rng.random() < 0.04 else when)
    return dates


def _place_columns(
    site: int, lon: float, lat: float, origin: str, rng: np.random.Generator
) -> dict[str, Any]:
    gold = rng.random() < 0.75
    mineral = "Or" if gold else str(rng.choice(["Cassitérite", "Coltan", "Diamant"]))
    west = "Ouest" if lon < 6 else "Est"
    town = f"Bourg simulé {int(rng.integers(1, 6))}"
    return {
        "id": site,
        "source": "IPIS",
        "pcode": f"simmine{site:05d}",
        "name": f"Simulé {site:03d}",
        "geom": f"POINT ({lon:.8f} {lat:.8f})",
        "longitude": f"{lon:.8f}",
        "latitude": f"{lat:.8f}",
        "location_origin": origin,
        "province": f"Simulée {west}",
        "province_old": "Simulée",
        "territoire": f"Territoire simulé {west}",
        "collectivite": f"Collectivité simulée {int(rng.integers(1, 5))}",
        "groupement": f"Groupement simulé {int(rng.integers(1, 9))}",
        "village": f"Village simulé {int(rng.integers(1, 96))}",
        "is_3t_mine": int(mineral in ("Cassitérite", "Coltan")),
        "is_gold_mine": int(gold),
        "mineral1": mineral,
        "selling_points_mineral1": town,
        "final_destination_mineral1": "Ville simulée",
        **({"mineral2": "Or"} if not gold and rng.random() < 0.1 else {}),
    }


def _visit_columns(rng: np.random.Generator, when: date, mine: Mine) -> dict[str, Any]:
    onsite = rng.random() > 0.12
    row: dict[str, Any] = {
        "project": f"IPIS - {when.year}",
        "visit_date": when.isoformat(),
        "visit_onsite": int(onsite),
        "presence": 0,
        "interference": 0,
        **{f"type_armed_group{k}": "Aucun" for k in (1, 2, 3)},
    }
    if not onsite:
        reasons = ["Distance", "Conditions climatiques", "Activités minières suspendues"]
        row["visit_onsite_novisitreason"] = str(rng.choice(reasons))
        return row
    closed = (mine.kind == "abandoned" and rng.random() < 0.8) or rng.random() < 0.04
    workers = int(5 * round(float(np.exp(rng.normal(2.6 + 0.5 * np.log1p(mine.area_ha), 0.6))) / 5))
    row.update(
        workers_numb=0 if closed else max(5, workers),
        access_dry=str(rng.choice(["less2h", "more2h", "carmoto"])),
        mechanisation=str(rng.choice(["Bas", "Moyen", "Haut"], p=[0.4, 0.45, 0.15])),
        childunder15=int(rng.random() < 0.3),
        women=int(rng.random() < 0.4),
    )
    if rng.random() < 0.7:
        row["mercury"] = int(rng.random() < 0.4)
        row["access_wet"] = str(rng.choice(["less2h", "more2h"]))
    if rng.random() < 0.6:
        row["state_service1"] = "SAESSCAM"
    if rng.random() < 0.4:
        row["state_service2"] = "Division des mines"
    for flag, column in (("childunder15", "childunder15work"), ("women", "womenwork")):
        if row[flag]:
            row[column] = str(rng.choice(_WORK))
    return row
