"""What a run did, as lines of JSON: for ``asm-atlas status``, and for machines (``--log``).

Each line is an object with ``time``, ``event`` and what belongs to it:

- ``start``: ``command``, ``region``, ``host``, ``pid``, ``version``, ``settings`` (a hash)
- ``stage``: ``stage``, ``region``, ``season``, ``total`` and ``reused`` blocks
- ``block``: ``stage``, ``block``, ``status`` (``done``, ``partial`` or ``failed``), ``seconds``,
  ``cause``, ``text``
- ``said``: ``stage``, ``text``; the lines that people see
- ``end``: ``status``, ``code``, ``summary``, ``seconds``, ``made``, ``reused``, ``failed``

The truth about a block is its ledger entry; this is the index that spares reading all of them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.redaction import redact
from pipeline.runtime.segments import shared


class Journal:
    """The journal of this process; it writes nowhere until it is opened.

    Attributes
    ----------
    made, reused, failed : int
        Blocks so far.
    worked : bool
        Whether anything was made, blocks or other results.
    """

    def __init__(self) -> None:
        self._files: list[IO[str]] = []
        self._reset()

    def _reset(self) -> None:
        self.made = self.reused = self.failed = 0
        self.worked = False

    @contextmanager
    def opened(self, own: Path, copy: Path | None = None) -> Iterator[Journal]:
        """Write to files from now on.

        Parameters
        ----------
        own : pathlib.Path
            Of the region; the last run's is replaced.
        copy : pathlib.Path, optional
            Another file, which is appended to.

        Yields
        ------
        Journal
            This one.
        """
        own.parent.mkdir(parents=True, exist_ok=True)
        self._reset()
        with ExitStack() as stack:
            self._files = [stack.enter_context(own.open("w", encoding="utf-8"))]
            if copy is not None:
                self._files.append(stack.enter_context(copy.open("a", encoding="utf-8")))
            try:
                with shared(own):
                    yield self
            finally:
                self._files = []

    def write(self, event: str, **facts: Any) -> None:
        """Write one line; texts lose what opens doors.

        Parameters
        ----------
        event : str
            What kind of line it is.
        **facts
            What belongs to it; JSON.
        """
        if not self._files:
            return
        shown = {
            key: redact(value) if isinstance(value, str) else value for key, value in facts.items()
        }
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **shown}, ensure_ascii=False) + "\n"
        for file in self._files:
            file.write(line)
            # A run may be killed at any moment.
            file.flush()

    def stage(self, stage: str, region: str, season: str, total: int, reused: int) -> None:
        """Say how many blocks a stage is about.

        Parameters
        ----------
        stage : str
            The verb.
        region : str
            Its name.
        season : str
            The season; empty: every date.
        total : int
            Blocks.
        reused : int
            Those of them that are there already.
        """
        self.reused += reused
        self.write("stage", stage=stage, region=region, season=season, total=total, reused=reused)

    def block(
        self, stage: str, block: str, seconds: float, error: Exception | None, gaps: int = 0
    ) -> None:
        """Say how one block ended.

        Parameters
        ----------
        stage : str
            The verb.
        block : str
            Its name.
        seconds : float
            What it took.
        error : Exception or None
            Why there is no result.
        gaps : int, optional
            Scenes that could not be read and are missing from it.
        """
        self.worked = True
        about: dict[str, Any] = {"status": "partial", "gaps": gaps} if gaps else {"status": "done"}
        if error is not None:
            about = {"status": "failed", "cause": type(error).__name__, "text": str(error)}
        self.failed += error is not None
        self.made += error is None
        self.write("block", stage=stage, block=block, seconds=round(seconds, 3), **about)


journal = Journal()
