"""Which commit the code is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.runtime import code


@pytest.fixture(autouse=True)
def forgotten() -> None:
    code.commit.cache_clear()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_repository_says_its_commit_and_whether_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "one")
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    commit = code.commit()
    assert commit == git(tmp_path, "rev-parse", "HEAD") and len(commit) == 40
    (tmp_path / "b.py").write_text("not tracked")
    code.commit.cache_clear()
    assert code.commit() == commit
    (tmp_path / "a.py").write_text("2")
    code.commit.cache_clear()
    assert code.commit() == f"{commit}-changed"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('{"url": "x", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}', "abc123"),
        ('{"url": "file:///x", "dir_info": {"editable": true}}', ""),
        (None, ""),
    ],
)
def test_an_installation_says_it_where_pip_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, expected: str
) -> None:
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    found = SimpleNamespace(read_text=lambda name: told)
    monkeypatch.setattr(code, "distribution", lambda name: found)
    assert code.commit() == expected


def test_a_broken_repository_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    assert code.commit() == ""
