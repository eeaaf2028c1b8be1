"""A tiny STAC API in this process that answers a search page by page, as it was told to.

It finds nothing itself: what is on each page, how the page leads to the next one, how often it
fails before it is served and what it claims about the number of items are all the test's choice.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

# How a page leads to the next one: the forms that the STAC API specification knows.
NEXT_LINKS = ("get", "get, method not named", "post", "post, merged", "post, by header")


@dataclass
class Page:
    """One answer of a search.

    Parameters
    ----------
    items : sequence of dict
        GeoJSON of the items; may be empty.
    next_page : int or None
        Number of the page that the ``next`` link leads to; None: there is no link.
    link : str
        One of ``NEXT_LINKS``.
    failures : list of int
        Status codes to answer with first, one a request.
    claims : dict
        Further fields of the answer, such as ``numberMatched``.
    """

    items: Sequence[dict[str, Any]]
    next_page: int | None = None
    link: str = "post"
    failures: list[int] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)


class StacServer(ThreadingHTTPServer):
    """Serves ``pages``; ``asked`` holds what every search request asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.serve([])

    def serve(self, pages: Sequence[Page]) -> None:
        """Answer with other pages from now on."""
        self.pages = pages
        self.asked: list[dict[str, Any]] = []


@contextmanager
def stac_server() -> Iterator[StacServer]:
    """Give a server on a free port that ends with the ``with`` block."""
    server = StacServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: StacServer
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two pieces: without this each answer waits 40 ms for the first one.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlparse(self.path)
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if url.path == "/search":
            self._search(asked)
        else:
            self._answer(self._root())

    def do_POST(self) -> None:
        self._search(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _root(self) -> dict[str, Any]:
        here = self.server.address
        search = {"rel": "search", "href": f"{here}search", "type": "application/geo+json"}
        return {
            "type": "Catalog",
            "id": "api",
            "stac_version": "1.0.0",
            "description": "Pages as a test wants them",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/item-search",
            ],
            "links": [
                {"rel": "self", "href": here},
                {"rel": "root", "href": here},
                search | {"method": "GET"},
                search | {"method": "POST"},
            ],
        }

    def _search(self, asked: dict[str, Any]) -> None:
        self.server.asked.append(asked)
        # A client that forgets what it asked for would be shown other scenes by a real service.
        if not {"collections", "bbox"} <= asked.keys():
            self._answer({"code": "BadRequest", "description": "bbox or collections lost"}, 400)
            return
        number = int(self.headers.get("X-Page") or asked.get("page") or 0)
        page = self.server.pages[number]
        if page.failures:
            status = page.failures.pop(0)
            self._answer({"code": "Trouble", "description": "for now"}, status)
            return
        links = [] if page.next_page is None else [self._next(page, asked)]
        answer = {"type": "FeatureCollection", "features": list(page.items), "links": links}
        self._answer(answer | page.claims)

    def _next(self, page: Page, asked: dict[str, Any]) -> dict[str, Any]:
        link: dict[str, Any] = {"rel": "next", "href": f"{self.server.address}search"}
        turn = {"page": page.next_page}
        if page.link.startswith("get"):
            query = {
                name: ",".join(map(str, value)) if isinstance(value, list) else value
                for name, value in (asked | turn).items()
            }
            link["href"] += "?" + urlencode(query)
            return link if "not named" in page.link else link | {"method": "GET"}
        link["method"] = "POST"
        if page.link == "post, merged":
            return link | {"body": turn, "merge": True}
        if page.link == "post, by header":
            return link | {"headers": {"X-Page": str(page.next_page)}, "body": asked}
        return link | {"body": asked | turn}

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass
