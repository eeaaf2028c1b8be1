"""The same scenes behind every kind of source, each server started once for all tests."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import servers
from imagery import make_context
from sample_world import (
    BUCKET,
    COLLECTION,
    REGION,
    SEASON,
    World,
    make_world,
    many_items,
    save_collection,
    save_lines,
)

from pipeline.workflow.context import Context

ROOT = Path(__file__).parents[2]
PLACES = ("folder", "file", "file with links", "rustac", "pgstac", "file with s3 links")


@dataclass(frozen=True)
class Place:
    """A source, and what a run must be told to use it.

    Parameters
    ----------
    source : str
        ``SOURCE``.
    hosts : str
        ``hosts``: where its files lie.
    variables : dict of str to str
        Of the environment: credentials.
    """

    source: str
    hosts: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def context(self, folder: Path, region: str = REGION, **keys: Any) -> Context:
        """Return the surroundings of a run from this source, with short waits."""
        usual = {"season": SEASON, "source": self.source, "hosts": self.hosts, "backoff": 0.01}
        return make_context(folder, region, **(usual | keys))

    def command(self, verb: str, folder: Path, **keys: Any) -> subprocess.CompletedProcess[str]:
        """Run a verb of the command line as a user would, with this source's credentials."""
        context = self.context(folder, **keys)
        options = {
            name: context.config.flat()[name]
            for name in ("source", "season", "hosts", "workspace", "backoff", "cluster", "workers")
        }
        own = {name: value for name, value in os.environ.items() if not name.startswith("ASM_")}
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", verb, REGION]
            + [f"--{name}={value}" for name, value in options.items() if value],
            env=own | self.variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )


def need(*names: str) -> None:
    """Skip where a server is not installed."""
    reason = servers.missing(*names)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="session")
def world(home: Path) -> World:
    return make_world(home / "files")


@pytest.fixture(scope="session")
def files_host(home: Path, world: World) -> Iterator[str]:
    need("nginx")
    with servers.nginx(home, world.files) as (host, _):
        yield host


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> Place:
    """Any of ``PLACES``, by parameter."""
    found: Place = request.getfixturevalue(request.param.replace(" ", "_"))
    return found


@pytest.fixture(scope="session")
def folder(world: World) -> Place:
    links = [{"rel": "item", "href": f"./{item.id}.json"} for item in world.items]
    about = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "Scenes"}
    (world.files / "catalog.json").write_text(json.dumps(about | {"links": links}))
    for item in world.linked("./"):
        (world.files / f"{item['id']}.json").write_text(json.dumps(item))
    return Place(str(world.files))


@pytest.fixture(scope="session")
def file(world: World) -> Place:
    return Place(str(save_collection(world.files / "saved.json", world.linked("./"))))


@pytest.fixture(scope="session")
def file_with_links(home: Path, world: World, files_host: str) -> Place:
    items = world.linked(f"http://{files_host}/")
    return Place(str(save_collection(home / "linked" / "saved.json", items)), files_host)


@pytest.fixture(scope="session")
def rustac(home: Path, world: World, files_host: str) -> Iterator[Place]:
    need("rustac")
    collection = home / "collection.json"
    collection.write_text(json.dumps(COLLECTION))
    served = world.linked(f"http://{files_host}/") + many_items()
    items = save_collection(home / "rustac.json", served)
    with servers.rustac(home, collection, items) as (address, _):
        yield Place(address, files_host)


@pytest.fixture(scope="session")
def password() -> str:
    return secrets.token_hex(16)


@pytest.fixture(scope="session")
def pgstac(home: Path, world: World, files_host: str, password: str) -> Iterator[Place]:
    need("postgres", "pypgstac", "uvicorn")
    collections = save_lines(home / "collections.ndjson", [COLLECTION])
    served = world.linked(f"http://{files_host}/") + many_items()
    items = save_lines(home / "items.ndjson", served)
    with servers.postgres(password) as (database, _):
        servers.fill(database, collections, items)
        with servers.pgstac(home, database) as address:
            yield Place(address, files_host)


@pytest.fixture(scope="session")
def file_with_s3_links(home: Path, world: World) -> Iterator[Place]:
    need("hadro")
    shutil.copytree(world.files, home / "buckets" / BUCKET)
    items = save_collection(home / "s3" / "saved.json", world.linked(f"s3://{BUCKET}/"))
    key, secret = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    with servers.s3(home, home / "buckets", key, secret) as endpoint:
        variables = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": endpoint,
            # Not this machine's own profiles, nor the address at which a cloud's machine asks.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(home / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
        }
        yield Place(str(items), variables=variables)
