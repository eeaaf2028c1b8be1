"""Servers that stop in the middle, and secrets: a named error, finished work kept, nothing told."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import servers
import xarray as xr
from conftest import Place, need
from sample_world import BUCKET, MANY_REGION, World, many_items, save_collection

from pipeline.composite import composite_blocks, read_composite
from pipeline.errors import AsmAtlasError, ReadFailedError, SourceError
from pipeline.runtime.atomic import read_json
from pipeline.scenes import find_scenes


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str, Callable[[], None]], None]:
    """Let something happen once so many requests whose address holds a word were answered."""

    def arrange(number: int, word: str, act: Callable[[], None]) -> None:
        send = requests.Session.send
        answered = 0

        def counted(self: Any, request: Any, **keys: Any) -> requests.Response:
            nonlocal answered
            response = send(self, request, **keys)
            if word in request.url:
                answered += 1
                if answered == number:
                    act()
            return response

        monkeypatch.setattr(requests.Session, "send", counted)

    return arrange


def told(folder: Path, *secret: str) -> list[str]:
    """Files below a folder that hold any of these words."""
    words = [word.encode() for word in secret]
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [str(file) for file in files if any(word in file.read_bytes() for word in words)]


def test_a_service_that_stops_between_two_pages(tmp_path, home: Path, rustac: Place, after) -> None:
    items = save_collection(tmp_path / "items.json", many_items())
    with servers.rustac(tmp_path, home / "collection.json", items) as (address, process):
        after(2, "/search", lambda: servers.stop(process))
        context = Place(address).context(tmp_path, MANY_REGION, season="", bands="B04")
        with pytest.raises(SourceError) as caught:
            find_scenes(context)
    assert caught.value.exit_code == 20
    assert address in str(caught.value)
    assert not list(tmp_path.glob("work/**/*.json")), "half a list is none"


def test_a_service_that_lost_its_database(tmp_path, password: str) -> None:
    need("postgres", "pypgstac", "uvicorn")
    with (
        servers.postgres(password) as (database, process),
        servers.pgstac(tmp_path, database) as address,
    ):
        servers.stop(process, signal.SIGINT)
        with pytest.raises(SourceError) as caught:
            find_scenes(Place(address).context(tmp_path))
    assert address in str(caught.value)
    assert password not in str(caught.value)


def test_files_that_go_away_and_come_back(tmp_path, world: World, after) -> None:
    need("nginx")
    with servers.nginx(tmp_path, world.files) as (host, process):
        items = world.linked(f"http://{host}/")
        place = Place(str(save_collection(tmp_path / "linked" / "saved.json", items)), host)
        context = place.context(tmp_path, read_tries=2)
        scenes = find_scenes(context)
        after(3, ".tif", lambda: servers.stop(process))
        with pytest.raises(ReadFailedError, match="connection lost") as caught:
            composite_blocks(context, scenes, context.region.blocks)
    assert caught.value.exit_code == 23
    failed = [read_json(file) for file in context.store("composite").rglob("*.json")]
    assert [entry["status"] for entry in failed] == ["failed", "failed"]
    for entry in failed:
        assert entry["cause"] == "ReadFailedError"
        assert "connection lost" in entry["text"]
    with servers.nginx(tmp_path, world.files, int(host.partition(":")[2])):
        entries = composite_blocks(context, scenes, context.region.blocks)
    whole = Place(str(save_collection(world.files / "again.json", world.linked("./"))))
    beside = whole.context(tmp_path / "whole")
    expected = composite_blocks(beside, find_scenes(beside), context.region.blocks)
    for one, other in zip(entries, expected, strict=True):
        xr.testing.assert_identical(read_composite(one.path), read_composite(other.path))


def test_the_keys_of_an_s3_link_are_nowhere_to_be_found(
    tmp_path, file_with_s3_links: Place
) -> None:
    place = file_with_s3_links
    planted = [place.variables["AWS_ACCESS_KEY_ID"], place.variables["AWS_SECRET_ACCESS_KEY"]]
    find_scenes(place.context(tmp_path))
    # Two workers: they sign for themselves, with the credentials of their own environment.
    done = place.command("composite", tmp_path, cluster="local", workers=2)
    assert done.returncode == 0, done.stderr
    for word in (*planted, "X-Amz-"):
        assert word not in done.stdout + done.stderr
    assert told(tmp_path / "work", *planted, "X-Amz-") == []
    assert len(list((tmp_path / "work").rglob("*.tif"))) == 2
    # The links were signed: without it the server gives nothing.
    asked = requests.get(
        f"{place.variables['AWS_ENDPOINT_URL']}/{BUCKET}/newest/B04.tif", timeout=9
    )
    assert asked.status_code == 403


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys_are_a_named_error(tmp_path, file_with_s3_links: Place, wrong: str) -> None:
    planted = f"AKIA{secrets.token_hex(8).upper()}"
    place = replace(file_with_s3_links, variables=file_with_s3_links.variables | {wrong: planted})
    find_scenes(place.context(tmp_path))
    done = place.command("composite", tmp_path)
    assert done.returncode == 23
    assert "forbidden (403)" in done.stderr
    assert f"s3://{BUCKET}/" in done.stderr
    both = [place.variables["AWS_ACCESS_KEY_ID"], place.variables["AWS_SECRET_ACCESS_KEY"]]
    for word in (*both, "X-Amz-", "Traceback"):
        assert word not in done.stdout + done.stderr
    assert told(tmp_path / "work", *both, "X-Amz-") == []


def test_no_keys_at_all_are_a_named_error(tmp_path, file_with_s3_links: Place) -> None:
    kept = {
        name: value
        for name, value in file_with_s3_links.variables.items()
        if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    place = replace(file_with_s3_links, variables=kept)
    find_scenes(place.context(tmp_path))
    done = place.command("composite", tmp_path)
    assert 20 <= done.returncode < 30
    assert "AWS_ACCESS_KEY_ID" in done.stderr
    assert "Traceback" not in done.stderr


def test_signatures_in_a_catalogue_s_links_are_not_kept(
    tmp_path, world: World, files_host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = secrets.token_hex(16)
    items = world.linked(f"http://{files_host}/")
    for item in items:
        for asset in item["assets"].values():
            asset["href"] += f"?sv=2021&sig={signature}"
    place = Place(str(save_collection(tmp_path / "linked" / "saved.json", items)), files_host)
    context = place.context(tmp_path)
    composite_blocks(context, find_scenes(context), context.region.blocks)
    assert signature not in "".join(capsys.readouterr())
    assert told(tmp_path / "work", signature) == []


@pytest.mark.parametrize("address", ["http://mapper:{word}@{host}/", "http://{host}/?token={word}"])
@pytest.mark.parametrize("there", [True, False])
def test_a_secret_in_the_source_s_address_is_not_told(
    tmp_path, rustac: Place, capsys: pytest.CaptureFixture[str], there: bool, address: str
) -> None:
    word = secrets.token_hex(16)
    host = urlsplit(rustac.source).netloc if there else f"127.0.0.1:{servers.free_port()}"
    place = replace(rustac, source=address.format(word=word, host=host))
    # To refuse such an address is as good as to use it and say nothing.
    try:
        find_scenes(place.context(tmp_path))
    except AsmAtlasError as error:
        assert word not in str(error)
    assert word not in "".join(capsys.readouterr())
    assert told(tmp_path, word) == []
