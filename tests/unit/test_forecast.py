"""What reading will cost, before, and what was seen, after."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from imagery import clear_scl, make_context, make_item, save_items, texture
from matplotlib.image import imread

from pipeline.composite import composite_blocks, read_composite
from pipeline.errors import PartialError
from pipeline.imagery.forecast import forecast
from pipeline.run import map_region
from pipeline.scenes import find_scenes
from pipeline.workflow.coverage import COLUMNS


def scenes_in(root: Path, *dates: str) -> list:
    return [make_item(root, {"B04": texture(), "SCL": clear_scl()}, date=date) for date in dates]


def test_bytes_are_of_the_part_that_lies_in_the_block(tmp_path) -> None:
    source = tmp_path / "source"
    items = scenes_in(source, "2021-12-05", "2021-12-10")
    for item in items:
        item.assets["B04"].extra_fields["file:size"] = 8_000_000
        item.assets["SCL"].extra_fields["file:size"] = 2_000_000
    save_items(source, items)
    context = make_context(tmp_path)
    found = find_scenes(context)
    (block,) = context.region.blocks
    about = forecast(context.store("composite"), [(block, list(found.scenes))], found.bands)
    assert (about.blocks, about.scenes, about.dates, about.measured) == (1, 2, 2, False)
    # Both lie wholly in the block.
    assert about.gigabytes == pytest.approx(0.02, rel=1e-3)
    composite_blocks(context, found, context.region.blocks)
    later = forecast(context.store("composite"), [(block, list(found.scenes))], found.bands)
    assert later.measured and 0 < later.hours < 0.1


def test_it_is_told_before_and_a_picture_after(tmp_path, capsys) -> None:
    source = tmp_path / "source"
    save_items(source, scenes_in(source, "2021-12-05", "2021-12-10"))
    context = make_context(tmp_path)
    composite_blocks(context, find_scenes(context), context.region.blocks)
    text = " ".join(capsys.readouterr().out.split())
    assert "2 scenes of 2 acquisitions for 1 blocks" in text
    assert "GB of files" in text and "of one core" in text
    (table,) = context.store("coverage").glob("*/*.csv")
    with table.open() as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1][0] == "N02.0E005.9" and rows[1][4:] == ["2", "0", ""]
    (picture,) = context.store("coverage").glob("*/*.png")
    assert imread(picture).std() > 0.05


def test_a_scene_that_cannot_be_read_is_counted_where_that_is_asked_for(tmp_path, capsys) -> None:
    source = tmp_path / "source"
    items = scenes_in(source, "2021-12-05", "2021-12-10")
    save_items(source, items)
    (source / items[0].id / "B04.tif").write_bytes(b"neither of the two")
    context = make_context(tmp_path, failed_scenes="mark")
    with pytest.raises(PartialError) as caught:
        map_region(context, "composite")
    assert caught.value.exit_code == 27
    assert items[0].id in str(caught.value)
    found = find_scenes(context)
    (entry,) = composite_blocks(context, found, context.region.blocks)
    assert not entry.reused, "what could not be read is tried again"
    assert entry.facts is not None and len(entry.facts["failed"]) == 1
    block = read_composite(entry.path)
    assert int(block["failed"].max()) == 1
    assert int(block["clear"].max()) == 1
    assert ((block["failed"] == 1) & (block["clear"] == 1)).sum() > 50_000
    assert "scene left out: ReadFailedError" in " ".join(capsys.readouterr().out.split())
    # Once it can be read, the block is whole and stays.
    make_item(source, {"B04": texture(), "SCL": clear_scl()}, date="2021-12-05")
    map_region(context, "composite")
    (entry,) = composite_blocks(context, find_scenes(context), context.region.blocks)
    assert entry.reused
