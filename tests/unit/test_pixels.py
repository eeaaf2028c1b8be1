"""Reading a scene: reflectance, and of every pixel whether it was observed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from imagery import (
    EAST,
    SIZE,
    WEST,
    clear_scl,
    make_item,
    scene_of,
    texture,
    utm_corner,
    warped_by_hand,
    with_bands,
    write_raster,
)
from rasterio.enums import Resampling
from rasterio.warp import reproject

from pipeline.errors import MissingBandError, MissingMetadataError, ReadFailedError
from pipeline.geo import grid
from pipeline.imagery import windows
from pipeline.imagery.items import Scene
from pipeline.imagery.pixels import (
    CLEAR,
    CLOUD,
    NOT_CLEAR,
    OUTSIDE,
    SIZE_PX,
    UNKNOWN,
    read_scene,
)

TOP = (5.97, 2.06)


def make_scene(root: Path, **keys: Any) -> tuple[Scene, np.ndarray]:
    bands = keys.pop("bands", {"B04": texture(), "SCL": clear_scl()})
    return scene_of(make_item(root, bands, **keys), root), bands["B04"]


def whole(scene: Scene, block: grid.Block = WEST, bands: tuple[str, ...] = ("B04",)) -> Any:
    """Reflectance and status of the whole block with its halo."""
    read = read_scene(scene, bands, block)
    assert read is not None
    return read.values, read.status


@pytest.mark.parametrize(("baseline", "offset"), [("03.01", 0), ("05.09", -1000)])
def test_reflectance_agrees_with_arithmetic_of_its_own(tmp_path, baseline, offset) -> None:
    scene, numbers = make_scene(tmp_path, baseline=baseline)
    reflectance, status = whole(scene)
    expected = warped_by_hand(numbers, utm_corner(*TOP), WEST) + offset
    inside = np.isfinite(expected)
    assert inside.sum() > 60_000
    assert (status[inside] == CLEAR).all()
    assert np.abs(reflectance[0][inside] - expected[inside]).max() <= 1


def test_pixels_agree_with_rasterios_own_warp(tmp_path) -> None:
    scene, _ = make_scene(tmp_path)
    reflectance, status = whole(scene)
    expected = np.full((SIZE_PX, SIZE_PX), np.nan, np.float32)
    with rasterio.open(scene.bands["B04"].href) as file:
        reproject(
            file.read(1).astype(np.float32),
            expected,
            src_transform=file.transform,
            src_crs=file.crs,
            src_nodata=0,
            dst_transform=WEST.transform,
            dst_crs=grid.CRS,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )
    known = np.isfinite(expected)
    assert known.sum() > 60_000
    assert np.array_equal(known, status == CLEAR)
    # Half a step of rounding, and 0.005 px by which GDAL's interpolated coordinates differ between
    # a window and the whole file.
    assert np.abs(reflectance[0][known] - expected[known]).max() <= 1


def test_outside_the_scene_is_outside(tmp_path) -> None:
    scene, numbers = make_scene(tmp_path)
    reflectance, status = whole(scene)
    hand = np.isfinite(warped_by_hand(numbers, utm_corner(*TOP), WEST))
    # A pixel and a half along the edge may fall on either side.
    assert set(np.unique(status)) == {OUTSIDE, CLEAR}
    assert (status[hand] == CLEAR).all()
    assert (status == CLEAR).sum() < 1.03 * hand.sum()
    assert (reflectance[0][status == OUTSIDE] == NOT_CLEAR).all()


def test_number_0_stays_no_data_whatever_the_offset(tmp_path) -> None:
    numbers = texture()
    numbers[100:140, 50:90] = 0
    for baseline in ("03.01", "05.09"):
        scene, _ = make_scene(
            tmp_path, bands={"B04": numbers, "SCL": clear_scl()}, baseline=baseline
        )
        reflectance, status = whole(scene)
        hole = warped_by_hand((numbers == 0).astype(float), utm_corner(*TOP), WEST)
        assert (status[hole == 1] == OUTSIDE).all()
        assert (status[hole == 0] == CLEAR).all()
        # What has no data takes no part: the pixels beside the hole are no darker for it.
        darkest = int(numbers[numbers > 0].min()) + (0 if baseline == "03.01" else -1000)
        assert reflectance[0][status == CLEAR].min() >= darkest - 1


def test_a_band_without_nodata_keeps_its_zeros(tmp_path) -> None:
    numbers = np.zeros((SIZE, SIZE), np.uint16)
    scene, _ = make_scene(tmp_path, bands={"B04": numbers, "SCL": clear_scl()})
    assert (whole(scene)[1] == OUTSIDE).all()
    reflectance, status = whole(with_bands(scene, nodata=None))
    assert (reflectance[0][status == CLEAR] == 0).all()
    assert (status == CLEAR).sum() > 60_000


def test_a_pixel_without_data_in_one_band_is_outside_in_all(tmp_path) -> None:
    other = texture(2)
    other[:, :100] = 0
    scene, _ = make_scene(tmp_path, bands={"B04": texture(), "B03": other, "SCL": clear_scl()})
    _, alone = whole(scene)
    reflectance, both = whole(scene, bands=("B03", "B04"))
    assert 0.5 < (both == CLEAR).sum() / (alone == CLEAR).sum() < 0.65
    assert (reflectance[:, both != CLEAR] == NOT_CLEAR).all()


def test_each_class_of_cloud_is_cloud_and_no_class_is_invented(tmp_path) -> None:
    classes = np.arange(12, dtype=np.uint8).repeat(10)[None].repeat(120, 0)
    scene, _ = make_scene(tmp_path, bands={"B04": texture(), "SCL": classes})
    _, status = whole(scene)
    # Nearest: each pixel has the class of the 20 m pixel that holds its centre.
    across = warped_by_hand(
        np.arange(SIZE, dtype=float)[None].repeat(SIZE, 0), utm_corner(*TOP), WEST
    )
    seen = np.isfinite(across)
    away_from_edges = seen & (np.abs((across + 0.5) % 20 - 10) < 9.5)
    kind = ((np.nan_to_num(across) + 0.5) // 20).astype(int)
    for number in range(12):
        expected = CLOUD if number in (0, 1, 3, 8, 9, 10) else CLEAR
        found = status[away_from_edges & (kind == number)]
        assert len(found) > 3_000
        assert (found == expected).all(), number


@pytest.mark.parametrize("number", [12, 100, 255])
def test_a_class_above_11_is_refused(tmp_path, number) -> None:
    classes = clear_scl()
    classes[60, 60] = number
    scene, _ = make_scene(tmp_path, bands={"B04": texture(), "SCL": classes})
    with pytest.raises(ReadFailedError, match="outside 0 to 11"):
        read_scene(scene, ("B04",), WEST)


def test_a_scene_elsewhere_is_none(tmp_path) -> None:
    scene, _ = make_scene(tmp_path)
    assert read_scene(scene, ("B04",), grid.Block.from_name("N05.0E005.9")) is None


def test_the_halo_to_the_east_and_south_is_read(tmp_path) -> None:
    scene, _ = make_scene(tmp_path, lon=5.99)
    reflectance, status = whole(scene)
    assert (status[600, grid.BLOCK_PX :] == CLEAR).all()
    east, east_status = whole(scene, EAST)
    assert np.array_equal(status[:, grid.BLOCK_PX :], east_status[:, : grid.HALO_PX])
    # The same ground in both blocks: the same numbers but for the last bit before rounding.
    apart = reflectance[0, :, grid.BLOCK_PX :].astype(int) - east[0, :, : grid.HALO_PX]
    assert np.abs(apart).max() <= 1
    assert (apart != 0).mean() < 0.01


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("band", ["B04", "SCL"])
def test_a_truncated_file_is_a_named_failure(tmp_path, band) -> None:
    scene, _ = make_scene(
        tmp_path, bands={"B04": texture(), "SCL": texture(3, (120, 120)).astype(np.uint8) % 12}
    )
    truncate(Path(scene.bands[band].href))
    with pytest.raises(ReadFailedError) as caught:
        read_scene(scene, ("B04",), WEST)
    assert caught.value.exit_code == 23
    for part in (scene.id, f"band {band}", f"{band}.tif"):
        assert part in caught.value.where


@pytest.mark.parametrize("content", [b"", b"II*\0", b"not a picture", None])
def test_a_file_that_is_no_picture_or_not_there(tmp_path, content) -> None:
    scene, _ = make_scene(tmp_path)
    file = Path(scene.bands["B04"].href)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ReadFailedError):
        read_scene(scene, ("B04",), WEST)


def test_a_vrt_called_tif_is_refused(tmp_path) -> None:
    # A VRT would read any file of the machine.
    scene, numbers = make_scene(tmp_path)
    secret = write_raster(tmp_path / "secret.tif", numbers, utm_corner(*TOP))
    west, north = utm_corner(*TOP)
    Path(scene.bands["B04"].href).write_text(
        f"""<VRTDataset rasterXSize="{SIZE}" rasterYSize="{SIZE}"><SRS>EPSG:32631</SRS>
        <GeoTransform>{west}, 10, 0, {north}, 0, -10</GeoTransform>
        <VRTRasterBand dataType="UInt16" band="1"><SimpleSource>
        <SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""
    )
    with pytest.raises(ReadFailedError):
        read_scene(scene, ("B04",), WEST)


def test_a_band_that_the_file_does_not_have(tmp_path) -> None:
    scene, _ = make_scene(tmp_path)
    with pytest.raises(MissingBandError, match="band B04"):
        read_scene(with_bands(scene, index=3), ("B04",), WEST)


def test_a_file_without_coordinates(tmp_path) -> None:
    scene, numbers = make_scene(tmp_path)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "width": SIZE, "height": SIZE}
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(scene.bands["B04"].href, "w", **profile) as file,
    ):
        file.write(numbers, 1)
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        pytest.raises(MissingMetadataError, match="coordinate system"),
    ):
        read_scene(scene, ("B04",), WEST)


def test_a_file_that_claims_more_pixels_than_any_scene_has(tmp_path, monkeypatch) -> None:
    scene, _ = make_scene(tmp_path)
    monkeypatch.setattr(windows, "MAX_PIXELS", SIZE * SIZE - 1)
    with pytest.raises(ReadFailedError, match="more pixels"):
        read_scene(scene, ("B04",), WEST)


def test_reflectance_is_kept_within_16_bits(tmp_path) -> None:
    scene, _ = make_scene(tmp_path)
    reflectance, status = whole(with_bands(scene, scale=1.0))
    assert (reflectance[0][status == CLEAR] == NOT_CLEAR - 1).all()


def test_a_ready_composite_is_used_and_its_clouds_are_unknown(tmp_path) -> None:
    scene, _ = make_scene(tmp_path, bands={"B04": texture()})
    values, status = whole(replace(scene, ready=True))
    assert set(np.unique(status)) == {OUTSIDE, UNKNOWN}
    assert (values[0][status == UNKNOWN] != NOT_CLEAR).all()
