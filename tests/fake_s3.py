"""A simulated object store for unit tests: a small HTTP server on loopback, and no more than that.

It keeps objects in memory and knows PUT with conditions, GET, HEAD, DELETE and listings in pages,
which is what ``pipeline.runtime.objects`` asks for, by the real s3fs and botocore. It checks no
signatures. A real store (Ceph) is in ``tests/cluster``.
"""

from __future__ import annotations

import email.utils
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY, SECRET = "AKIAPLANTEDKEY000000", "planted/secret+0123456789abcdefghijklmnop"
PAGE = 5


class Store:
    """What the server holds and how it misbehaves.

    Attributes
    ----------
    objects : dict
        ``(data, moment)`` by ``bucket/key``.
    asked : list
        ``METHOD key`` of every request.
    trouble : callable or None
        Given the method and the key; its answer (a status and S3's code) comes instead of the right
        one, None: the right one.
    conditions : bool
        Whether conditions are kept.
    bare : bool
        Whether If-Match wants the tag without its quotes, as Ceph 16 does.
    late_s : float
        How far the store's clock is ahead.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.asked: list[str] = []
        self.trouble: Callable[[str, str], tuple[int, str] | None] | None = None
        self.conditions, self.bare, self.late_s = True, False, 0.0
        self.guard = threading.Lock()
        self.address = ""

    def now(self) -> float:
        return time.time() + self.late_s

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.objects if name.startswith(prefix))


def tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def handler_of(store: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            return

        def date_time_string(self, timestamp: float | None = None) -> str:
            return email.utils.formatdate(timestamp or store.now(), usegmt=True)

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def refuse(self, status: int, code: str) -> None:
            self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            name = unquote(parts.path).lstrip("/")
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            store.asked.append(f"{self.command} {name}")
            wrong = store.trouble(self.command, name) if store.trouble else None
            if wrong:
                return self.refuse(*wrong)
            if not name.startswith("bucket"):
                return self.refuse(404, "NoSuchBucket")
            if "list-type" in parts.query:
                return self.list(name.rstrip("/"), parse_qs(parts.query))
            with store.guard:
                return getattr(self, self.command.lower())(name, data)

        do_GET = do_PUT = do_HEAD = do_DELETE = handle_one

        def put(self, name: str, data: bytes) -> None:
            there = store.objects.get(name)
            wants = self.headers.get("If-Match")
            if store.conditions and self.headers.get("If-None-Match") and there:
                return self.refuse(412, "PreconditionFailed")
            if store.conditions and wants:
                found = tag(there[0]) if there else ""
                if wants != (found.strip('"') if store.bare else found):
                    return self.refuse(412, "PreconditionFailed")
            store.objects[name] = (data, store.now())
            return self.answer(200, ETag=tag(data))

        def get(self, name: str, data: bytes) -> None:
            if name not in store.objects:
                return self.refuse(404, "NoSuchKey")
            held, moment = store.objects[name]
            return self.answer(
                200, held, ETag=tag(held), Last_Modified=self.date_time_string(moment)
            )

        head = get

        def delete(self, name: str, data: bytes) -> None:
            store.objects.pop(name, None)
            self.answer(204)

        def list(self, bucket: str, asked: dict[str, list[str]]) -> None:
            prefix = f"{bucket}/{asked.get('prefix', [''])[0]}"
            after = asked.get("continuation-token", [""])[0]
            names = [name for name in store.keys(prefix) if name > after]
            page, more = names[:PAGE], len(names) > PAGE
            rows = "".join(
                f"<Contents><Key>{escape(name.partition('/')[2])}</Key><ETag>{tag(held)}</ETag>"
                f"<Size>{len(held)}</Size><LastModified>"
                f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(moment))}"
                "</LastModified></Contents>"
                for name in page
                for held, moment in [store.objects[name]]
            )
            token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
            body = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}"
            self.answer(200, f"{body}</ListBucketResult>".encode())

    return Handler


@contextmanager
def serving() -> Iterator[Store]:
    """Serve a store on loopback; it holds the buckets ``bucket...``."""
    store = Store()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(store))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    store.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


def used(store: Store, patch: Any) -> None:
    """Let this process, and those that it starts, talk to a store, as a user of AWS's settings."""
    from pipeline.runtime import mirror, objects, s3

    settings = {
        "AWS_ENDPOINT_URL_S3": store.address,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    for name, value in settings.items():
        patch.setenv(name, value)
    patch.setattr(objects, "PATIENCE_S", 2.0)
    for kept in (s3.filesystem, objects._bucket, mirror.opened):
        kept.cache_clear()
