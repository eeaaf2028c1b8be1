"""Somebody else's detections, joined with the known sites both ways.

Any points or polygons will do: another model's map, a hand-drawn inventory. What is detected is not
yet mining, and what is not detected may still be a mine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio

from pipeline.config import Config
from pipeline.errors import ConfigError, InputFileError
from pipeline.geo.distance import nearest_shape
from pipeline.geo.geopackage import FEATURE_ID, GEOMETRY, VERSION, column_names
from pipeline.geo.vector_files import read_vector
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_file, whole_folder, write_json
from pipeline.sites.join import site_points
from pipeline.sites.service import is_address
from pipeline.sites.text_values import plain_text
from pipeline.sites.visits import all_sites, read_visits, visits_file

# What IPIS itself publishes of a site, and what the join adds.
PUBLIC_SITE_COLUMNS = (
    "pcode",
    "name",
    "mineral",
    "visit_year",
    "precision",
    "longitude",
    "latitude",
    "matched",
    "distance_km",
    "nearest_detection",
)
_FILES = {"join.gpkg", "join.json", "sites.csv", "detections.csv"}


@dataclass(frozen=True)
class DetectionJoin:
    """Detections and known sites, joined both ways.

    Parameters
    ----------
    detections : geopandas.GeoDataFrame
        Every detection with ``matched`` (bool), ``distance_km`` (NaN without any site) and
        ``nearest_pcode``.
    sites : geopandas.GeoDataFrame
        Every known site as a point with ``matched``, ``distance_km`` and ``nearest_detection``
        (row of the detections, from 0; -1 without any).
    tolerance_km : float
        A pair at most this far apart matches.
    """

    detections: gpd.GeoDataFrame
    sites: gpd.GeoDataFrame
    tolerance_km: float

    def counts(self) -> dict[str, int]:
        """Return matched and unmatched on both sides; each pair sums to its side."""
        detected, visited = self.detections["matched"], self.sites["matched"]
        return {
            "detections": len(detected),
            "detections_matched": int(detected.sum()),
            "detections_unmatched": int((~detected).sum()),
            "sites": len(visited),
            "sites_matched": int(visited.sum()),
            "sites_unmatched": int((~visited).sum()),
        }


def join_detections(
    detections: gpd.GeoDataFrame, visits: pd.DataFrame, tolerance_km: float
) -> DetectionJoin:
    """Join points or polygons with the table of visits.

    Distances are great-circle ones, to the polygon (0 inside) or to the point; see
    :func:`pipeline.geo.distance.nearest_shape` for their error. The precision of a site's location
    is reported and not added to the tolerance.

    Parameters
    ----------
    detections : geopandas.GeoDataFrame
        As from :func:`pipeline.geo.vector_files.read_vector`, EPSG:4326.
    visits : pandas.DataFrame
        As from :func:`pipeline.sites.visits.read_visits`; every site takes part, visited on the
        spot or not.
    tolerance_km : float
        Kilometres.

    Returns
    -------
    DetectionJoin
        The detections and the sites with what was found for each.

    Raises
    ------
    ValueError
        If the tolerance is not a distance.
    """
    if not (np.isfinite(tolerance_km) and tolerance_km >= 0):
        raise ValueError(f"the tolerance must be a distance in km, not {tolerance_km}")
    sites = site_points(all_sites(visits))
    joined = detections.reset_index(drop=True)
    shapes, points = detections.geometry.to_numpy(), sites.geometry.to_numpy()
    near, km = nearest_shape(shapes, points)
    # The last entry is what index -1 (no site at all) stands for.
    codes = np.append(sites["pcode"].to_numpy(object), "")
    sites = sites.assign(matched=km <= tolerance_km, distance_km=km, nearest_detection=near)
    near, km = nearest_shape(points, shapes)
    names = pd.Series(codes[near], dtype="str")
    joined = joined.assign(matched=km <= tolerance_km, distance_km=km, nearest_pcode=names)
    return DetectionJoin(joined, sites, tolerance_km)


def write_detection_join(
    result: DetectionJoin, folder: str | Path, disclosure: str = "public"
) -> Path:
    """Write both sides of a join as a GeoPackage, two CSV files and a summary.

    Parameters
    ----------
    result : DetectionJoin
        What to write.
    folder : str or pathlib.Path
        Written whole or not at all; an older one is replaced. It holds ``join.gpkg`` (layers
        ``sites`` and ``detections``), ``sites.csv``, ``detections.csv`` and ``join.json``.
    disclosure : str, optional
        ``public``: of the sites only ``PUBLIC_SITE_COLUMNS``; ``restricted``: every column.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputFileError
        If the folder holds something else, which would be lost.
    """
    folder = Path(folder)
    if folder.exists() and not (
        folder.is_dir() and {item.name for item in folder.iterdir()} <= _FILES
    ):
        raise InputFileError(
            "the place for the results is taken by something else",
            where=str(folder),
            next_step="name a folder that is not there yet",
        )
    sites = result.sites
    if disclosure != "restricted":
        sites = sites[[*PUBLIC_SITE_COLUMNS, "geometry"]]
    layers = {"sites": sites, "detections": result.detections}
    with whole_folder(folder) as beside:
        for name, layer in layers.items():
            columns = [str(column) for column in layer.columns if column != layer.geometry.name]
            pyogrio.write_dataframe(
                layer.rename(columns=column_names(columns)),
                beside / "join.gpkg",
                layer=name,
                driver="GPKG",
                append=(beside / "join.gpkg").exists(),
                dataset_options={"VERSION": VERSION},
                geometry_type="Point" if name == "sites" else "Unknown",
                GEOMETRY_NAME=GEOMETRY,
                FID=FEATURE_ID,
            )
            _write_csv(layer, beside / f"{name}.csv")
        summary = {
            "disclosure": disclosure,
            "tolerance_km": result.tolerance_km,
            "counts": result.counts(),
            "credit": "Sites: IPIS open data (ODC-BY 1.0), where the table is theirs",
            "caution": "a detection is not yet mining; a site without one is not yet missed",
        }
        write_json(beside / "join.json", summary)
    return folder


def _write_csv(layer: gpd.GeoDataFrame, path: Path) -> None:
    spots = layer.geometry.representative_point()
    table = pd.DataFrame(layer.drop(columns=layer.geometry.name))
    if "longitude" not in table:
        table = table.assign(longitude=spots.x.round(6), latitude=spots.y.round(6))
    table["distance_km"] = table["distance_km"].round(3)
    for column in table.select_dtypes(["object", "str"]):
        table[column] = table[column].map(
            lambda value: plain_text(value) if isinstance(value, str) else value
        )
    with whole_file(path) as beside:
        table.to_csv(beside, index=False, encoding="utf-8", float_format="%.10g")


def join_files(detections: str, config: Config, tolerance_km: float, out: str | None) -> None:
    """Match detections and sites both ways and write the matched and unmatched of both sides.

    Parameters
    ----------
    detections : str
        File of points or polygons.
    config : Config
        Names the table of visits, and says ``public`` or ``restricted``.
    tolerance_km : float
        How near counts as matched.
    out : str
        Folder for the results.

    Raises
    ------
    ConfigError
        If the table of visits or the folder is not named.
    """
    if not config.labels.file or not out:
        raise ConfigError(
            "a join of files needs the table of visits and a folder",
            next_step="asm-atlas join --detections FILE --labels visits.csv --out FOLDER",
        )
    table = visits_file(config) if is_address(config.labels.file) else Path(config.labels.file)
    visits = read_visits(table, config.labels.mapping)
    result = join_detections(read_vector(detections), visits, tolerance_km)
    write_detection_join(result, out, config.map.disclosure)
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in result.counts().items()
    )
    say("join", f"within {tolerance_km:g} km: {counts}")
    say("", out)
