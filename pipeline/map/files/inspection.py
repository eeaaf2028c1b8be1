"""The inspection list: where to go, as CSV, GeoJSON and GPX, and a form to bring answers back.

The columns that a mine site has in the data exchange of the ICGLR's Regional Certification
Mechanism carry that standard's own names (MD.01: ``icglrId``, ``addressCountry``, ``nationalId``,
``certificationStatus``, ``activityStatus``, ``mineral``) and codes, and are empty: a place that a
model suspects is no mine site before somebody was there.

Source: ICGLR, Mining Sector Data Sharing Protocol Standards, MD.01 and MDC.01 to MDC.03,
https://icglr.org/docs/md-01-mine-site.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline.geo import grid
from pipeline.map.editions import PLACE_DECIMALS
from pipeline.map.files.geopackage import dress, write_layers
from pipeline.map.files.qgis import pack_project, printable
from pipeline.map.files.symbology import CANNOT_TELL, INDUSTRIAL, point_rule
from pipeline.map.files.views import LayerView
from pipeline.sites.text_values import plain_text
from pipeline.words.catalogue import languages, say
from pipeline.words.notices import notices

if TYPE_CHECKING:
    from pipeline.map.column_rules import Policy

LAYER = "inspection"
CSV, GEOJSON, GPX, FORM, FORM_PROJECT = (
    "inspection.csv", "inspection.geojson", "inspection.gpx", "inspection.gpkg", "inspection.qgz",
)  # fmt: skip
FILES = (CSV, GEOJSON, GPX, FORM, FORM_PROJECT)
# What the inspector fills in, with the types that QGIS makes its form from.
TO_FILL = {
    "label": "TEXT(16)",
    "date": "DATE",
    "inspector": "TEXT(80)",
    "note": "TEXT(1000)",
    "photo": "TEXT(254)",
    "icglrId": "TEXT(40)",
    "addressCountry": "TEXT(2)",
    "nationalId": "TEXT(80)",
    "certificationStatus": "TEXT(1)",
    "activityStatus": "TEXT(1)",
    "mineral": "TEXT(10)",
}
# Stored value: key of its words. The labels are those that INSPECTIONS reads.
LABELS = {
    "mine": "found_mining",
    "no mine": "found_none",
    "look-alike": "found_alike",
    "cannot tell": "not_reached",
}
CERTIFICATION = {"1": "icglr_green", "2": "icglr_yellow", "3": "icglr_red", "0": "icglr_blue"}
ACTIVITY = {"1": "icglr_active", "2": "icglr_inactive", "0": "icglr_abandoned"}
MINERALS = {
    "7108.12.00": "hs_gold",
    "2609.00.00": "hs_tin",
    "2611.00.00": "hs_tungsten",
    "2615.90.00": "hs_coltan",
}
_LABEL_COLOURS = {
    "mine": "#d7301f", "no mine": "#0868ac", "look-alike": INDUSTRIAL, "cannot tell": CANNOT_TELL,
}  # fmt: skip


def inspection_points(candidates: gpd.GeoDataFrame, edition: str) -> gpd.GeoDataFrame:
    """Return a point for each place to visit, by rank.

    Parameters
    ----------
    candidates : geopandas.GeoDataFrame
        As a product holds them, with ``longitude`` and ``latitude``.
    edition : str
        ``public`` or ``restricted``.

    Returns
    -------
    geopandas.GeoDataFrame
        Its columns that tell where to go and why, as points, EPSG:4326.
    """
    table = pd.DataFrame(candidates.drop(columns="geometry")).assign(edition=edition)
    points = shapely.points(table["longitude"].to_numpy(float), table["latitude"].to_numpy(float))
    told = (
        "rank", "candidate", "kind", "priority", "probability", "low", "high", "area_km2",
        *(f"reasons_{lang}" for lang in languages()), "longitude", "latitude", "edition",
        "simulated",
    )  # fmt: skip
    kept = [name for name in told if name in table]
    return gpd.GeoDataFrame(table[kept], geometry=points, crs=grid.CRS).sort_values("rank")


def write_inspection(
    folder: Path, points: gpd.GeoDataFrame, about: Mapping[str, str], policy: Policy, lang: str
) -> None:
    """Write the list in all its forms.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files are to stand.
    points : geopandas.GeoDataFrame
        As from :func:`inspection_points`.
    about : mapping of str to str
        ``title``, ``words`` (what it says of itself), ``edition``, ``created``, ``run`` and
        ``simulated`` (yes or no).
    policy : mapping
        The columns' rules.
    lang : str
        Language of the form, of :func:`pipeline.words.catalogue.languages`.
    """
    restricted = about["edition"] == "restricted"
    rules = policy[LAYER]
    empty = [name for name in TO_FILL if restricted or rules[name].disclosure == "public"]
    (folder / CSV).write_text(plain_csv(points, empty), encoding="utf-8")
    (folder / GEOJSON).write_text(_geojson(points, empty, about), encoding="utf-8")
    (folder / GPX).write_text(_gpx(points, about, lang), encoding="utf-8")
    _form(folder, points, empty, about, policy, lang)


def plain_csv(table: pd.DataFrame, empty: Sequence[str] = ()) -> str:
    """Return a table as CSV in which nothing is a formula to a spreadsheet.

    Parameters
    ----------
    table : pandas.DataFrame
        A geometry is left out.
    empty : sequence of str, optional
        Further columns without values.

    Returns
    -------
    str
        With a heading.
    """
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    columns = [str(name) for name in table.columns if name != "geometry"]
    writer.writerow([*columns, *empty])
    for row in table[columns].itertuples(index=False):
        writer.writerow([*(_cell(value) for value in row), *[""] * len(empty)])
    return target.getvalue()


def _cell(value: Any) -> Any:
    """Write a value so that no spreadsheet runs it."""
    plain = _plain(value)
    if isinstance(plain, str):
        return plain_text(plain)
    return "" if plain is None else plain


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _geojson(points: gpd.GeoDataFrame, empty: list[str], about: Mapping[str, str]) -> str:
    """Return RFC 7946: WGS 84, longitude first, no ``crs``; what it says of itself as members."""
    columns = [name for name in points.columns if name != "geometry"]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]},
            "properties": row | dict.fromkeys(empty),
        }
        for row in (
            {key: _plain(value) for key, value in one.items()}
            for one in pd.DataFrame(points[columns]).to_dict("records")
        )
    ]
    whole = {"type": "FeatureCollection", "title": about["title"], "about": about["words"]}
    return json.dumps(whole | {"features": features}, ensure_ascii=False, allow_nan=False) + "\n"


def _gpx(points: gpd.GeoDataFrame, about: Mapping[str, str], lang: str) -> str:
    """Return GPX 1.1: a handset shows ``name`` and ``sym``, and ``cmt`` or ``desc`` beside."""

    def text(name: str, value: object) -> str:
        return f"<{name}>{escape(printable(str(value)))}</{name}>"

    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<gpx version="1.1" creator="asm-atlas" xmlns="http://www.topografix.com/GPX/1/1">',
        "<metadata>",
        text("name", about["title"]),
        text("desc", about["words"]),
        text("time", f"{about['created'][:19]}Z"),
        "</metadata>",
    ]
    digits = max(3, len(str(len(points))))
    for row in pd.DataFrame(points.drop(columns="geometry")).to_dict("records"):
        random = row["kind"] == "random"
        short = f"{say('map.score', lang)} {row['probability']:.2f}, {row['area_km2']:.1f} km2"
        lines += [
            f'<wpt lat="{row["latitude"]:.4f}" lon="{row["longitude"]:.4f}">'.replace(
                "-0.0000", "0.0000"
            ),
            text("name", f"{'R' if random else 'C'}{int(row['rank']):0{digits}d}"),
            text("cmt", short),
            text("desc", row[f"reasons_{lang}"]),
            text("sym", "Flag, Blue" if random else "Mine"),
            text("type", say("map.kind_random" if random else "map.kind_candidate", lang)),
            "</wpt>",
        ]
    return "\n".join([*lines, "</gpx>"]) + "\n"


def _form(
    folder: Path,
    points: gpd.GeoDataFrame,
    empty: list[str],
    about: Mapping[str, str],
    policy: Policy,
    lang: str,
) -> None:
    path = folder / FORM
    tags = {"TITLE": about["title"], "DISCLOSURE": about["edition"], "RUN": about["run"]}
    tags |= {"SIMULATED": about["simulated"], "DISCLAIMER": about["words"]}
    words = f"{about['title']}. {about['words']} {say('inspection.how_to_inspect', lang)}"
    write_layers(path, {LAYER: points}, {}, {LAYER: words}, tags, about["created"])
    with closing(sqlite3.connect(path)) as base, base:
        for name in empty:
            base.execute(f'ALTER TABLE "{LAYER}" ADD COLUMN "{name}" {TO_FILL[name]}')
    told = [str(name) for name in points.columns if name != "geometry"]
    west, south, east, north = points.total_bounds if len(points) else (0, 0, 0, 0)

    def values(keys: Mapping[str, str]) -> dict[str, str]:
        return {value: say(f"inspection.{key}", lang) for value, key in keys.items()}

    labels = values(LABELS)
    not_yet = '"label" IS NULL OR "label" = \'\''
    view = LayerView(
        name=LAYER,
        title=say(f"layers.{LAYER}", lang),
        columns=[*told, *empty],
        aliases={name: policy[LAYER][name].alias(lang) for name in [*told, *empty]},
        rules=[
            point_rule(say("inspection.not_visited", lang), not_yet, "#e6a700"),
            *(point_rule(labels[name], f"\"label\" = '{name}'", colour)
              for name, colour in _LABEL_COLOURS.items()),
        ],
        extent=(float(west), float(south), float(east), float(north)),
        visible=True,
        label="rank",
        sort='"rank"',
        widgets={
            "label": labels, "date": "date", "note": "long", "photo": "file",
            "certificationStatus": values(CERTIFICATION), "activityStatus": values(ACTIVITY),
            "mineral": values(MINERALS),
        },
        locked=told,
    )  # fmt: skip
    notes = {name: row.note for name, row in policy[LAYER].items()}
    project = pack_project(
        title=f"{about['title']} – {view.title}",
        words="\n".join(notices(lang, about["simulated"] == "yes")),
        abstract=words,
        rights=say(f"editions.{about['edition']}", lang),
        lang=lang,
        identifier=about["run"],
        created=about["created"],
        geopackage=FORM,
        bounds=(float(west), float(south), float(east), float(north)),
        layers=[view],
        groups=[{"title": say("groups.inspect", lang), "layers": [view]}],
        decimals=PLACE_DECIMALS[about["edition"]],
    )
    dress(path, [view], {LAYER: notes}, project, "map", about["created"])
    (folder / FORM_PROJECT).write_bytes(project)


def read_inspection(folder: Path) -> dict[str, tuple[list[str], np.ndarray[Any, Any]]]:
    """Open the list again and return of each file its columns and coordinates.

    Parameters
    ----------
    folder : pathlib.Path
        Where :func:`write_inspection` wrote.

    Returns
    -------
    dict
        File name: columns, and longitudes and latitudes, shape (n, 2).
    """
    import pyogrio

    table = pd.read_csv(folder / CSV)
    places = {CSV: (list(table.columns), table[["longitude", "latitude"]].to_numpy(float))}
    collection = json.loads((folder / GEOJSON).read_text(encoding="utf-8"))["features"]
    names = list(collection[0]["properties"]) if collection else []
    spots = [feature["geometry"]["coordinates"] for feature in collection]
    places[GEOJSON] = names, np.array(spots, float).reshape(-1, 2)
    form = pyogrio.read_dataframe(folder / FORM, layer=LAYER)
    columns = [str(name) for name in form.columns if name != "geometry"]
    places[FORM] = columns, shapely.get_coordinates(form.geometry)
    marks = pyogrio.read_dataframe(folder / GPX, layer="waypoints") if len(form) else form
    places[GPX] = [], shapely.get_coordinates(marks.geometry)
    return places
