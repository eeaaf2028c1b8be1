"""From a STAC item to a scene: which file, and which offset by which rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pystac
import pytest
from imagery import make_item, scene_of

from pipeline.errors import MissingMetadataError, UnsafeLinkError
from pipeline.imagery.items import band_names, datatake

NOTHING = {"B04": np.zeros((4, 4), np.uint16)}


def item(tmp_path, **keys: Any) -> pystac.Item:
    return make_item(tmp_path, NOTHING, write=False, **keys)


def decoded(tmp_path, **keys: Any) -> tuple[float, float, float | None, str]:
    scene = scene_of(item(tmp_path, **keys), tmp_path)
    band = scene.bands["B04"]
    return band.scale, round(band.offset, 9), band.nodata, scene.offset_rule


RASTER_1_0 = {"raster:bands": [{"scale": 0.0002, "offset": -0.05, "nodata": 7}]}
BANDS_1_1 = {
    "bands": [{"name": "B04", "raster:scale": 0.0002, "raster:offset": -0.05, "nodata": 7}]
}
ASSET_1_1 = {"raster:scale": 0.0002, "raster:offset": -0.05, "nodata": 7}


@pytest.mark.parametrize("fields", [RASTER_1_0, BANDS_1_1, ASSET_1_1], ids=["1.0", "1.1", "asset"])
def test_declared_scale_and_offset_win_over_the_baseline(tmp_path, fields) -> None:
    scale, offset, nodata, rule = decoded(tmp_path, extra=fields, baseline="05.09")
    assert (scale, offset, nodata) == (0.0002, -0.05, 7.0)
    assert rule.startswith("declared with the band")
    assert "05.09 alone says -0.1" in rule, "signals that disagree are reported"


def test_signals_that_agree_are_not_reported(tmp_path) -> None:
    fields = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    assert decoded(tmp_path, extra=fields, baseline="05.09")[3] == "declared with the band"


@pytest.mark.parametrize(
    ("baseline", "offset"),
    [("03.01", 0.0), ("3.01", 0.0), ("04.00", -0.1), ("05.09", -0.1), ("5.09", -0.1)],
)
def test_the_baseline_decides_where_nothing_is_declared(tmp_path, baseline, offset) -> None:
    assert decoded(tmp_path, baseline=baseline) == (
        1e-4,
        offset,
        0.0,
        f"processing baseline {baseline}",
    )


@pytest.mark.parametrize(
    ("applied", "baseline", "offset"),
    [(True, "05.09", 0.0), (False, "05.09", -0.1), (False, "02.14", 0.0)],
)
def test_the_providers_own_rule_comes_first(tmp_path, applied, baseline, offset) -> None:
    # Earth Search declares -0.1 even where it has applied the offset itself.
    fields = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    about = {"earthsearch:boa_offset_applied": applied}
    scale, found, _, rule = decoded(tmp_path, extra=fields, baseline=baseline, properties=about)
    assert (scale, found, rule) == (1e-4, offset, "provider's rule")


def test_no_signal_at_all_is_refused(tmp_path) -> None:
    with pytest.raises(MissingMetadataError, match="band B04"):
        decoded(tmp_path, baseline=None)


@pytest.mark.parametrize("scale", [0, -1e-4, float("nan"), float("inf")])
def test_a_scale_that_gives_no_reflectance_is_refused(tmp_path, scale) -> None:
    with pytest.raises(MissingMetadataError, match="no reflectance"):
        decoded(tmp_path, extra={"raster:bands": [{"scale": scale, "offset": 0}]})


def test_nodata_of_nan_means_that_every_number_counts(tmp_path) -> None:
    fields = {"raster:bands": [{"scale": 1e-4, "offset": 0, "nodata": "nan"}]}
    assert decoded(tmp_path, extra=fields)[2] is None


@pytest.mark.parametrize(
    "change",
    [
        {"properties": {"processing:level": "L9"}},
        {"properties": {"datetime": "1925-01-01T00:00:00Z"}},
        {"extra": {"raster:bands": [{"scale": "much", "offset": 0}]}},
        {"extra": {"raster:bands": 7}},
        {"extra": {"eo:bands": ["B04"]}},
        {"properties": {"asm:scaling": [1]}},
    ],
)
def test_hostile_fields_are_named_errors(tmp_path, change) -> None:
    with pytest.raises(MissingMetadataError, match="S2_31NHA"):
        scene_of(item(tmp_path, **change), tmp_path)


def test_the_level_may_come_from_the_collections_name(tmp_path) -> None:
    about = item(tmp_path, properties={"processing:level": None})
    about.collection_id = "sentinel-2-l1c"
    assert scene_of(about, tmp_path).level == "L1C"


def test_the_asset_called_after_a_band_wins_over_other_copies_of_it(tmp_path) -> None:
    about = item(tmp_path)
    red = {"eo:bands": [{"name": "B04", "common_name": "red"}]}
    # Earth Search lists the JPEG 2000 original beside the COG, in a bucket that asks for money.
    copy = pystac.Asset("s3://bucket/B04.jp2", roles=["data"], extra_fields=red)
    about.assets = {"red-jp2": copy, **about.assets}
    assert scene_of(about, tmp_path).bands["B04"].href.endswith("B04.tif")


@pytest.mark.parametrize(
    ("key", "fields", "names"),
    [
        ("B8A", {}, ["B8A"]),
        ("scl", {}, ["SCL"]),
        ("red", {}, ["B04"]),
        ("swir22", {}, ["B12"]),
        ("any", {"eo:bands": [{"name": "B02"}]}, ["B02"]),
        ("any", {"bands": [{"name": "x", "eo:common_name": "nir"}]}, ["B08"]),
        ("stack", {"eo:bands": [{"name": "B04"}, {"name": "B03"}]}, ["B04", "B03"]),
        ("visual", {"eo:bands": [{"name": "B04"}, {"name": "B03"}, {"name": "B02"}]}, []),
        ("thumbnail", {}, []),
    ],
)
def test_band_names(key, fields, names) -> None:
    assert band_names(key, pystac.Asset("x.tif", extra_fields=fields)) == names


def test_tiles_and_reprocessings_of_one_overpass_are_one_acquisition(tmp_path) -> None:
    old = item(tmp_path, baseline="03.01")
    new = item(tmp_path, baseline="05.09")
    assert datatake(old) == datatake(new) == "GS2A_20211205T100411_000001"
    assert scene_of(old, tmp_path).acquisition == datatake(new)


@pytest.mark.parametrize(
    "href",
    [
        "../secret.tif",
        "/etc/passwd",
        "/vsicurl/https://evil.example/x.tif",
        "/vsizip/x.zip/x.tif",
        "http://evil.example/x.tif",
        "https://evil.example/x.tif",
        "file:///etc/passwd",
        "s3://bucket/x.tif",
    ],
)
def test_links_out_of_the_folder_are_refused(tmp_path, href) -> None:
    about = item(tmp_path)
    about.assets["B04"].href = href
    with pytest.raises(UnsafeLinkError, match="S2_31NHA") as caught:
        scene_of(about, tmp_path)
    assert caught.value.exit_code == 26


def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "secret.tif").write_bytes(b"x")
    (tmp_path / "source" / "B04.tif").symlink_to(tmp_path / "secret.tif")
    about = item(tmp_path)
    about.assets["B04"].href = "./B04.tif"
    with pytest.raises(UnsafeLinkError):
        scene_of(about, tmp_path / "source")
