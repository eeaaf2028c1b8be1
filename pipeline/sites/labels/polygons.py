"""From hand-drawn outlines of mines to labelled cells.

A cell is a mine if enough of it is drawn as one, and neither if it is touched by less. Cells that
nobody drew on are no negatives, unless the file of the searched area says that there all mines were
drawn.
"""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.errors import LabelsError, NoLabelsError
from pipeline.geo.geopackage import layer_names
from pipeline.geo.overlap import MIN_AREA_HA, polygon_labels, shared_hectares
from pipeline.geo.regions import Region
from pipeline.geo.vector_files import read_vector
from pipeline.sites.labels.rows import (
    CHECKED,
    MINE,
    NOT,
    LabelKind,
    Labels,
    make_rows,
    shift_for_date,
)
from pipeline.sites.visit_tables import are_visits
from pipeline.words.statements import statement

DATES = ("date", "year")
_ALIKE = "drawn as a look-alike"
_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def label_polygons(
    path: str | Path, region: Region, season: str, searched: str = "", column: str = "label"
) -> Labels:
    """Turn outlines into labelled cells of a region.

    Parameters
    ----------
    path : str or pathlib.Path
        Polygons (GeoPackage, GeoJSON, shapefile); an optional column of labels holds 1 (mine) and 0
        (looks like one, and is none), an optional column ``date`` or ``year`` when it was so. A
        GeoPackage with a layer ``mines`` may have another, ``lookalikes``, as for ``read_truth``.
    region : Region
        Where labels are wanted.
    season : str
        The configured season; the one nearest a polygon's date is its own.
    searched : str
        File of the area in which every mine was drawn; empty: nobody says so.
    column : str
        The column of labels, where the file has it.

    Returns
    -------
    Labels
        Cells with at least 0.1 hectares drawn as mines are positives, those with as much drawn as
        look-alikes and no mine at all are hard negatives; the others that are touched are neither.

    Raises
    ------
    InputFileError, LabelsError
        If a file cannot be read, or holds labels or dates that cannot be used.
    NoLabelsError
        If no polygon gives a positive in the region.
    """
    path = Path(path)
    found = _outlines(path)
    given = polygon_labels(found, column, str(path))
    mine = ~found[_ALIKE].to_numpy(bool) & (given is None or given == 1)
    dates = label_dates(found, str(path))
    pairs = _pairs(found, region)
    pairs["mine"] = mine[pairs["object"].to_numpy(np.int64)]
    pairs["date"] = np.asarray(dates, object)[pairs["object"].to_numpy(np.int64)]
    drawn = pairs[pairs["mine"]]
    mined = drawn.groupby("cell")["ha"].sum()
    enough = mined.index[mined >= MIN_AREA_HA]
    other = pairs[~pairs["mine"] & ~pairs["cell"].isin(mined.index)]
    resembled = other.groupby("cell")["ha"].sum()
    alike = resembled.index[resembled >= MIN_AREA_HA]
    rows = pd.concat(
        [
            _rows(drawn, enough, MINE, "polygon", path.name, season),
            _rows(other, alike, NOT, "look-alike", path.name, season),
        ],
        ignore_index=True,
    )
    touched = np.setdiff1d(pairs["cell"].unique(), rows["cell"]).astype(np.int64)
    if not len(enough):
        raise NoLabelsError(
            f"no polygon gives a labelled cell in {region.name}",
            where=f"{path}, {len(found)} polygons, {int(mine.sum())} of them mines",
            next_step="check that the polygons lie in the region; name another column of labels "
            "with label_column if this one means something else",
        )
    area = _polygons(Path(searched)).geometry.to_numpy() if searched else np.empty(0, object)
    about = [statement("polygons", file=path.name, ha=MIN_AREA_HA)]
    about += [statement("searched", file=Path(searched).name)] if searched else []
    return Labels(
        rows,
        np.empty((0, 3)),
        {"barely_touched": len(touched)},
        shapes=found.geometry.to_numpy()[mine],
        touched=touched,
        searched=area,
        about=(statement("listed", items=about),),
    )


POLYGONS = LabelKind(
    lambda settings, labels: (
        None if labels is None or are_visits(labels, settings.mapping) else labels
    ),
    lambda path, region, season, settings: label_polygons(
        path, region, season, settings.searched, settings.column
    ),
)


def label_dates(found: pd.DataFrame, where: str) -> list[str]:
    """Return the date of each row, ISO or a year, empty where it has none.

    Parameters
    ----------
    found : pandas.DataFrame
        Perhaps with a column ``date`` or ``year``.
    where : str
        The file, for the error.

    Returns
    -------
    list of str
        ``YYYY-MM-DD``, ``YYYY`` or empty.

    Raises
    ------
    LabelsError
        If a value is no date.
    """
    names = {str(name).lower(): name for name in found.columns}
    name = next((names[key] for key in DATES if key in names), None)
    if name is None:
        return [""] * len(found)
    values = found[name].where(found[name].notna(), "").astype(str).str.strip()
    # A year that was stored as a number; a date that was stored with its time.
    texts = values.str.removesuffix(".0").str.slice(0, 10)
    days = pd.to_datetime(texts.where(texts.str.len() == 10), format="%Y-%m-%d", errors="coerce")
    good = (texts == "") | days.notna() | texts.str.fullmatch(r"(19|20)\d\d")
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise LabelsError(
            f"{ascii(values.iloc[row])[:80]} is no date",
            where=f"{where}, row {row + 1:,}, column {ascii(str(name))[:80]}",
            next_step="write dates as YYYY-MM-DD or YYYY, or leave them empty",
        )
    return texts.tolist()


def _outlines(path: Path) -> gpd.GeoDataFrame:
    """Mines, and look-alikes where they have a layer of their own."""
    layers = layer_names(path)
    found = _polygons(path, "mines" if "mines" in layers else "").assign(**{_ALIKE: False})
    if not {"mines", "lookalikes"} <= set(layers):
        return found
    others = _polygons(path, "lookalikes").assign(**{_ALIKE: True})
    return gpd.GeoDataFrame(pd.concat([found, others], ignore_index=True), crs=found.crs)


def _polygons(path: Path, layer: str = "") -> gpd.GeoDataFrame:
    found = read_vector(path, layer)
    if not len(found) or not np.isin(shapely.get_type_id(found.geometry), _POLYGONS).all():
        raise LabelsError(
            "outlines must be polygons, and at least one",
            where=str(path),
            next_step="points with a label and a date go into INSPECTIONS, visits into a .csv file",
        )
    return found


def _pairs(found: gpd.GeoDataFrame, region: Region) -> pd.DataFrame:
    """Polygons and the region's cells that they share area with."""
    tree = shapely.STRtree(found.geometry.to_numpy())
    boxes = [shapely.box(*block.bounds) for block in region.blocks]
    near = np.unique(tree.query(boxes, predicate="intersects")[0])
    cells: list[NDArray[np.int64]] = [region.cells(region.blocks[at]) for at in near]
    return shared_hectares(found, np.concatenate([np.empty(0, np.int64), *cells]))


def _rows(
    pairs: pd.DataFrame, cells: pd.Index[int], label: int, what: str, name: str, season: str
) -> pd.DataFrame:
    """Rows of cells, each with the polygon that covers most of it."""
    ordered = pairs.sort_values("ha", ascending=False, kind="stable")
    first = ordered.drop_duplicates("cell").set_index("cell").loc[cells].sort_index()
    return make_rows(
        first.index,
        label,
        what,
        [f"{name} {number + 1}" for number in first["object"]],
        first["date"].tolist(),
        [shift_for_date(text, season) for text in first["date"]],
        CHECKED if what == "look-alike" else 1.0,
        pairs.groupby("cell")["ha"].sum().loc[first.index] if label == MINE else np.nan,
    )
