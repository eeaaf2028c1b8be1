"""How far the last run of a region has come, from its journal: no block's own file is opened."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.config import Config
from pipeline.errors import StageMissingError
from pipeline.geo.regions import Region
from pipeline.runtime.console import aligned
from pipeline.runtime.locks import holder
from pipeline.runtime.segments import lines as lines_of
from pipeline.workflow.commands import make_command
from pipeline.workflow.session import journal_file, lock_file


@dataclass
class StageState:
    """One stage of a run.

    Parameters
    ----------
    stage, region, season : str
        Which one: a model's training ground is worked on by the same run as the region.
    total, reused : int
        Blocks of it, and those that were there before.
    begun : datetime.datetime
        When.
    last : datetime.datetime
        When its newest block ended.
    done, partial : int
        Blocks made by this run, and those of them that lack scenes.
    failed : collections.Counter
        Blocks that failed, by the name of the cause.
    """

    stage: str
    region: str
    season: str
    total: int
    reused: int
    begun: dt.datetime
    last: dt.datetime
    done: int = 0
    partial: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def remaining(self) -> int:
        """Blocks that nobody has ended yet."""
        return max(0, self.total - self.reused - self.done - sum(self.failed.values()))

    @property
    def per_hour(self) -> float:
        """Blocks ended an hour, since the stage began; 0 before the first."""
        seconds = (self.last - self.begun).total_seconds()
        return 3600 * (self.done + sum(self.failed.values())) / seconds if seconds > 0 else 0.0

    def expected_end(self) -> dt.datetime | None:
        """When it ends if it goes on like this; None where that cannot be told."""
        if not self.remaining or not self.per_hour:
            return None
        return self.last + dt.timedelta(hours=self.remaining / self.per_hour)


@dataclass
class RunState:
    """One run, as far as its journal goes.

    Parameters
    ----------
    start : dict
        First line of the journal.
    stages : list of StageState
        In their order.
    end : dict
        Last line of the journal; empty while it works, or if it was killed.
    """

    start: dict[str, Any]
    stages: list[StageState]
    end: dict[str, Any]


def read_run(lines: Iterable[str]) -> RunState:
    """Read a journal.

    Parameters
    ----------
    lines : iterable of str
        JSON, as :mod:`pipeline.runtime.journal` writes it. A line that was cut short is left out.

    Returns
    -------
    RunState
        What it says.
    """
    run = RunState({}, [], {})
    for line in lines:
        try:
            fact = json.loads(line)
            event, when = fact["event"], fact["time"]
        except (ValueError, KeyError, TypeError):
            continue
        if event == "block" and run.stages:
            _count(run.stages[-1], fact, when)
        elif event == "stage":
            moment = dt.datetime.fromisoformat(when)
            names = ("stage", "region", "season", "total", "reused")
            about = {name: fact[name] for name in names}
            run.stages.append(StageState(**about, begun=moment, last=moment))
        elif event in ("start", "end"):
            setattr(run, event, fact)
    return run


def _count(state: StageState, fact: dict[str, Any], when: str) -> None:
    state.last = dt.datetime.fromisoformat(when)
    if fact["status"] == "failed":
        state.failed[fact["cause"]] += 1
    else:
        state.done += 1
        state.partial += fact["status"] == "partial"


def status_lines(config: Config, region: Region) -> list[str]:
    """Return what ``asm-atlas status`` prints.

    Parameters
    ----------
    config : Config
        Whose workspace it is.
    region : Region
        Of the run.

    Returns
    -------
    list of str
        A line on the run, a table of its stages, and how it ended.

    Raises
    ------
    StageMissingError
        If no run of the region was ever begun in this workspace.
    """
    path = journal_file(config, region.name)
    try:
        run = read_run(lines_of(path))
    except FileNotFoundError:
        raise StageMissingError(
            f"no run of {region.name} was begun in this workspace",
            where=str(path),
            next_step=make_command("predict", config, region),
        ) from None
    who = holder(lock_file(config, region.name))
    start = run.start
    lines = [
        f"{start.get('command', '?')} {region.name}: process {start.get('pid', '?')} on "
        f"{start.get('host', '?')} since {_minute(start.get('time', ''))}"
    ]
    if run.stages:
        lines += aligned([_HEADER, *(_row(state) for state in run.stages)])
    for state in run.stages:
        lines += [
            f"failed in {state.stage} of {state.region}: {count} by {cause}"
            for cause, count in state.failed.most_common()
        ]
    if run.end:
        lines.append(f"ended {_minute(run.end['time'])}: {run.end['summary']}")
    elif who is not None:
        lines.append("at work")
    else:
        lines.append("it ended without a word, as killed: the same command goes on where it was")
    return lines


_HEADER = (
    "stage", "region", "blocks", "reused", "made", "partial", "failed", "remaining", "an hour",
    "expected end (UTC)",
)  # fmt: skip


def _row(state: StageState) -> list[str]:
    end = state.expected_end()
    return [
        state.stage,
        state.region,
        *(
            str(number)
            for number in (
                state.total,
                state.reused,
                state.done,
                state.partial,
                sum(state.failed.values()),
                state.remaining,
            )
        ),
        f"{state.per_hour:.0f}" if state.per_hour else "-",
        _minute(end.isoformat()) if end else "-",
    ]


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
