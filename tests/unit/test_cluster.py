from __future__ import annotations

import contextlib
import importlib
import logging
import operator
import socket
import time
from collections.abc import Iterator

import pytest
from distributed.comm.core import CommClosedError

from pipeline.errors import ClusterError, ConfigError, WorkerLostError
from pipeline.geo.seasons import season_months
from pipeline.runtime import cluster
from pipeline.runtime.cluster import IN_FLIGHT_PER_WORKER, Workers, workers


@pytest.fixture(scope="module")
def local() -> Iterator[Workers]:
    # Another run's dashboard may hold dask's usual port: that stops nobody.
    with socket.socket() as other, workers("local", 2) as pool:
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", 8787))
            other.listen()
        yield pool


def test_here_and_on_two_workers_the_results_are_the_same(local: Workers) -> None:
    with workers("none") as here:
        expected = list(here.map(operator.pow, range(25), 3))
    assert expected == [(item, item**3) for item in range(25)]
    assert sorted(local.map(operator.pow, range(25), 3)) == expected


@pytest.mark.parametrize("count", [0, 1, 7])
def test_few_items_or_none_end(count: int, local: Workers) -> None:
    assert len(list(local.map(operator.neg, range(count)))) == count


def test_items_are_taken_as_places_become_free(local: Workers) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for _ in range(30):
            taken += 1
            yield 0.11

    limit = 2 * IN_FLIGHT_PER_WORKER
    most = 0
    for done, _ in enumerate(local.map(time.sleep, items())):
        most = max(most, taken - done)
    assert taken == 30
    assert 1 < most <= limit + 1


def test_short_items_go_together_and_long_ones_do_not() -> None:
    assert [cluster._bundle_size(seconds) for seconds in (60, 0.1, 0.01, 0)] == [1, 1, 10, 64]


def test_many_short_items_come_back_once_each(local: Workers) -> None:
    found = list(local.map(operator.neg, range(1_000)))
    assert sorted(found) == [(item, -item) for item in range(1_000)]


def test_here_one_item_is_taken_at_a_time() -> None:
    items = iter(range(4))
    with workers("none") as here:
        assert next(here.map(operator.neg, items)) == (0, 0)
    assert list(items) == [1, 2, 3]


def test_an_error_comes_back_with_all_that_it_says(local: Workers) -> None:
    with pytest.raises(ConfigError, match="is not of the form") as caught:
        list(local.map(season_months, ["tomorrow"]))
    assert caught.value.next_step == "for example SEASON=2024-12..2025-02"
    # The workers go on after it.
    (one,) = local.map(season_months, ["2024-01..2024-01"])
    assert one[1] == ("2024-01-01", "2024-02-01")


def test_a_block_uses_one_thread(local: Workers) -> None:
    (_, found), *_ = local.map(thread_limits, [0])
    assert found
    assert {one["num_threads"] for one in found} == {1}


def thread_limits(item: int) -> list[dict[str, object]]:
    import threadpoolctl

    return threadpoolctl.threadpool_info()  # type: ignore[no-any-return]


def test_workers_start_at_their_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(cluster, "LocalCluster", never)
    with workers("local", 2) as pool:
        assert pool.count == 2
        with pytest.raises(AssertionError, match="started"):
            list(pool.map(operator.neg, [1]))


def test_no_number_of_workers_means_one_a_core() -> None:
    assert Workers("local").count >= 1


@pytest.mark.parametrize("address", ["", "locale", "http://host:8786", "host:8786", "ssh://x"])
def test_other_places_are_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="cluster must be"):
        Workers(address)


def test_only_heartbeats_of_an_ending_scheduler_are_not_logged() -> None:
    def record(error: type[BaseException] | None) -> logging.LogRecord:
        told = (error, None, None) if error else None
        return logging.LogRecord("distributed.worker", 40, "", 0, "heartbeat", (), told)

    importlib.import_module("pipeline.runtime.worker")
    kept = logging.getLogger("distributed.worker").filter
    assert not kept(record(CommClosedError))
    assert kept(record(ValueError))
    assert kept(record(None))


def test_a_worker_that_dies_while_it_starts_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[object] = []

    def dying(**asked: object) -> str:
        tried.append(asked)
        if len(tried) < 3:
            raise RuntimeError("Nanny failed to start.")
        return "started"

    monkeypatch.setattr(cluster, "LocalCluster", dying)
    assert cluster.Workers("local", 1)._on_this_machine() == "started"
    tried.clear()
    monkeypatch.setattr(cluster, "DEATHS", 2)
    with pytest.raises(WorkerLostError, match="Nanny failed to start"):
        cluster.Workers("local", 1)._on_this_machine()


@pytest.mark.parametrize("failure", [CommClosedError("gone"), OSError("Timed out")])
def test_a_scheduler_that_goes_away_before_the_first_block_is_named(
    failure: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        def nthreads(self) -> dict[str, int]:
            raise failure

        def close(self) -> None:
            pass

    monkeypatch.setattr(Workers, "_connect", lambda self, security: Gone())
    with workers("tcp://127.0.0.1:1") as pool, pytest.raises(ClusterError, match="went away"):
        list(pool.map(operator.neg, [1]))


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (TimeoutError("0 of 1"), "has had no worker for 60 s"),
        (OSError("Timed out trying to connect"), "no scheduler answers"),
    ],
)
def test_a_scheduler_without_workers_is_another_thing_than_none(
    failure: OSError, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Waiting:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def wait_for_workers(self, count: int, timeout: float) -> None:
            raise failure

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(cluster, "Client", Waiting)
    with workers("tcp://127.0.0.1:1") as pool, pytest.raises(ClusterError, match=says):
        list(pool.map(operator.neg, [1]))
    assert closed == [True]
