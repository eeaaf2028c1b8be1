"""The same scenes from every kind of source give the same list and the same pixels, bit for bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import servers
import shapely
import xarray as xr
from conftest import PLACES, Place, need
from sample_world import MANY, MANY_REGION, World, save_collection

from pipeline.composite import composite_blocks, read_composite
from pipeline.errors import NoSceneError
from pipeline.scenes import SceneList, find_scenes

SERVICES = ("rustac", "pgstac")


@pytest.fixture
def variables(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.variables.items():
        monkeypatch.setenv(name, value)


def composites(place: Place, folder: Path) -> dict[str, xr.Dataset]:
    context = place.context(folder)
    entries = composite_blocks(context, find_scenes(context), context.region.blocks)
    return {entry.unit: read_composite(entry.path) for entry in entries}


@pytest.fixture(scope="module")
def reference(folder: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    return composites(folder, tmp_path_factory.mktemp("reference"))


def facts(scenes: SceneList) -> list[dict[str, Any]]:
    """What a scene says, without where its files and its item were found."""
    listed = []
    for scene in scenes.scenes:
        value = asdict(scene)
        for name in ("footprint", "provider", "collection"):
            value.pop(name, None)
        for band in value["bands"].values():
            for name in ("href", "version"):
                band.pop(name)
        listed.append(value)
    return listed


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_the_same_list(tmp_path, world: World, folder: Place, place: Place) -> None:
    found = find_scenes(place.context(tmp_path / "it"))
    assert tuple(scene.id for scene in found.scenes) == world.expected
    first = find_scenes(folder.context(tmp_path / "folder"))
    assert facts(found) == facts(first)
    # A database may write the last digit of a degree in another way.
    for one, other in zip(found.scenes, first.scenes, strict=True):
        a, b = shapely.from_wkt(one.footprint), shapely.from_wkt(other.footprint)
        assert shapely.equals_exact(a, b, 1e-9, normalize=True)


def test_the_reference_shows_what_it_should(reference, world: World) -> None:
    assert list(reference) == ["N02.0E005.9", "N02.0E006.0"]
    for values in reference.values():
        observed = values["clear"].to_numpy() > 0
        assert observed.sum() > 20_000
        assert np.isfinite(values["reflectance"].to_numpy()[:, observed]).all()
    # In the west newest, both parts of one date, west-tile and cloudy; in the east two dates.
    assert [int(values["clear"].max()) for values in reference.values()] == [4, 2]
    assert [int(values["cloud"].max()) for values in reference.values()] == [1, 0]


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("place", PLACES[1:], indirect=True)
def test_the_same_pixels(tmp_path, reference, place: Place) -> None:
    made = composites(place, tmp_path)
    assert list(made) == list(reference)
    for name, values in made.items():
        xr.testing.assert_identical(values, reference[name])


def test_files_are_read_by_ranges(tmp_path, world: World) -> None:
    need("nginx")
    # At a port of its own: what was read before from another one does not count.
    with servers.nginx(tmp_path, world.files) as (host, _):
        items = world.linked(f"http://{host}/")
        place = Place(str(save_collection(tmp_path / "linked" / "saved.json", items)), host)
        composites(place, tmp_path)
    asked = [line.split() for line in servers.asked_of(tmp_path)]
    files = {f"/{name}/{band}.tif" for name in world.expected for band in ("B03", "B04", "SCL")}
    assert {words[-1] for words in asked} == files
    for status, _, span, _ in asked:
        assert status == "206"
        assert span.startswith('"bytes=')


@pytest.mark.parametrize("place", SERVICES, indirect=True)
def test_more_items_than_a_page(tmp_path, place: Place) -> None:
    context = place.context(tmp_path, MANY_REGION, season="", bands="B04")
    found = find_scenes(context)
    assert [scene.id for scene in found.scenes] == [f"many-{n:03d}" for n in range(MANY)]
    assert (found.duplicates, found.missing) == (0, 0)


@pytest.mark.parametrize("place", SERVICES, indirect=True)
def test_nothing_there_is_a_named_error(tmp_path, place: Place) -> None:
    for keys in ({"season": "2016-01..2016-02"}, {"collection": "sentinel-9-l9z"}):
        with pytest.raises(NoSceneError) as caught:
            find_scenes(place.context(tmp_path, **keys))
        assert caught.value.exit_code == 21
        assert place.source in str(caught.value)


def test_the_stored_list_is_a_source_itself(tmp_path, reference, pgstac: Place) -> None:
    first = pgstac.context(tmp_path / "first")
    find_scenes(first)
    (stored,) = first.store("scenes").rglob("*.json")
    assert json.loads(stored.read_text())["type"] == "FeatureCollection"
    made = composites(Place(str(stored), pgstac.hosts), tmp_path / "second")
    for name, values in made.items():
        xr.testing.assert_identical(values, reference[name])
