"""Where scenes come from: a static catalogue, a saved item collection, or a STAC API.

All give pystac items; what differs between them ends here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pystac
import pystac_client
import requests
import shapely
from pystac_client.exceptions import APIError
from shapely.geometry.base import BaseGeometry

from pipeline.errors import SourceError, UnsafeLinkError
from pipeline.runtime.files import read_json

PAGE_SIZE = 100
TIMEOUT_SECONDS = 60
# What reading JSON that is not STAC can end in.
_NOT_STAC = (
    OSError,
    ValueError,
    AttributeError,
    KeyError,
    TypeError,
    RecursionError,
    pystac.STACError,
    pystac.STACTypeError,
)


def search(
    source: str, collection: str, geometry: BaseGeometry, dates: tuple[str, str] | None
) -> Iterator[pystac.Item]:
    """Give the items that touch a place and a time.

    Parameters
    ----------
    source : str
        Folder or file of a static catalogue, file of an item collection, or address of a STAC API.
    collection : str
        Collection to search, for a STAC API.
    geometry : shapely.Geometry
        EPSG:4326.
    dates : tuple of str, optional
        First day, and the first day after the end, ISO; None: any time.

    Yields
    ------
    pystac.Item
        One item after the other.

    Raises
    ------
    SourceError
        If there is no catalogue, or the service does not answer.
    """
    if urlparse(source).scheme in ("http", "https"):
        items = _search_api(source, collection, geometry, dates)
    else:
        items = _read_static(Path(source))
    # An API may answer with the box only, a static catalogue answers with everything.
    for item in items:
        try:
            wanted = _touches(item, geometry) and _falls_within(item, dates)
        except (TypeError, ValueError, KeyError, shapely.errors.ShapelyError) as error:
            raise SourceError(
                f"an item's geometry or date cannot be read: {error}",
                where=f"item {item.id}",
                next_step="mend the catalogue",
            ) from None
        if wanted:
            yield item


def _search_api(
    address: str, collection: str, geometry: BaseGeometry, dates: tuple[str, str] | None
) -> Iterator[pystac.Item]:
    try:
        client = pystac_client.Client.open(address, timeout=TIMEOUT_SECONDS)
        found = client.search(
            collections=[collection],
            bbox=list(geometry.bounds),
            datetime=None if dates is None else f"{dates[0]}T00:00:00Z/{dates[1]}T00:00:00Z",
            limit=PAGE_SIZE,
        )
        yield from found.items()
    except (APIError, requests.RequestException, *_NOT_STAC) as error:
        raise SourceError(
            f"the STAC service does not answer as one: {error}",
            where=address,
            next_step="check the address in SOURCE, and whether the service is up",
        ) from None


def _read_static(path: Path) -> Iterator[pystac.Item]:
    file = path / "catalog.json" if path.is_dir() else path
    if path.is_dir() and (path / "items.json").is_file():
        file = path / "items.json"
    try:
        about = read_json(file)
        if about.get("type") == "FeatureCollection":
            root = file.parent.resolve()
            for item in pystac.ItemCollection.from_dict(about).items:
                item.set_self_href(str(root / f"{item.id}.json"))
                yield item
        else:
            files = _FilesBelow(file.resolve().parent)
            catalogue = pystac.Catalog.from_file(str(file.resolve()), stac_io=files)
            yield from catalogue.get_items(recursive=True)
    except _NOT_STAC as error:
        # pystac gives every link that cannot be followed its own words.
        if isinstance(error.__cause__, UnsafeLinkError):
            raise error.__cause__ from None
        raise SourceError(
            f"no STAC catalogue can be read there: {error}",
            where=str(file),
            next_step="SOURCE= a folder with catalog.json, a file of items or a STAC API's address",
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


def safe_href(item: pystac.Item, href: str, source: str) -> str:
    """Return an asset's absolute address, if the catalogue may point there.

    A catalogue on disk may point to files below its own folder only, a service to https only.

    Parameters
    ----------
    item : pystac.Item
        The item.
    href : str
        An asset's link, absolute or not.
    source : str
        Where the item was found.

    Returns
    -------
    str
        The absolute address.

    Raises
    ------
    UnsafeLinkError
        If the link leads elsewhere.
    """
    parts = urlparse(source)
    if parts.scheme in ("http", "https"):
        base = item.get_self_href() or source
        absolute = urlparse(str(pystac.utils.make_absolute_href(href, base)))
        if absolute.scheme == "https" or (
            absolute.scheme == "http" and absolute.hostname == parts.hostname
        ):
            return absolute.geturl()
    elif "://" not in href and not href.startswith("/vsi"):
        root = Path(source).resolve()
        root = root if root.is_dir() else root.parent
        file = (Path(item.get_self_href() or str(root / "item.json")).parent / href).resolve()
        if file.is_relative_to(root):
            return str(file)
    raise UnsafeLinkError(
        f"an asset's link leads outside the catalogue: {href}",
        where=f"item {item.id}",
        next_step="put the files below the catalogue's own folder",
    )


def _touches(item: pystac.Item, geometry: BaseGeometry) -> bool:
    # An item without a place is not an image of any.
    return item.geometry is not None and bool(
        shapely.intersects(shapely.geometry.shape(item.geometry), geometry)
    )


def _falls_within(item: pystac.Item, dates: tuple[str, str] | None) -> bool:
    if dates is None:
        return True
    start = item.common_metadata.start_datetime or item.datetime
    end = item.common_metadata.end_datetime or item.datetime
    if start is None or end is None:
        raise ValueError("no date")
    return start.isoformat() < dates[1] and end.isoformat()[:10] >= dates[0]
