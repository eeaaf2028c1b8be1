"""A map that nothing disturbed, certificates, and an object store."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_run
from ceph_here import Ceph, ceph, lacking

from pipeline.runtime.cluster_settings import Tls
from pipeline.runtime.objects import _bucket
from pipeline.runtime.s3 import filesystem


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Certificates, made as docs/cluster.md says."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    openssl(
        folder,
        *new,
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=ca",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    )
    openssl(folder, *new, "-subj", "/CN=me", "-keyout", "me.key", "-out", "me.csr")
    openssl(
        folder, "x509", "-req", "-in", "me.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "2", "-out", "me.pem",
    )  # fmt: skip
    return Tls(*(str(folder / name) for name in ("ca.pem", "me.pem", "me.key")))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, and a map of them that was made in one undisturbed process."""
    folder = tmp_path_factory.mktemp("world")
    sample_run.make_source(folder / "source")
    sample_run.make_model(folder / "empty")
    shutil.copytree(folder / "empty", folder / "still")
    done = sample_run.run(folder / "still", folder / "source", "--cluster", "none")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """An object store with a bucket, and the environment that AWS's clients find it by."""
    if reason := lacking():
        pytest.skip(reason)
    patch = pytest.MonkeyPatch()
    with ceph(tmp_path_factory.mktemp("ceph") / "c") as started:
        for name, value in started.environment.items():
            patch.setenv(name, value)
        filesystem.cache_clear()
        _bucket.cache_clear()
        started.make_bucket("atlas")
        yield started
    patch.undo()
