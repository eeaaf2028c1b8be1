from __future__ import annotations

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from pipeline.errors import InputFileError, NoLabelsError
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.sites.truth import Truth, read_truth

CELL = int(grid.cell_of(28.0025, -2.0025))
WEST, SOUTH, EAST, NORTH = (float(side) for side in grid.cell_bounds(CELL))


def around(count: int = 3) -> np.ndarray:
    steps = np.arange(-count, count + 1)
    return (CELL + steps[:, None] * grid.CELL_COLUMNS + steps[None, :]).ravel()


def raster(path: Path, values: np.ndarray, crs: str = "EPSG:4326", **other: object) -> Path:
    transform = Affine(0.0005, 0, WEST, 0, -0.0005, NORTH)
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1,
               "dtype": values.dtype, "crs": crs, "transform": transform, **other}  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
    return path


def shapes(path: Path, *polygons: shapely.Geometry, layer: str = "mines", **columns: list) -> Path:
    frame = gpd.GeoDataFrame(columns, geometry=list(polygons), crs="EPSG:4326")
    frame.to_file(path, layer=layer, mode="a" if path.exists() else "w")
    return path


def of(truth: Truth, cell: int = CELL) -> dict[str, float]:
    return truth.cells.set_index("cell").loc[cell].to_dict()


def test_a_raster_in_degrees(tmp_path: Path) -> None:
    values = np.full((20, 20), 255, np.uint8)
    values[:10, :10] = 0  # the cell itself
    values[:2, :5] = 1
    truth = read_truth(raster(tmp_path / "a.tif", values, nodata=255), around())
    assert of(truth)["known_share"] == pytest.approx(1, rel=1e-3)
    # A tenth of a cell of 30.6 hectares.
    assert of(truth)["positive_ha"] == pytest.approx(3.06, abs=0.03)
    assert of(truth, CELL + 1) == {"positive_ha": 0, "known_share": 0}
    assert truth.mines is None
    assert not truth.complete


def test_a_raster_in_metres_keeps_its_area(tmp_path: Path) -> None:
    values = np.zeros((300, 300), np.uint8)
    values[100:150, 100:200] = 1
    transform = Affine(10, 0, 800_000, 0, -10, 10_000_000 - 220_000)
    path = raster(tmp_path / "a.tif", values, "EPSG:32735", transform=transform)
    region = resolve_region("bbox:29.5,-2.2,29.9,-1.8", 100)
    cells = np.concatenate([region.cells(block) for block in region.blocks])
    truth = read_truth(path, cells)
    assert truth.cells["positive_ha"].sum() == pytest.approx(50)
    assert truth.cells["known_share"].max() == pytest.approx(1, abs=0.01)


def test_a_turned_raster_is_read_where_it_lies(tmp_path: Path) -> None:
    values = np.full((600, 4), 255, np.uint8)
    values[580:, :] = 1  # beyond the first strip that is read
    turned = Affine(0, 1e-5, WEST, -1e-5, 0, NORTH)  # rows run eastwards, columns southwards
    truth = read_truth(raster(tmp_path / "a.tif", values, transform=turned), around())
    assert truth.cells.loc[truth.cells["known_share"] > 0, "cell"].tolist() == [CELL + 1]


@pytest.mark.parametrize("nodata", [None, 0, 7])
def test_nodata_is_unknown(tmp_path: Path, nodata: int | None) -> None:
    values = np.full((10, 10), 255 if nodata is None else nodata, np.uint8)
    values[0, 0] = 1
    truth = read_truth(raster(tmp_path / "a.tif", values, nodata=nodata), around())
    assert of(truth)["known_share"] == pytest.approx(0.01, rel=1e-2)


def test_rasters_that_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="not 3"):
        read_truth(raster(tmp_path / "a.tif", np.full((9, 9), 3, np.uint8)), around())
    with pytest.raises(InputFileError, match="larger than a cell"):
        big = Affine(0.02, 0, WEST, 0, -0.02, NORTH)
        read_truth(raster(tmp_path / "b.tif", np.ones((9, 9), np.uint8), transform=big), around())
    with pytest.raises(InputFileError, match="reference system"):
        path = raster(tmp_path / "c.tif", np.ones((9, 9), np.uint8), crs=None)
        read_truth(path, around())
    (tmp_path / "d.tif").write_text("<VRTDataset></VRTDataset>")
    with pytest.raises(InputFileError):
        read_truth(tmp_path / "d.tif", around())


def test_labels_elsewhere_are_no_labels(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", np.ones((9, 9), np.uint8))
    with pytest.raises(NoLabelsError):
        read_truth(path, around() + 1000)


def test_polygons_share_their_area_out(tmp_path: Path) -> None:
    half = shapely.box(WEST + 0.004, SOUTH, WEST + 0.006, NORTH)
    truth = read_truth(shapes(tmp_path / "a.gpkg", half, name=["x"]), around())
    assert of(truth)["positive_ha"] == pytest.approx(of(truth, CELL + 1)["positive_ha"], rel=1e-6)
    assert of(truth)["positive_ha"] == pytest.approx(30.6 * 0.2, abs=0.1)
    assert truth.cells["known_share"].min() == 1
    assert truth.mines is not None
    assert truth.mines["area_ha"].iloc[0] == pytest.approx(truth.mines["ha"].sum(), rel=1e-4)
    partial = read_truth(tmp_path / "a.gpkg", around(), complete=False)
    assert partial.cells["known_share"].sum() == 2


def test_a_sliver_does_not_hold_the_mine_but_the_largest_part_does(tmp_path: Path) -> None:
    degree = 0.001  # a square of 1.2 ha
    big = shapely.box(EAST - degree, SOUTH, EAST + 0.00002, SOUTH + degree)
    tiny = shapely.box(EAST - 0.0001, NORTH - 0.0002, EAST + 0.00005, NORTH)
    truth = read_truth(shapes(tmp_path / "a.gpkg", big, tiny), around())
    assert truth.mines is not None
    assert truth.mines.groupby("object")["cell"].apply(list).to_dict() == {0: [CELL], 1: [CELL]}


def test_overlapping_polygons_do_not_exceed_the_cell(tmp_path: Path) -> None:
    whole = shapely.box(WEST, SOUTH, EAST, NORTH)
    truth = read_truth(shapes(tmp_path / "a.gpkg", whole, whole, whole), around())
    assert of(truth)["positive_ha"] == pytest.approx(30.6, abs=0.2)


def test_polygons_with_labels(tmp_path: Path) -> None:
    left = shapely.box(WEST, SOUTH, WEST + 0.0025, NORTH)
    right = shapely.box(WEST + 0.0025, SOUTH, EAST + 0.005, NORTH)
    truth = read_truth(shapes(tmp_path / "a.gpkg", left, right, label=[1, 0]), around())
    assert of(truth)["positive_ha"] == pytest.approx(15.3, abs=0.1)
    assert of(truth)["known_share"] == pytest.approx(1, rel=1e-6)
    assert of(truth, CELL + 1) == {"positive_ha": 0, "known_share": pytest.approx(1)}
    assert of(truth, CELL + 2)["known_share"] == 0
    assert truth.mines is None
    bad = shapes(tmp_path / "b.gpkg", left, right, label=["a", "b"])
    with pytest.raises(InputFileError, match="'label'"):
        read_truth(bad, around())
    assert read_truth(bad, around(), label="").mines is not None


def test_points_label_their_cell_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"lon,lat,label\n28.0025,-2.0025,1\n28.0035,-2.0025,0\n{EAST},-2.0025,0\n")
    truth = read_truth(path, around())
    assert of(truth) == {"positive_ha": 1, "known_share": 1}
    assert of(truth, CELL + 1) == {"positive_ha": 0, "known_share": 1}
    assert of(truth, CELL + 2) == {"positive_ha": 0, "known_share": 0}
    assert truth.mines is not None
    assert truth.mines["cell"].tolist() == [CELL]


def test_lookalikes_of_a_geopackage(tmp_path: Path) -> None:
    square = shapely.box(WEST + 0.001, SOUTH + 0.001, EAST - 0.001, NORTH - 0.001)
    path = shapes(tmp_path / "truth.gpkg", square)
    shapes(path, shapely.affinity.translate(square, 0.005), layer="lookalikes",
           kind=["farm_pond"], name=["P1"])  # fmt: skip
    truth = read_truth(path, around())
    assert truth.lookalikes is not None
    row = truth.lookalikes.iloc[0]
    assert (row["kind"], row["name"], row["cell"]) == ("farm_pond", "P1", CELL + 1)
    assert of(truth, CELL + 1)["positive_ha"] == 0


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
@pytest.mark.parametrize(
    ("name", "file", "pixels"),
    [("madre-de-dios", "madrededios_2024", 55872), ("venezuelan-amazonas", "yanomami_2019", 49436)],
)
def test_real_label_rasters_lose_no_pixel(name: str, file: str, pixels: int) -> None:
    folder = Path(os.environ["ASM_ATLAS_TEST_DATA"]) / "georeferenced_mines"
    region = resolve_region(name, 100)
    cells = np.concatenate([block.cells().ravel() for block in region.blocks])
    truth = read_truth(folder / f"{file}_label.tif", cells)
    assert truth.cells["positive_ha"].sum() == pytest.approx(pixels / 100, rel=1e-9)
    assert truth.cells["known_share"].max() <= 1
