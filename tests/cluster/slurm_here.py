"""A Slurm of one machine in a folder: controller, node and munge, started and ended by a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("sbatch", "squeue", "scancel", "slurmctld", "slurmd", "munged")
_CONF = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 State=UNKNOWN
PartitionName=blocks Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str:
    """Say why Slurm cannot be started here; empty: it can."""
    missing = [name for name in NEEDED if _where(name) is None]
    if missing:
        return f"not installed (Debian: slurm-wlm munge): {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "Slurm's daemons are started as root"


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Give the environment in which Slurm's commands find this one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    # munged wants to be another user than root, and its socket to be reachable by all.
    shutil.chown(folder, "munge", "munge")
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    shutil.chown(key, "munge", "munge")
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(
        _CONF.format(folder=folder, host=host, controller=_free_port(), node=_free_port())
    )
    environment = os.environ | {"SLURM_CONF": str(conf)}
    munge = [
        f"--{name}={folder}/munge.{kind}"
        for name, kind in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"),
            ("log-file", "log"), ("seed-file", "seed"),
        )
    ]  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(_start([_where("munged"), "--foreground", *munge], {}, user="munge"))
        _wait(lambda: (folder / "munge.socket").exists(), "munged", folder)
        started.append(_start([_where("slurmctld"), "-D"], environment))
        started.append(_start([_where("slurmd"), "-D"], environment))
        _wait(lambda: b"idle" in _said(["sinfo", "-h", "-o", "%T"], environment), "slurm", folder)
        yield environment
    finally:
        _said(["scancel", "--me"], environment)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _where(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _start(
    command: list[str | None], environment: dict[str, str], user: str | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [part for part in command if part],
        env=environment or None,
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _said(command: list[str], environment: dict[str, str]) -> bytes:
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    return done.stdout


def _wait(ready, name: str, folder: Path) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + 60
    while not ready():
        if time.monotonic() > end:
            logs = "\n".join(log.read_text()[-2000:] for log in folder.glob("*.log"))
            raise RuntimeError(f"{name} did not start:\n{logs}")
        time.sleep(0.2)
