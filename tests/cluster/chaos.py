"""Kills workers, scheduler and driver of a run at random moments (-9), and looks at what is left.

A small region is mapped again and again, half of the times on a local cluster, half on a scheduler
and workers of their own. After each kill: no finished block may have been made again, no more
blocks may be lost than workers were killed, whatever is published must be whole, and the lock must
be free. Each map that comes to its end must say what the undisturbed one says; it names the code's
commit too, so commit nothing meanwhile.

``python tests/cluster/chaos.py --kills 200`` writes ``data/processed/chaos/summary.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil
import sample_run

from pipeline.content import content_hashes
from pipeline.errors import ClusterError, RunLockedError, WorkerLostError
from pipeline.ledger import sha256_of
from pipeline.runtime.files import _MARK
from pipeline.runtime.lock import holder

WORKERS = 2
KILLS_PER_MAP = 6
VICTIMS = {"local": ("worker", "driver"), "apart": ("worker", "scheduler", "driver")}
PYTHON = [sys.executable, "-m"]


@dataclass
class Cluster:
    """A scheduler and workers of their own."""

    folder: Path
    parts: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        here = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        worker = [
            self.address, *here, "--nworkers", str(WORKERS), "--nthreads", "1",
            "--preload", "pipeline.runtime.worker", "--local-directory", str(self.folder),
        ]  # fmt: skip
        self.parts = [
            start([*PYTHON, "distributed.cli.dask_scheduler", *here, "--port", str(port)]),
            start([*PYTHON, "distributed.cli.dask_worker", *worker]),
        ]

    def stop(self) -> None:
        for part in self.parts:
            kill_tree(part.pid)
            part.wait()
        self.parts = []


@dataclass
class Chaos:
    """One series of kills."""

    folder: Path
    chance: random.Random
    expected: dict[str, str]
    kills: Counter[str] = field(default_factory=Counter)
    maps: int = 0
    most_lost: int = 0
    lost: int = 0
    seen: set[str] = field(default_factory=set)
    scheduler_killed: bool = False
    remade: int = 0
    stale_locks: int = 0
    restarts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def one_map(self, most_kills: int, mode: str) -> None:
        """Map the region once, with as many kills on the way as come to pass."""
        workspace = self.folder / f"work-{self.maps}"
        shutil.copytree(self.folder / "empty", workspace)
        cluster = Cluster(self.folder / "dask")
        finished: dict[Path, int] = {}
        code = -1
        while code != 0:
            if mode == "apart" and not cluster.parts:
                cluster.start()
            where = ["--cluster", cluster.address or "local", "--workers", str(WORKERS)]
            command = sample_run.command(workspace, self.folder / "source", *where)
            driver = start(command, self.folder / "said.txt")
            code = self._disturb(driver, cluster, workspace, finished, most_kills, mode)
            if code not in (0, -signal.SIGKILL):
                self.restarts[str(code)] += 1
                cluster.stop()
                self._count_lost(workspace, f"{mode} after exit code {code}", WORKERS)
                said = (self.folder / "said.txt").read_text()[-1500:]
                if code == ClusterError.exit_code and not self.scheduler_killed:
                    self.wrong.append(f"{mode}: nobody killed the scheduler: {said}")
                self.scheduler_killed = False
                if code == RunLockedError.exit_code:
                    self.stale_locks += 1
                    time.sleep(1)
                elif code not in (ClusterError.exit_code, WorkerLostError.exit_code):
                    self.wrong.append(f"{mode}: ended with {code}: {said}")
                    if sum(self.restarts.values()) > 5 + sum(self.kills.values()):
                        raise SystemExit(f"it does not come to its end: {self.wrong}")
        cluster.stop()
        self._look_back(workspace, finished)
        self.maps += 1
        shutil.rmtree(workspace)

    def _disturb(
        self,
        driver: subprocess.Popen[bytes],
        cluster: Cluster,
        workspace: Path,
        finished: dict[Path, int],
        most_kills: int,
        mode: str,
    ) -> int:
        """Kill something now and then until the driver ends; return how it did."""
        while True:
            if self.chance.random() < 0.7:  # mostly while blocks are worked on, else at any moment
                self._wait_for_work(driver, workspace)
            try:
                return driver.wait(self.chance.uniform(0, 2) + self.chance.choice((0, 0, 8)))
            except subprocess.TimeoutExpired:
                pass
            if sum(self.kills.values()) >= most_kills:
                return driver.wait(600)
            victim = self.chance.choice(VICTIMS[mode])
            finished.update(stored(workspace))
            if not self._kill(victim, driver, cluster):
                continue
            self.kills[f"{mode} {victim}"] += 1
            gone = victim == "driver"
            if gone:
                driver.wait()
                self._check_lock(workspace)
            self._count_lost(workspace, f"{mode} {victim}", 1 if victim == "worker" else WORKERS)
            self.wrong += [f"{mode} {victim}: {what}" for what in broken(workspace)]

    @staticmethod
    def _wait_for_work(driver: subprocess.Popen[bytes], workspace: Path) -> None:
        """Wait until somebody writes a block."""
        while driver.poll() is None:
            for stage in ("composite", "features"):
                for path in (workspace / "interim" / stage).glob("*/.*"):
                    mark = _MARK.search(path.name)
                    if mark and psutil.pid_exists(int(mark["pid"])):
                        return
            time.sleep(0.01)

    def _kill(self, victim: str, driver: subprocess.Popen[bytes], cluster: Cluster) -> bool:
        if victim == "scheduler":
            if cluster.parts[0].poll() is not None:
                return False
            cluster.parts[0].kill()
            self.scheduler_killed = True
            return True
        root = cluster.parts[1].pid if cluster.parts else driver.pid
        workers = [child for child in children(root) if "spawn_main" in " ".join(command_of(child))]
        if victim == "worker":
            if not workers:
                return False
            self.chance.choice(workers).kill()
            time.sleep(0.05)
            return True
        if driver.poll() is not None:
            return False
        driver.kill()
        # Its own workers see that and end; those of a scheduler finish what they have in hand.
        psutil.wait_procs(workers if not cluster.parts else [], timeout=30)
        return True

    def _count_lost(self, workspace: Path, by: str, most: int) -> None:
        """Count the blocks that were begun by who is dead now."""
        new = lost_blocks(workspace) - self.seen
        self.seen |= new
        self.lost += len(new)
        self.most_lost = max(self.most_lost, len(new))
        if len(new) > most:
            self.wrong.append(f"{by}: {len(new)} blocks lost")

    def _check_lock(self, workspace: Path) -> None:
        if holder(workspace / "interim" / "runs" / f"{sample_run.NAME}.lock") is not None:
            self.stale_locks += 1

    def _look_back(self, workspace: Path, finished: dict[Path, int]) -> None:
        found = content_hashes(workspace / "processed" / sample_run.NAME / "latest")
        if found != self.expected:
            other = sorted(dict(self.expected.items() ^ found.items()))
            self.wrong.append(f"map {self.maps} says something else: {', '.join(other)}")
        again = [path for path, when in finished.items() if path.stat().st_mtime_ns != when]
        self.remade += len(again)
        self.wrong += [f"made again: {path.parent.name}" for path in again]
        left = [path.name for path in workspace.rglob(".*") if _MARK.search(path.name)]
        self.wrong += [f"left behind: {name}" for name in left]


def start(command: list[str], said: Path = Path(os.devnull)) -> subprocess.Popen[bytes]:
    with said.open("wb") as told:
        return subprocess.Popen(
            command, env=sample_run.plain_environment(), stdout=subprocess.DEVNULL, stderr=told
        )


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def kill_tree(pid: int) -> None:
    for process in children(pid):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def stored(workspace: Path) -> dict[Path, int]:
    """Blocks that are finished: their files, and when they were written."""
    found = {}
    for stage, suffix in (("composite", ".tif"), ("features", ".parquet")):
        for record in (workspace / "interim" / stage).glob("*/[0-9a-f]*.json"):
            entry = json.loads(record.read_text())
            path = record.with_suffix(suffix)
            if entry["status"] == "done" and sha256_of(path) == entry["sha256"]:
                found[path] = path.stat().st_mtime_ns
    return found


def lost_blocks(workspace: Path) -> set[str]:
    """Attempts at blocks that a process had begun which is dead now."""
    lost = set()
    for stage in ("composite", "features"):
        for path in (workspace / "interim" / stage).glob("*/.*"):
            mark = _MARK.search(path.name)
            if mark and not psutil.pid_exists(int(mark["pid"])):
                lost.add(path.name)
    return lost


def broken(workspace: Path) -> list[str]:
    """Say what of the published folders is not whole."""
    wrong = []
    for folder in (workspace / "processed" / sample_run.NAME).glob("*"):
        if folder.name.startswith(".") or folder.is_symlink():
            continue
        try:
            files = json.loads((folder / "manifest.json").read_text())["files"]
        except (OSError, ValueError) as error:
            wrong.append(f"{folder.name}: {error}")
            continue
        for name, about in files.items():
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if digest != (about["sha256"] if isinstance(about, dict) else about):
                wrong.append(f"{folder.name}/{name} is not what the manifest says")
    return wrong


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=8)
    options.add_argument("--seed", type=int, default=20_262)
    options.add_argument("--out", type=Path, default=ROOT / "data/processed/chaos/summary.json")
    given = options.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample_run.make_source(folder / "source")
        sample_run.make_model(folder / "empty")
        shutil.copytree(folder / "empty", folder / "still")
        done = sample_run.run(folder / "still", folder / "source", "--cluster", "none")
        if done.returncode:
            raise SystemExit(done.stderr)
        still = folder / "still" / "processed" / sample_run.NAME / "latest"
        chaos = Chaos(folder, random.Random(given.seed), content_hashes(still))
        while sum(chaos.kills.values()) < given.kills:
            # A few a map, so that maps come to their end too.
            most = min(given.kills, sum(chaos.kills.values()) + KILLS_PER_MAP)
            chaos.one_map(most, ("local", "apart")[chaos.maps % 2])
            print(f"{time.monotonic() - begun:6.0f} s  {dict(chaos.kills)}", flush=True)
    summary: dict[str, Any] = {
        "kills": sum(chaos.kills.values()),
        "of": dict(sorted(chaos.kills.items())),
        "maps_finished": chaos.maps,
        "maps_with_another_content": sum("something else" in one for one in chaos.wrong),
        "published_not_whole": sum(bool(re.search("manifest", one)) for one in chaos.wrong),
        "finished_blocks_made_again": chaos.remade,
        "begun_blocks_lost": chaos.lost,
        "most_of_them_by_one_kill": chaos.most_lost,
        "workers": WORKERS,
        "stale_locks": chaos.stale_locks,
        "ends_by_exit_code": dict(chaos.restarts),
        "wrong": chaos.wrong,
        "seed": given.seed,
        "seconds": round(time.monotonic() - begun),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return 1 if chaos.wrong or chaos.stale_locks else 0


if __name__ == "__main__":
    raise SystemExit(main())
