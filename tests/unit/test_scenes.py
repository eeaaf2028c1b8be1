"""The list of scenes: deduplicated, checked, stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pystac
import pytest
from imagery import EAST, WEST, clear_scl, make_context, make_item, save_items, utm_corner

from pipeline.errors import (
    ConfigError,
    MissingBandError,
    MissingMetadataError,
    NoSceneError,
    SourceError,
    StageMissingError,
)
from pipeline.geo.grid import HALO_PX, PIXEL
from pipeline.imagery.duplicates import deduplicate
from pipeline.runtime.journal import journal
from pipeline.scenes import find_scenes, load_scenes, source_of

SHAPE = (240, 240)
BANDS = {"B04": np.ones(SHAPE, np.uint16), "B03": np.ones(SHAPE, np.uint16), "SCL": clear_scl()}


def item(root: Any, date: str = "2021-12-05", **keys: Any) -> pystac.Item:
    return make_item(root / "source", keys.pop("bands", BANDS), date=date, write=False, **keys)


def ids(items: list[pystac.Item]) -> list[str]:
    return sorted(item.id for item in items)


def test_repeated_items_count_once(tmp_path) -> None:
    one, other = item(tmp_path), item(tmp_path, "2021-12-10")
    assert ids(deduplicate([one, other, one.clone(), other.clone()])) == ids([one, other])


@pytest.mark.parametrize("turned", [False, True])
def test_reprocessing_keeps_the_newest(tmp_path, turned) -> None:
    old = item(tmp_path, baseline="03.01", name="old")
    new = item(tmp_path, baseline="05.09", name="new")
    again = item(
        tmp_path,
        baseline="05.09",
        name="again",
        properties={"s2:generation_time": "2023-07-01T00:00:00Z"},
    )
    found = [old, new, again]
    assert ids(deduplicate(found[::-1] if turned else found)) == ["again"]


def test_parts_of_one_tile_are_both_kept(tmp_path) -> None:
    north = item(tmp_path, name="north")
    south = item(tmp_path, name="south", lat=2.04)
    assert ids(deduplicate([north, south])) == ["north", "south"]


def test_other_tiles_and_other_dates_are_kept(tmp_path) -> None:
    found = [
        item(tmp_path, name="a"),
        item(tmp_path, name="b", tile="32NKF"),
        item(tmp_path, "2021-12-10", name="c"),
        item(tmp_path, name="d", properties={"s2:datatake_id": None}),
        item(tmp_path, name="e", properties={"s2:datatake_id": None}),
    ]
    assert ids(deduplicate(found)) == list("abcde")


def test_the_list_is_stored_and_read_back(tmp_path) -> None:
    later, first = item(tmp_path, "2021-12-20"), item(tmp_path, "2021-12-05", baseline="05.09")
    save_items(tmp_path / "source", [later, first, first])
    context = make_context(tmp_path, season="2021-12..2021-12")
    with pytest.raises(StageMissingError, match="make scenes"):
        load_scenes(context)
    found = find_scenes(context)
    assert [scene.id for scene in found.scenes] == [first.id, later.id]
    assert found.bands == ("B03", "B04")
    assert found.duplicates == 1
    assert (found.level, found.simulated, found.scaling) == ("L2A", False, (0.0, 0))
    assert load_scenes(context) == found
    for other in ({"season": "2021-11..2021-12"}, {"bands": "B04"}, {"source": str(tmp_path)}):
        with pytest.raises(StageMissingError):
            load_scenes(make_context(tmp_path, **{"season": "2021-12..2021-12"} | other))


def test_a_list_that_changed_is_work_done(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(journal, "worked", False)
    source = tmp_path / "source"
    for items, worked in ((1, True), (1, False), (2, True)):
        save_items(source, [item(tmp_path, f"2021-12-{day}") for day in ("05", "20")[:items]])
        journal.worked = False
        find_scenes(make_context(tmp_path))
        assert journal.worked is worked


def test_a_block_is_given_the_scenes_that_reach_it_or_its_halo(tmp_path) -> None:
    west_of_edge = item(tmp_path, name="west", lon=5.95)
    # The halo reaches 8 px over the block's eastern edge at lon 6.0.
    lon = 6.0 + (HALO_PX - 3) * PIXEL
    corner = utm_corner(lon, 2.06, 32632)
    assert corner
    halo = item(tmp_path, name="halo", lon=lon, tile="32NKF")
    save_items(tmp_path / "source", [west_of_edge, halo])
    found = find_scenes(make_context(tmp_path, region="bbox:5.95,2.04,6.02,2.06"))
    assert [scene.id for scene in found.of_block(WEST)] == ["halo", "west"]
    assert [scene.id for scene in found.of_block(EAST)] == ["halo"]


def test_no_scene(tmp_path) -> None:
    save_items(tmp_path / "source", [item(tmp_path)])
    with pytest.raises(NoSceneError, match="2023-01") as caught:
        find_scenes(make_context(tmp_path, season="2023-01..2023-02"))
    assert caught.value.exit_code == 21
    assert not (tmp_path / "work").exists(), "nothing half-written is left"


def test_a_scene_without_a_band(tmp_path) -> None:
    lacking = {name: values for name, values in BANDS.items() if name != "B03"}
    save_items(tmp_path / "source", [item(tmp_path), item(tmp_path, "2021-12-09", bands=lacking)])
    with pytest.raises(MissingBandError, match="B03") as caught:
        find_scenes(make_context(tmp_path))
    assert "20211209" in caught.value.where
    assert caught.value.exit_code == 22
    assert find_scenes(make_context(tmp_path, bands="B04")).bands == ("B04",)


def test_bands_that_do_not_exist(tmp_path) -> None:
    save_items(tmp_path / "source", [item(tmp_path)])
    with pytest.raises(ConfigError, match="B99"):
        find_scenes(make_context(tmp_path, bands="B04,B99"))
    save_items(tmp_path / "source", [item(tmp_path, bands={"HH": np.ones(SHAPE, np.uint16)})])
    with pytest.raises(MissingBandError, match="known by name"):
        find_scenes(make_context(tmp_path))


def test_no_cloud_mask_is_refused_unless_it_is_a_ready_composite(tmp_path) -> None:
    bare = {"B04": BANDS["B04"]}
    save_items(tmp_path / "source", [item(tmp_path, bands=bare)])
    with pytest.raises(MissingMetadataError, match="scene classification") as caught:
        find_scenes(make_context(tmp_path))
    assert caught.value.exit_code == 24
    ready = item(tmp_path, bands=bare, properties={"asm:ready_composite": True})
    save_items(tmp_path / "source", [ready])
    assert find_scenes(make_context(tmp_path)).scenes[0].ready


def test_levels_are_not_mixed(tmp_path) -> None:
    other = item(tmp_path, "2021-12-09", properties={"processing:level": "L1C"})
    save_items(tmp_path / "source", [item(tmp_path), other])
    with pytest.raises(MissingMetadataError, match="L1C"):
        find_scenes(make_context(tmp_path))


def test_a_source_must_be_named(tmp_path) -> None:
    with pytest.raises(SourceError, match="SOURCE="):
        source_of(make_context(tmp_path, source="auto"))
