"""Settings of the machines that work: the cluster, a batch system, encrypted connections."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.runtime.settings import Allowed, Settings, between, form, setting

_TIME = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)")
# They go into a batch script: nothing that a shell would interpret.
_DIRECTIVE = re.compile(r"--[a-z][a-z-]{0,40}(=[A-Za-z0-9_.,:@/+-]{1,200})?")


def seconds_of(walltime: str) -> int:
    """Return the seconds of a time limit ``[D-]HH:MM:SS``; 0 if it is none."""
    found = _TIME.fullmatch(walltime)
    if found is None:
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def bytes_of(memory: str) -> int:
    """Return the bytes of a text such as ``3GiB`` or ``3000MiB``."""
    return int(memory[:-3]) << (30 if memory.endswith("GiB") else 20)


_WORD = form(r"([A-Za-z0-9][A-Za-z0-9_.,:-]{0,99})?", "a plain word")
_MEMORY = form(r"[1-9]\d{0,5}(MiB|GiB)", "as 3GiB")
_COUNT = between(least=1, most=10_000)
_WALLTIME = Allowed("[D-]HH:MM:SS, a minute at least", lambda value: seconds_of(value) >= 60)
_DIRECTIVES = Allowed(
    "of the form --name=value", lambda value: all(map(_DIRECTIVE.fullmatch, value.split()))
)


@dataclass(frozen=True)
class ClusterSettings(Settings):
    """The processes that work.

    Parameters
    ----------
    kind : str
        Who works: ``local``, ``slurm``, ``none`` (one process) or an address. Addresses are
        those of Dask schedulers, ``tcp://...`` or ``tls://...``.
    workers : int
        Workers of the local cluster; 0: one per core. Never more than memory allows then.
    """

    kind: str = setting("cluster", "local", common=True)
    workers: int = setting("workers", 0, between(least=0), common=True)


@dataclass(frozen=True)
class Slurm(Settings):
    """How jobs are asked for, with ``cluster = slurm`` and by ``asm-atlas submit``.

    Parameters
    ----------
    partition : str
        Partition of the jobs. Empty: the cluster's default.
    account : str
        Account that pays. Empty: the user's default.
    walltime : str
        Time limit of a job of workers, ``[D-]HH:MM:SS``. Ended jobs are followed by new ones.
    cores : int
        Cores of a job. Each is a worker of one thread.
    memory : str
        Memory of a job. All its workers share it; such as ``12GiB`` or ``3000MiB``.
    jobs : int
        Jobs of workers at a time.
    interface : str
        Network interface of scheduler and workers, such as ``ib0``; empty: loopback, where all
        jobs run on the machine of the driver. Needs ``[tls]``, or ``private_network``.
    private_network : bool
        Whether nobody else can reach that interface, so that it may go without encryption.
    directives : str
        Further options of sbatch, such as ``--qos=low --exclusive``.
    driver_walltime : str
        Time limit of a submitted driver, as ``walltime``.
    driver_memory : str
        Memory of a submitted driver whose workers are jobs of their own.
    """

    partition: str = setting("slurm.partition", "", _WORD)
    account: str = setting("slurm.account", "", _WORD)
    walltime: str = setting("slurm.walltime", "04:00:00", _WALLTIME)
    cores: int = setting("slurm.cores", 1, _COUNT)
    memory: str = setting("slurm.memory", "3GiB", _MEMORY)
    jobs: int = setting("slurm.jobs", 2, _COUNT)
    interface: str = setting("slurm.interface", "", _WORD)
    private_network: bool = setting("slurm.private_network", False)
    directives: str = setting("slurm.directives", "", _DIRECTIVES)
    driver_walltime: str = setting("slurm.driver_walltime", "1-00:00:00", _WALLTIME)
    driver_memory: str = setting("slurm.driver_memory", "8GiB", _MEMORY)


@dataclass(frozen=True)
class Tls(Settings):
    """Certificates of encrypted connections between driver, scheduler and workers.

    Parameters
    ----------
    ca : str
        File of the authority that signed the certificates of all of them (PEM).
    cert : str
        File of the certificate (PEM).
    key : str
        File of its key (PEM), readable by its owner only.
    """

    ca: str = setting("tls.ca", "")
    cert: str = setting("tls.cert", "")
    key: str = setting("tls.key", "")

    def __post_init__(self) -> None:
        given = [name for name in ("ca", "cert", "key") if getattr(self, name)]
        if given and len(given) < 3:
            raise ConfigError("tls needs all three of ca, cert and key", where=", ".join(given))

    def __bool__(self) -> bool:
        return bool(self.ca)
