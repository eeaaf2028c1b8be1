"""What `chaos.py` looks at from outside: a workspace in a folder, or in a bucket."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Protocol

import psutil
import sample_run

from pipeline.map.files.content_hash import content_hashes
from pipeline.runtime.atomic import _MARK
from pipeline.runtime.locks import holder
from pipeline.runtime.mirror import fetched_run, put_folder, root_of
from pipeline.runtime.objects import bucket
from pipeline.workflow.ledger import sha256_of

STAGES = (("composite", ".tif"), ("features", ".parquet"))


class Place(Protocol):
    """A workspace."""

    root: Path  # what workers write to on this machine
    options: list[str]  # of the command line

    def stored(self) -> dict[str, str]:
        """Blocks that are finished, and what tells one making of it from another."""

    def broken(self) -> list[str]:
        """Say what of the published folders is not whole."""

    def content(self) -> dict[str, str]:
        """What the published map says."""

    def moved(self) -> None:
        """Go on as on another machine, where that can be."""

    def removed(self) -> None:
        """Take it away."""


class Folder:
    """A workspace in a folder."""

    def __init__(self, root: Path, empty: Path) -> None:
        self.root, self.options = root, ["--workspace", str(root)]
        shutil.copytree(empty, root)

    def stored(self) -> dict[str, str]:
        found = {}
        for stage, suffix in STAGES:
            for record in (self.root / "interim" / stage).glob("*/[0-9a-f]*.json"):
                entry = json.loads(record.read_text())
                path = record.with_suffix(suffix)
                if entry["status"] == "done" and sha256_of(path) == entry["sha256"]:
                    found[str(path)] = str(path.stat().st_mtime_ns)
        return found

    def broken(self) -> list[str]:
        wrong = []
        for folder in (self.root / "processed" / sample_run.NAME).glob("*"):
            if folder.name.startswith(".") or folder.is_symlink():
                continue
            try:
                files = json.loads((folder / "manifest.json").read_text())["files"]
            except (OSError, ValueError) as error:
                wrong.append(f"{folder.name}: {error} (manifest)")
                continue
            for name, about in files.items():
                digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
                if digest != about["sha256"]:
                    wrong.append(f"{folder.name}/{name} is not what the manifest says")
        return wrong

    def content(self) -> dict[str, str]:
        return content_hashes(self.root / "processed" / sample_run.NAME / "latest")

    def moved(self) -> None:
        return

    def removed(self) -> None:
        shutil.rmtree(self.root)


class Remote:
    """A workspace in a bucket, with mirrors on this machine."""

    def __init__(self, url: str, mirrors: Path, empty: Path) -> None:
        self.url, self._mirrors, self._machine = url, mirrors, 0
        self._bucket, _, self._prefix = url.removeprefix("s3://").partition("/")
        self.root = self._mirror()
        for model in (empty / "models").iterdir():
            put_folder(model, self.root / "models" / model.name)

    def _mirror(self) -> Path:
        return root_of(self.url, str(self._mirrors / str(self._machine)))

    @property
    def options(self) -> list[str]:
        return ["--workspace", self.url, "--mirror", str(self.root.parent)]

    def stored(self) -> dict[str, str]:
        found = {}
        for stage, suffix in STAGES:
            home = f"{self._prefix}/interim/{stage}/"
            there = [one.key for one in bucket(self._bucket).listed(home)]
            entries = [key for key in there if key.endswith(".json")]
            for key, one in bucket(self._bucket).get_many(entries):
                entry = json.loads(one.data)
                if entry["status"] != "done":
                    continue
                file = f"{key.removesuffix('.json')}.{entry['attempt']}{suffix}"
                if file not in there:
                    raise SystemExit(f"an entry without its file: {file}")
                found[key] = entry["attempt"]
        return found

    def broken(self) -> list[str]:
        wrong = []
        home = f"{self._prefix}/processed/{sample_run.NAME}/"
        store = bucket(self._bucket)
        there = [one.key.removeprefix(home) for one in store.listed(home)]
        latest = store.get(f"{home}latest")
        if latest is not None and f"{latest.data.decode()}/manifest.json" not in there:
            wrong.append("latest names a folder without a manifest")
        for manifest in (name for name in there if name.endswith("/manifest.json")):
            run = manifest.partition("/")[0]
            found = store.get(f"{home}{manifest}")
            for name, about in json.loads(found.data if found else b"{}")["files"].items():
                file = store.get(f"{home}{run}/{name}")
                if file is None or hashlib.sha256(file.data).hexdigest() != about["sha256"]:
                    wrong.append(f"{run}/{name} is not what the manifest says")
        return wrong

    def content(self) -> dict[str, str]:
        url = f"{self.url}/processed/{sample_run.NAME}/latest"
        return content_hashes(fetched_run(url, str(self._mirrors / "reader")))

    def orphans(self) -> int:
        """Count files of attempts that no entry names."""
        counts = set(self.stored().values())
        homes = [f"{self._prefix}/interim/{stage}/" for stage, _ in STAGES]
        there = [one.key for home in homes for one in bucket(self._bucket).listed(home)]
        files = [key.split(".")[-2] for key in there if not key.endswith(".json")]
        return sum(attempt not in counts for attempt in files)

    def moved(self) -> None:
        self._machine += 1
        self.root = self._mirror()

    def removed(self) -> None:
        shutil.rmtree(self._mirrors, ignore_errors=True)


def lost_blocks(root: Path) -> set[str]:
    """Attempts at blocks that a process had begun which is dead now."""
    lost = set()
    for stage, _ in STAGES:
        for path in (root / "interim" / stage).glob("*/.*"):
            mark = _MARK.search(path.name)
            if mark and not psutil.pid_exists(int(mark["pid"])):
                lost.add(path.name)
    return lost


def is_locked(root: Path) -> bool:
    """Tell whether somebody holds the region's lock."""
    return holder(root / "interim" / "runs" / f"{sample_run.NAME}.lock") is not None
