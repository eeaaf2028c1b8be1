from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from pipeline.runtime import atomic, files
from pipeline.runtime.atomic import read_json, sha256_of
from pipeline.runtime.files import whole_file, whole_folder, write_json


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Stop(Exception):
    """What interrupts a write."""


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.tif"
    with whole_file(path) as beside:
        assert beside.parent == path.parent
        assert beside.suffix == ".tif"
        beside.write_bytes(b"half")
        assert not path.exists()
        beside.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert names_in(path.parent) == ["a.tif"]


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_error_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    with pytest.raises(error), whole_file(path) as beside:
        beside.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.tif"]


def test_a_file_that_was_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.tif"):
        pass
    assert names_in(tmp_path) == []


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with whole_file(path) as one, whole_file(path) as two:
        assert one != two
        one.write_bytes(b"1")
        two.write_bytes(b"2")
    assert path.read_bytes() == b"1"
    assert names_in(tmp_path) == ["a.tif"]


def test_what_a_killed_process_left_is_swept_before_its_parent_has_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with subprocess.Popen(["sleep", "60"]) as process:
        left = atomic.aside(path).name.replace(f"-{os.getpid()}-", f"-{process.pid}-")
        (tmp_path / left).touch()
        atomic.sweep(path)
        assert names_in(tmp_path) == [left], "of a process that is at work"
        process.kill()
        # Dead, but not yet waited for: its number is still taken.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        os.kill(process.pid, 0)
        with whole_file(path) as beside:
            beside.touch()
    assert names_in(tmp_path) == ["a.tif"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run"
    with whole_folder(path) as beside:
        (beside / "deep").mkdir()
        (beside / "deep" / "a").write_text("1")
        assert not path.exists()
    assert (path / "deep" / "a").read_text() == "1"
    assert names_in(path.parent) == ["run"]


def test_an_older_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "old").write_text("1")
    with whole_folder(path) as beside:
        (beside / "new").write_text("2")
        assert names_in(path) == ["old"]
    assert names_in(path) == ["new"]
    assert names_in(tmp_path) == ["run"]


def test_an_error_in_a_folder_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "old").write_text("1")
    with pytest.raises(Stop), whole_folder(path) as beside:
        (beside / "half").write_text("2")
        raise Stop
    assert names_in(path) == ["old"]
    assert names_in(tmp_path) == ["run"]


def test_a_move_that_fails_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "old").write_text("1")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == path and not self.name.endswith(".old"):
            raise OSError("no space")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    monkeypatch.setattr(files, "exchange", lambda *_: False)
    with pytest.raises(OSError, match="no space"), whole_folder(path) as beside:
        (beside / "new").write_text("2")
    assert names_in(tmp_path) == ["run"]
    assert names_in(path) == ["old"]


def test_json_survives(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "Côte d'Ivoire"], "b": {"c": True}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "Côte" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    for value in (float("nan"), {"a": float("inf")}):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == 1
    assert names_in(tmp_path) == ["a.json"]


def test_the_sha256_is_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("can", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    if not can:
        monkeypatch.setattr(files, "exchange", lambda *_: False)
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    files.put_in_place(tmp_path / "new", tmp_path / "old")
    assert names_in(tmp_path) == ["old"] and names_in(tmp_path / "old") == ["new"]


def test_a_folder_that_stepped_aside_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".run.old").mkdir()
    atomic.restore(tmp_path / "run")
    atomic.restore(tmp_path / "run")
    assert names_in(tmp_path) == ["run"]
