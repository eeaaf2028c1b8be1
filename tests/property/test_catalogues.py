"""500 generated catalogues: no scene is lost and none is counted twice, wherever they come from.

A service shows them on pages of any size, with empty pages and repeated items among them, with
every form of the link to the next page, and fails now and then; a folder or a file holds the same
items. What is to be found is known from how the items were made (``sample_catalogue``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from imagery import make_context
from sample_catalogue import REGION, make_catalogue, save_as_file, save_as_folder
from stac_server import NEXT_LINKS, Page, StacServer, stac_server

from pipeline.errors import NoSceneError, SourceError
from pipeline.imagery import stac_api
from pipeline.scenes import find_scenes, load_scenes

CATALOGUES = 500
BATCHES = 10


@pytest.fixture(scope="module")
def server() -> Iterator[StacServer]:
    with stac_server() as running:
        yield running


def found(folder: Path, source: str | Path, season: str) -> list[str]:
    """Ids that ``find_scenes`` lists and stores, in order of id."""
    context = make_context(folder, REGION, source=str(source), season=season, backoff=0.001)
    try:
        listed = find_scenes(context)
    except NoSceneError:
        return []
    assert load_scenes(context) == listed
    return sorted(scene.id for scene in listed.scenes)


def check(folder: Path, server: StacServer, seed: int) -> None:
    made = make_catalogue(seed)
    server.serve(made.pages)
    if made.leads_back:
        # To say that the pages never end is an answer too; a list with something missing is none.
        try:
            assert found(folder / "api", server.address, made.season) == made.expected
        except SourceError as error:
            assert server.address in str(error)
    else:
        assert found(folder / "api", server.address, made.season) == made.expected
    # A file, a folder, in turn: a search of either takes as long as that of the service.
    save = save_as_file if seed % 4 < 2 else save_as_folder
    assert found(folder / "static", save(made, folder / "source"), made.season) == made.expected


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_is_lost_and_nothing_doubled(tmp_path, server, batch) -> None:
    wrong = {}
    for seed in range(batch, CATALOGUES, BATCHES):
        try:
            check(tmp_path / str(seed), server, seed)
        except (AssertionError, SourceError) as error:
            wrong[seed] = str(error).splitlines()[0]
    assert not wrong


def test_the_catalogues_hold_what_they_are_to_try() -> None:
    every = [make_catalogue(seed) for seed in range(CATALOGUES)]
    pages = [page for made in every for page in made.pages]
    assert {page.link for page in pages if page.next_page is not None} == set(NEXT_LINKS)
    assert sum(not page.items and page.next_page is not None for page in pages) > 100
    assert sum(len(page.failures) for page in pages) > 200
    shown = [[item["id"] for page in made.pages for item in page.items] for made in every]
    assert sum(len(ids) > len(set(ids)) for ids in shown) > 100
    assert sum(len(made.expected) < len(made.items) for made in every) > 200
    assert sum(made.leads_back for made in every) > 10
    assert sum(not made.expected for made in every) > 50
    assert sum(len(made.expected) for made in every) > 1_000


@pytest.mark.parametrize(("claimed", "missing"), [(None, 0), (3, 0), (1, 0), (5, 2)])
def test_what_a_service_says_of_its_number_is_compared(
    tmp_path, server, capsys, claimed, missing
) -> None:
    made = next(made for made in map(make_catalogue, range(CATALOGUES)) if len(made.expected) > 3)
    items = [item for item in made.items if item["id"] in made.expected][:3]
    claims = {"numberMatched": claimed}
    server.serve([Page(items[:2], 1, claims=claims), Page([*items[1:], items[0]], claims=claims)])
    assert found(tmp_path, server.address, "") == sorted(item["id"] for item in items)
    listed = load_scenes(make_context(tmp_path, REGION, source=server.address, backoff=0.001))
    assert (listed.duplicates, listed.missing) == (2, missing)
    assert ("than it gave" in capsys.readouterr().out) == bool(missing)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_page_that_never_comes_is_a_named_error(tmp_path, server, status) -> None:
    made = make_catalogue(5)
    broken = Page([], failures=[status] * 100)
    server.serve([Page(made.items[:1], next_page=1), broken])
    with pytest.raises(SourceError, match=str(status)):
        found(tmp_path, server.address, "")
    # Tried again, but not for ever.
    assert 2 <= len(server.asked) - 1 <= 10


def test_a_page_that_is_refused_is_not_asked_for_again(tmp_path, server) -> None:
    server.serve([Page([], failures=[400] * 100)])
    with pytest.raises(SourceError, match="400"):
        found(tmp_path, server.address, "")
    assert len(server.asked) == 1


def test_pages_without_end_are_a_named_error(tmp_path, server, monkeypatch) -> None:
    monkeypatch.setattr(stac_api, "MOST_BARREN_PAGES", 20)
    made = make_catalogue(5)

    class Endless(list[Page]):
        def __getitem__(self, number: int) -> Page:  # type: ignore[override]
            return Page(made.items[:1], next_page=number + 1)

    server.serve(Endless())
    with pytest.raises(SourceError):
        found(tmp_path, server.address, "")
    assert len(server.asked) <= 25
