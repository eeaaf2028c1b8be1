"""Which pixels show the ground: classes, grown clouds, s2cloudless, radar."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.warp
from imagery import EAST, WEST, clear_scl, make_item, scene_of, texture

from pipeline.errors import DependencyError, MissingMetadataError, OffsetError
from pipeline.geo import grid
from pipeline.imagery import cloud_mask
from pipeline.imagery.blend import NOT_CLEAR
from pipeline.imagery.cloud_mask import COARSE_PX, CloudRule, grown, modelled_clouds
from pipeline.imagery.items import SENTINEL_2_BANDS, Scene, SceneBand
from pipeline.imagery.pixels import CLEAR, CLOUD, OUTSIDE, read_scene

REAL = os.environ.get("ASM_ATLAS_TEST_DATA")


def grown_by_hand(mask: np.ndarray, pixels: int) -> np.ndarray:
    result = np.zeros_like(mask)
    for row, col in np.argwhere(mask):
        result[max(0, row - pixels) : row + pixels + 1, max(0, col - pixels) : col + pixels + 1] = (
            True
        )
    return result


@pytest.mark.parametrize("pixels", [0, 1, 4])
def test_clouds_grow_in_all_directions(pixels) -> None:
    mask = np.random.default_rng(2).random((60, 50)) < 0.01
    assert np.array_equal(grown(mask, pixels), grown_by_hand(mask, pixels))


def test_which_classes_are_unclear_is_a_setting(tmp_path) -> None:
    classes = clear_scl()
    classes[:, ::2] = 7
    scene = scene_of(make_item(tmp_path, {"B04": texture(), "SCL": classes}), tmp_path)
    usual = read_scene(scene, ("B04",), WEST)
    strict = read_scene(scene, ("B04",), WEST, rule=CloudRule((0, 7)))
    assert usual is not None and strict is not None
    assert (usual.status == CLOUD).sum() == 0
    share = (strict.status == CLOUD).sum() / (strict.status != OUTSIDE).sum()
    assert 0.45 < share < 0.55


def test_a_cloud_beyond_the_blocks_edge_grows_into_it(tmp_path) -> None:
    # The scene lies across lon 6.0; the cloud lies in the western block only.
    classes = clear_scl()
    scene = scene_of(make_item(tmp_path, {"B04": texture(), "SCL": classes}, lon=5.99), tmp_path)
    east = read_scene(scene, ("B04",), EAST, rule=CloudRule(dilation=6))
    assert east is not None and (east.status[:, :20] == CLOUD).sum() == 0
    # A column of the 20 m classes some 30 m west of the edge.
    with rasterio.open(scene.bands["SCL"].href) as file:
        edge = rasterio.warp.transform("EPSG:4326", file.crs, [6.0], [2.05])
        column = int((~file.transform @ (edge[0][0] - 30, edge[1][0]))[0])
    classes[:, column] = 9
    make_item(tmp_path, {"B04": texture(), "SCL": classes}, lon=5.99)
    bare = read_scene(scene, ("B04",), EAST)
    assert bare is not None and (bare.status == CLOUD).sum() == 0
    east = read_scene(scene, ("B04",), EAST, rule=CloudRule(dilation=6))
    west = read_scene(scene, ("B04",), WEST, rule=CloudRule(dilation=6))
    assert east is not None and west is not None
    assert (east.status[:, 0] == CLOUD).sum() > 100
    # The western block's halo and the eastern block's first columns are the same pixels.
    assert np.array_equal(west.status[:, 1200:], east.status[:, :8])


def test_a_wrong_offset_is_not_taken_for_dark_ground(tmp_path) -> None:
    scene = scene_of(make_item(tmp_path, {"B04": texture(), "SCL": clear_scl()}), tmp_path)
    twice = {name: replace(band, offset=band.offset - 0.2) for name, band in scene.bands.items()}
    with pytest.raises(OffsetError, match="offset must be wrong"):
        read_scene(replace(scene, bands=twice), ("B04",), WEST)


def radar_item(root: Path, **properties: object) -> pystac.Item:
    power = np.random.default_rng(3).uniform(0.01, 0.5, (240, 240)).astype(np.float32)
    power[:20] = -32768
    power[20:30] = 0
    about = {"platform": "sentinel-1a", "sar:product_type": "RTC", "sat:absolute_orbit": 7}
    extra = {"raster:bands": [{"nodata": -32768}]}
    return make_item(
        root, {"VV": power, "VH": power / 4}, extra=extra, properties=about | properties
    )


def test_radar_becomes_decibels(tmp_path) -> None:
    item = radar_item(tmp_path)
    scene = scene_of(item, tmp_path)
    assert (scene.level, scene.radar, scene.acquisition) == ("RTC", True, "sentinel-1a-7")
    read = read_scene(scene, ("VV", "VH"), WEST)
    assert read is not None
    seen = read.status == CLEAR
    low, high = 1_000 * np.log10(0.01), 1_000 * np.log10(0.5)
    assert seen.sum() > 55_000
    assert (read.values[0][seen] >= low - 1).all() and (read.values[0][seen] <= high + 1).all()
    apart = read.values[0][seen].astype(int) - read.values[1][seen]
    # A quarter of the power is 6.02 dB less.
    assert (np.abs(apart - 602) <= 1).all()
    assert (read.values[:, ~seen] == NOT_CLEAR).all()


def test_radar_that_is_not_terrain_corrected_is_refused(tmp_path) -> None:
    item = radar_item(tmp_path, **{"sar:product_type": "GRD"})
    with pytest.raises(MissingMetadataError, match="terrain-corrected"):
        scene_of(item, tmp_path)


def test_without_s2cloudless_l1c_says_what_to_install(monkeypatch) -> None:
    cloud_mask._detector.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "s2cloudless.cloud_detector", None)
    with pytest.raises(DependencyError, match="s2cloudless"):
        modelled_clouds(np.zeros((10, 12, 12), np.float32))


def test_white_is_cloud_and_forest_is_not() -> None:
    forest = [0.11, 0.08, 0.03, 0.06, 0.25, 0.27, 0.08, 0.001, 0.12, 0.05]
    white = [0.6, 0.6, 0.6, 0.6, 0.65, 0.65, 0.3, 0.03, 0.4, 0.35]
    picture = np.empty((10, 120, 120), np.float32)
    picture[:] = np.array(forest, np.float32)[:, None, None]
    picture[:, 48:96, 48:96] = np.array(white, np.float32)[:, None, None]
    found = modelled_clouds(picture)
    assert found[54:90, 54:90].all()
    assert not found[:30].any() and not found[:, :30].any()
    assert found.reshape(20, COARSE_PX, 20, COARSE_PX).std(axis=(1, 3)).max() == 0


@pytest.mark.skipif(not REAL, reason="set ASM_ATLAS_TEST_DATA to the folder of real data")
def test_the_cloudy_ones_of_five_real_acquisitions_are_found(tmp_path) -> None:
    shares = []
    for number in range(5):
        file = Path(str(REAL)) / "s2_l1c_slovenia" / f"s2_l1c_13band_scene{number}.tif"
        with rasterio.open(file) as opened:
            crs, bounds = opened.crs, opened.bounds
        west, south, _, _ = rasterio.warp.transform_bounds(crs, "EPSG:4326", *bounds)
        bands = {
            name: SceneBand(str(file), index, 1e-4, 0.0, None, "1")
            for index, name in enumerate(SENTINEL_2_BANDS, start=1)
        }
        scene = Scene(
            id=str(number), collection="", platform="sentinel-2a", datetime="2015-07-11",
            end="2015-07-11", acquisition="a", baseline="", level="L1C", clip=0, steps=0,
            ready=False, simulated=False, offset_rule="", footprint="POLYGON EMPTY", bands=bands,
        )  # fmt: skip
        corner = f"N{np.floor(south * 10) / 10:04.1f}E{np.floor(west * 10) / 10:05.1f}"
        block = grid.Block.from_name(corner)
        read = read_scene(scene, ("B04",), block)
        assert read is not None
        seen = read.status != OUTSIDE
        assert seen.sum() > 1_000
        shares.append((read.status == CLOUD).sum() / seen.sum())
    # Seen by eye: the first two are overcast, the others clear.
    assert min(shares[:2]) > 0.9
    assert max(shares[2:]) < 0.05
