"""Tables and layers from a web service (WFS) or an address, with a saved copy for when it is down.

What a service sends replaces the saved copy only after it was read and found good; when the service
does not answer as it should, the copy is used, and its date is said.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pipeline.config import fingerprint
from pipeline.errors import AsmAtlasError, ServiceError
from pipeline.geo.input_files import MAX_BYTES
from pipeline.runtime.atomic import read_json, sha256_of
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_file, write_json
from pipeline.runtime.http import FetchError, ask, read_body

_FORMATS = {".csv": "csv", ".geojson": "application/json"}
_MOST_CHARACTERS = 2000
# What this process has fetched already: one command asks for the same table more than once.
_fetched: dict[tuple[str, str], Path] = {}


@dataclass(frozen=True)
class DownloadLimits:
    """How long and how much.

    Parameters
    ----------
    timeout : float
        Seconds without a byte.
    seconds : float
        Seconds for the whole answer.
    max_bytes : int
        Largest answer.
    """

    timeout: float = 30.0
    seconds: float = 300.0
    max_bytes: int = MAX_BYTES


def is_address(text: str) -> bool:
    """Say whether a text is the address of a service, rather than a file."""
    return text.lower().startswith(("http://", "https://"))


def fetch_saved(
    address: str,
    folder: Path,
    suffix: str,
    check: Callable[[Path], object],
    limits: DownloadLimits | None = None,
) -> Path:
    """Fetch a table or layer, or take up the copy that was saved before.

    Parameters
    ----------
    address : str
        Of a WFS, with its ``typeName``, or of a file.
    folder : pathlib.Path
        Where copies are kept.
    suffix : str
        ``.csv`` or ``.geojson``: what is asked for.
    check : callable
        Reads the file that came, and raises an ``AsmAtlasError`` if it is not what it should be.
    limits : DownloadLimits, optional
        How long and how much.

    Returns
    -------
    pathlib.Path
        The file; the service is asked once in a process.

    Raises
    ------
    ServiceError
        If the service does not answer as it should and there is no copy.
    """
    full = wfs_address(address, suffix)
    key = fingerprint({"address": full})
    known = _fetched.get((full, str(folder)))
    if known is not None and known.is_file():
        return known
    host = urlsplit(full).hostname
    try:
        content = _in_time(full, limits or DownloadLimits())
        _refuse_pages(content, full)
        path = _save(content, folder, key, suffix, check, full)
    except AsmAtlasError as error:
        copy = _copy(folder, key)
        if copy is None:
            raise ServiceError(
                f"the service gives no usable answer, and no copy is saved: {error.what}",
                where=shown(full),
                next_step="try again later, or name a file that you downloaded",
            ) from None
        path, date = copy
        say("service", f"{host}: {error.what}; used instead: the copy saved on {date}")
    else:
        say("service", f"{host}: {path.stat().st_size:,} bytes, saved as {path.name}")
    _fetched[(full, str(folder))] = path
    return path


def came_from(path: Path) -> dict[str, str]:
    """Return where a saved copy came from, and when.

    Parameters
    ----------
    path : pathlib.Path
        Of :func:`fetch_saved`, or any file.

    Returns
    -------
    dict of str to str
        ``service`` (without parameters) and ``fetched`` (ISO 8601, UTC); empty for a file that no
        service sent.
    """
    try:
        entry = read_json(path.with_name(f"{path.stem.rpartition('-')[0]}.json"))
        known = entry["file"] == path.name
        return {key: str(entry[key]) for key in ("service", "fetched")} if known else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def wfs_address(address: str, suffix: str) -> str:
    """Complete the address of a WFS; that of a file stays as it is.

    Parameters
    ----------
    address : str
        ``https://host/geoserver/ows?typeName=workspace:layer``, or with all its parameters, or of a
        file (``https://host/visits.csv``).
    suffix : str
        ``.csv`` or ``.geojson``: the format to ask for.

    Returns
    -------
    str
        What is asked.

    Raises
    ------
    ServiceError
        If it is no plain address, holds a password, or names no layer.
    """
    parts = urlsplit(address)
    plain = address.isprintable() and " " not in address and len(address) <= _MOST_CHARACTERS
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServiceError("this is not the address of a service", where=ascii(address)[:200])
    if "@" in parts.netloc:
        raise ServiceError(
            "an address may not hold a name or password", where=f"host {parts.hostname}"
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = {name.lower(): value for name, value in query}
    if not given and Path(parts.path).suffix.lower() in (".csv", ".geojson", ".json"):
        return address
    if "typename" not in given and "typenames" not in given:
        raise ServiceError(
            "the address names no layer",
            where=shown(address),
            next_step="add ?typeName=workspace:layer",
        )
    wanted = {
        "service": "WFS", "version": "1.1.0", "request": "GetFeature",
        "outputFormat": _FORMATS[suffix],
    }  # fmt: skip
    if suffix == ".geojson":
        wanted["srsName"] = "EPSG:4326"
    query += [(name, value) for name, value in wanted.items() if name.lower() not in given]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))


def shown(address: str) -> str:
    """Return an address without its parameters but for the layer's name; they may hold a key."""
    parts = urlsplit(address)
    layer = [v for name, v in parse_qsl(parts.query) if name.lower() in ("typename", "typenames")]
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + (f", layer {layer[0]}" if layer else "")


def _in_time(address: str, limits: DownloadLimits) -> bytes:
    """Fetch in a thread of its own: a server that sends a header a letter at a time is left."""
    result: list[bytes | ServiceError] = []

    def work() -> None:
        try:
            result.append(_download(address, limits))
        except ServiceError as error:
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limits.seconds)
    if not result:
        raise ServiceError("timed out")
    if isinstance(result[0], ServiceError):
        raise result[0]
    return result[0]


def _download(address: str, limits: DownloadLimits) -> bytes:
    def check(following: str) -> None:
        if urlsplit(following).hostname != urlsplit(address).hostname:
            raise ServiceError("it sends us to another host, which is not followed")

    deadline = time.monotonic() + limits.seconds
    try:
        with ask(address, check, limits.timeout) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ServiceError("its answer is compressed, though that was not asked for")
            content = read_body(response, limits.max_bytes, deadline)
    except FetchError as error:
        raise ServiceError(error.cause) from None
    if len(content) > limits.max_bytes:
        raise ServiceError(f"its answer is larger than {limits.max_bytes // 2**20} MiB")
    return content


def _refuse_pages(content: bytes, address: str) -> None:
    """Refuse what is no data: pages, exception reports, part of the features."""
    start = content[:2000].decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if start.startswith("<"):
        kind = "an exception report" if "Exception" in start else "a page"
        raise ServiceError(f"it sends {kind} (HTML or XML) instead of data")
    if not start:
        raise ServiceError("its answer is empty")
    if start.startswith("{"):
        try:
            counts: Any = json.loads(content)
        except (ValueError, RecursionError):
            raise ServiceError("its answer is not JSON") from None
        total = counts.get("numberMatched", counts.get("totalFeatures"))
        features = counts.get("features")
        if isinstance(features, list) and isinstance(total, int) and len(features) < total:
            raise ServiceError(f"it sends {len(features):,} of {total:,} features")


def _save(
    content: bytes,
    folder: Path,
    key: str,
    suffix: str,
    check: Callable[[Path], object],
    address: str,
) -> Path:
    """Keep the answer if it can be read; the entry that names it is written last."""
    now = dt.datetime.now(dt.UTC)
    path = folder / f"{key}-{now:%Y%m%dT%H%M%S%f}{suffix}"
    with whole_file(path) as beside:
        beside.write_bytes(content)
        check(beside)
    old = _copy(folder, key)
    write_json(
        folder / f"{key}.json",
        {
            "service": shown(address),
            "fetched": now.isoformat(timespec="seconds"),
            "file": path.name,
            "sha256": sha256_of(path),
        },
    )
    if old is not None:
        old[0].unlink(missing_ok=True)
    return path


def _copy(folder: Path, key: str) -> tuple[Path, str] | None:
    """Return the saved copy and the day it was fetched, if it is whole."""
    try:
        entry = read_json(folder / f"{key}.json")
        path = folder / Path(entry["file"]).name
        if sha256_of(path) != entry["sha256"]:
            return None
        return path, str(entry["fetched"])[:10]
    except (OSError, ValueError, KeyError, TypeError):
        return None
