"""Static catalogues and STAC services: what is found there, and what they may point to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import shapely
from imagery import make_item, save_items

from pipeline.errors import SourceError, UnsafeLinkError
from pipeline.imagery.hrefs import allowed_hosts, safe_href
from pipeline.imagery.providers import provider_of
from pipeline.imagery.retry import Limits
from pipeline.imagery.sources import search

QUICK = Limits(tries=2, backoff=0.01, timeout=5)

NOTHING = {"B04": np.zeros((240, 240), np.uint16)}
HERE = shapely.box(5.97, 2.04, 5.99, 2.06)


def items(root: Path, *dates: str, **keys: Any) -> list[pystac.Item]:
    return [make_item(root, NOTHING, write=False, date=date, **keys) for date in dates]


def names(source: Path | str, dates: tuple[str, str] | None = None, place: Any = HERE) -> list[str]:
    windows = [dates] if dates else []
    found = search(str(source), ["sentinel-2-l2a"], place, windows, QUICK)
    return [item.id for item in found.items]


def test_a_static_source_is_filtered_by_place_and_time(tmp_path) -> None:
    found = items(tmp_path, "2021-11-30", "2021-12-01", "2022-02-28", "2022-03-01")
    found += items(tmp_path, "2022-01-01", name="far", lon=6.5, tile="32NKF")
    save_items(tmp_path, found)
    season = ("2021-12-01", "2022-03-01")
    assert names(tmp_path, season) == [found[1].id, found[2].id]
    assert len(names(tmp_path)) == 4
    assert names(tmp_path, season, shapely.box(0, 0, 1, 1)) == []


def test_a_composite_over_a_period_counts_if_the_period_overlaps(tmp_path) -> None:
    period = {
        "datetime": "2019-01-01T00:00:00Z",
        "start_datetime": "2019-01-01T00:00:00Z",
        "end_datetime": "2019-12-31T00:00:00Z",
    }
    save_items(tmp_path, items(tmp_path, "2019-01-01", properties=period))
    assert len(names(tmp_path, ("2019-06-01", "2019-07-01"))) == 1
    assert not names(tmp_path, ("2020-01-01", "2020-02-01"))


def test_a_real_catalogue_with_collections_is_walked(tmp_path) -> None:
    catalogue = pystac.Catalog("root", "Root")
    child = pystac.Catalog("child", "Child")
    catalogue.add_child(child)
    child.add_items(items(tmp_path, "2021-12-01", "2021-12-06"))
    catalogue.normalize_and_save(str(tmp_path / "source"), pystac.CatalogType.SELF_CONTAINED)
    assert len(names(tmp_path / "source")) == 2
    assert len(names(tmp_path / "source" / "catalog.json")) == 2


def test_items_without_a_geometry_are_no_image_of_any_place(tmp_path) -> None:
    with_place, without = items(tmp_path, "2021-12-01", "2021-12-02")
    without.geometry, without.bbox = None, None
    save_items(tmp_path, [with_place, without])
    assert names(tmp_path) == [with_place.id]


@pytest.mark.parametrize(
    "change",
    [
        {"geometry": {"type": "Nonsense", "coordinates": []}},
        {"geometry": {"type": "Polygon", "coordinates": [["a", "b"]]}},
        {"properties": {"datetime": None, "start_datetime": "then", "end_datetime": "later"}},
        {"properties": {"datetime": "then"}},
        {"assets": [1]},
    ],
)
def test_hostile_items_are_a_named_error(tmp_path, change) -> None:
    value = items(tmp_path, "2021-12-01")[0].to_dict(include_self_link=False)
    text = json.dumps({"type": "FeatureCollection", "features": [value | change]})
    (tmp_path / "items.json").write_text(text)
    with pytest.raises(SourceError) as caught:
        names(tmp_path, ("2021-12-01", "2022-01-01"))
    assert caught.value.exit_code == 20


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "Catalog"}', "7", "[" * 100_000])
def test_a_file_that_is_no_catalogue(tmp_path, text) -> None:
    (tmp_path / "catalog.json").write_text(text)
    with pytest.raises(SourceError, match=r"catalog\.json"):
        names(tmp_path)


def test_no_catalogue_at_all(tmp_path) -> None:
    with pytest.raises(SourceError, match="no STAC catalogue"):
        names(tmp_path / "nowhere")


def write_catalogue(folder: Path, *links: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    value = {
        "type": "Catalog",
        "id": folder.name,
        "stac_version": "1.0.0",
        "description": "x",
        "links": list(links),
    }
    (folder / "catalog.json").write_text(json.dumps(value))


@pytest.mark.parametrize(
    "href",
    ["http://127.0.0.1:9/catalog.json", "../other/catalog.json", "file:///etc/passwd"],
)
def test_a_catalogue_may_not_continue_elsewhere(tmp_path, href) -> None:
    write_catalogue(tmp_path / "source", {"rel": "child", "href": href})
    write_catalogue(tmp_path / "other")
    with pytest.raises(UnsafeLinkError) as caught:
        names(tmp_path / "source")
    assert caught.value.exit_code == 26


def test_a_catalogue_that_contains_itself_ends(tmp_path) -> None:
    write_catalogue(tmp_path, {"rel": "child", "href": "./inner/catalog.json"})
    write_catalogue(tmp_path / "inner", {"rel": "child", "href": "../catalog.json"})
    with contextlib.suppress(SourceError):  # Either is an end.
        assert names(tmp_path) == []


class Service(BaseHTTPRequestHandler):
    """A STAC API of two pages."""

    features: list[dict[str, Any]]
    asked: list[dict[str, Any]]
    broken = False

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        here = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        root = {
            "type": "Catalog",
            "id": "api",
            "stac_version": "1.0.0",
            "description": "x",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/item-search",
            ],
            "links": [
                {"rel": "self", "href": f"{here}/"},
                {"rel": "root", "href": f"{here}/"},
                {
                    "rel": "search",
                    "href": f"{here}/search",
                    "method": "POST",
                    "type": "application/geo+json",
                },
            ],
        }
        self._answer(root)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append(asked)
        if self.broken:
            self._answer({"code": "Oops", "description": "no"}, 500)
            return
        here = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        page = int(asked.get("page", 1))
        links = []
        if page == 1:
            following = {"rel": "next", "href": f"{here}/search", "method": "POST"}
            links.append(following | {"body": asked | {"page": 2}})
        part = self.features[:2] if page == 1 else self.features[2:]
        self._answer({"type": "FeatureCollection", "features": part, "links": links})

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def service(tmp_path) -> Iterator[tuple[str, type[Service]]]:
    found = items(tmp_path, "2021-12-01", "2021-12-06", "2021-12-11")
    found += items(tmp_path, "2021-12-16", name="beside", lon=6.5, tile="32NKF")

    class Mine(Service):
        features = [item.to_dict(transform_hrefs=False) for item in found]  # noqa: RUF012
        asked: list[dict[str, Any]] = []  # noqa: RUF012

    server = HTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", Mine
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_service_is_read_to_its_last_page(service) -> None:
    address, handler = service
    found = names(address, ("2021-12-01", "2022-01-01"))
    assert found == [f"S2_31NHA_202112{day}_03.01" for day in ("01", "06", "11")]
    assert [asked.get("page", 1) for asked in handler.asked] == [1, 2]
    first = handler.asked[0]
    assert first["collections"] == ["sentinel-2-l2a"]
    assert first["bbox"] == pytest.approx([5.97, 2.04, 5.99, 2.06])
    assert first["datetime"] == "2021-12-01T00:00:00Z/2022-01-01T00:00:00Z"


def test_a_service_that_fails_is_a_named_error(service) -> None:
    address, handler = service
    handler.broken = True
    with pytest.raises(SourceError, match="127"):
        names(address)


def test_no_service_there() -> None:
    with pytest.raises(SourceError):
        names("http://127.0.0.1:9/")


def hosts(source: str, further: str = "") -> tuple[str, ...]:
    return allowed_hosts(source, provider_of(source), further)


def test_a_service_may_point_to_itself_and_to_hosts_that_are_named(tmp_path) -> None:
    item = items(tmp_path, "2021-12-01")[0]
    item.set_self_href("http://127.0.0.1:80/collections/c/items/i")
    source = "http://127.0.0.1:80/"
    own = "http://127.0.0.1:80/collections/c/items/B04.tif"
    assert safe_href(item, "./B04.tif", source, hosts(source)) == own
    named = hosts(source, "data.example, 127.0.0.1:81,bucket")
    for href in ("https://data.example/B04.tif", "http://127.0.0.1:81/x.tif", "s3://bucket/x.tif"):
        assert safe_href(item, href, source, named) == href
        with pytest.raises(UnsafeLinkError):
            safe_href(item, href, source, hosts(source))
    for href in (
        "http://elsewhere.example/x.tif",
        "https://data.example@evil.example/x.tif",
        "https://data.example.evil.example/x.tif",
        "file:///etc/passwd",
        "s3://other/x.tif",
        "ftp://data.example/x.tif",
    ):
        with pytest.raises(UnsafeLinkError):
            safe_href(item, href, source, named)


def test_a_signature_in_a_link_is_not_kept(tmp_path) -> None:
    item = items(tmp_path, "2021-12-01")[0]
    source = "https://planetarycomputer.microsoft.com/api/stac/v1"
    account = "https://sentinel2l2a01.blob.core.windows.net/c/x.tif"
    assert safe_href(item, f"{account}?sig=secret", source, hosts(source)) == account


def test_items_in_a_file_may_point_to_known_services_and_below_their_folder(tmp_path) -> None:
    item = items(tmp_path, "2021-12-01")[0]
    item.set_self_href(str(tmp_path / "item.json"))
    file = str(tmp_path / "items.json")
    known = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x.tif"
    assert safe_href(item, known, file, hosts(file)) == known
    for href in ("https://elsewhere.example/x.tif", "/etc/passwd", "../x.tif"):
        with pytest.raises(UnsafeLinkError):
            safe_href(item, href, file, hosts(file))


@pytest.mark.parametrize("href", ["/etc/passwd", "/vsicurl/http://evil.example/x.tif"])
def test_a_services_absolute_path_stays_with_the_service(tmp_path, href) -> None:
    item = items(tmp_path, "2021-12-01")[0]
    item.set_self_href("http://127.0.0.1:80/collections/c/items/i")
    with contextlib.suppress(UnsafeLinkError):
        own = "http://127.0.0.1:80/"
        assert safe_href(item, href, own, hosts(own)).startswith(own)
