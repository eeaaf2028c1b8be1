from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from pipeline.cli.status import read_run, status_lines
from pipeline.config import Config
from pipeline.geo.regions import resolve_region
from pipeline.runtime.locks import only_run
from pipeline.workflow.session import journal_file, lock_file

BEGUN = dt.datetime(2026, 3, 1, 1, 0, tzinfo=dt.UTC)


def line(event: str, minutes: float, **facts: object) -> str:
    moment = BEGUN + dt.timedelta(minutes=minutes)
    return json.dumps({"time": moment.isoformat(), "event": event, **facts})


def lines() -> list[str]:
    about = {"region": "demo", "season": "", "stage": "composite"}
    start = {"command": "predict", "host": "node7", "pid": 12, "region": "demo"}
    made = [line("block", i, block=f"b{i}", stage="composite", status="done") for i in range(1, 31)]
    failed = {"status": "failed", "stage": "composite", "cause": "ReadFailedError"}
    return [
        line("start", 0, **start),
        line("stage", 0, total=100, reused=20, **about),
        *made,
        line("block", 30, block="c", stage="composite", status="partial", gaps=2),
        line("block", 30, block="d", **failed),
        line("block", 30, block="e", **failed | {"cause": "WorkerLostError"}),
        '{"time": "2026-03-01T01:31:00+00:00", "event": "blo',
    ]


def test_pace_and_expected_end_follow_from_what_was_done() -> None:
    (state,) = read_run(lines()).stages
    assert (state.done, state.partial, state.remaining) == (31, 1, 47)
    assert dict(state.failed) == {"ReadFailedError": 1, "WorkerLostError": 1}
    assert state.per_hour == 66
    end = state.expected_end()
    assert end is not None
    assert abs((end - BEGUN).total_seconds() / 60 - (30 + 47 / 66 * 60)) < 0.01


def test_before_the_first_block_nobody_guesses() -> None:
    (state,) = read_run(lines()[:2]).stages
    assert (state.remaining, state.per_hour, state.expected_end()) == (80, 0, None)


def test_a_run_is_at_work_killed_or_ended(tmp_path: Path) -> None:
    config, region = (
        Config().with_keys(region="demo", workspace=str(tmp_path)),
        resolve_region("demo"),
    )
    path = journal_file(config, "demo")
    with only_run(lock_file(config, "demo"), "predict demo"):
        path.write_text("\n".join(lines()))
        said = status_lines(config, region)
    assert said[0] == "predict demo: process 12 on node7 since 2026-03-01 01:00"
    assert said[2].split() == [
        "composite", "demo", "100", "20", "31", "1", "2", "47", "66", "2026-03-01", "02:12",
    ]  # fmt: skip
    assert said[-1] == "at work"
    assert "as killed" in status_lines(config, region)[-1]
    path.write_text("\n".join([*lines(), line("end", 40, summary="predict demo: done")]))
    assert status_lines(config, region)[-1] == "ended 2026-03-01 01:40: predict demo: done"
