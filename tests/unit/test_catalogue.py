"""Imagery at hand becomes a catalogue, and comes out of the composite as it went in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from imagery import WEST, make_context, texture, utm_corner, warped_by_hand, write_raster
from rasterio.enums import Resampling
from rasterio.warp import reproject
from sample_chips import EPSG, SIDE, write_archive

from pipeline.composite import composite_blocks, read_composite
from pipeline.errors import ChipsError, InputFileError, MissingMetadataError
from pipeline.geo import grid
from pipeline.imagery.catalogue import catalogue_chips, catalogue_rasters
from pipeline.scenes import find_scenes

CORNER = utm_corner(5.97, 2.06)
USUAL: dict[str, Any] = {
    "bands": ("B04", "B03"),
    "level": "L2A",
    "dates": "2021-12-01..2022-02-28",
    "scale": 1e-4,
}


def picture(folder: Path, name: str = "a.tif", **keys: Any) -> Path:
    values = np.stack([texture(1), texture(2)])
    return write_raster(folder / name, values, CORNER, **keys)


def blend(folder: Path, source: Path, **keys: Any) -> Any:
    context = make_context(folder, source=str(source), **keys)
    found = find_scenes(context)
    return found, composite_blocks(context, found, context.region.blocks)


def test_a_geotiff_comes_out_of_the_composite_as_it_went_in(tmp_path) -> None:
    file = picture(tmp_path / "in")
    assert catalogue_rasters([file], tmp_path / "out", **USUAL) == 1
    found, (entry,) = blend(tmp_path, tmp_path / "out")
    (scene,) = found.scenes
    assert (scene.level, scene.ready, scene.simulated) == ("L2A", True, False)
    assert (scene.datetime[:10], scene.end[:10]) == ("2021-12-01", "2022-02-28")
    block = read_composite(entry.path)
    assert list(block["band"].to_numpy()) == ["B03", "B04"]
    for seed, band in ((1, "B04"), (2, "B03")):
        expected = warped_by_hand(texture(seed), CORNER, WEST)
        inside = np.isfinite(expected)
        values = block["reflectance"].sel(band=band).to_numpy() / 1e-4
        assert np.abs(values[inside] - expected[inside]).max() <= 1.5


def test_the_files_are_copied_so_that_nothing_points_outside(tmp_path) -> None:
    file = picture(tmp_path / "in")
    catalogue_rasters([file], tmp_path / "out", **USUAL)
    value = json.loads((tmp_path / "out" / "items.json").read_text())
    (asset,) = value["features"][0]["assets"].values()
    assert asset["href"] == "./items/a/a.tif"
    assert (tmp_path / "out" / "items" / "a" / "a.tif").read_bytes() == file.read_bytes()
    assert asset["file:checksum"].startswith("1220")
    assert str(tmp_path) not in (tmp_path / "out" / "items.json").read_text()


def test_zero_counts_unless_the_file_says_otherwise(tmp_path) -> None:
    values = np.stack([texture(1), texture(2)])
    values[:, 100:120, 100:120] = 0
    shares = []
    for name, nodata in (("with", 0), ("without", None)):
        file = write_raster(tmp_path / name / "a.tif", values, CORNER, nodata=nodata)
        catalogue_rasters([file], tmp_path / f"{name}-out", **USUAL)
        _, (entry,) = blend(tmp_path, tmp_path / f"{name}-out")
        shares.append(entry.facts["clear_share"])
    assert shares[1] > shares[0]


def test_scaling_of_pictures_is_carried_along(tmp_path) -> None:
    file = write_raster(tmp_path / "a.tif", np.full((2, 240, 240), 51, np.uint8), CORNER)
    usual = USUAL | {"scale": None, "clip": 0.3, "steps": 255}
    catalogue_rasters([file], tmp_path / "out", **usual)
    found, (entry,) = blend(tmp_path, tmp_path / "out")
    assert found.scaling == (0.3, 255)
    values = read_composite(entry.path)["reflectance"].to_numpy()
    assert values[np.isfinite(values)] == pytest.approx(0.06, abs=6e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": None}, "--level"),
        ({"level": "L3"}, "--level"),
        ({"dates": None}, "--dates"),
        ({"dates": "2021"}, "--dates"),
        ({"dates": "2021-02-30"}, "--dates"),
        ({"scale": None}, "--scale"),
        ({"clip": 0.3}, "--clip"),
        ({"bands": ()}, "--bands"),
        ({"bands": ("B04",)}, "--bands"),
        ({"bands": ("B04", "red")}, "--bands"),
    ],
)
def test_what_is_not_said_is_asked_for(tmp_path, change, words) -> None:
    with pytest.raises(MissingMetadataError) as caught:
        catalogue_rasters([picture(tmp_path)], tmp_path / "out", **(USUAL | change))
    assert words in caught.value.next_step
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif"], "nothing half-written"


def test_files_that_cannot_be_used(tmp_path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"nothing")
    twice = [picture(tmp_path / "x"), picture(tmp_path / "y")]
    for files in ([], [broken], [tmp_path / "nowhere.tif"], twice):
        with pytest.raises(InputFileError):
            catalogue_rasters(files, tmp_path / "out", **USUAL)
        assert not (tmp_path / "out").exists()


def test_an_older_catalogue_is_not_overwritten(tmp_path) -> None:
    catalogue_rasters([picture(tmp_path)], tmp_path / "out", **USUAL)
    with pytest.raises(InputFileError, match="there already"):
        catalogue_rasters([picture(tmp_path)], tmp_path / "out", **USUAL)


def test_located_chips_come_out_of_the_composite_as_they_went_in(tmp_path) -> None:
    archive = write_archive(tmp_path / "archive", count=30, located=20)
    assert catalogue_chips(archive, tmp_path / "out") == 20
    table = pd.read_csv(archive / "chips.csv")
    pixels = np.load(archive / "chips.npz")["chips"]
    lon, lat = table.loc[4, ["lon", "lat"]].to_numpy(float)
    region = f"bbox:{lon - 0.002:.6f},{lat - 0.002:.6f},{lon + 0.002:.6f},{lat + 0.002:.6f}"
    found, (entry, *_) = blend(tmp_path, tmp_path / "out", region=region)
    scene = next(scene for scene in found.scenes if scene.id == "chip-00004")
    assert (scene.level, found.bands, found.scaling) == ("L1C", ("B02", "B03", "B04"), (0.3, 255))
    block = grid.Block.from_name(entry.unit)
    expected = np.full((3, 1208, 1208), np.nan, np.float32)
    about = table.loc[4]
    reproject(
        np.moveaxis(pixels[4], 2, 0).astype(np.float32),
        expected,
        src_transform=rasterio.transform.from_origin(about["ulx"], about["uly"], 10, 10),
        src_crs=f"EPSG:{EPSG}",
        dst_transform=block.transform,
        dst_crs=grid.CRS,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    values = read_composite(entry.path)["reflectance"].sel(band=["B04", "B03", "B02"]).to_numpy()
    both = np.isfinite(values) & np.isfinite(expected)
    assert both.sum() > 3 * 0.9 * SIDE**2 * (10 / 9.3) ** 2
    # Reflectance is stored in steps of 1/10000, a twelfth of a step of the chip.
    assert np.abs(values[both] * 255 / 0.3 - expected[both]).max() < 0.5


def test_chips_without_places_cannot_be_catalogued(tmp_path) -> None:
    archive = write_archive(tmp_path / "archive", count=30, located=0)
    with pytest.raises(ChipsError, match="exact place"):
        catalogue_chips(archive, tmp_path / "out")
    placed = write_archive(tmp_path / "placed", count=30)
    table = pd.read_csv(placed / "chips.csv").drop(columns="date_end")
    table.to_csv(placed / "chips.csv", index=False)
    with pytest.raises(ChipsError, match="date_end"):
        catalogue_chips(placed, tmp_path / "out")


DATA = os.environ.get("ASM_ATLAS_TEST_DATA")
real = pytest.mark.skipif(not DATA, reason="ASM_ATLAS_TEST_DATA names no folder of real imagery")


@real
def test_a_real_scene_comes_out_as_an_independent_warp_says(tmp_path) -> None:
    folder = Path(str(DATA)) / "s2_l1c_virginia"
    names = ("B02", "B03", "B04")
    with rasterio.open(folder / "B04.tif") as file:
        transform, crs = file.transform, file.crs
    numbers = {}
    for name in names:
        with rasterio.open(folder / f"{name}.tif") as file:
            numbers[name] = file.read(1)
    stack = write_raster(
        tmp_path / "virginia.tif",
        np.stack([numbers[name] for name in names]),
        (transform.c, transform.f),
        crs.to_epsg(),
    )
    usual = {"bands": names, "level": "L1C", "dates": "2016-01-12", "scale": 1e-4}
    catalogue_rasters([stack], tmp_path / "out", **usual)
    region = "bbox:-75.68,37.62,-75.62,37.68"
    _, (entry,) = blend(tmp_path, tmp_path / "out", region=region)
    assert_same_pixels(entry, numbers, transform, crs)


@real
def test_five_real_dates_come_out_as_the_median_of_independent_warps(tmp_path) -> None:
    folder = Path(str(DATA)) / "s2_l1c_slovenia"
    files = sorted(folder.glob("*.tif"))
    assert len(files) == 5
    names = [f"B{n:02d}" for n in range(1, 13)]
    names.insert(8, "B8A")
    items = []
    for index, file in enumerate(files):
        usual = {
            "bands": tuple(names),
            "level": "L1C",
            "dates": f"2016-0{index + 3}-01",
            "scale": 1e-4,
        }
        catalogue_rasters([file], tmp_path / f"out-{index}", **usual)
        value = json.loads((tmp_path / f"out-{index}" / "items.json").read_text())
        items += value["features"]
        (tmp_path / f"out-{index}" / "items").rename(tmp_path / f"items-{index}")
        (asset,) = items[-1]["assets"].values()
        asset["href"] = asset["href"].replace("items/", f"items-{index}/")
    (tmp_path / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": items})
    )
    with rasterio.open(files[0]) as file:
        west, south, east, north = rasterio.warp.transform_bounds(file.crs, grid.CRS, *file.bounds)
        transform, crs = file.transform, file.crs
    region = f"bbox:{west:.4f},{south:.4f},{east:.4f},{north:.4f}"
    _, entries = blend(tmp_path, tmp_path, region=region, bands="B04,B08")
    layers = []
    for path in files:
        with rasterio.open(path) as file:
            layers.append({"B04": file.read(4), "B08": file.read(8)})
    for entry in entries:
        block = grid.Block.from_name(entry.unit)
        stored = read_composite(entry.path)
        for band in ("B04", "B08"):
            dates = [warp(layer[band], transform, crs, block) for layer in layers]
            found = stored["reflectance"].sel(band=band).to_numpy() / 1e-4
            seen = np.isfinite(found) & np.isfinite(dates).all(axis=0)
            expected = np.median(np.array(dates)[:, seen], axis=0)
            apart = np.abs(found[seen] - expected)
            # So small a scene shows the 0.005 px of GDAL's interpolated coordinates.
            assert apart.max() <= 2
            assert apart.mean() <= 0.3


def warp(numbers: Any, transform: Any, crs: Any, block: grid.Block) -> Any:
    """A whole image on the block's pixels by rasterio, without a window."""
    warped = np.full((1208, 1208), np.nan, np.float32)
    reproject(
        numbers.astype(np.float32),
        warped,
        src_transform=transform,
        src_crs=crs,
        dst_transform=block.transform,
        dst_crs=grid.CRS,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    return warped


def assert_same_pixels(entry: Any, numbers: Any, transform: Any, crs: Any) -> None:
    block = grid.Block.from_name(entry.unit)
    stored = read_composite(entry.path)["reflectance"]
    for name, layer in numbers.items():
        expected = warp(layer, transform, crs, block)
        found = stored.sel(band=name).to_numpy() / 1e-4
        seen = np.isfinite(found)
        assert seen.sum() > 200_000
        apart = np.abs(found[seen] - expected[seen])
        assert np.nanmax(apart) <= 0.5 + 0.05
