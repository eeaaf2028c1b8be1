"""Kills ``asm-atlas`` again and again while it publishes, and looks at what is left.

Before each kill the map's folder is absent, or holds an older map. After it, it must be absent, or
the older map to the byte, or a whole new one that its manifest describes; while it goes on, a
reader opens the GeoPackage by its path without end, and must find a whole one every time.

``python tests/faults/kills.py --kills 200``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "import sys; from pipeline.cli.main import main; sys.exit(main())"]
ENDS = ("absent", "old", "new")
CRATE = "ro-crate-metadata.json"


@dataclass(eq=False)
class Reader(threading.Thread):
    """Opens a GeoPackage by its path until it is told to stop."""

    path: Path
    opened: int = 0
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as base:
                    (state,) = base.execute("PRAGMA quick_check").fetchone()
                    (rows,) = base.execute("SELECT count(*) FROM cells").fetchone()
                if state != "ok" or not rows:
                    self.troubles.append(f"{state}, {rows} cells")
            except sqlite3.Error as error:
                self.troubles.append(repr(error))
            self.opened += 1
            time.sleep(0.002)


def run_atlas(workspace: Path, *arguments: str) -> subprocess.Popen[bytes]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("ASM_ATLAS_")}
    environment = plain | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        *COMMAND,
        *arguments,
        "--region",
        "demo",
        "--workspace",
        str(workspace),
        "--workers",
        "1",
    ]
    return subprocess.Popen(
        command, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[bytes]) -> None:
    _, told = process.communicate()
    if process.returncode:
        raise SystemExit(f"the map could not be made: {told.decode()}")


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if not path.name.endswith(".aux.xml")
    }


def state_of(folder: Path, old: dict[str, str] | None) -> str:
    """Return how a folder was left: one of ``ENDS``, or what is wrong with it."""
    if not folder.exists():
        return "absent" if old is None else "gone"
    found = hashes(folder)
    if found == old:
        return "old"
    if not {"manifest.json", "map.gpkg", "map.qgz", "probability.tif", "item.json"} <= set(found):
        return f"a mix: {sorted(found)}"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    named = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    named["manifest.json"] = found["manifest.json"]
    # The record for archives is made from the manifest, which cannot name it.
    graph = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
    told = {part["@id"]: part["sha256"] for part in graph if part.get("contentSize")}
    if told != {name: entry["sha256"] for name, entry in manifest["files"].items()}:
        return f"a record of other files: {sorted(told)}"
    named[CRATE] = found[CRATE]
    other = sorted(dict(named.items() ^ found.items()))
    return "new" if not other else f"not what its manifest says: {other}"


def kill_once(
    workspace: Path, folder: Path, over_an_old_one: bool, seconds: float, chance: random.Random
) -> tuple[str, int, list[str]]:
    """Kill one run at a random moment; return how its folder was left, and the reader's news."""
    old = None
    if over_an_old_one:
        # Without its manifest a map does not count as made: it is made again in its place.
        (folder / "manifest.json").unlink()
        old = hashes(folder)
    else:
        shutil.rmtree(folder)
    reader = Reader(folder.parent / "latest" / "map.gpkg")
    reader.start()
    process = run_atlas(workspace, chance.choice(["publish", "report"]), "--map-lang", "fr")
    end = time.monotonic() + seconds
    if chance.random() < 0.8:  # mostly while it writes, else at any moment
        while (
            process.poll() is None
            and not list(folder.parent.glob(f".{folder.name}.*"))
            and time.monotonic() < end
        ):
            time.sleep(0.002)
        end = time.monotonic() + seconds * 0.6
    time.sleep(chance.uniform(0, max(0.0, end - time.monotonic())))
    os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    process.communicate()
    time.sleep(0.02)
    reader.ended.set()
    reader.join()
    return state_of(folder, old), reader.opened, reader.troubles


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--workspace", type=Path, help="where the demo is mapped already")
    options.add_argument("--seed", type=int, default=20_261)
    given = options.parse_args()
    chance, started = random.Random(given.seed), time.monotonic()
    counts, opened, wrong = dict.fromkeys(ENDS, 0), 0, []
    with tempfile.TemporaryDirectory() as name:
        workspace = given.workspace or Path(name)
        finish(run_atlas(workspace, "predict", "--map-lang", "en"))
        home = workspace / "processed" / "demo"
        english = (home / "latest").resolve()
        begun = time.monotonic()
        finish(run_atlas(workspace, "report", "--map-lang", "fr"))
        seconds = time.monotonic() - begun
        french = (home / "latest").resolve()
        print(f"seed {given.seed}; undisturbed: {seconds:.1f} s", flush=True)
        for number in range(given.kills):
            over = number % 2 == 1 and french.exists()
            if not (french / "manifest.json").is_file():
                finish(run_atlas(workspace, "report", "--map-lang", "fr"))
            # The reader's map: the one that is replaced, or one beside it.
            link = home / "latest"
            link.unlink()
            link.symlink_to((french if over else english).name)
            state, reads, troubles = kill_once(workspace, french, over, seconds, chance)
            opened += reads
            wrong += troubles
            if state in counts:
                counts[state] += 1
            else:
                wrong.append(f"kill {number}: {state}")
            if (number + 1) % 10 == 0:
                print(
                    f"{time.monotonic() - started:6.0f} s  {number + 1} kills {counts}", flush=True
                )
        finish(run_atlas(workspace, "report", "--map-lang", "fr"))
        left = [path.name for path in home.iterdir() if path.name.startswith(".")]
        wrong += [f"left behind: {left}"] if left else []
    print(f"{given.kills} kills: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    print(f"the map was opened {opened} times meanwhile")
    for complaint in wrong:
        print(f"MISSED  {complaint}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
