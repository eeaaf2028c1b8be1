"""Items as the named services write them, and lists of scenes from more than one sensor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.warp
from imagery import clear_scl, make_context, make_item, save_items, texture
from rasterio.enums import Resampling

from pipeline.composite import composite_blocks, read_composite
from pipeline.errors import MissingBandError, NoSceneError, UnsafeLinkError
from pipeline.geo.seasons import season_windows
from pipeline.imagery.hrefs import allowed_hosts
from pipeline.imagery.items import describe
from pipeline.imagery.providers import PROVIDERS, address_of, collection_at, provider_of
from pipeline.scenes import find_scenes, load_scenes

REAL = os.environ.get("ASM_ATLAS_TEST_DATA")
PLACE = {"type": "Polygon", "coordinates": [[[27, 2], [28, 2], [28, 3], [27, 3], [27, 2]]]}


def item(assets: dict[str, Any], collection: str, **properties: Any) -> pystac.Item:
    about = {"datetime": "2024-01-05T08:00:00Z", "platform": "sentinel-2b"} | properties
    return pystac.Item.from_dict(
        {
            "type": "Feature", "stac_version": "1.0.0", "id": "i", "geometry": PLACE,
            "bbox": [27, 2, 28, 3], "properties": about, "links": [], "assets": assets,
            "collection": collection,
        }
    )  # fmt: skip


def described(source: str, found: pystac.Item) -> Any:
    address = address_of(source)
    return describe(found, address, allowed_hosts(address, provider_of(source), ""))


def test_planetary_computer() -> None:
    home = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/T35/x"
    assets = {name: {"href": f"{home}_{name}.tif"} for name in ("B02", "B04", "B8A", "SCL")}
    assets["visual"] = {"href": f"{home}_TCI.tif", "eo:bands": [{"name": "B04"}, {"name": "B03"}]}
    found = item(
        assets,
        "sentinel-2-l2a",
        **{"s2:processing_baseline": "05.10", "s2:datatake_id": "GS2B_2024_N05.10"},
    )
    scene = described("planetary-computer", found)
    assert (scene.provider, scene.level, scene.acquisition) == (
        "planetary-computer",
        "L2A",
        "GS2B_2024",
    )
    assert set(scene.bands) == {"B02", "B04", "B8A", "SCL"}
    assert scene.bands["B04"].offset == pytest.approx(-0.1)
    assert "provider's rule" in scene.offset_rule


def test_earth_search() -> None:
    home = "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com/x"
    declared = {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}
    assets: dict[str, Any] = {
        name: {"href": f"{home}/{name}.tif", **declared, "file:size": 7, "file:checksum": "1220ab"}
        for name in ("blue", "red", "nir08", "swir16")
    }
    assets["red-jp2"] = {
        "href": "s3://elsewhere/red.jp2",
        "eo:bands": [{"name": "red", "common_name": "red"}],
    }
    assets["scl"] = {"href": f"{home}/scl.tif"}
    found = item(assets, "sentinel-2-c1-l2a", **{"s2:processing_baseline": "05.10"})
    scene = described("earth-search", found)
    assert set(scene.bands) == {"B02", "B04", "B8A", "B11", "SCL"}
    band = scene.bands["B04"]
    assert band.href == f"{home}/red.tif"
    assert (band.offset, band.size, band.checksum) == (-0.1, 7, "1220ab")


def test_copernicus() -> None:
    assets: dict[str, Any] = {}
    for name in ("B02_20m", "B02_10m", "B02_60m", "B8A_20m", "SCL_20m", "TCI_10m", "AOT_10m"):
        assets[name] = {
            "href": f"s3://eodata/Sentinel-2/{name}.jp2",
            "raster:scale": 0.0001,
            "raster:offset": -0.1,
        }
    found = item(
        assets,
        "sentinel-2-l2a",
        **{
            "processing:level": "L2",
            "processing:version": "05.11",
            "eopf:datatake_id": "GS2_N05.11",
        },
    )
    scene = described("copernicus", found)
    assert set(scene.bands) == {"B02", "B8A", "SCL"}
    assert scene.bands["B02"].href.endswith("B02_10m.jp2")
    assert (scene.baseline, scene.acquisition, scene.level) == ("05.11", "GS2", "L2A")


def test_a_bucket_of_somebody_else_is_not_read_with_our_keys() -> None:
    assets = {"B02": {"href": "s3://private/x.jp2"}, "SCL": {"href": "s3://eodata/x.jp2"}}
    found = item(assets, "sentinel-2-l2a", **{"s2:processing_baseline": "05.10"})
    with pytest.raises(UnsafeLinkError, match="private"):
        described("copernicus", found)


def test_names_and_addresses_lead_to_the_same_row() -> None:
    for provider in PROVIDERS:
        assert provider_of(provider.name) is provider
        assert provider_of(provider.address) is provider
        assert address_of(provider.name) == provider.address
    assert provider_of("https://elsewhere.example").name == ""
    row = provider_of("earth-search")
    assert collection_at(row, "sentinel-2-l2a") == "sentinel-2-c1-l2a"
    assert collection_at(row, "anything-else") == "anything-else"


def two_sensors(root: Path) -> list[pystac.Item]:
    power = np.full((240, 240), 0.1, np.float32)
    cloudy = clear_scl()
    cloudy[:60] = 9
    optical = make_item(root, {"B04": texture(), "SCL": cloudy})
    radar = [
        make_item(
            root,
            {"VV": power * factor, "VH": power / 4},
            name=f"S1_{orbit}",
            date=f"2021-12-{orbit:02d}",
            properties={
                "platform": "sentinel-1a",
                "sar:product_type": "RTC",
                "sat:absolute_orbit": orbit,
            },
        )
        for orbit, factor in ((6, 1), (18, 1.5), (30, 4))
    ]
    return [optical, *radar]


def test_radar_and_optical_are_blended_apart_with_a_count_each(tmp_path) -> None:
    source = tmp_path / "source"
    save_items(source, two_sensors(source))
    context = make_context(tmp_path)
    found = find_scenes(context)
    assert found.bands == ("B04", "VV", "VH")
    assert found.level == "L2A"
    (entry,) = composite_blocks(context, found, context.region.blocks)
    block = read_composite(entry.path)
    clear, radar = block["clear"].to_numpy(), block["radar"].to_numpy()
    assert (int(clear.max()), int(radar.max())) == (1, 3)
    under_cloud = (block["cloud"].to_numpy() == 1) & (radar == 3)
    assert under_cloud.sum() > 5_000
    bands = block["reflectance"].to_numpy()
    assert np.isnan(bands[0][under_cloud]).all()
    # The median of three, 0.15, in hundredths of a decibel and of the stored step.
    expected = 10 * np.log10(0.15) / 100
    assert np.abs(bands[1][under_cloud] - expected).max() < 1e-3
    assert entry.facts is not None
    both = ((clear > 0) & (radar > 0))[:1200, :1200].mean()
    assert entry.facts["clear_share"] == pytest.approx(both, abs=1e-6)


def test_radar_bands_without_radar_scenes(tmp_path) -> None:
    source = tmp_path / "source"
    save_items(source, two_sensors(source)[:1])
    with pytest.raises(MissingBandError, match="VV"):
        find_scenes(make_context(tmp_path, bands="B04,VV"))


def test_scenes_of_much_cloud_are_left_out_only_when_asked(tmp_path) -> None:
    source = tmp_path / "source"
    bands = {"B04": texture(), "SCL": clear_scl()}
    save_items(
        source,
        [
            make_item(
                source, bands, date=f"2021-12-{day:02d}", properties={"eo:cloud_cover": cover}
            )
            for day, cover in ((1, 20), (6, 80), (11, None))
        ],
    )
    assert len(find_scenes(make_context(tmp_path)).scenes) == 3
    fewer = find_scenes(make_context(tmp_path, max_cloud=50))
    assert len(fewer.scenes) == 2
    assert fewer.clouded == 1
    assert load_scenes(make_context(tmp_path, max_cloud=50)) == fewer
    save_items(source, [make_item(source, bands, properties={"eo:cloud_cover": 99})])
    with pytest.raises(NoSceneError, match="clouded more than 50"):
        find_scenes(make_context(tmp_path, max_cloud=50))


def test_the_same_months_of_several_years(tmp_path) -> None:
    assert season_windows("2020-12..2021-02,2021-12..2022-02") == (
        ("2020-12-01", "2021-03-01"),
        ("2021-12-01", "2022-03-01"),
    )
    source = tmp_path / "source"
    bands = {"B04": texture(), "SCL": clear_scl()}
    dates = ("2020-12-15", "2021-06-15", "2022-01-15")
    save_items(source, [make_item(source, bands, date=date) for date in dates])
    found = find_scenes(make_context(tmp_path, season="2020-12..2021-02,2021-12..2022-02"))
    assert [scene.datetime[:10] for scene in found.scenes] == [dates[0], dates[2]]


def test_the_stored_list_holds_what_is_read_and_no_signature(tmp_path) -> None:
    source = tmp_path / "source"
    bands = {"B04": texture(), "SCL": clear_scl()}
    one = make_item(source, bands)
    one.assets["thumbnail"] = pystac.Asset("https://pictures.example/x.png?sig=secret")
    one.add_link(pystac.Link("self", "https://api.example/i?token=secret"))
    save_items(source, [one])
    context = make_context(tmp_path)
    found = find_scenes(context)
    (stored,) = context.store("scenes").glob("*/*.json")
    text = stored.read_text()
    assert "secret" not in text
    value = json.loads(text)
    assert value["type"] == "FeatureCollection"
    (feature,) = value["features"]
    assert sorted(feature["assets"]) == ["B04", "SCL"]
    again = pystac.ItemCollection.from_dict(value).items[0]
    assert describe(again, str(source)).bands == found.scenes[0].bands


@pytest.mark.skipif(not REAL, reason="set ASM_ATLAS_TEST_DATA to the folder of real data")
@pytest.mark.parametrize("metres", [10, 20, 60])
def test_a_real_scene_of_three_resolutions_is_within_half_a_number_of_rasterios_warp(
    tmp_path, metres
) -> None:
    name = {10: "B04", 20: "B11", 60: "B09"}[metres]
    file = Path(str(REAL)) / "s2_l1c_virginia" / f"{name}.tif"
    with rasterio.open(file) as opened:
        numbers, transform, crs = opened.read(1), opened.transform, opened.crs
        west, south, east, north = rasterio.warp.transform_bounds(crs, "EPSG:4326", *opened.bounds)
    source = tmp_path / "source"
    found = pystac.Item.from_dict(
        {
            "type": "Feature", "stac_version": "1.0.0", "id": "virginia", "links": [],
            "geometry": {"type": "Polygon", "coordinates": [[
                [west, south], [east, south], [east, north], [west, north], [west, south]]]},
            "bbox": [west, south, east, north],
            "properties": {"datetime": "2016-01-12T16:00:00Z", "processing:level": "L1C",
                           "s2:processing_baseline": "02.01", "asm:ready_composite": True},
            "assets": {name: {"href": f"./{name}.tif"}},
        }
    )  # fmt: skip
    source.mkdir()
    (source / f"{name}.tif").write_bytes(file.read_bytes())
    save_items(source, [found])
    middle = f"bbox:{(west + east) / 2:.3f},{(south + north) / 2:.3f}"
    region = f"{middle},{(west + east) / 2 + 0.02:.3f},{(south + north) / 2 + 0.02:.3f}"
    context = make_context(tmp_path, region=region, bands=name)
    entries = composite_blocks(context, find_scenes(context), context.region.blocks)
    compared = 0
    for entry in entries:
        with rasterio.open(entry.path) as opened:
            stored, target = opened.read(1), opened.transform
        expected = np.full(stored.shape, np.nan, np.float32)
        rasterio.warp.reproject(
            numbers.astype(np.float32), expected, src_transform=transform, src_crs=crs,
            src_nodata=0, dst_transform=target, dst_crs="EPSG:4326", dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )  # fmt: skip
        seen = np.isfinite(expected) & (stored != -32768)
        compared += seen.sum()
        assert np.abs(stored[seen] - expected[seen]).max() <= 0.55
        assert (np.isfinite(expected) == (stored != -32768)).mean() > 0.999
    assert compared > 500_000
