"""An HTTP server for COGs and a small STAC API, which injects faults by plan.

Every case has an address of its own (``/<case>/...``): what a client remembers of one case's files
says nothing about another's.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
from faults import Fault

LONGEST_HANG = 40.0
_NO_LINGER = struct.pack("ii", 1, 0)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_STATUS = {"429": 429, "500": 500, "503": 503, "403 expired": 403, "404": 404}
_API = ("core", "item-search", "ogcapi-features")


class Server(ThreadingHTTPServer):
    """Serves files and items by case, and counts the faults that it really delivered."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.files: dict[str, bytes] = {}
        self.lacking: dict[str, bytes] = {}
        self.items: dict[str, list[dict[str, Any]]] = {}
        # Processes that a fault may kill; asked anew each time, since dead workers are replaced.
        self.killable: Callable[[], set[int]] = set
        self.requests = 0
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._lock = threading.Lock()

    def plan(self, case: str, items: list[dict[str, Any]], faults: list[Fault]) -> str:
        """Offer items and files under an address of their own, with faults; return the address."""
        self.items[case] = items
        for fault in faults:
            self._faults[f"{case}/{fault.path}"].append(fault)
        return f"{self.address}{case}/"

    def next_fault(self, path: str, begins_at_0: bool) -> Fault | None:
        """The fault that hits this request, counted as delivered."""
        with self._lock:
            self.requests += 1
            for fault in self._faults.get(path, ()):
                if fault.kind != "flipped bit" and fault.hits(begins_at_0):
                    fault.given += 1
                    return fault
        return None

    def content(self, path: str) -> bytes | None:
        """A file as this case has it: with its flipped bits."""
        content = self.files.get(path.partition("/")[2])
        for fault in self._faults.get(path, ()):
            if fault.kind == "flipped bit" and content is not None:
                content = flip(content, fault.variant)
                fault.given += 1
        return content

    def shutdown_request(self, request: Any) -> None:
        # The usual way says goodbye first, which is not how connections break.
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) != _NO_LINGER:
            super().shutdown_request(request)
        else:
            self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that was killed or gave up hangs up: that is what the faults are for.
        pass


def flip(content: bytes, bit: int) -> bytes:
    """Content with one of its bits, counted from the start, turned over."""
    place = bit // 8
    return content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free loopback port until the ``with`` block ends."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Answers are written whole: without this each waits for the client's acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._do(body=True)

    def do_HEAD(self) -> None:
        self._do(body=False)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._do(body=True)

    def _do(self, body: bool) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        case, _, rest = path.partition("/")
        if rest in ("", "search") and case in self.server.items:
            self._json(_landing(self._base(case)) if not rest else self._found(case))
            return
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(match[1]) if match else 0
        fault = self.server.next_fault(path, first == 0) if body else None
        content = self.server.content(path)
        if fault is not None and fault.kind == "missing band":
            content, fault = self.server.lacking[rest], None
        if content is None:
            self._plain(404)
            return
        last = int(match[2]) if match and match[2] else len(content) - 1
        last = min(last, len(content) - 1)
        if first > last:
            self._plain(416)
        elif fault is None:
            self._send(content[first : last + 1], _range(first, last, content) if match else None)
        else:
            self._spoil(fault, content, first, last, bool(match))

    def _spoil(self, fault: Fault, content: bytes, first: int, last: int, ranged: bool) -> None:
        """Answer a request for some bytes with a fault in one of its kind's forms."""
        part, about = content[first : last + 1], _range(first, last, content) if ranged else None
        form = fault.variant
        if fault.kind in _STATUS:
            self._plain(_STATUS[fault.kind], close=form % 2 == 1, retry=form % 3 == 1)
        elif fault.kind == "connection drop":
            # Hung up in order, or torn off.
            self._hang_up(torn=form % 2 == 1)
        elif fault.kind == "cut body":
            if form % 2 == 0:
                self._send(part[: len(part) // 2], about, length=len(part))
                self._hang_up()
            else:
                # By its own length whole, by the range it says it is not.
                self._send(part[: len(part) // 2], about)
        elif fault.kind == "wrong range":
            self._send_elsewhere(form, content, first, last)
        elif fault.kind == "does not decode":
            spoilt = bytes(len(part)) if form % 2 else random.Random(form).randbytes(len(part))
            self._send(spoilt, about)
        elif fault.kind == "hang":
            if form % 2:
                self._send(part[: len(part) // 2], about, length=len(part))
                self.wfile.flush()
            self._hang()
        elif fault.kind == "worker killed":
            self._kill(fault)
        else:
            raise AssertionError(fault.kind)

    def _send_elsewhere(self, form: int, content: bytes, first: int, last: int) -> None:
        """Send as many bytes as were asked for, of another place."""
        length = last - first + 1
        start = first + 512 if last + 512 < len(content) else first - 512
        if form % 3 == 2 and first > 0:
            # The file's beginning, whatever was asked for.
            start = 0
        elif start < 0:
            # The whole file was asked for: it comes without its beginning.
            start, length = 512, length - 512
        body = content[start : start + length]
        about = None if form % 3 == 1 else _range(start, start + length - 1, content)
        self._send(body, about, status=206)

    def _kill(self, fault: Fault) -> None:
        """Kill the process that asks, if it is one of those that may be killed."""
        pid = _owner(self.client_address[1])
        if pid is not None and pid in self.server.killable():
            os.kill(pid, signal.SIGKILL)
        else:
            fault.given -= 1
        self._hang_up(torn=True)

    def _hang(self) -> None:
        """Say nothing until the client hangs up."""
        select.select([self.connection], [], [], LONGEST_HANG)
        self._hang_up()

    def _hang_up(self, torn: bool = False) -> None:
        self.close_connection = True
        if torn:
            # Closed with no time to linger, a connection is reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def _send(
        self, body: bytes, about: str | None, *, length: int | None = None, status: int = 0
    ) -> None:
        self.send_response(status or (206 if about else 200))
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if about:
            self.send_header("Content-Range", about)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _plain(self, status: int, close: bool = False, retry: bool = False) -> None:
        body = b"" if self.command == "HEAD" else f"{status}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if retry:
            self.send_header("Retry-After", "0")
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _base(self, case: str) -> str:
        return f"{self.server.address}{case}/"

    def _found(self, case: str) -> dict[str, Any]:
        # Every item in one page: the search's own faults are another suite's (tests/property).
        items = self.server.items[case]
        count = {"numberMatched": len(items), "numberReturned": len(items)}
        return {"type": "FeatureCollection", "features": items, "links": [], **count}

    def log_message(self, *args: Any) -> None:
        pass


def _landing(base: str) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "id": "faults",
        "stac_version": "1.0.0",
        "description": "SIMULATED scenes",
        "conformsTo": [f"https://api.stacspec.org/v1.0.0/{part}" for part in _API],
        "links": [
            {"rel": "self", "href": base, "type": "application/json"},
            {"rel": "root", "href": base, "type": "application/json"},
            {
                "rel": "search",
                "href": f"{base}search",
                "type": "application/geo+json",
                "method": "POST",
            },
        ],
    }


def _range(first: int, last: int, content: bytes) -> str:
    return f"bytes {first}-{last}/{len(content)}"


def _owner(port: int) -> int | None:
    """The process that holds the client's end of a connection from a loopback port."""
    for _ in range(20):
        for held in psutil.net_connections("tcp4"):
            if held.laddr and held.laddr.port == port and held.pid not in (None, os.getpid()):
                return int(held.pid)
        time.sleep(0.02)
    return None
