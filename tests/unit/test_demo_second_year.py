"""The second year of the simulated landscape, on a small frame."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.warp import transform
from test_demo import SMALL, files

from pipeline.demo import SECOND_YEAR, make_demo
from pipeline.demo.canvas import CLASSES
from pipeline.demo.clouds import SECOND_PASSES
from pipeline.demo.landscape import develop, paint_landscape
from pipeline.demo.second_year import change_landscape

KINDS = {"new", "growing", "abandoned", "regrown", "road", "flood"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "both"
    make_demo(folder, 7, frame=SMALL, second=True)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "first"
    make_demo(folder, 7, frame=SMALL)
    return folder


def test_the_first_year_stays_as_it_is(both: Path, first: Path) -> None:
    alone, together = files(first), files(both)
    # These list or describe what there is.
    listing = {"demo.json", "README.txt"} | {name for name in alone if "collection" in name}
    same = set(alone) - listing
    assert len(same) > 80
    assert [name for name in same if alone[name] != together[name]] == []


def test_it_is_added_when_it_is_asked_for_and_stays(first: Path, both: Path) -> None:
    manifest = (both / "demo.json").stat().st_mtime_ns
    make_demo(both, 7, frame=SMALL)
    make_demo(both, 7, frame=SMALL, second=True)
    assert (both / "demo.json").stat().st_mtime_ns == manifest
    make_demo(first.parent / "grown", 7, frame=SMALL)
    make_demo(first.parent / "grown", 7, frame=SMALL, second=True)
    assert files(first.parent / "grown") == files(both)


def test_both_years_stand_in_one_catalogue_told_apart_by_date(both: Path) -> None:
    items = list(pystac.Catalog.from_file(str(both / "catalog.json")).get_items(recursive=True))
    dates = sorted({item.datetime.date().isoformat() for item in items if item.datetime})
    later = [date for date in dates if date > SECOND_YEAR]
    assert later == [one.date for one in SECOND_PASSES]
    assert len(dates) == 12 and len(items) == 24
    assert json.loads((both / "demo.json").read_text())["simulated"] is True


def test_the_truth_of_every_change_is_told(both: Path) -> None:
    changes = gpd.read_file(both / "changes.gpkg", layer="changes")
    assert set(changes["kind"]) == KINDS
    by_kind = changes.groupby("kind")
    assert (by_kind["first_ha"].sum()[["new", "road", "flood"]] == 0).all()
    assert (by_kind["second_ha"].sum()[["abandoned", "regrown", "road", "flood"]] == 0).all()
    grown = changes[changes["kind"] == "growing"]
    assert (grown["second_ha"] > grown["first_ha"]).all()
    before = gpd.read_file(both / "truth.gpkg", layer="mines")
    after = gpd.read_file(both / "changes.gpkg", layer="mines")
    came, went = ((changes["kind"] == kind).sum() for kind in ("new", "abandoned"))
    assert len(after) == len(before) + came - went - (changes["kind"] == "regrown").sum()


def test_what_is_called_mined_is_painted_so_and_nothing_else_becomes_mine() -> None:
    seeds = np.random.SeedSequence(7).spawn(7)
    painting = paint_landscape(SMALL, seeds[0])
    kept = painting.canvas.ids.copy()
    changed, changes = change_landscape(painting, seeds[4])
    assert (painting.canvas.ids == kept).all(), "the first year is not painted over"
    one, two = develop(painting), develop(changed)
    mine = CLASSES.index("mine")
    fresh = (two.cover == mine) & (one.cover != mine)
    hectares = sum(change.second_ha - change.first_ha for change in changes if change.second_ha)
    assert fresh.sum() * 9.214 * 9.271 / 10_000 == pytest.approx(hectares, rel=0.02)
    other = {int(k): (two.cover == k).sum() - (one.cover == k).sum() for k in np.unique(two.cover)}
    assert other[CLASSES.index("road")] > 0 and other[CLASSES.index("river")] > 0


def test_the_fog_hides_its_place_on_every_later_date(both: Path) -> None:
    fog = gpd.read_file(both / "changes.gpkg", layer="hidden").geometry[0]
    spot = fog.centroid
    for item in pystac.Catalog.from_file(str(both / "catalog.json")).get_items(recursive=True):
        with rasterio.open(item.assets["SCL"].get_absolute_href()) as source:
            x, y = transform("EPSG:4326", source.crs, [spot.x], [spot.y])
            row, col = source.index(x[0], y[0])
            if not (0 <= row < source.height and 0 <= col < source.width):
                continue
            value = source.read(1)[row, col]
        if item.datetime and item.datetime.date().isoformat() > SECOND_YEAR:
            assert value in (0, 8, 9), item.id
