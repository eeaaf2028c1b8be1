"""The services that are known by name: address, collections, where their files lie, how to get in.

What is true of one service only stands in this table, so that the rest of the code knows none of
them. An address that is not in the table works too where its items carry standard metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlparse


@dataclass(frozen=True)
class Provider:
    """A STAC service and its habits.

    Parameters
    ----------
    name : str
        Word for ``SOURCE``; empty for an address that is not in the table.
    address : str
        Of the STAC API.
    collections : mapping of str to str
        What this service calls ``sentinel-2-l2a``, ``sentinel-2-l1c`` and ``sentinel-1-rtc``.
    hosts : tuple of str
        Where its files lie.
    token_service : str
        Address that gives a token for a storage account and container; empty: none is needed.
    s3_endpoint : str
        Where ``s3://`` links lead; empty: Amazon's, or what ``AWS_ENDPOINT_URL`` says.
    s3_region : str
        Region that requests are signed for.
    buckets : tuple of str
        Where its ``s3://`` links lead.
    requester_pays : tuple of str
        Those of them whose reader pays for the transfer.
    offset_by_baseline : bool
        Whether digital numbers carry ESA's offset from baseline 04.00 on whatever an item declares.
    """

    name: str = ""
    address: str = ""
    collections: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    token_service: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    buckets: tuple[str, ...] = ()
    requester_pays: tuple[str, ...] = ()
    offset_by_baseline: bool = False


PROVIDERS = (
    Provider(
        name="planetary-computer",
        address="https://planetarycomputer.microsoft.com/api/stac/v1",
        hosts=("sentinel2l2a01.blob.core.windows.net", "sentinel1euwestrtc.blob.core.windows.net"),
        token_service="https://planetarycomputer.microsoft.com/api/sas/v1/token",
        offset_by_baseline=True,
    ),
    Provider(
        name="earth-search",
        address="https://earth-search.aws.element84.com/v1",
        collections={"sentinel-2-l2a": "sentinel-2-c1-l2a"},
        hosts=(
            "e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com",
            "sentinel-cogs.s3.us-west-2.amazonaws.com",
        ),
        s3_region="eu-central-1",
        buckets=("sentinel-s2-l1c",),
        requester_pays=("sentinel-s2-l1c",),
    ),
    Provider(
        name="copernicus",
        address="https://stac.dataspace.copernicus.eu/v1",
        s3_endpoint="https://eodata.dataspace.copernicus.eu",
        s3_region="default",
        buckets=("eodata",),
    ),
)
UNKNOWN = Provider()


def provider_of(source: str) -> Provider:
    """Return the table's row for a source's name or address, or one that claims nothing.

    Parameters
    ----------
    source : str
        A name of the table, an address, a folder or a file.

    Returns
    -------
    Provider
        With ``address`` empty where the source is no service.
    """
    host = urlparse(source).hostname
    for provider in PROVIDERS:
        if source == provider.name or (host and host == urlparse(provider.address).hostname):
            return provider
    return UNKNOWN


def named_provider(name: str) -> Provider:
    """Return the table's row of that name, or one that claims nothing.

    Parameters
    ----------
    name : str
        ``Provider.name``, as scenes carry it.

    Returns
    -------
    Provider
        The row.
    """
    return next((provider for provider in PROVIDERS if provider.name == name), UNKNOWN)


def address_of(source: str) -> str:
    """Return where to search: the address behind a provider's name, else the source itself."""
    provider = provider_of(source)
    return provider.address if source == provider.name else source


def collection_at(provider: Provider, collection: str) -> str:
    """Return what a provider calls a collection; other words are taken as they are."""
    return provider.collections.get(collection, collection)
