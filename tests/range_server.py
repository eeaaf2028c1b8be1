"""A loopback server of a few files that knows byte ranges; what it answers can be overridden."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class RangeServer(ThreadingHTTPServer):
    """Files by path, every request's path and range, and a way to answer differently."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.origin = self.address
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, int, int]] = []
        # Called first; True: it has answered.
        self.instead: Callable[[_Handler], bool] = lambda handler: False

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that lost its patience hangs up: some tests are about that.
        pass


class _Handler(BaseHTTPRequestHandler):
    server: RangeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else -1
        self.server.asked.append((self.path, first, last + 1))
        if self.server.instead(self):
            return
        content = self.server.files.get(self.path.partition("?")[0].lstrip("/"), b"")
        last = min(last, len(content) - 1) if last >= 0 else len(content) - 1
        if not content:
            self.answer(404, b"")
            return
        about = f"bytes {first}-{last}/{len(content)}"
        self.answer(206, content[first : last + 1], **{"Content-Range": about, "ETag": '"1"'})

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def range_server() -> Iterator[RangeServer]:
    """Serve on a free loopback port until the ``with`` block ends."""
    with RangeServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
