"""However the work is shared out, the composites are the same to the bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from imagery import clear_scl, make_context, make_item, save_items, texture

from pipeline.composite import composite_blocks
from pipeline.runtime.cluster import workers
from pipeline.scenes import find_scenes
from pipeline.workflow.context import Context

REGION = "bbox:5.95,1.95,6.05,2.06"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("metamorphic")
    items = []
    for number, date in enumerate(("2021-12-05", "2021-12-10", "2021-12-25")):
        cloudy = clear_scl()
        cloudy[number * 30 : number * 30 + 30] = 9
        for tile, lon in (("31NHA", 5.985), ("32NKF", 5.99)):
            bands = {"B04": texture(number), "B08": texture(number + 10), "SCL": cloudy}
            items.append(make_item(root / "source", bands, date=date, tile=tile, lon=lon, lat=2.01))
    save_items(root / "source", items)
    return root


def hashes(context: Context, order: int) -> dict[str, str]:
    blocks = list(context.region.blocks)
    random.Random(order).shuffle(blocks)
    entries = composite_blocks(context, find_scenes(context), blocks)
    assert not any(entry.reused for entry in entries)
    return {entry.unit: entry.sha256 for entry in entries}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_workers_and_order_of_blocks_change_nothing(folder, tmp_path, count) -> None:
    alone = make_context(tmp_path, region=REGION, source=str(folder / "source"))
    expected = hashes(alone, order=0)
    assert len(expected) == 4
    with workers("local", count) as pool:
        for order in (1, 2, 3):
            config = alone.config.with_keys(workspace=str(tmp_path / f"{count}-{order}"))
            assert hashes(replace(alone, config=config, workers=pool), order) == expected
