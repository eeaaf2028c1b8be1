"""Where scenes come from: a named service, a STAC API, a static catalogue, a saved item collection.

All give pystac items; what differs between them ends here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.errors import SourceError, UnsafeLinkError
from pipeline.imagery.providers import address_of, collection_at, provider_of
from pipeline.imagery.retry import Limits
from pipeline.imagery.stac_api import NOT_STAC, search_api
from pipeline.runtime.atomic import read_json


@dataclass(frozen=True)
class Found:
    """What a source gave.

    Parameters
    ----------
    items : list of pystac.Item
        Those that touch the place and the time, each once.
    repeated : int
        Items that came more than once.
    missing : int
        How many more the service said there are than it gave; 0 where it does not say.
    """

    items: list[pystac.Item]
    repeated: int
    missing: int


def search(
    source: str,
    collections: Sequence[str],
    geometry: BaseGeometry,
    windows: Sequence[tuple[str, str]],
    limits: Limits,
) -> Found:
    """Find the items that touch a place and a time.

    Parameters
    ----------
    source : str
        Name or address of a STAC API, folder or file of a static catalogue, or file of an item
        collection.
    collections : sequence of str
        To search, for a STAC API, in our own words (``sentinel-2-l2a``) or the service's.
    geometry : shapely.Geometry
        EPSG:4326.
    windows : sequence of tuple of str
        First day, and the first day after the end, ISO; none: any time.
    limits : Limits
        Tries and times of a request.

    Returns
    -------
    Found
        The items.

    Raises
    ------
    SourceError
        If there is no catalogue, or the service does not answer.
    UnsafeLinkError
        If a catalogue leads outside its own folder, or a service to another host.
    """
    address = address_of(source)
    kept: dict[tuple[str, str], pystac.Item] = {}
    came = missing = 0
    if urlparse(address).scheme in ("http", "https"):
        parts = urlparse(address)
        if parts.username or parts.password or parts.query:
            # It would be stored with every scene that is found there, and shown by errors.
            raise SourceError(
                "a source's address must hold neither a name and password nor a query",
                where=parts.hostname or "",
                next_step="put them into ~/.netrc, where they are found by the host's name",
            )
        provider = provider_of(source)
        for collection in collections:
            for dates in windows or (None,):
                name = collection_at(provider, collection)
                items, matched = search_api(address, name, geometry, dates, limits)
                distinct = {(item.collection_id or "", item.id) for item in items}
                missing += max(0, (matched or 0) - len(distinct))
                came += len(items)
                for item in items:
                    item.properties.setdefault("asm:provider", provider.name or address)
                    kept.setdefault((item.collection_id or "", item.id), item)
    else:
        for item in _read_static(Path(address)):
            came += 1
            kept.setdefault((item.collection_id or "", item.id), item)
    repeated = came - len(kept)
    # An API may answer with the box only, a static catalogue answers with everything.
    return Found(_wanted(kept.values(), geometry, windows), repeated, missing)


def _wanted(
    items: Iterable[pystac.Item], geometry: BaseGeometry, windows: Sequence[tuple[str, str]]
) -> list[pystac.Item]:
    wanted = []
    for item in items:
        try:
            if _touches(item, geometry) and _falls_within(item, windows):
                wanted.append(item)
        except (TypeError, ValueError, KeyError, shapely.errors.ShapelyError) as error:
            raise SourceError(
                f"an item's geometry or date cannot be read: {error}",
                where=f"item {item.id}",
                next_step="mend the catalogue",
            ) from None
    return wanted


def _read_static(path: Path) -> list[pystac.Item]:
    file = path / "catalog.json" if path.is_dir() else path
    if path.is_dir() and (path / "items.json").is_file():
        file = path / "items.json"
    try:
        about = read_json(file)
        if about.get("type") == "FeatureCollection":
            root = file.parent.resolve()
            items = list(pystac.ItemCollection.from_dict(about).items)
            for item in items:
                item.set_self_href(str(root / f"{item.id}.json"))
            return items
        files = _FilesBelow(file.resolve().parent)
        catalogue = pystac.Catalog.from_file(str(file.resolve()), stac_io=files)
        return list(catalogue.get_items(recursive=True))
    except NOT_STAC as error:
        # pystac gives every link that cannot be followed its own words.
        if isinstance(error.__cause__, UnsafeLinkError):
            raise error.__cause__ from None
        raise SourceError(
            f"no STAC catalogue can be read there: {error}",
            where=str(file),
            next_step="SOURCE= a folder with catalog.json, a file of items, a STAC API's address, "
            "planetary-computer, earth-search or copernicus",
        ) from None


class _FilesBelow(pystac.stac_io.StacIO):
    """Reads the parts of a catalogue from files below its own folder, and from nowhere else."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        href = str(getattr(source, "href", source))
        file = Path(href).resolve()
        if "://" in href or not file.is_relative_to(self._root):
            raise UnsafeLinkError(
                f"a catalogue's link leads outside its folder: {href}",
                where=str(self._root),
                next_step="keep a catalogue and all its parts in one folder",
            )
        return file.read_text(encoding="utf-8")

    def write_text(self, dest: Any, txt: str, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("a source is only read")


def _touches(item: pystac.Item, geometry: BaseGeometry) -> bool:
    # An item without a place is not an image of any.
    return item.geometry is not None and bool(
        shapely.intersects(shapely.geometry.shape(item.geometry), geometry)
    )


def _falls_within(item: pystac.Item, windows: Sequence[tuple[str, str]]) -> bool:
    if not windows:
        return True
    start = item.common_metadata.start_datetime or item.datetime
    end = item.common_metadata.end_datetime or item.datetime
    if start is None or end is None:
        raise ValueError("no date")
    return any(
        start.isoformat() < last and end.isoformat()[:10] >= first for first, last in windows
    )
