"""Hand-drawn mines become labels: by overlap, negatives only where somebody searched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from pipeline.errors import InputFileError, LabelsError, NoLabelsError
from pipeline.geo import grid
from pipeline.geo.distance import cell_area_km2, nearest_shape
from pipeline.geo.regions import Region, resolve_region
from pipeline.sites.labels.background import BACKGROUND_KM, with_background
from pipeline.sites.labels.polygons import label_polygons
from pipeline.sites.labels.rows import MINE, NOT, UNLABELLED, Labels

REGION = resolve_region("bbox:5.9,2.0,6.1,2.1", 100)
SEASON = "2021-12..2022-02"
CELLS = REGION.blocks[0].cells()


def square(cell: int, west: float = 0.2, side: float = 0.4) -> shapely.Polygon:
    """A square of a share of a cell's side, some way from its south-western corner."""
    x, y, _, _ = (float(edge) for edge in grid.cell_bounds(cell))
    size = grid.CELL_DEGREES
    return shapely.box(
        x + west * size, y + 0.2 * size, x + (west + side) * size, y + (0.2 + side) * size
    )


def write(path: Path, shapes: list[Any], **columns: Any) -> Path:
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326").to_file(path)
    return path


def what_of(labels: Labels) -> dict[int, tuple[int, str]]:
    rows = labels.rows[["cell", "label", "what"]].to_numpy().tolist()
    return {cell: (label, what) for cell, label, what in rows}


def test_cells_with_enough_of_a_mine_are_positives_and_slivers_are_left_out(tmp_path) -> None:
    mine, beside = int(CELLS[5, 5]), int(CELLS[5, 6])
    # 0.05 of a cell's width reach into the next: 0.02 of 30 hectares are 0.6, 0.002 are 0.06.
    path = write(tmp_path / "mines.gpkg", [square(mine, 0.605, 0.4), square(CELLS[9, 9])])
    labels = label_polygons(path, REGION, SEASON)
    assert what_of(labels) == {mine: (MINE, "polygon"), int(CELLS[9, 9]): (MINE, "polygon")}
    assert labels.touched.tolist() == [beside]
    assert labels.left_out == {"barely_touched": 1}
    assert set(labels.rows["source"]) == {"mines.gpkg 1", "mines.gpkg 2"}
    # 0.16 of a cell each, the first without what lies in the next cell.
    whole = 0.16 * float(cell_area_km2(np.array([mine]))[0]) * 100
    sizes = labels.rows.set_index("cell")["size"]
    assert sizes[CELLS[9, 9]] == pytest.approx(whole, rel=1e-3)
    assert sizes[mine] == pytest.approx(whole * 0.395 / 0.4, rel=1e-3)
    wide = write(tmp_path / "wide.gpkg", [square(mine, 0.7, 0.4)])
    assert set(what_of(label_polygons(wide, REGION, SEASON))) == {mine, beside}


def test_drawn_lookalikes_are_hard_negatives_and_dates_choose_the_season(tmp_path) -> None:
    shapes = [square(CELLS[5, 5]), square(CELLS[5, 5], 0.5), square(CELLS[9, 9])]
    path = write(tmp_path / "a.geojson", shapes, label=[1, 0, 0], year=[2019, None, 2022])
    labels = label_polygons(path, REGION, SEASON)
    rows = labels.rows.set_index("cell")
    assert rows.loc[CELLS[5, 5], "label"] == MINE, "a cell with any mine is no look-alike"
    assert rows.loc[CELLS[5, 5], ["date", "shift"]].tolist() == ["2019", -3]
    assert rows.loc[CELLS[9, 9], ["label", "what"]].tolist() == [NOT, "look-alike"]
    assert rows.loc[CELLS[9, 9], "weight"] > rows.loc[CELLS[5, 5], "weight"]
    assert rows["size"].isna().tolist() == [False, True], "a look-alike is no mine of any size"


def test_without_a_searched_area_there_are_no_negatives(tmp_path) -> None:
    path = write(tmp_path / "mines.gpkg", [square(CELLS[5, 5])])
    rows = with_background(label_polygons(path, REGION, SEASON), REGION).rows
    assert set(rows["label"]) == {MINE, UNLABELLED}


def test_negatives_lie_inside_the_searched_area_far_from_every_mine(tmp_path) -> None:
    path = write(tmp_path / "mines.gpkg", [square(CELLS[5, 5]), square(CELLS[5, 6], 0.6, 0.405)])
    west, south, east, north = REGION.blocks[0].bounds
    half = shapely.box(west, south, (west + east) / 2 + 0.0001, north)
    area = write(tmp_path / "area.gpkg", [half])
    labels = label_polygons(path, REGION, SEASON, str(area))
    rows = with_background(labels, REGION).rows
    negatives = rows.loc[rows["label"] == NOT, "cell"].to_numpy()
    boxes = shapely.box(*grid.cell_bounds(negatives))
    assert len(negatives) > 100
    assert shapely.covers(half, boxes).all()
    away = nearest_shape(labels.shapes, boxes)[1]
    assert away.min() >= BACKGROUND_KM
    unlabelled = rows.loc[rows["label"] == UNLABELLED, "cell"].to_numpy()
    assert grid.cell_centres(unlabelled)[0].min() > (west + east) / 2
    assert not np.isin(labels.touched, rows["cell"]).any()


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        ({"label": [2]}, InputFileError, "must hold 1"),
        ({"date": ["soon"]}, LabelsError, "is no date"),
        ({"date": ["2022-02-31"]}, LabelsError, "is no date"),
        ({"label": [0]}, NoLabelsError, "no polygon gives"),
    ],
)
def test_labels_and_dates_that_cannot_be_used(tmp_path, columns, error, words) -> None:
    path = write(tmp_path / "mines.gpkg", [square(CELLS[5, 5])], **columns)
    with pytest.raises(error, match=words):
        label_polygons(path, REGION, SEASON)


def test_a_column_that_means_something_else_is_not_read(tmp_path) -> None:
    path = write(tmp_path / "mines.gpkg", [square(CELLS[5, 5])], label=[2])
    assert len(label_polygons(path, REGION, SEASON, column="none").rows) == 1


def test_points_are_no_outlines(tmp_path) -> None:
    path = write(tmp_path / "points.gpkg", [shapely.Point(5.95, 2.05)])
    with pytest.raises(LabelsError, match="must be polygons"):
        label_polygons(path, REGION, SEASON)


def test_hand_drawn_mines_of_west_africa() -> None:
    """449 polygons of Couttenier et al. 2022, whose column ``label`` holds classes of their own."""
    folder = Path(os.environ.get("ASM_ATLAS_TEST_DATA", "-")) / "asm_map_west_africa"
    if not folder.is_dir():
        pytest.skip("ASM_ATLAS_TEST_DATA holds no asm_map_west_africa")
    mines, area = folder / "gt_asm_shapes.shp", folder / "subtropical_west_africa_region.shp"
    outlines = gpd.read_file(mines)
    box = shapely.box(*outlines.total_bounds).buffer(grid.CELL_DEGREES)
    region = Region("west-africa", "West Africa", box)
    with pytest.raises(InputFileError, match="must hold 1"):
        label_polygons(mines, region, "")
    labels = label_polygons(mines, region, "", str(area), column="none")
    counts = with_background(labels, region).rows["label"].value_counts().to_dict()
    assert len(outlines) == 449
    assert (counts, len(labels.touched)) == ({MINE: 818, NOT: 14_066}, 55)
    # The same another way: on an equal-area projection, all polygons as one.
    whole = outlines.make_valid().to_crs(6933).make_valid().union_all()
    cells = np.concatenate([labels.rows["cell"], labels.touched])
    squares = gpd.GeoSeries(shapely.box(*grid.cell_bounds(cells)), crs="EPSG:4326").to_crs(6933)
    hectares = squares.intersection(whole).area.to_numpy() / 10_000
    assert (hectares > 0).all()
    assert ((hectares >= 0.1) == np.isin(cells, labels.rows["cell"])).mean() > 0.995
    assert hectares.sum() == pytest.approx(whole.area / 10_000, rel=1e-6), "none overlooked"
