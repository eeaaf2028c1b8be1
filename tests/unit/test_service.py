"""A service that plays GeoServer, and its bad days; the saved copy that is used then, and said."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sample_visits import visits_table

from pipeline.config import Config
from pipeline.errors import ServiceError
from pipeline.join import labels_file
from pipeline.sites import service
from pipeline.sites.service import DownloadLimits, came_from, fetch_saved, wfs_address
from pipeline.sites.visits import read_visits, visits_file

Answer = Callable[[BaseHTTPRequestHandler], None]
SHORT = DownloadLimits(timeout=1, seconds=2, max_bytes=1_000_000)


class GeoServer:
    """A server whose next answer can be chosen; it remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = self.csv
        self.asked: list[dict[str, list[str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(parse_qs(urlsplit(self.path).query))
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/geoserver/public/ows"

    @property
    def layer(self) -> str:
        return f"{self.address}?typeName=public:cod_mines"

    def csv(self, handler: BaseHTTPRequestHandler) -> None:
        send(handler, visits_table({}, {"name": "second"}).to_csv(index=False).encode())


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def features(rows: list[dict[str, object]], **more: object) -> bytes:
    shapes = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [28.1, -2.1]},
            "properties": row,
        }
        for row in rows
    ]
    return json.dumps({"type": "FeatureCollection", "features": shapes, **more}).encode()


@pytest.fixture
def geoserver() -> Iterator[GeoServer]:
    found = GeoServer()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_fetched", {})


def fetch(server: GeoServer, folder: Path, limits: DownloadLimits = SHORT) -> Path:
    service._fetched.clear()
    return fetch_saved(server.layer, folder, ".csv", read_visits, limits)


def test_a_table_is_asked_for_as_a_wfs_gives_it(geoserver: GeoServer, tmp_path: Path) -> None:
    path = fetch(geoserver, tmp_path)
    assert read_visits(path)["name"].tolist() == ["Mayi-Tatu", "second"]
    assert geoserver.asked == [
        {
            "typeName": ["public:cod_mines"],
            "service": ["WFS"],
            "version": ["1.1.0"],
            "request": ["GetFeature"],
            "outputFormat": ["csv"],
        }
    ]
    entry = json.loads(next(tmp_path.glob("*.json")).read_text())
    page = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
    part = page.split("## Saved answers of services")[1]
    assert list(entry) == re.findall(r"^\| (\w+) \|", part, re.M)[1:]
    assert entry["service"].endswith("/geoserver/public/ows, layer public:cod_mines")


def test_a_command_asks_once_and_the_table_is_the_configured_one(
    geoserver: GeoServer, tmp_path: Path
) -> None:
    config = Config().with_keys(labels=geoserver.layer, workspace=str(tmp_path))
    first = visits_file(config)
    assert visits_file(config) == first
    assert len(geoserver.asked) == 1
    from imagery import make_context

    context = make_context(tmp_path, labels=geoserver.layer)
    assert read_visits(labels_file(context, visits=True)).equals(read_visits(first))


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.2)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(100):
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.2)


def cut(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"pcode,name\n", Content_Length="500")


def huge(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x" * 100_000)


def elsewhere(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", 302, Location="http://localhost:1/secret")


BAD: dict[str, Answer] = {
    "timed out": lambda handler: time.sleep(3),
    "timed out ": drip,
    "timed out  ": drip_headers,
    "cut short": cut,
    "connection lost": lambda handler: handler.connection.close(),
    "larger than 0 MiB": huge,
    "unavailable (503)": lambda handler: send(handler, b"busy", 503),
    "not found (404)": lambda handler: send(handler, b"", 404),
    "another host": elsewhere,
    "a redirect to no address": lambda handler: send(handler, b"", 302, Location="http://[x"),
    "answer 206": lambda handler: send(handler, b"pcode,name\n", 206),
    "too many redirects": lambda handler: send(handler, b"", 302, Location=handler.path),
    "a page": lambda handler: send(handler, b"\n<!DOCTYPE html><script>alert(1)</script>"),
    "an exception report": lambda handler: send(
        handler, b"<?xml version='1.0'?><ows:ExceptionReport>no such layer"
    ),
    "its answer is empty": lambda handler: send(handler, b"  \n"),
    "its answer is compressed": lambda handler: send(
        handler, b"\x1f\x8b" + b"\0" * 50, Content_Encoding="gzip"
    ),
    "it sends 1 of 7 features": lambda handler: send(
        handler, features([{"pcode": "a"}], numberMatched=7)
    ),
    "its answer is not JSON": lambda handler: send(handler, b'{"features": ['),
    "lacks the columns": lambda handler: send(handler, b"colour,taste\nred,sweet\n"),
    "not UTF-8": lambda handler: send(handler, b"pcode\n\xff\xfe\n"),
}


@pytest.mark.parametrize("cause", BAD)
def test_a_bad_answer_is_named_and_the_copy_serves(
    geoserver: GeoServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], cause: str
) -> None:
    geoserver.answer = BAD[cause]
    started = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        fetch(geoserver, tmp_path)
    assert cause.strip() in str(caught.value)
    assert "no copy is saved" in str(caught.value)
    assert time.monotonic() - started < 6
    assert list(tmp_path.iterdir()) == []

    geoserver.answer = geoserver.csv
    good = fetch(geoserver, tmp_path).read_bytes()
    geoserver.answer = BAD[cause]
    again = fetch(geoserver, tmp_path)
    assert again.read_bytes() == good
    said = " ".join(capsys.readouterr().out.split())
    assert "used instead: the copy saved on 20" in said


def test_a_newer_answer_replaces_the_copy(geoserver: GeoServer, tmp_path: Path) -> None:
    first = fetch(geoserver, tmp_path)
    geoserver.answer = lambda handler: send(
        handler, visits_table({"name": "newer"}).to_csv(index=False).encode()
    )
    second = fetch(geoserver, tmp_path)
    came = came_from(second)
    assert came["service"].startswith("http://") and "?" not in came["service"]
    assert came["fetched"] >= "2026" and came["fetched"].endswith("+00:00")
    assert came_from(first) == came_from(tmp_path / "visits.csv") == {}
    assert read_visits(second)["name"].tolist() == ["newer"]
    assert not first.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_copy_is_no_copy(geoserver: GeoServer, tmp_path: Path) -> None:
    fetch(geoserver, tmp_path).write_text("pcode\nforged\n")
    geoserver.answer = BAD["unavailable (503)"]
    with pytest.raises(ServiceError, match="no copy is saved"):
        fetch(geoserver, tmp_path)


def test_geojson_gives_the_places_of_a_mapped_table(geoserver: GeoServer, tmp_path: Path) -> None:
    row = {"pcode": "zwe1", "site_name": "Runde", "today": "2019-05-02", "mineral1_name": "Gold"}
    row |= {"workers_numb": 40, "processing_steps_mercury": "1", "women_numb": None}
    geoserver.answer = lambda handler: send(handler, features([row, row], totalFeatures=2))
    config = Config().with_keys(
        labels=geoserver.layer, labels_mapping="zimbabwe", workspace=str(tmp_path)
    )
    visits = read_visits(visits_file(config), "zimbabwe")
    assert geoserver.asked[0]["outputFormat"] == ["application/json"]
    assert visits["longitude"].tolist() == [28.1, 28.1]
    assert visits["mercury"].tolist() == [1, 1]
    assert visits["women"].isna().all()
    assert visits["workers_numb"].tolist() == [40, 40]


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("https://user:secret@host/ows?typeName=a", "password"),
        ("https://host/ows", "names no layer"),
        ("https:///ows?typeName=a", "not the address"),
        ("https://host/o ws?typeName=a", "not the address"),
        ("ftp://host/ows?typeName=a", "not the address"),
        ("https://host/" + "a" * 3000 + "?typeName=a", "not the address"),
    ],
)
def test_addresses_that_are_none(address: str, cause: str) -> None:
    with pytest.raises(ServiceError, match=cause) as caught:
        wfs_address(address, ".csv")
    assert "secret" not in str(caught.value)


def test_what_the_address_says_already_stays() -> None:
    full = "https://host/wfs?SERVICE=WFS&Request=GetFeature&typeNames=a:b&outputFormat=csv"
    assert wfs_address(full, ".geojson").count("outputFormat") == 1
    assert wfs_address("https://host/files/visits.csv", ".csv") == "https://host/files/visits.csv"
