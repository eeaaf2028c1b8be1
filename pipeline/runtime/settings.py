"""Tables of the configuration that say where a run works: a batch system, encrypted connections."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import ConfigError

_TIME = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)")
_MEMORY = re.compile(r"[1-9]\d{0,5}(MiB|GiB)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:-]{0,99}")
# They stand in a batch script: nothing that a shell would interpret.
_DIRECTIVE = re.compile(r"--[a-z][a-z-]{0,40}(=[A-Za-z0-9_.,:@/+-]{1,200})?")


@dataclass(frozen=True)
class Slurm:
    """How jobs are asked for, with ``cluster = slurm`` and by ``asm-atlas submit``.

    Parameters
    ----------
    partition : str
        Partition of the jobs; empty: the cluster's default.
    account : str
        Account that pays; empty: the user's default.
    walltime : str
        Time limit of a job of workers, ``[D-]HH:MM:SS``. Ended jobs are followed by new ones.
    cores : int
        Cores of a job; each is a worker of one thread.
    memory : str
        Memory of a job, all its workers together, such as ``12GiB`` or ``3000MiB``.
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

    partition: str = ""
    account: str = ""
    walltime: str = "04:00:00"
    cores: int = 1
    memory: str = "3GiB"
    jobs: int = 2
    interface: str = ""
    private_network: bool = False
    directives: str = ""
    driver_walltime: str = "1-00:00:00"
    driver_memory: str = "8GiB"

    def __post_init__(self) -> None:
        for name in ("partition", "account", "interface"):
            value = getattr(self, name)
            if value and not _WORD.fullmatch(value):
                raise ConfigError(f"slurm.{name} must be a plain word, not {value!r}")
        for name in ("memory", "driver_memory"):
            if not _MEMORY.fullmatch(getattr(self, name)):
                raise ConfigError(f"slurm.{name} must be as 3GiB, not {getattr(self, name)!r}")
        for name in ("walltime", "driver_walltime"):
            if seconds_of(getattr(self, name)) < 60:
                raise ConfigError(
                    f"slurm.{name} must be [D-]HH:MM:SS, a minute at least, "
                    f"not {getattr(self, name)!r}"
                )
        for name in ("cores", "jobs"):
            if not 0 < getattr(self, name) <= 10_000:
                raise ConfigError(f"slurm.{name} must be 1 to 10000, not {getattr(self, name)}")
        for word in self.directives.split():
            if not _DIRECTIVE.fullmatch(word):
                raise ConfigError(f"slurm.directives: {word!r} is not of the form --name=value")


@dataclass(frozen=True)
class Tls:
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

    ca: str = ""
    cert: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        given = [name for name in ("ca", "cert", "key") if getattr(self, name)]
        if given and len(given) < 3:
            raise ConfigError("tls needs all three of ca, cert and key", where=", ".join(given))

    def __bool__(self) -> bool:
        return bool(self.ca)


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
