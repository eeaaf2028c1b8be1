"""From inspections that come back to labelled cells: places that somebody looked at.

Two forms are read: points with a label and a date, and a labelled sample as ``asm-atlas sample``
draws it. A sample is drawn to estimate areas, and once a model has learned from it, it can no
longer do so for that model's maps: it becomes training data only where that is asked for by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.errors import LabelsError, NoLabelsError
from pipeline.geo import grid
from pipeline.geo.geopackage import layer_names, read_table
from pipeline.geo.regions import Region
from pipeline.geo.vector_files import read_vector
from pipeline.sites.labels.polygons import label_dates
from pipeline.sites.labels.rows import (
    CHECKED,
    MINE,
    NOT,
    LabelKind,
    Labels,
    make_rows,
    one_row_per_cell,
    reasons,
    shift_for_date,
)
from pipeline.sites.visits import PRECISION_RADIUS_M
from pipeline.words.statements import statement

SAMPLE_LAYER = "sample"
# What a labeller may write, in small letters; "cannot tell" and nothing give no row.
WORDS = {
    "mine": (MINE, "inspection"),
    "1": (MINE, "inspection"),
    "no mine": (NOT, "inspection"),
    "0": (NOT, "inspection"),
    "look-alike": (NOT, "look-alike"),
}
UNSURE = ("cannot tell", "")


def label_inspections(path: str | Path, region: Region, season: str) -> Labels:
    """Turn inspected points into labelled cells of a region.

    Parameters
    ----------
    path : str or pathlib.Path
        Points (CSV with longitude and latitude, GeoPackage, GeoJSON, shapefile) with a column
        ``label``: mine (or 1), no mine (or 0), look-alike (no mine, but like one), cannot tell; and
        optional columns ``date`` (or ``year``) and ``source``; or the form ``inspection.gpkg``
        that comes with a map.
    region : Region
        Where labels are wanted.
    season : str
        The configured season; the one nearest an inspection is its own.

    Returns
    -------
    Labels
        A row for each inspected cell and season.

    Raises
    ------
    InputFileError, LabelsError
        If the file cannot be read, is a sample, or holds values that cannot be used.
    NoLabelsError
        If no inspection lies in the region.
    """
    path = Path(path)
    if SAMPLE_LAYER in layer_names(path):
        raise LabelsError(
            "a sample that was drawn to estimate areas is no file of inspections",
            where=str(path),
            next_step="USE_SAMPLE= trains on it; asm-atlas area then refuses it for the maps of "
            "the models that learned from it",
        )
    found = read_vector(path)
    if not (shapely.get_type_id(found.geometry) == shapely.GeometryType.POINT).all():
        raise LabelsError(
            "inspections must be points", where=str(path), next_step="outlines go into LABELS"
        )
    x, y = found.geometry.x.to_numpy(), found.geometry.y.to_numpy()
    return _labels(found, grid.cell_of(x, y), x, y, path, region, season, ())


def label_sample(path: str | Path, region: Region, season: str) -> Labels:
    """Turn a labelled sample into labelled cells of a region.

    Parameters
    ----------
    path : str or pathlib.Path
        A GeoPackage as ``asm-atlas sample`` writes it, with its labels filled in.
    region : Region
        Where labels are wanted.
    season : str
        The configured season; the one nearest a label's date is its own.

    Returns
    -------
    Labels
        A row for each labelled cell, and the sample's identity.

    Raises
    ------
    InputFileError, LabelsError
        If the file is no sample, or holds values that cannot be used.
    NoLabelsError
        If no labelled cell lies in the region.
    """
    path = Path(path)
    if SAMPLE_LAYER not in layer_names(path):
        raise LabelsError(
            "this is no sample: it has no layer sample",
            where=str(path),
            next_step="points with a label and a date go into INSPECTIONS",
        )
    about = read_table(path, "about")
    found = read_vector(path, SAMPLE_LAYER)
    if not {"item", "value"} <= set(about) or "cell" not in found:
        about = pd.DataFrame({"item": [], "value": []})
    identity = str(dict(zip(about["item"], about["value"], strict=True)).get("sample") or "")
    if not identity:
        raise LabelsError(
            "the sample does not say which one it is, or which cells it holds",
            where=f"{path}, table about (sample) and layer sample (cell)",
            next_step="label the file that asm-atlas sample wrote, and leave its other columns",
        )
    cells = pd.to_numeric(found["cell"], errors="coerce").to_numpy(float)
    last = grid.CELL_ROWS * grid.CELL_COLUMNS
    if not ((cells >= 0) & (cells < last) & (cells == np.floor(cells))).all():
        raise LabelsError(
            "the column cell must hold the cells' numbers",
            where=str(path),
            next_step="label the file that asm-atlas sample wrote, and leave its other columns",
        )
    numbers = cells.astype(np.int64)
    lon, lat = grid.cell_centres(numbers)
    return _labels(found, numbers, lon, lat, path, region, season, (identity,))


INSPECTIONS = LabelKind(
    lambda settings, labels: Path(settings.inspections) if settings.inspections else None,
    lambda path, region, season, settings: label_inspections(path, region, season),
)
SAMPLE = LabelKind(
    lambda settings, labels: Path(settings.use_sample) if settings.use_sample else None,
    lambda path, region, season, settings: label_sample(path, region, season),
)


def _labels(
    found: pd.DataFrame,
    cells: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    path: Path,
    region: Region,
    season: str,
    samples: tuple[str, ...],
) -> Labels:
    names = {str(name).lower(): name for name in found.columns}
    if "label" not in names:
        raise LabelsError(
            "there is no column label",
            where=str(path),
            next_step="label each row: mine, no mine, look-alike or cannot tell",
        )
    column = found[names["label"]]
    words = column.where(column.notna(), "").astype(str).str.strip().str.lower()
    words = words.str.removesuffix(".0")
    unknown = ~words.isin([*WORDS, *UNSURE])
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise LabelsError(
            f"{ascii(column.iloc[row])[:80]} is no label",
            where=f"{path}, row {row + 1:,}",
            next_step="write mine, no mine, look-alike or cannot tell (or 1 and 0)",
        )
    if "edition" in names:
        _refuse_rounded(words[found[names["edition"]] == "public"], x, y, path)
    dates = np.asarray(label_dates(found, str(path)), object)
    inside = region.contains(cells)
    sure = ~words.isin(UNSURE).to_numpy()
    good = np.flatnonzero(inside & sure)
    left_out = {
        "inspected_outside": int((~inside).sum()),
        "inspected_unsure": int((inside & ~sure).sum()),
    }
    if not len(good):
        raise NoLabelsError(
            f"no inspection gives a labelled cell in {region.name}",
            where=f"{path}: {'; '.join(told.text for told in reasons(left_out))}",
            next_step="choose a region that was inspected",
        )
    said = [WORDS[words.iloc[row]] for row in good]
    label = np.array([one for one, _ in said])
    rows = make_rows(
        cells[good],
        label,
        [what for _, what in said],
        _sources(found, names, path, good),
        dates[good].tolist(),
        [shift_for_date(text, season) for text in dates[good]],
        # No for a place that somebody looked at says more than no known mine there.
        np.where(label == NOT, CHECKED, 1.0),
    )
    mines = good[label == MINE]
    radius = np.full(len(mines), PRECISION_RADIUS_M["gps"])
    return Labels(
        one_row_per_cell(rows),
        np.column_stack([x[mines], y[mines], radius]),
        left_out,
        about=(statement("sample" if samples else "inspections", file=path.name),),
        samples=samples,
    )


def _refuse_rounded(
    words: pd.Series, x: NDArray[np.float64], y: NDArray[np.float64], path: Path
) -> None:
    """Refuse labels of the public form whose point still lies where the form put it."""
    steps = np.column_stack([x, y]) / grid.PUBLIC_DEGREES
    still = np.asarray((np.abs(steps - np.round(steps)) < 1e-4).all(axis=1))
    rounded = words.index[still[words.index] & ~words.isin(UNSURE)]
    if len(rounded):
        raise LabelsError(
            f"{len(rounded):,} of the labelled points lie where the public form put them, "
            f"rounded to {grid.PUBLIC_DEGREES:g} degree: the labels would go to wrong cells",
            where=f"{path}, row {rounded[0] + 1:,}",
            next_step="move them to where the inspector stood, or use the restricted form",
        )


def _sources(
    found: pd.DataFrame, names: dict[str, str], path: Path, rows: NDArray[np.intp]
) -> list[str]:
    if "source" not in names:
        return [f"{path.name} {row + 1}" for row in rows]
    given = found[names["source"]].where(found[names["source"]].notna(), "").astype(str)
    return [given.iloc[row].strip()[:200] or f"{path.name} {row + 1}" for row in rows]
