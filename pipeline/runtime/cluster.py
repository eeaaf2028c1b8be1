"""Dask workers, and a bounded number of blocks in flight among them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import dask
from distributed import Client, KilledWorker, LocalCluster, as_completed
from distributed.comm.core import CommClosedError
from distributed.security import Security

from pipeline.errors import AsmAtlasError, ClusterError, ConfigError, WorkerLostError
from pipeline.runtime.cluster_settings import Slurm, Tls
from pipeline.runtime.jobs import Jobs, check_network, security_of
from pipeline.runtime.machine import local_workers

# Enough to keep workers busy while results come back, few enough that a scheduler holds little.
IN_FLIGHT_PER_WORKER = 3
KINDS = ("local", "slurm", "none")
LOOPBACK = "127.0.0.1"
# A scheduler elsewhere that has no worker by then is not worth waiting for.
WORKERS_WITHIN_S = 60
ANSWER_WITHIN = "30s"
# A task costs the scheduler some milliseconds: items that take less than that go together.
BUNDLE_S = 0.1
MOST_BUNDLED = 64
# So many workers may die over a block before it is tried alone, and then before it is given up.
DEATHS = 3


def _bundle(
    task: Callable[..., Any], items: list[Any], shared: tuple[Any, ...]
) -> tuple[list[Any], float]:
    """Work on a few items one after the other; return the results, and the seconds it took.

    Each block is stored as it is finished: a bundle that is tried again takes up what is there.
    """
    started = time.perf_counter()
    results = [task(item, *shared) for item in items]
    return results, time.perf_counter() - started


def _bundle_size(seconds: float) -> int:
    """Return how many items of that length go together."""
    return max(1, min(MOST_BUNDLED, int(BUNDLE_S / max(seconds, 1e-9))))


class Workers:
    """Where blocks are worked on; started at the first use, since some commands need none.

    Parameters
    ----------
    cluster : str
        ``local``, ``slurm``, the address of a Dask scheduler (``tcp://...``, ``tls://...``), or
        ``none``: in this process, one block after the other.
    count : int
        Worker processes of a local cluster; 0: one per core, and no more than memory allows.
    slurm : Slurm
        How jobs are asked for.
    tls : Tls
        Certificates, where connections are to be encrypted.
    """

    def __init__(
        self, cluster: str, count: int = 0, slurm: Slurm | None = None, tls: Tls | None = None
    ) -> None:
        if cluster not in KINDS and not cluster.startswith(("tcp://", "tls://")):
            raise ConfigError(
                f"cluster must be 'local', 'slurm', 'none' or an address such as "
                f"tcp://host:8786, not {cluster!r}"
            )
        self.slurm, self.tls = slurm or Slurm(), tls or Tls()
        if cluster.startswith("tls://") and not self.tls:
            raise ConfigError(
                f"{cluster} is an encrypted address, and no certificates are configured",
                next_step="ca, cert and key in the table [tls] of the configuration",
            )
        if cluster == "slurm":
            check_network(self.slurm, self.tls)
        self.cluster = cluster
        self.count, self.memory = local_workers(count)
        self._client: Client | None = None
        self._local: LocalCluster | None = None
        self._jobs: Jobs | None = None

    def map(
        self, task: Callable[..., Any], items: Iterable[Any], *shared: Any
    ) -> Iterator[tuple[Any, Any]]:
        """Run ``task(item, *shared)`` for every item and yield ``(item, result)`` as they end.

        Parameters
        ----------
        task : callable
            Idempotent: a scheduler may run it more than once.
        items : iterable
            Taken as places become free, so that it may be long.
        *shared
            The same further arguments for every item.

        Yields
        ------
        item : object
            One of the items.
        result : object
            What the task returned for it; a ``WorkerLostError`` where worker after worker died over
            it.
        """
        if self.cluster == "none":
            for item in items:
                yield item, task(item, *shared)
            return
        queue = iter(items)
        first = list(islice(queue, 1))
        if not first:
            return
        client, queue = self._start(), chain(first, queue)
        try:
            # A cluster elsewhere has as many threads as it has, whatever this machine has.
            threads = max(self.count, sum(client.nthreads().values()))
        except OSError as error:  # gone before, or while it was asked
            raise self._lost(error) from None
        limit = IN_FLIGHT_PER_WORKER * threads
        submitted: dict[Any, list[Any]] = {}

        def submit(items: list[Any]) -> Any:
            future = client.submit(_bundle, task, items, shared, pure=False)
            submitted[future.key] = items
            return future

        running = as_completed([submit([item]) for item in islice(queue, limit)])
        suspects = []
        size = 1
        for future in running:
            bundle = submitted.pop(future.key)
            try:
                results, seconds = future.result()
            except KilledWorker:
                suspects += bundle
            except (CancelledError, CommClosedError) as error:
                raise self._lost(error) from None
            else:
                yield from zip(bundle, results, strict=True)
                size = _bundle_size(seconds / len(bundle))
            future.release()
            if following := list(islice(queue, size)):
                running.add(submit(following))
        # A death counts against all that the worker had in hand: each suspect is tried by itself.
        for item in suspects:
            alone = client.submit(task, item, *shared, pure=False)
            try:
                result = alone.result()
            except (CancelledError, CommClosedError) as error:
                raise self._lost(error) from None
            except KilledWorker as error:
                result = WorkerLostError(
                    f"worker processes died over it again and again, {DEATHS} times with nothing "
                    "else in hand",
                    where=str(error.last_worker),
                    next_step="look for a lack of memory; fewer workers leave each more of it",
                )
            alone.release()
            yield item, result

    def _lost(self, error: Exception) -> AsmAtlasError:
        """Say why tasks that nobody cancelled ended as cancelled."""
        if self._jobs is not None and self._jobs.trouble is not None:
            return self._jobs.trouble
        return ClusterError(
            f"the scheduler went away: {getattr(error, 'reason', None) or 'connection lost'}",
            where=self.cluster,
            next_step="run the same command again: finished blocks are kept",
        )

    def _start(self) -> Client:
        if self._client is None:
            # distributed takes None for no encryption.
            security = security_of(self.tls)
            if self.cluster == "local":
                self._local = self._on_this_machine()
                self._client = Client(self._local)
            elif self.cluster == "slurm":
                self._jobs = Jobs(self.slurm, security)
                self._client = Client(self._jobs.cluster)
            else:
                self._client = self._connect(security)
        return self._client

    def _on_this_machine(self) -> LocalCluster:
        """Start a local cluster; again, if one of its workers dies before it has begun."""
        failure: Exception | None = None
        for _ in range(DEATHS):
            try:
                return LocalCluster(
                    n_workers=self.count,
                    threads_per_worker=1,
                    memory_limit=self.memory,
                    host=LOOPBACK,
                    # Any free port: None would insist on 8787, which another run may hold.
                    dashboard_address=f"{LOOPBACK}:0",
                    worker_dashboard_address=f"{LOOPBACK}:0",
                    preload="pipeline.runtime.worker",
                    silence_logs="ERROR",
                )
            except RuntimeError as error:  # "Nanny failed to start."
                failure = error
        raise WorkerLostError(
            f"worker processes died while they started, {DEATHS} times: {failure}",
            next_step="look for a lack of memory; fewer workers leave each more of it",
        ) from None

    def _connect(self, security: Security | None) -> Client:
        """Connect to a scheduler elsewhere that has workers."""
        try:
            client = Client(self.cluster, timeout=ANSWER_WITHIN, security=security)
        except OSError as error:
            raise self._no_answer(error) from None
        try:
            client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
        except OSError as error:
            client.close()
            if not isinstance(error, TimeoutError):  # gone while it was asked
                raise self._no_answer(error) from None
            raise ClusterError(
                f"the scheduler has had no worker for {WORKERS_WITHIN_S} s",
                where=self.cluster,
                next_step="start workers: dask worker ADDRESS --nthreads 1 "
                "--preload pipeline.runtime.worker",
            ) from None
        return client

    def _no_answer(self, error: Exception) -> ClusterError:
        return ClusterError(
            f"no scheduler answers: {error}",
            where=self.cluster,
            next_step="start it, or CLUSTER=local",
        )

    def close(self) -> None:
        """End the workers that this object started."""
        for part in (self._client, self._local, self._jobs):
            if part is not None:
                with contextlib.suppress(Exception):
                    part.close()
        self._client = self._local = self._jobs = None


@contextmanager
def workers(
    cluster: str, count: int = 0, slurm: Slurm | None = None, tls: Tls | None = None
) -> Iterator[Workers]:
    """Give workers that end with the ``with`` block.

    Parameters
    ----------
    cluster : str
        As for ``Workers``.
    count : int
        As for ``Workers``.
    slurm : Slurm, optional
        As for ``Workers``.
    tls : Tls, optional
        As for ``Workers``.

    Yields
    ------
    Workers
        Started at their first use.
    """
    # A forked worker would share threads and open files with this process.
    settings = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        # By default a worker that needs more than 15 s to start anew, as on a busy machine, is
        # given up; with the last one gone, the rest would wait forever.
        "distributed.deploy.lost-worker-timeout": "1h",
        # What the scheduler remembers for dashboards and developers, so that it is full soon.
        "distributed.diagnostics.computations.max-history": 5,
        "distributed.admin.low-level-log-length": 100,
        "distributed.admin.system-monitor.log-length": 120,
        # By default scheduler and watchers wake 50 times a second, and each worker notes 100 times
        # a second where it is: 5 % of a core that the blocks can use.
        "distributed.admin.tick.interval": "500ms",
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.worker.profile.enabled": False,
        # By default every array of a block is given back to the system and asked for anew, and
        # filling new pages took 40 % of a composite's time. The peak stays what it was.
        "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 64 << 20,
        "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
        "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 1,
    }
    with dask.config.set(settings):
        pool = Workers(cluster, count, slurm, tls)
        try:
            yield pool
        finally:
            pool.close()
