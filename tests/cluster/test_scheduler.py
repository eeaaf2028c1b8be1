"""Schedulers in processes of their own: encrypted ones, lost ones, and those that never come."""

from __future__ import annotations

import operator
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from pipeline.errors import ClusterError
from pipeline.runtime import cluster
from pipeline.runtime.cluster import Workers, workers
from pipeline.runtime.cluster_settings import Tls

HERE = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def dask(tls: Tls | None = None, with_workers: bool = True) -> Iterator[tuple[str, int]]:
    """A scheduler with one worker; its address and process."""
    port, files = free_port(), []
    if tls:
        files = ["--tls-ca-file", tls.ca, "--tls-cert", tls.cert, "--tls-key", tls.key]
    address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{port}"
    protocol = ["--protocol", address.partition(":")[0]]
    commands = [["distributed.cli.dask_scheduler", "--port", str(port), *protocol]]
    if with_workers:
        commands.append(["distributed.cli.dask_worker", address, "--nthreads", "1", *protocol])
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command, *HERE, *files],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield address, started[0].pid
    finally:
        for process in started:
            below = (
                psutil.Process(process.pid).children(recursive=True)
                if process.poll() is None
                else []
            )
            process.kill()
            process.wait()
            for child in below:
                child.kill()


def test_an_encrypted_scheduler_does_the_work(tls: Tls) -> None:
    with dask(tls) as (address, _):
        with workers(address, tls=tls) as pool:
            assert sorted(pool.map(operator.neg, range(20))) == [(i, -i) for i in range(20)]
        # Who has no certificate is not let in.
        port = int(address.rpartition(":")[2])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(tls.ca)
        context.check_hostname = False
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain) as connection,
        ):
            if not connection.recv(1):
                raise ConnectionError("closed")


def test_a_scheduler_that_goes_away_ends_the_run_by_name() -> None:
    with dask() as (address, pid), workers(address) as pool:
        results = pool.map(time.sleep, [0.2] * 50)
        next(results)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ClusterError, match="went away") as caught:
            list(results)
        assert caught.value.where == address
        assert "same command" in caught.value.next_step


def test_nobody_waits_for_a_scheduler_or_workers_that_do_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "WORKERS_WITHIN_S", 1)
    monkeypatch.setattr(cluster, "ANSWER_WITHIN", "1s")
    with pytest.raises(ClusterError, match="no scheduler answers"):
        list(Workers(f"tcp://127.0.0.1:{free_port()}").map(operator.neg, [1]))
    refused = pytest.raises(ClusterError, match="no worker for 1 s")
    with dask(with_workers=False) as (address, _), refused:
        list(Workers(address).map(operator.neg, [1]))


def test_everything_local_listens_on_loopback() -> None:
    with workers("local", 1) as pool:
        list(pool.map(operator.neg, [1]))
        own = psutil.Process()
        found = {
            connection.laddr.ip
            for process in [own, *own.children(recursive=True)]
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
    assert found == {"127.0.0.1"}
