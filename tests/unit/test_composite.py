"""Blocks blended from a season's scenes, stored once and redone only where something changed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from imagery import (
    EAST,
    SIZE,
    WEST,
    clear_scl,
    make_context,
    make_item,
    save_items,
    texture,
    utm_corner,
    warped_by_hand,
    write_raster,
)

from pipeline.composite import (
    EPOCH,
    composite_blocks,
    read_composite,
)
from pipeline.errors import NoClearPixelError, ReadFailedError, StageMissingError
from pipeline.imagery.blend import NODATA
from pipeline.scenes import find_scenes
from pipeline.workflow import ledger
from pipeline.workflow.context import Context
from pipeline.workflow.ledger import Entry

TOP = (5.97, 2.06)
DAYS = ("2021-12-05", "2021-12-10", "2022-01-29")


def run(context: Context) -> list[Entry]:
    return composite_blocks(context, find_scenes(context), context.region.blocks)


def one_block(context: Context) -> xr.Dataset:
    (entry,) = run(context)
    return read_composite(entry.path)


def bands(seed: int, **keys: Any) -> dict[str, Any]:
    return {"B04": texture(seed, **keys), "SCL": clear_scl()}


def test_dates_clouds_and_offsets_are_blended(tmp_path) -> None:
    ground = [texture(seed) for seed in (1, 2, 3)]
    cloudy = clear_scl()
    cloudy[:, :60] = 9
    source = tmp_path / "source"
    items = [
        make_item(source, {"B04": ground[0], "SCL": clear_scl()}, date=DAYS[0]),
        make_item(source, {"B04": ground[1], "SCL": cloudy}, date=DAYS[1]),
        make_item(
            source, {"B04": ground[2] + 1000, "SCL": clear_scl()}, date=DAYS[2], baseline="05.09"
        ),
    ]
    save_items(source, items)
    context = make_context(tmp_path)
    (entry,) = run(context)
    found = read_composite(entry.path)
    corner = utm_corner(*TOP)
    seen = [warped_by_hand(layer, corner, WEST) for layer in ground]
    inside = np.isfinite(seen[0])
    across = warped_by_hand(np.arange(SIZE, dtype=float)[None].repeat(SIZE, 0), corner, WEST)
    clouded, open_sky = inside & (across < 118), inside & (across > 121)
    assert clouded.sum() > 20_000 and open_sky.sum() > 20_000
    values = found["reflectance"].sel(band="B04").to_numpy() / 1e-4
    for place, layers in ((open_sky, seen), (clouded, [seen[0], seen[2]])):
        expected = np.median([layer[place] for layer in layers], axis=0)
        # Rounding of each date and of the median, and 0.005 px of the warp.
        assert np.abs(values[place] - expected).max() <= 1.5
    assert np.isnan(values[found["clear"].to_numpy() == 0]).all()
    assert (found["clear"].to_numpy()[open_sky] == 3).all()
    assert (found["clear"].to_numpy()[clouded] == 2).all()
    assert (found["cloud"].to_numpy()[clouded] == 1).all()
    assert (found["cloud"].to_numpy()[open_sky] == 0).all()
    first, last = ((date.fromisoformat(day) - EPOCH).days for day in (DAYS[0], DAYS[2]))
    assert (found["first_day"].to_numpy()[inside] == first).all()
    assert (found["last_day"].to_numpy()[inside] == last).all()
    assert (found["first_day"].to_numpy()[found["clear"].to_numpy() == 0] == NODATA).all()
    assert found.attrs["level"] == "L2A"
    assert found.attrs["simulated"] == "false"
    assert entry.facts is not None
    assert entry.facts["scenes"] == 3
    assert entry.facts["clear_share"] == pytest.approx(inside.sum() / 1200**2, rel=0.03)
    west, _, _, north = WEST.bounds
    assert float(found["x"][0]) == pytest.approx(west + 1 / 24_000)
    assert float(found["y"][0]) == pytest.approx(north - 1 / 24_000)


def test_the_first_date_is_the_first_clear_one(tmp_path) -> None:
    cloudy = {"B04": texture(1), "SCL": clear_scl(value=8)}
    source = tmp_path / "source"
    save_items(
        source,
        [
            make_item(source, cloudy, date=DAYS[0]),
            make_item(source, bands(2), date=DAYS[1]),
            make_item(source, cloudy, date=DAYS[2]),
        ],
    )
    found = one_block(make_context(tmp_path))
    clear = found["clear"].to_numpy() == 1
    day = (date.fromisoformat(DAYS[1]) - EPOCH).days
    assert clear.sum() > 60_000
    assert (found["first_day"].to_numpy()[clear] == day).all()
    assert (found["last_day"].to_numpy()[clear] == day).all()
    assert (found["cloud"].to_numpy()[clear] == 2).all()


def test_two_tiles_of_one_acquisition_count_once(tmp_path) -> None:
    ground = texture(1)
    source = tmp_path / "source"
    west = make_item(source, {"B04": ground[:, :160], "SCL": clear_scl((120, 80))}, name="west")
    # The neighbour shows the same ground 80 px further east: they share 80 columns.
    corner = utm_corner(*TOP)
    east = make_item(
        source,
        {"B04": ground[:, 80:], "SCL": clear_scl((120, 80))},
        name="east",
        properties={"s2:mgrs_tile": "31NGA"},
    )
    moved = (corner[0] + 800, corner[1])
    write_raster(source / "east" / "B04.tif", ground[:, 80:], moved)
    write_raster(source / "east" / "SCL.tif", clear_scl((120, 80)), moved, metres=20)
    save_items(source, [west, east])
    found = one_block(make_context(tmp_path))
    assert int(found["clear"].max()) == 1
    expected = warped_by_hand(ground, corner, WEST)
    inside = np.isfinite(expected)
    values = found["reflectance"].sel(band="B04").to_numpy() / 1e-4
    seam = inside & np.isfinite(values)
    assert seam.sum() == inside.sum()
    # Along a tile's own edge there is no next pixel to interpolate with.
    apart = np.abs(values[seam] - expected[seam])
    assert (apart > 1).mean() < 0.01


def test_cloud_in_one_tile_is_filled_from_the_other(tmp_path) -> None:
    source = tmp_path / "source"
    cloudy = make_item(source, {"B04": texture(1), "SCL": clear_scl(value=9)}, name="a")
    clear = make_item(source, bands(2), name="b", properties={"s2:mgrs_tile": "31NGA"})
    save_items(source, [cloudy, clear])
    found = one_block(make_context(tmp_path))
    assert int(found["clear"].max()) == 1
    assert (
        int(found["cloud"].max()) == 0
        or ((found["cloud"].to_numpy() > 0) & (found["clear"].to_numpy() > 0)).sum() == 0
    )


def test_two_utm_zones_blend(tmp_path) -> None:
    source = tmp_path / "source"
    days = {"date": "2021-12-05", "properties": {"s2:datatake_id": "GS2A_X_N03.01"}}
    flat = {"B04": np.full((SIZE, SIZE), 2000, np.uint16), "SCL": clear_scl()}
    save_items(
        source,
        [
            make_item(source, flat, tile="31NHA", lon=5.985, **days),
            make_item(source, flat, tile="32NKF", lon=5.995, **days),
        ],
    )
    context = make_context(tmp_path, region="bbox:5.99,2.04,6.01,2.06")
    west, east = (read_composite(entry.path) for entry in run(context))
    row = west["clear"].to_numpy()[600]
    left = int(np.flatnonzero(row)[0])
    assert (row[left:] == 1).all(), "no gap and no double count where the zones meet"
    assert (east["clear"].to_numpy()[600, :150] == 1).all()
    for block in (west, east):
        values = block["reflectance"].to_numpy()
        assert np.abs(values[np.isfinite(values)] - 0.2).max() < 1e-4


def test_a_second_run_reuses_and_another_scene_redoes_only_its_blocks(tmp_path) -> None:
    source = tmp_path / "source"
    west = make_item(source, bands(1), lon=5.95)
    east = make_item(source, bands(2), lon=6.02, tile="32NKF")
    save_items(source, [west, east])
    keys = {"region": "bbox:5.95,2.04,6.05,2.06"}
    assert [entry.reused for entry in run(make_context(tmp_path, **keys))] == [False, False]
    before = run(make_context(tmp_path, **keys))
    assert [entry.reused for entry in before] == [True, True]
    write_raster(source / east.id / "B04.tif", texture(9), utm_corner(6.02, 2.06, 32632), 32632)
    after = run(make_context(tmp_path, **keys))
    assert [(entry.unit, entry.reused) for entry in after] == [
        (WEST.name, True),
        (EAST.name, False),
    ]
    assert after[0].sha256 == before[0].sha256
    assert after[1].sha256 != before[1].sha256
    extra = make_item(source, bands(3), lon=5.95, date="2021-12-20")
    save_items(source, [west, east, extra])
    assert [entry.reused for entry in run(make_context(tmp_path, **keys))] == [False, True]


def test_the_block_with_most_scenes_goes_first(tmp_path, monkeypatch) -> None:
    """Left for the end, it would keep one worker busy while the others wait."""
    source = tmp_path / "source"
    west = make_item(source, bands(1), lon=5.95)
    east = [
        make_item(source, bands(seed), lon=6.02, tile="32NKF", date=day)
        for seed, day in enumerate(DAYS)
    ]
    save_items(source, [west, *east])
    context = make_context(tmp_path, region="bbox:5.95,2.04,6.05,2.06")
    worked_on = []
    build = ledger.build

    def noted(store: Path, unit: str, *arguments: Any, **keys: Any) -> Entry:
        worked_on.append(unit)
        return build(store, unit, *arguments, **keys)

    monkeypatch.setattr(ledger, "build", noted)
    assert [entry.unit for entry in run(context)] == [WEST.name, EAST.name]
    assert worked_on == [EAST.name, WEST.name]


def test_the_place_of_the_source_does_not_matter(tmp_path) -> None:
    source = tmp_path / "source"
    save_items(source, [make_item(source, bands(1))])
    (first,) = run(make_context(tmp_path))
    moved = tmp_path / "moved"
    source.rename(moved)
    (second,) = run(make_context(tmp_path, source=str(moved)))
    assert second.reused
    assert second.sha256 == first.sha256


def test_a_flipped_bit_in_the_store_is_noticed(tmp_path) -> None:
    source = tmp_path / "source"
    save_items(source, [make_item(source, bands(1))])
    context = make_context(tmp_path)
    (entry,) = run(context)
    content = bytearray(Path(entry.path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(entry.path).write_bytes(bytes(content))
    found, stored = find_scenes(context), replace(context, only="featurize")
    with pytest.raises(StageMissingError, match="make composite"):
        composite_blocks(stored, found, context.region.blocks)
    (mended,) = run(context)
    assert not mended.reused
    assert mended.sha256 == entry.sha256
    assert composite_blocks(stored, found, context.region.blocks)[0].sha256 == entry.sha256


def test_a_truncated_file_fails_its_block_only_and_leaves_nothing_half_written(tmp_path) -> None:
    source = tmp_path / "source"
    west = make_item(source, bands(1), lon=5.95)
    east = make_item(source, bands(2), lon=6.02, tile="32NKF")
    save_items(source, [west, east])
    file = source / west.id / "B04.tif"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    keys = {"region": "bbox:5.95,2.04,6.05,2.06"}
    context = make_context(tmp_path, **keys)
    with pytest.raises(ReadFailedError) as caught:
        run(context)
    assert caught.value.exit_code == 23
    for part in (WEST.name, west.id, "band B04", "B04.tif"):
        assert part in caught.value.where
    assert "1 of 2 blocks" in caught.value.what
    store = context.store("composite")
    assert [file.suffix for file in (store / WEST.name).iterdir()] == [".json"]
    (record,) = (store / WEST.name).iterdir()
    assert json.loads(record.read_text())["status"] == "failed"
    assert sorted(file.suffix for file in (store / EAST.name).iterdir()) == [".json", ".tif"]
    file.write_bytes(whole)
    os.utime(file, (1, 1))
    assert [entry.reused for entry in run(make_context(tmp_path, **keys))] == [False, True]


def test_never_clear_is_an_error_not_an_empty_map(tmp_path) -> None:
    source = tmp_path / "source"
    save_items(source, [make_item(source, {"B04": texture(), "SCL": clear_scl(value=9)})])
    with pytest.raises(NoClearPixelError) as caught:
        run(make_context(tmp_path))
    assert caught.value.exit_code == 25


def test_a_stored_block_that_is_no_picture(tmp_path) -> None:
    (tmp_path / "x.tif").write_bytes(b"nothing")
    with pytest.raises(ReadFailedError):
        read_composite(tmp_path / "x.tif")
