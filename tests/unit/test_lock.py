from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import RunLockedError
from pipeline.runtime import locks
from pipeline.runtime.locks import holder, only_run

# Holds the lock, and has a child that lives on after it.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from pipeline.runtime.locks import only_run
with only_run(Path(sys.argv[1]), "predict demo"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_S", 0.1)


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "demo.lock"
    with only_run(path, "train demo") as locked:
        assert locked
        with (
            pytest.raises(RunLockedError, match=f"train demo, process {os.getpid()} on ") as caught,
            only_run(path, "predict demo"),
        ):
            raise AssertionError("both hold it")
        assert caught.value.where == str(path)
        who = holder(path)
        assert who is not None
        assert who["command"] == "train demo"
        with only_run(tmp_path / "runs" / "other.lock", "predict other"):
            pass
    assert holder(path) is None
    with only_run(path, "predict demo"):
        pass


def test_a_killed_run_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "demo.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        who = holder(path)
        assert who is not None
        assert who["pid"] == process.pid
        with pytest.raises(RunLockedError, match=str(process.pid)), only_run(path, "predict"):
            pass
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives, and has not the lock
        with only_run(path, "predict demo") as locked:
            assert locked
    finally:
        process.stdout.close()
        os.kill(child, signal.SIGKILL)


def test_who_only_looks_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_S", 5.0)
    path = tmp_path / "demo.lock"
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        with only_run(path, "predict demo") as locked:
            assert locked


def test_a_file_system_without_locks_refuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with only_run(tmp_path / "demo.lock", "predict demo") as locked:
        assert not locked
        assert holder(tmp_path / "demo.lock") is None
