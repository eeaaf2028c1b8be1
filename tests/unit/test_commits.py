"""Blocks, files, locks and journals of a workspace on object storage (``tests/fake_s3.py``)."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_s3
import pytest

from pipeline.errors import ConfigError, NoAnswerError, ReadFailedError, RunLockedError
from pipeline.errors import StoreCorruptError as Corrupt
from pipeline.runtime import lease, mirror, segments
from pipeline.runtime.files import whole_file, whole_folder, write_json
from pipeline.runtime.locks import holder, only_run
from pipeline.runtime.machine import process_began
from pipeline.runtime.mirror import fetched, fetched_folder, fetched_run, point, root_of
from pipeline.runtime.survey import survey
from pipeline.workflow import ledger
from pipeline.workflow.session import _terminated_as_interrupted

UNIT, INPUTS = "N02.0E005.9", {"stage": "composite", "scenes": ["a"]}
STAGE = "bucket/x/interim/composite"
KEY = ledger.key_of(INPUTS)
RECORD = f"{STAGE}/{UNIT}/{KEY}.json"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_s3.Store]:
    with fake_s3.serving() as serving:
        fake_s3.used(serving, monkeypatch)
        yield serving


def machine(folder: Path, name: str = "one") -> Path:
    """The composites' folder as one machine sees it."""
    return root_of("s3://bucket/x", str(folder / name)) / "interim" / "composite"


class Writer:
    """Counts how often it wrote."""

    def __init__(self, data: bytes = b"pixels", error: Exception | None = None) -> None:
        self.data, self.error, self.times = data, error, 0

    def __call__(self, path: Path) -> dict[str, Any]:
        self.times += 1
        if self.error:
            raise self.error
        path.write_bytes(self.data)
        return {"clear_share": 0.5}


def build(root: Path, writer: Any, **more: Any) -> ledger.Entry:
    return ledger.build(root, UNIT, INPUTS, ".tif", writer, **more)


def files(store: fake_s3.Store) -> list[str]:
    return [name for name in store.keys(f"{STAGE}/") if not name.endswith(".json")]


def test_a_block_is_put_under_its_own_key_and_counts_by_its_entry(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    made = build(machine(tmp_path), Writer())
    entry = json.loads(store.objects[RECORD][0])
    assert files(store) == [f"{STAGE}/{UNIT}/{KEY}.{entry['attempt']}.tif"]
    assert (entry["status"], entry["sha256"]) == ("done", made.sha256)
    puts = [line for line in store.asked if line.startswith("PUT")]
    assert puts[-1] == f"PUT {RECORD}"
    # Here, and on another machine, it is there already.
    for name in ("one", "two"):
        writer = Writer()
        again = build(machine(tmp_path, name), writer)
        assert (again.reused, writer.times, again.sha256) == (True, 0, made.sha256)
        assert ledger.file_of(again).read_bytes() == b"pixels"


def test_of_two_attempts_the_first_commit_counts(store: fake_s3.Store, tmp_path: Path) -> None:
    both = threading.Barrier(2)
    results = {}

    def work(name: str) -> None:
        def write(path: Path) -> dict[str, Any]:
            path.write_bytes(name.encode())
            both.wait(timeout=60)
            return {"by": name}

        results[name] = build(machine(tmp_path, name), write)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entry = json.loads(store.objects[RECORD][0])
    winner = entry["facts"]["by"]
    assert {result.attempt for result in results.values()} == {entry["attempt"]}
    assert files(store) == [f"{STAGE}/{UNIT}/{KEY}.{entry['attempt']}.tif"]
    for name in ("one", "two"):
        assert (machine(tmp_path, name) / UNIT / f"{KEY}.tif").read_bytes() == winner.encode()


def test_a_failure_is_recorded_and_gives_way_to_a_result(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    failed = build(machine(tmp_path), Writer(error=ReadFailedError("no pixels")))
    assert isinstance(failed.error, ReadFailedError)
    assert json.loads(store.objects[RECORD][0])["status"] == "failed"
    known = survey(machine(tmp_path, "two"), [UNIT])
    assert ledger.has_failed(machine(tmp_path, "two"), UNIT, INPUTS, ".tif", known)
    assert build(machine(tmp_path, "two"), Writer()).error is None
    # And never the other way round: who fails after another was done takes that.
    late = ledger.fail(machine(tmp_path), UNIT, INPUTS, ".tif", ReadFailedError("too late"))
    assert late.error is None
    assert json.loads(store.objects[RECORD][0])["status"] == "done"


def test_what_is_made_again_replaces_what_was_seen(store: fake_s3.Store, tmp_path: Path) -> None:
    build(machine(tmp_path), Writer(b"with gaps"))
    again = build(machine(tmp_path, "two"), Writer(b"whole"), again=True)
    assert ledger.file_of(again).read_bytes() == b"whole"
    assert json.loads(store.objects[RECORD][0])["sha256"] == again.sha256
    # The first machine's copy is of the entry that was replaced.
    known = survey(machine(tmp_path), [UNIT])
    found = ledger.find(machine(tmp_path), UNIT, INPUTS, ".tif", known)
    assert found is not None
    assert ledger.file_of(found).read_bytes() == b"whole"


def test_a_stage_is_listed_once_and_no_block_is_asked_for(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    units = [f"N02.{number}E005.9" for number in range(10)]
    for unit in units:
        ledger.build(machine(tmp_path), unit, INPUTS, ".tif", Writer())
    for name, reads in (("one", 0), ("two", 10), ("two", 0)):
        store.asked.clear()
        known = survey(machine(tmp_path, name), units)
        found = [ledger.find(machine(tmp_path, name), u, INPUTS, ".tif", known) for u in units]
        assert all(found)
        asked = [line for line in store.asked if ".json" in line]
        assert len(asked) == reads
        assert len(store.asked) == reads + 20 // fake_s3.PAGE
        assert not any(line.endswith(".tif") for line in store.asked)


@pytest.mark.parametrize("harm", ["flipped", "lost"])
def test_a_block_that_the_bucket_has_lost_is_never_read_and_made_anew(
    store: fake_s3.Store, tmp_path: Path, harm: str
) -> None:
    build(machine(tmp_path), Writer())
    (name,) = files(store)
    if harm == "flipped":
        store.objects[name] = (b"pixelz", store.now())
    else:
        del store.objects[name]
    other = machine(tmp_path, "two")
    found = ledger.find(other, UNIT, INPUTS, ".tif", survey(other, [UNIT]))
    assert found is not None
    with pytest.raises(Corrupt, match="lost"):
        ledger.file_of(found)
    assert json.loads(store.objects[RECORD][0])["status"] == "failed"
    known = survey(other, [UNIT])
    assert ledger.find(other, UNIT, INPUTS, ".tif", known) is None
    assert ledger.file_of(build(other, Writer())).read_bytes() == b"pixels"


def test_a_flipped_bit_of_this_machine_is_mended_from_the_bucket(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    made = build(machine(tmp_path), Writer())
    Path(made.path).write_bytes(b"pixelz")
    assert ledger.file_of(made).read_bytes() == b"pixels"


def test_what_no_entry_names_is_swept_after_a_day(store: fake_s3.Store, tmp_path: Path) -> None:
    build(machine(tmp_path), Writer())
    (counts,) = files(store)
    killed = counts.replace(counts.split(".")[-2], "0123456789ab")
    other = f"{STAGE}/N09.0E009.0/{KEY}.ba9876543210.tif"
    now = store.now()
    for name, age in ((counts, 90_000), (killed, 90_000), (other, 90_000)):
        store.objects[name] = (store.objects[counts][0], now - age)
    young = f"{STAGE}/{UNIT}/{KEY}.fedcba987654.tif"
    store.objects[young] = (b"", now - 80_000)
    strange = f"{STAGE}/notes.txt"
    store.objects[strange] = (b"mine", now - 90_000)
    survey(machine(tmp_path), [UNIT])
    assert set(store.keys(STAGE)) == {RECORD, counts, young, strange}


def test_a_store_that_is_away_fails_no_block(
    store: fake_s3.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(path: Path) -> dict[str, Any]:
        store.trouble = lambda method, name: (503, "ServiceUnavailable")
        path.write_bytes(b"pixels")
        return {}

    monkeypatch.setattr(mirror.bucket("bucket"), "patience_s", 0.1)
    with pytest.raises(NoAnswerError):
        build(machine(tmp_path), away)
    store.trouble = None
    assert RECORD not in store.objects
    assert build(machine(tmp_path), Writer()).error is None


def test_small_files_are_in_the_bucket_before_they_are_here(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    here = root_of("s3://bucket/x", str(tmp_path / "one"))
    there = root_of("s3://bucket/x", str(tmp_path / "two"))
    write_json(here / "interim" / "scenes" / "r" / "1.json", {"scenes": []})
    assert json.loads(fetched(there / "interim" / "scenes" / "r" / "1.json").read_text()) == {
        "scenes": []
    }
    store.trouble = lambda method, name: (403, "AccessDenied") if method == "PUT" else None
    with pytest.raises(Exception, match="AccessDenied"):
        write_json(here / "plan.json", {})
    assert not (here / "plan.json").exists()
    store.trouble = None
    # Scripts with their settings, and what is half-written, stay on the machine.
    for name in ("interim/submit/r.toml", "processed/r/.run.partial/map.gpkg"):
        with whole_file(here / name) as beside:
            beside.write_text("1")
    assert store.keys() == ["bucket/x/interim/scenes/r/1.json"]


def test_a_folder_is_published_whole_and_then_pointed_to(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    here = root_of("s3://bucket/x", str(tmp_path / "one"))
    home = here / "processed" / "r"
    for text in ("first", "second"):
        with whole_folder(home / "run") as folder:
            for name in ("manifest.json", "map.gpkg", *(["old.pdf"] if text == "first" else [])):
                (folder / name).write_text(text)
        assert [line for line in store.asked if line.startswith("PUT")][-1].endswith(
            "run/manifest.json"
        )
    assert store.keys() == [f"bucket/x/processed/r/run/{n}" for n in ("manifest.json", "map.gpkg")]
    point(home / "latest", "run")
    found = fetched_run("s3://bucket/x/processed/r/latest", str(tmp_path / "reader"))
    assert {file.name: file.read_text() for file in found.iterdir()} == {
        "manifest.json": "second", "map.gpkg": "second",
    }  # fmt: skip
    # What another machine has deleted goes here too, but not what was written a moment ago.
    mirror.removed(home / "run" / "map.gpkg")
    fetched_folder(home)
    assert (home / "run" / "map.gpkg").exists()
    os.utime(home / "run" / "map.gpkg", (1, 1))
    fetched_folder(home)
    assert not (home / "run" / "map.gpkg").exists()


def test_keys_that_lead_out_of_the_folder_are_left_alone(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    here = root_of("s3://bucket/x", str(tmp_path))
    for name in ("../../../out", "/etc/out", "a/../../out", ".hidden"):
        store.objects[f"bucket/x/models/{name}"] = (b"", store.now())
    store.objects["bucket/x/models/a/card.md"] = (b"", store.now())
    fetched_folder(here / "models")
    found = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert [str(path) for path in found] == ["s3+bucket+x/models/a/card.md"]


@pytest.mark.parametrize(
    "url",
    ["s3://key:secret@bucket/x", "s3://bucket/../y", "s3://bucket/.x", "s3://b", "gs://bucket/x",
     "s3://bucket/x?versionId=1", "s3://bucket/a+b", "s3://Bucket", "s3://bucket//x"],
)  # fmt: skip
def test_other_addresses_are_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        root_of(url, str(tmp_path))
    assert "secret" not in str(caught.value)


def test_the_lock_is_one_for_all_machines(store: fake_s3.Store, tmp_path: Path) -> None:
    paths = [
        root_of("s3://bucket/x", str(tmp_path / name)) / "interim" / "runs" / "r.lock"
        for name in ("one", "two")
    ]
    with only_run(paths[0], "predict r"):
        found = holder(paths[1])
        assert found is not None
        assert found["command"] == "predict r"
        refused = pytest.raises(RunLockedError, match=f"predict r, process {os.getpid()} on ")
        with refused, only_run(paths[1], "train r"):
            pass
    assert holder(paths[1]) is None
    with only_run(paths[1], "train r"):
        pass


def test_the_lock_of_another_machine_runs_out(
    store: fake_s3.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root_of("s3://bucket/x", str(tmp_path)) / "interim" / "runs" / "r.lock"
    name = "bucket/x/interim/runs/r.lock"
    gone = {"pid": 1, "host": "elsewhere", "machine": "another", "command": "predict r"}
    store.objects[name] = (json.dumps(gone).encode(), store.now())
    with pytest.raises(RunLockedError, match="elsewhere"), only_run(path, "train r"):
        pass
    store.late_s = lease.LEASE_S + 2
    with only_run(path, "train r"):
        assert json.loads(store.objects[name][0])["command"] == "train r"


def test_the_lock_of_a_dead_process_of_this_machine_is_free_at_once(
    store: fake_s3.Store, tmp_path: Path
) -> None:
    path = root_of("s3://bucket/x", str(tmp_path)) / "interim" / "runs" / "r.lock"
    dead = {"pid": 2**22 + 1, "began": 1.0, "machine": lease._machine()}
    # A number that another process has by now.
    recycled = dead | {"pid": os.getpid()}
    with subprocess.Popen(["sleep", "60"]) as process:
        unmourned = dead | {"pid": process.pid, "began": process_began(process.pid)}
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        for who in (dead, recycled, unmourned):
            store.objects["bucket/x/interim/runs/r.lock"] = (json.dumps(who).encode(), store.now())
            with only_run(path, "train r"):
                mine = json.loads(store.objects["bucket/x/interim/runs/r.lock"][0])
                assert (mine["pid"], mine["command"]) == (os.getpid(), "train r")


def test_a_run_whose_lock_was_taken_stops(
    store: fake_s3.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.2)
    monkeypatch.setattr(lease, "AGAIN_S", 2.0)
    home = root_of("s3://bucket/x", str(tmp_path))
    name = "bucket/x/interim/runs/r.lock"
    other = {"pid": 1, "host": "elsewhere", "machine": "another", "command": "predict r"}

    def run() -> None:
        # As a session does; pytest's workers ignore SIGINT, which is the other way.
        with (
            _terminated_as_interrupted(),
            only_run(home / "interim" / "runs" / "r.lock", "train r"),
        ):
            first = store.objects[name][0]
            while store.objects[name][0] == first:  # it is renewed
                time.sleep(0.05)
            store.objects[name] = (json.dumps(other).encode(), store.now())
            with pytest.raises(RunLockedError, match="lost"):
                point(home / "processed" / "r" / "latest", "run")
            time.sleep(30)

    began = time.monotonic()
    with pytest.raises(RunLockedError, match="lost to another run: predict r, process 1"):
        run()
    assert time.monotonic() - began < 20
    assert json.loads(store.objects[name][0]) == other
    assert "bucket/x/processed/r/latest" not in store.objects


def test_a_journal_is_read_from_another_machine(
    store: fake_s3.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "EVERY_S", 0.1)
    monkeypatch.setattr(segments, "PIECE_BYTES", 100)
    own, other = (
        root_of("s3://bucket/x", str(tmp_path / name)) / "interim" / "runs" / "r.jsonl"
        for name in ("one", "two")
    )
    with pytest.raises(FileNotFoundError):
        list(segments.lines(other))
    for run in ("first", "second"):
        written = [f'{{"run": "{run}", "number": {number}}}' for number in range(30)]
        own.parent.mkdir(parents=True, exist_ok=True)
        with own.open("w") as file, segments.shared(own):
            for line in written:
                file.write(line + "\n")
                file.flush()
                time.sleep(0.02)
            end = time.monotonic() + 20
            while list(segments.lines(other)) != written and time.monotonic() < end:
                time.sleep(0.05)
            assert list(segments.lines(other)) == written
        assert len(store.keys("bucket/x/interim/runs/r.jsonl/")) > 3
