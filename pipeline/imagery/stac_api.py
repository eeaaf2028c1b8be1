"""Every page of a STAC API's answer, with patience: pystac-client talks, this file insists.

pystac-client ends at the first empty page even where a next page is named, and does not repeat a
request that failed; both lose items without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pystac
import pystac_client
import requests
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry.base import BaseGeometry

from pipeline.errors import SourceError, UnsafeLinkError
from pipeline.imagery.retry import Budget, Limits, service_may_answer

PAGE_SIZE = 100
# So many pages in a row that bring nothing new: the service has lost its way.
MOST_BARREN_PAGES = 50
# What reading JSON that is not STAC can end in.
NOT_STAC = (
    OSError,
    ValueError,
    AttributeError,
    KeyError,
    TypeError,
    RecursionError,
    pystac.STACError,
    pystac.STACTypeError,
)


def search_api(
    address: str,
    collection: str,
    geometry: BaseGeometry,
    dates: tuple[str, str] | None,
    limits: Limits,
) -> tuple[list[pystac.Item], int | None]:
    """Ask a STAC API for items, page by page.

    Parameters
    ----------
    address : str
        Of the API's landing page.
    collection : str
        To search in.
    geometry : shapely.Geometry
        EPSG:4326; the API is asked for its box.
    dates : tuple of str or None
        First day, and the first day after the end, ISO; None: any time.
    limits : Limits
        Tries and times of a request.

    Returns
    -------
    items : list of pystac.Item
        As the API gave them, repeated ones too.
    matched : int or None
        How many it says there are, where it says.

    Raises
    ------
    SourceError
        If the API does not answer as one, or its pages lead in a circle.
    UnsafeLinkError
        If a next page lies on another host.
    """
    talk = _Patient(limits)
    try:
        client = pystac_client.Client.open(address, stac_io=talk)
        question = client.search(
            collections=[collection],
            bbox=list(geometry.bounds),
            datetime=None if dates is None else f"{dates[0]}T00:00:00Z/{dates[1]}T00:00:00Z",
            limit=PAGE_SIZE,
        )
        items: list[pystac.Item] = []
        matched: int | None = None
        for page in _pages(talk, question, address):
            said = page.get("numberMatched") or (page.get("context") or {}).get("matched")
            matched = said if isinstance(said, int) else matched
            items += [pystac.Item.from_dict(item) for item in page["features"]]
        return items, matched
    except (APIError, requests.RequestException, *NOT_STAC) as error:
        raise SourceError(
            f"the STAC service does not answer as one: {_short(error)}",
            where=address,
            next_step="check the address in SOURCE, whether the service is up, and your own "
            "network or proxy (HTTPS_PROXY)",
        ) from None


def _pages(
    talk: _Patient, question: pystac_client.ItemSearch, address: str
) -> Iterator[dict[str, Any]]:
    parameters = question.get_parameters()
    page = talk.read_json(question.url, method=question.method, parameters=parameters)
    seen: set[str] = set()
    known: set[str] = set()
    barren = 0
    while barren < MOST_BARREN_PAGES:
        yield page
        new = {str(item.get("id")) for item in page["features"]} - known
        known |= new
        barren = 0 if new else barren + 1
        following = next((link for link in page.get("links", []) if link["rel"] == "next"), None)
        if following is None:
            return
        following["href"] = urljoin(question.url, following["href"])
        if not _same_service(following["href"], address):
            raise UnsafeLinkError(
                "a STAC service's next page lies on another host",
                where=urlsplit(following["href"]).hostname or "",
                next_step="search that host itself, if you trust it",
            )
        # Some services name the page in the address, some in the body, some in a header.
        request = json.dumps([following.get(key) for key in ("href", "method", "body", "headers")])
        if request in seen:
            break
        seen.add(request)
        page = talk.read_json(pystac.Link.from_dict(following), parameters=parameters)
    raise SourceError(
        "the pages of the STAC service's answer lead in a circle",
        where=address,
        next_step="tell those who run the service; a shorter SEASON may fit one page",
    )


def _same_service(href: str, address: str) -> bool:
    """Whether a page lies where the service does; behind a proxy it may have become https."""
    one, other = urlsplit(href), urlsplit(address)
    same = (one.scheme, one.netloc) == (other.scheme, other.netloc)
    return same or (one.scheme == "https" and one.hostname == other.hostname)


class _Patient(StacApiIO):
    """Repeats a request that failed for a while, whatever its method."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(timeout=limits.timeout, max_retries=None)
        self._limits = limits

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        failure: Exception | None = None
        for _ in Budget(self._limits).tries():
            try:
                answer: dict[str, Any] = super().read_json(source, *args, **kwargs)
                return answer
            # A ValueError is a body that was cut, or is no JSON at all.
            except (APIError, requests.RequestException, ValueError) as error:
                if not service_may_answer(getattr(error, "status_code", None)):
                    raise
                failure = error
        assert failure is not None
        raise failure


def _short(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return f"answer {status}: {text}" if status else text
