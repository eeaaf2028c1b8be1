"""A whole command: its lock, journal, status, summary, exit codes, and what it never writes."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from imagery import EAST, WEST, clear_scl, make_item, save_items, texture

from pipeline import composite
from pipeline.cli.main import main
from pipeline.errors import DisclosureError, ReadFailedError
from pipeline.runtime.locks import only_run
from pipeline.workflow import blocks, ledger

# Two blocks, either side of lon 6.
BOX = "bbox:5.97,2.04,6.03,2.06"
NAME = "bbox-e5d97-n2d04-e6d03-n2d06"
SECRET = "s3cr3tValue99"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("ASM_ATLAS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.training.model_choice.SHIPPED", tmp_path / "none")


def scene(folder: Path, date: str, lon: float, seed: int = 1, write: bool = True) -> Any:
    tile = "31NHA" if lon < 6 else "32NKF"
    return make_item(
        folder,
        {"B04": texture(seed), "SCL": clear_scl()},
        date=date,
        tile=tile,
        lon=lon,
        write=write,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    items = [scene(folder, "2021-12-05", 5.97), scene(folder, "2021-12-05", 6.005, 2)]
    return save_items(folder, items)


def base(tmp_path: Path, source: Path, *more: str) -> list[str]:
    work = str(tmp_path / "work")
    return [BOX, "--workspace", work, "--source", str(source), "--cluster", "none", *more]


def run(verb: str, arguments: list[str], *more: str) -> int:
    """Run a stage and those before it."""
    assert main(["scenes", *arguments]) == 0
    return main([verb, *arguments, *more])


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def states(tmp_path: Path) -> dict[str, str]:
    book = events(tmp_path / "work" / "interim" / "runs" / f"{NAME}.jsonl")
    return {line["block"]: line["status"] for line in book if line["event"] == "block"}


def broken(source: Path, lon: str) -> Path:
    """A file of the scene west or east of lon 6, cut short."""
    (path,) = source.glob(f"*{'31NHA' if lon == 'west' else '32NKF'}*/B04.tif")
    return path


def test_a_run_tells_people_and_machines_what_it_did(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.jsonl"
    arguments = base(tmp_path, source, "--log", str(log))
    assert run("composite", arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(f"summary    composite {NAME}: done in ")
    assert said[-1].endswith("; 2 blocks made, 0 reused, 0 failed")
    lines = events(log)
    assert [line["event"] for line in lines if line["event"] in ("start", "end")] == [
        "start", "end", "start", "end",
    ]  # fmt: skip
    (stage,) = [line for line in lines if line["event"] == "stage"]
    assert (stage["stage"], stage["total"], stage["reused"]) == ("composite", 2, 0)
    ended = [line for line in lines if line["event"] == "block"]
    assert {line["block"] for line in ended} == {WEST.name, EAST.name}
    assert all(line["seconds"] > 0 and line["status"] == "done" for line in ended)
    assert lines[-1]["summary"] in said[-1]
    assert (lines[-1]["status"], lines[-1]["code"], lines[-1]["made"]) == ("done", 0, 2)
    # The second time nothing is left to do, and the region's own journal says that alone.
    assert main(["composite", *arguments]) == 0
    assert "nothing to do" in capsys.readouterr().out.splitlines()[-1]
    assert states(tmp_path) == {}


def test_status_names_causes_and_what_remains(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [BOX, "--workspace", str(tmp_path / "work")]
    assert main(["status", *where]) == 30
    assert "make predict" in capsys.readouterr().err
    file = broken(source, "east")
    file.write_bytes(file.read_bytes()[:9_000])
    assert run("composite", base(tmp_path, source)) == ReadFailedError.exit_code
    assert states(tmp_path) == {WEST.name: "done", EAST.name: "failed"}
    capsys.readouterr()
    assert main(["status", *where]) == 0
    said = capsys.readouterr().out
    (row,) = [line.split() for line in said.splitlines() if line.startswith("composite  bbox")]
    assert row[2:8] == ["2", "0", "1", "0", "1", "0"]
    assert "failed in composite of bbox" in said
    assert "1 by ReadFailedError" in said
    assert "failed (ReadFailedError, exit code 23)" in said


def test_retry_failed_works_on_the_failed_alone(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = base(tmp_path, source)
    file = broken(source, "east")
    whole = file.read_bytes()
    file.write_bytes(whole[:9_000])
    assert run("composite", arguments) == ReadFailedError.exit_code
    file.write_bytes(whole)
    for path in (tmp_path / "work" / "interim" / "composite" / WEST.name).iterdir():
        path.unlink()  # as if nobody had come to it
    worked = []
    task = blocks._task
    monkeypatch.setattr(
        blocks, "_task", lambda item, *r: worked.append(item[0].name) or task(item, *r)
    )
    assert main(["composite", *arguments, "--retry-failed"]) == 30
    assert worked == [EAST.name]
    assert main(["composite", *arguments]) == 0
    assert worked == [EAST.name, WEST.name]


def test_failed_blocks_come_last(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = broken(source, "west")
    whole = file.read_bytes()
    file.write_bytes(whole[:9_000])
    assert run("composite", base(tmp_path, source)) == ReadFailedError.exit_code
    for path in (tmp_path / "work" / "interim" / "composite" / EAST.name).iterdir():
        path.unlink()
    file.write_bytes(whole)
    worked = []
    task = blocks._task
    monkeypatch.setattr(
        blocks, "_task", lambda item, *r: worked.append(item[0].name) or task(item, *r)
    )
    assert main(["composite", *base(tmp_path, source)]) == 0
    assert worked == [EAST.name, WEST.name]


def test_a_new_scene_redoes_the_blocks_that_it_touches(tmp_path: Path, source: Path) -> None:
    arguments = base(tmp_path, source)
    assert run("composite", arguments) == 0
    store = tmp_path / "work" / "interim" / "composite"
    before = {path: path.stat().st_mtime_ns for path in store.glob("*/*")}
    # The next month: the catalogue has one scene more, in the east.
    older = [scene(source, "2021-12-05", lon, write=False) for lon in (5.97, 6.005)]
    save_items(source, [*older, scene(source, "2022-01-04", 6.005, 3)])
    assert run("composite", arguments) == 0
    assert states(tmp_path) == {EAST.name: "done"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((store / EAST.name).glob("*.tif"))) == 2


def test_a_second_run_of_the_region_is_refused(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "work" / "interim" / "runs" / f"{NAME}.lock"
    with only_run(path, f"predict {NAME}"):
        assert main(["scenes", *base(tmp_path, source)]) == 32
    said = capsys.readouterr().err
    assert f"process {os.getpid()} on" in said
    assert main(["scenes", *base(tmp_path, source)]) == 0


def test_nothing_to_do_has_a_code_for_those_who_ask(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def maps(context: Any, *_: Any, **__: Any) -> None:
        ledger.build(context.store("sample"), "unit", {}, ".bin", lambda path: {"n": path.touch()})

    monkeypatch.setattr("pipeline.run.map_region", maps)
    arguments = ["predict", *base(tmp_path, source)]
    assert main([*arguments, "--detailed-exit-code"]) == 0
    assert main([*arguments, "--detailed-exit-code"]) == 3
    assert main(arguments) == 0


def test_planted_secrets_are_found_nowhere(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    address = f"https://user:{SECRET}@host.org/B04.tif?sig={SECRET}&se=2026"
    failing = composite.read_scene

    def fails(*arguments: Any) -> Any:
        if EAST in arguments:
            raise ReadFailedError(
                f"{address} answers 403; Authorization: Bearer {SECRET}",
                where=f"{address}, AWS_SECRET_ACCESS_KEY={SECRET}",
                next_step=f"ask for another token={SECRET}",
            )
        return failing(*arguments)

    monkeypatch.setattr(composite, "read_scene", fails)
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", SECRET)
    arguments = base(tmp_path, source, "--log", str(tmp_path / "run.jsonl"))
    assert run("composite", arguments, "--failed-scenes", "stop") == 23
    assert run("composite", arguments, "--failed-scenes", "mark") == 27
    assert main(["status", BOX, "--workspace", str(tmp_path / "work")]) == 0
    # A defect shows its traceback, without what opens doors.
    monkeypatch.setattr(composite, "report_forecast", lambda *_: 1 / int(f"{address}"))
    assert main(["composite", *arguments, "--seed", "2"]) in (1, 30)
    said = capfd.readouterr()
    assert "ReadFailedError" in said.err
    assert SECRET not in said.out + said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path


def test_a_season_too_young_to_be_shown_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last_month = f"{dt.date.today().replace(day=1) - dt.timedelta(days=1):%Y-%m}"
    items = [scene(tmp_path / "source", f"{last_month}-05", 5.97)]
    arguments = base(tmp_path, save_items(tmp_path / "source", items), "--bands", "B04")
    arguments += ["--season", f"{last_month}..{last_month}"]
    assert main(["predict", *arguments]) == DisclosureError.exit_code
    assert "DISCLOSURE=restricted" in capsys.readouterr().err
    assert not list((tmp_path / "work").rglob("composite/**/*.tif"))
    # What does not leave is made.
    assert main(["composite", *arguments]) == 0
    assert list((tmp_path / "work").rglob("composite/**/*.tif"))
