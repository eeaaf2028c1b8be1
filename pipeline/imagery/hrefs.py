"""Where an asset's link may lead, and how it is signed in the moment of reading.

A catalogue is somebody else's file: a link that is followed blindly could read any file of this
machine or of its network. Signatures are made in the task that reads, right before it reads, and
are never stored, logged or shown.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse, urlsplit, urlunsplit

import pystac
import requests

from pipeline.errors import SourceError, UnsafeLinkError
from pipeline.imagery.providers import PROVIDERS, Provider

REMOTE = ("http", "https", "s3")
_PRESIGNED_SECONDS = 900
# A token that runs out within this time is fetched anew.
_TOKEN_MARGIN_SECONDS = 120
_TOKEN_TIMEOUT_SECONDS = 30
_tokens: dict[str, tuple[str, float]] = {}
_clients: dict[tuple[str | None, ...], Any] = {}
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL")
_lock = threading.Lock()


@dataclass(frozen=True)
class Signed:
    """An address that can be read now; never to be stored or shown.

    Parameters
    ----------
    address : str
        With its signature.
    headers : dict of str to str
        To be sent with the request.
    origins : tuple of str
        Further origins that may be read: the endpoint of an ``s3://`` link, which the user or the
        table of providers chose.
    """

    address: str
    headers: dict[str, str] = field(default_factory=dict)
    origins: tuple[str, ...] = ()


def is_remote(href: str) -> bool:
    """Whether an address is read over the network."""
    return urlparse(href).scheme in REMOTE


def plain(href: str) -> str:
    """Return an address without what may be a signature, to store and to show."""
    parts = urlsplit(href)
    if not parts.scheme:
        return href
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def allowed_hosts(source: str, provider: Provider, further: str) -> tuple[str, ...]:
    """Return the origins that assets of a source may lie at.

    Parameters
    ----------
    source : str
        Address of the service, or a path.
    provider : Provider
        Row of the table; a file may hold items of any row.
    further : str
        The configuration's ``hosts``: names with commas, with or without a port; also of buckets.

    Returns
    -------
    tuple of str
        ``https://host``, ``http://host:port`` or ``s3://bucket``. Plain http is for hosts that the
        user named.
    """
    parts = urlparse(source)
    rows = (provider,) if parts.scheme in REMOTE else PROVIDERS
    origins = [f"https://{host}" for row in rows for host in row.hosts]
    origins += [f"s3://{bucket}" for row in rows for bucket in row.buckets]
    if parts.scheme in ("http", "https"):
        origins += [f"{parts.scheme}://{parts.netloc}", f"https://{parts.netloc}"]
    for host in filter(None, (name.strip() for name in further.split(","))):
        origins += [f"https://{host}", f"http://{host}", f"s3://{host}"]
    return tuple(dict.fromkeys(origins))


def check_host(address: str, hosts: tuple[str, ...], where: str) -> None:
    """Refuse an address whose origin is not among those allowed.

    Parameters
    ----------
    address : str
        Absolute.
    hosts : tuple of str
        As ``allowed_hosts`` gives them.
    where : str
        What holds the link, for the message.

    Raises
    ------
    UnsafeLinkError
        If it is not.
    """
    parts = urlsplit(address)
    if f"{parts.scheme}://{parts.netloc}" not in hosts:
        raise UnsafeLinkError(
            f"a link leads to a host that is not allowed: {plain(address)}",
            where=where,
            next_step=f"if you trust it, name it: hosts = {parts.netloc!r} in the configuration",
        )


def safe_href(item: pystac.Item, href: str, source: str, hosts: tuple[str, ...]) -> str:
    """Return an asset's absolute address, if the catalogue may point there.

    A catalogue on disk may point to files below its own folder, any to the allowed hosts.

    Parameters
    ----------
    item : pystac.Item
        The item.
    href : str
        An asset's link, absolute or not.
    source : str
        Where the item was found.
    hosts : tuple of str
        As ``allowed_hosts`` gives them.

    Returns
    -------
    str
        The absolute address, without a query where it is remote.

    Raises
    ------
    UnsafeLinkError
        If the link leads elsewhere.
    """
    where = f"item {item.id}"
    if is_remote(source):
        href = str(pystac.utils.make_absolute_href(href, item.get_self_href() or source))
    if is_remote(href):
        check_host(href, hosts, where)
        return plain(href)
    if is_remote(source):
        raise UnsafeLinkError(
            f"a service's link leads to a file: {href}",
            where=where,
            next_step="tell those who run the service, or copy its catalogue into a folder",
        )
    if "://" not in href and not href.startswith("/vsi"):
        root = Path(source).resolve()
        root = root if root.is_dir() else root.parent
        file = (Path(item.get_self_href() or str(root / "item.json")).parent / href).resolve()
        if file.is_relative_to(root):
            return str(file)
    raise UnsafeLinkError(
        f"an asset's link leads outside the catalogue: {href}",
        where=where,
        next_step="put the files below the catalogue's own folder",
    )


def signed(href: str, provider: Provider, *, anew: bool = False) -> Signed:
    """Return an address that can be read now.

    Parameters
    ----------
    href : str
        ``https://``, ``http://`` or ``s3://``.
    provider : Provider
        How to get in.
    anew : bool
        Forget a token that was fetched before: the last one was refused.

    Returns
    -------
    Signed
        The address as it is where nothing is to be signed.

    Raises
    ------
    SourceError
        If no token or no credentials can be had.
    """
    parts = urlsplit(href)
    if parts.scheme == "s3":
        return _presigned(parts.netloc, parts.path.lstrip("/"), provider)
    if provider.token_service and parts.netloc in provider.hosts:
        service = os.environ.get("PC_SDK_SAS_URL", provider.token_service)
        account = parts.netloc.partition(".")[0]
        container = parts.path.lstrip("/").partition("/")[0]
        return Signed(f"{href}?{_token(f'{service}/{account}/{container}', anew)}")
    return Signed(href)


def _token(address: str, anew: bool) -> str:
    """Fetch a token, or give the one that is still good."""
    with _lock:
        token, expires = _tokens.get(address, ("", 0.0))
        if anew or time.time() > expires - _TOKEN_MARGIN_SECONDS:
            key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY")
            headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
            try:
                response = requests.get(address, headers=headers, timeout=_TOKEN_TIMEOUT_SECONDS)
                response.raise_for_status()
                answer = response.json()
                token = str(answer["token"])
                expires = datetime.fromisoformat(answer["msft:expiry"]).timestamp()
            except (requests.RequestException, ValueError, KeyError, TypeError) as error:
                raise SourceError(
                    f"the service gives no token to read with ({type(error).__name__})",
                    where=address,
                    next_step="try again later; PC_SDK_SUBSCRIPTION_KEY raises the limits",
                ) from None
            _tokens[address] = (token, expires)
        return token


def _presigned(bucket: str, key: str, provider: Provider) -> Signed:
    # Here and not above: 30 MB that only s3 links need.
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    def client() -> Any:
        session = botocore.session.get_session()
        region = session.get_config_variable("region") or provider.s3_region or "us-east-1"
        # The user's own endpoint wins: a mirror, or a test.
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or provider.s3_endpoint or None
        style = Config(
            signature_version="s3v4", s3={"addressing_style": "path"} if endpoint else None
        )
        return session.create_client("s3", region, endpoint_url=endpoint, config=style)

    request = {"Bucket": bucket, "Key": key}
    if bucket in provider.requester_pays:
        request["RequestPayer"] = "requester"
    try:
        with _lock:
            # Keys and endpoint may change while a notebook lives.
            which = provider.name, *(os.environ.get(name) for name in _AWS)
            made = _clients.get(which) or _clients.setdefault(which, client())
            address = made.generate_presigned_url("get_object", request, _PRESIGNED_SECONDS)
    except (BotoCoreError, ValueError) as error:
        raise SourceError(
            f"an s3 link cannot be signed: {error}",
            where=f"s3://{bucket}/{key}",
            next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile file",
        ) from None
    origin = urlsplit(str(address))
    # What is signed as a header has to be sent as one.
    headers = {"x-amz-request-payer": "requester"} if "RequestPayer" in request else {}
    return Signed(str(address), headers, (f"{origin.scheme}://{origin.netloc}",))
