"""Workers that are jobs of Slurm, submitted anew when one ends before the work does."""

from __future__ import annotations

import sys
import threading
from typing import Any

from distributed.security import Security

from pipeline.errors import AsmAtlasError, ClusterError, ConfigError, DependencyError
from pipeline.runtime.cluster_settings import Slurm, Tls, bytes_of, seconds_of
from pipeline.runtime.slurm import ask_slurm

LOOPBACK = "127.0.0.1"
# How often Slurm is asked which jobs it still has.
ASK_EVERY_S = 20.0
# Jobs that may end one after the other without a single worker of theirs having come.
FRUITLESS = 5


def security_of(tls: Tls) -> Security | None:
    """Return what distributed needs for encrypted connections; None: they are not."""
    if not tls:
        return None
    roles = ("scheduler", "worker", "client")
    files = {f"tls_{role}_{part}": getattr(tls, part) for role in roles for part in ("cert", "key")}
    return Security(tls_ca_file=tls.ca, require_encryption=True, **files)


def check_network(slurm: Slurm, tls: Tls) -> None:
    """Refuse to open a scheduler to a network that others may reach.

    Raises
    ------
    ConfigError
        If an interface is asked for without encryption, and is not said to be private: whoever
        reaches a scheduler of Dask can run anything as its user.
    """
    if slurm.interface and not tls and not slurm.private_network:
        raise ConfigError(
            f"a scheduler on {slurm.interface} would run whatever anybody sends it",
            next_step="configure [tls] (docs/cluster.md), or private_network = true in [slurm] if "
            "nobody else can reach that interface",
        )


class Jobs:
    """A scheduler in this process, and jobs of Slurm whose workers it has.

    Parameters
    ----------
    slurm : Slurm
        How jobs are asked for.
    security : distributed.security.Security or None
        Certificates.

    Attributes
    ----------
    cluster : dask_jobqueue.SLURMCluster
        What a client connects to.
    trouble : AsmAtlasError or None
        Why it gave up.

    Raises
    ------
    DependencyError
        If dask-jobqueue or Slurm's commands are not installed.
    ClusterError
        If Slurm refuses the jobs.
    """

    def __init__(self, slurm: Slurm, security: Security | None) -> None:
        self.trouble: AsmAtlasError | None = None
        self._slurm = slurm
        self._came: set[str] = set()
        self._fruitless = 0
        self._ended = threading.Event()
        try:
            from dask_jobqueue.slurm import SLURMCluster
        except ImportError as error:
            raise DependencyError(
                "cluster = slurm needs the package dask-jobqueue",
                next_step="make install",
            ) from error
        _listed()
        where = {"interface": slurm.interface} if slurm.interface else {"host": LOOPBACK}
        listen = [] if slurm.interface else ["--host", LOOPBACK]
        # Workers leave before their job's end, so that no block counts as killed.
        lifetime = max(30, seconds_of(slurm.walltime) - 120)
        self.cluster: Any = SLURMCluster(
            queue=slurm.partition or None,
            account=slurm.account or None,
            walltime=slurm.walltime,
            cores=slurm.cores,
            processes=slurm.cores,
            memory=f"{bytes_of(slurm.memory)}B",
            interface=slurm.interface or None,
            security=security,
            job_extra_directives=slurm.directives.split(),
            python=sys.executable,
            worker_extra_args=[
                *listen,
                "--preload",
                "pipeline.runtime.worker",
                "--no-dashboard",
                "--dashboard-address",
                f"{LOOPBACK}:0",
                "--lifetime",
                f"{lifetime}s",
            ],
            scheduler_options={**where, "dashboard_address": f"{LOOPBACK}:0"},
            silence_logs="ERROR",
        )
        try:
            self.cluster.scale(jobs=slurm.jobs)
            self._watch = threading.Thread(target=self._keep, name="jobs", daemon=True)
            self._watch.start()
        except BaseException:
            self.cluster.close()
            raise

    def close(self) -> None:
        """Cancel the jobs and end the scheduler."""
        self._ended.set()
        self._watch.join(timeout=60)
        self.cluster.close()

    def _keep(self) -> None:
        """Let as many jobs be queued or running as were asked for, until the end."""
        while not self._ended.wait(ASK_EVERY_S):
            try:
                listed = _listed()
            except ClusterError:
                continue  # a controller that is busy now answers later
            self.cluster.loop.add_callback(self._replace, listed)

    def _replace(self, listed: set[str]) -> None:
        """Forget jobs that Slurm no longer has, so that others are submitted in their place."""
        self._came |= {str(worker.name) for worker in self.cluster.scheduler.workers.values()}
        for name, job in list(self.cluster.workers.items()):
            if job.job_id is None or job.job_id in listed:
                continue
            del self.cluster.workers[name]
            worked = any(one == name or one.startswith(f"{name}-") for one in self._came)
            self._came = {
                one for one in self._came if one != name and not one.startswith(f"{name}-")
            }
            self._fruitless = 0 if worked else self._fruitless + 1
        if self._fruitless >= FRUITLESS and not self.cluster.scheduler.workers:
            self.trouble = ClusterError(
                f"{self._fruitless} jobs ended before a worker of theirs came",
                where="slurm-*.out in the folder that this command was started in",
                next_step="look there for what they said",
            )
            self.cluster.loop.add_callback(self.cluster.scheduler.close)
            self._ended.set()
        elif not self._ended.is_set():
            self.cluster.scale(jobs=self._slurm.jobs)


def _listed() -> set[str]:
    """Return the numbers of this user's jobs that are queued or running."""
    return set(ask_slurm("squeue", "--me", "--noheader", "--format=%A").split())
