"""Kills workers, scheduler and driver of a run at random moments (-9), and looks at what is left.

A small region is mapped again and again, half of the times on a local cluster, half on a scheduler
and workers of their own. After each kill: no finished block may have been made again, no more
blocks may be lost than workers were killed, whatever is published must be whole, and the lock must
be free. Each map that comes to its end must say what the undisturbed one says; it names the code's
commit too, so commit nothing meanwhile.

``python tests/cluster/chaos.py --kills 200`` writes ``data/processed/chaos/summary.json``. With
``--workspace s3`` the workspace lies in a bucket of a real object store of this machine (Ceph, see
``ceph_here.py``), whose gateway is killed and started again besides; after some of its deaths the
driver goes on from another mirror, as another machine would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "cluster")]

import ceph_here
import psutil
import sample_run
from places import STAGES, Folder, Place, Remote, is_locked, lost_blocks

from pipeline.errors import ClusterError, NoAnswerError, RunLockedError, WorkerLostError
from pipeline.map.files.content_hash import content_hashes
from pipeline.runtime.atomic import _MARK

WORKERS = 2
KILLS_PER_MAP = 6
VICTIMS = {"local": ("worker", "driver"), "apart": ("worker", "scheduler", "driver")}
NOT_WHOLE = re.compile(r"manifest says|\(manifest\)|without a manifest")
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
    store: ceph_here.Ceph | None = None
    kills: Counter[str] = field(default_factory=Counter)
    maps: int = 0
    most_lost: int = 0
    lost: int = 0
    seen: set[str] = field(default_factory=set)
    scheduler_killed: bool = False
    remade: int = 0
    endpoint_stops: int = 0
    moves: int = 0
    orphans: int = 0
    stale_locks: int = 0
    restarts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def one_map(self, most_kills: int, mode: str) -> None:
        """Map the region once, with as many kills on the way as come to pass."""
        place = self._place()
        cluster = Cluster(self.folder / "dask")
        finished: dict[str, str] = {}
        code = -1
        while code != 0:
            if mode == "apart" and not cluster.parts:
                cluster.start()
            where = ["--cluster", cluster.address or "local", "--workers", str(WORKERS)]
            command = sample_run.command(self.folder, self.folder / "source", *where)
            command += place.options  # the last one counts
            driver = start(command, self.folder / "said.txt")
            code = self._disturb(driver, cluster, place, finished, most_kills, mode)
            if code not in (0, -signal.SIGKILL):
                self.restarts[str(code)] += 1
                # One whose worker is killed while it starts for the first time ends for good.
                deserted = bool(cluster.parts) and cluster.parts[1].poll() is not None
                cluster.stop()
                self._count_lost(place, f"{mode} after exit code {code}", WORKERS)
                said = (self.folder / "said.txt").read_text()[-1500:]
                expected = self.scheduler_killed or deserted
                if code == ClusterError.exit_code and not expected:
                    self.wrong.append(f"{mode}: nobody killed the scheduler: {said}")
                self.scheduler_killed = False
                if code == RunLockedError.exit_code:
                    self.stale_locks += 1
                    time.sleep(1)
                elif code == NoAnswerError.exit_code and self.endpoint_stops:
                    continue
                elif code not in (ClusterError.exit_code, WorkerLostError.exit_code):
                    self.wrong.append(f"{mode}: ended with {code}: {said}")
                    if sum(self.restarts.values()) > 5 + sum(self.kills.values()):
                        raise SystemExit(f"it does not come to its end: {self.wrong}")
        cluster.stop()
        self._look_back(place, finished)
        self.maps += 1
        place.removed()

    def _place(self) -> Place:
        if self.store is None:
            return Folder(self.folder / f"work-{self.maps}", self.folder / "empty")
        mirrors = self.folder / f"mirrors-{self.maps}"
        return Remote(f"s3://chaos/work-{self.maps}", mirrors, self.folder / "empty")

    def _disturb(
        self,
        driver: subprocess.Popen[bytes],
        cluster: Cluster,
        place: Place,
        finished: dict[str, str],
        most_kills: int,
        mode: str,
    ) -> int:
        """Kill something now and then until the driver ends; return how it did."""
        while True:
            if self.chance.random() < 0.7:  # mostly while blocks are worked on, else at any moment
                self._wait_for_work(driver, place.root)
            try:
                return driver.wait(self.chance.uniform(0, 2) + self.chance.choice((0, 0, 8)))
            except subprocess.TimeoutExpired:
                pass
            if sum(self.kills.values()) >= most_kills:
                return driver.wait(600)
            victim = self.chance.choice(VICTIMS[mode])
            finished.update(place.stored())
            if self.store is not None and self.chance.random() < 0.15:
                self._stop_endpoint()
                continue
            if not self._kill(victim, driver, cluster):
                continue
            self.kills[f"{mode} {victim}"] += 1
            gone = victim == "driver"
            if gone:
                driver.wait()
                self.stale_locks += is_locked(place.root)
            self._count_lost(place, f"{mode} {victim}", 1 if victim == "worker" else WORKERS)
            self.wrong += [f"{mode} {victim}: {what}" for what in place.broken()]
            if gone and self.store is not None and self.chance.random() < 0.3:
                place.moved()
                self.moves += 1

    def _stop_endpoint(self) -> None:
        """Let the store be away for a while, in the middle of whatever it was asked."""
        if self.store is not None:
            self.store.stop()
            time.sleep(self.chance.uniform(0.5, 20))
            self.store.start()
            self.endpoint_stops += 1

    @staticmethod
    def _wait_for_work(driver: subprocess.Popen[bytes], root: Path) -> None:
        """Wait until somebody writes a block."""
        while driver.poll() is None:
            for stage, _ in STAGES:
                for path in (root / "interim" / stage).glob("*/.*"):
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
            killed = self.chance.choice(workers)
            killed.kill()
            # Until its parent has seen it, it counts as alive, and what it lost as in hand.
            psutil.wait_procs([killed], timeout=30)
            return True
        if driver.poll() is not None:
            return False
        driver.kill()
        # Its own workers see that and end; those of a scheduler finish what they have in hand.
        psutil.wait_procs(workers if not cluster.parts else [], timeout=30)
        return True

    def _count_lost(self, place: Place, by: str, most: int) -> None:
        """Count the blocks that were begun by who is dead now."""
        new = lost_blocks(place.root) - self.seen
        self.seen |= new
        self.lost += len(new)
        self.most_lost = max(self.most_lost, len(new))
        if len(new) > most:
            self.wrong.append(f"{by}: {len(new)} blocks lost")

    def _look_back(self, place: Place, finished: dict[str, str]) -> None:
        found = place.content()
        if found != self.expected:
            other = sorted(dict(self.expected.items() ^ found.items()))
            self.wrong.append(f"map {self.maps} says something else: {', '.join(other)}")
        now = place.stored()
        again = [name for name, made in finished.items() if now.get(name) != made]
        self.remade += len(again)
        self.wrong += [f"made again: {name}" for name in again]
        left = [path.name for path in place.root.rglob(".*") if _MARK.search(path.name)]
        self.wrong += [f"left behind: {name}" for name in left]
        self.orphans += place.orphans() if isinstance(place, Remote) else 0


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


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=8)
    options.add_argument("--seed", type=int, default=20_262)
    options.add_argument("--workspace", choices=("folder", "s3"), default="folder")
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    if given.workspace == "s3" and (why := ceph_here.lacking()):
        print(f"skipped: {why}")
        return 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        store = None
        if given.workspace == "s3":
            store = stack.enter_context(ceph_here.ceph(folder / "ceph"))
            os.environ.update(store.environment)
            store.make_bucket("chaos")
        sample_run.make_source(folder / "source")
        sample_run.make_model(folder / "empty")
        Folder(folder / "still", folder / "empty")
        done = sample_run.run(folder / "still", folder / "source", "--cluster", "none")
        if done.returncode:
            raise SystemExit(done.stderr)
        still = folder / "still" / "processed" / sample_run.NAME / "latest"
        chaos = Chaos(folder, random.Random(given.seed), content_hashes(still), store)
        while sum(chaos.kills.values()) < given.kills:
            # A few a map, so that maps come to their end too.
            most = min(given.kills, sum(chaos.kills.values()) + KILLS_PER_MAP)
            chaos.one_map(most, ("local", "apart")[chaos.maps % 2])
            print(f"{time.monotonic() - begun:6.0f} s  {dict(chaos.kills)}", flush=True)
    remote = {
        "endpoint_stops": chaos.endpoint_stops,
        "drivers_moved_to_another_mirror": chaos.moves,
        "files_that_no_entry_names": chaos.orphans,
    }
    summary: dict[str, Any] = {
        "workspace": given.workspace,
        "kills": sum(chaos.kills.values()),
        "of": dict(sorted(chaos.kills.items())),
        "maps_finished": chaos.maps,
        "maps_with_another_content": sum("something else" in one for one in chaos.wrong),
        "published_not_whole": sum(bool(NOT_WHOLE.search(one)) for one in chaos.wrong),
        "finished_blocks_made_again": chaos.remade,
        "begun_blocks_lost": chaos.lost,
        "most_of_them_by_one_kill": chaos.most_lost,
        "workers": WORKERS,
        "stale_locks": chaos.stale_locks,
        **(remote if store is not None else {}),
        "ends_by_exit_code": dict(chaos.restarts),
        "wrong": chaos.wrong,
        "seed": given.seed,
        "seconds": round(time.monotonic() - begun),
    }
    name = "summary.json" if store is None else "summary-s3.json"
    out = given.out or ROOT / "data/processed/chaos" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return 1 if chaos.wrong or chaos.stale_locks else 0


if __name__ == "__main__":
    raise SystemExit(main())
