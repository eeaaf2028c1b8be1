"""The blocks of one stage on their way: which are to be done, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from pipeline.errors import StageMissingError
from pipeline.runtime.journal import journal
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context
from pipeline.workflow.ledger import Entry

T = TypeVar("T")


class Told(Protocol):
    """Enters one block into the journal."""

    def __call__(self, entry: Entry) -> None:
        """Enter it."""


@contextmanager
def blocks_of(context: Context, stage: str, total: int, missing: int) -> Iterator[Told]:
    """Enter a stage into the journal, then each of its blocks as it ends.

    Parameters
    ----------
    context : Context
        Region and season.
    stage : str
        The verb.
    total : int
        Blocks of the stage.
    missing : int
        Those that were not there yet.

    Yields
    ------
    callable
        To be called with each block's entry.
    """
    reused = total - missing
    journal.stage(stage, context.region.name, context.season, total, reused)

    def told(entry: Entry) -> None:
        gaps = len((entry.facts or {}).get("failed", []))
        journal.block(stage, entry.unit, entry.seconds, entry.error, gaps)

    yield told


def to_do(context: Context, missing: Sequence[T], has_failed: Callable[[T], bool]) -> list[T]:
    """Return the blocks that this run works on.

    Parameters
    ----------
    context : Context
        Says whether only those are asked for that failed.
    missing : sequence
        What is not there.
    has_failed : callable
        Whether one of them was tried before, and failed.

    Returns
    -------
    list
        All of them, those last that failed before: they may take long to fail again. Or, with
        ``--retry-failed``, those alone.
    """
    failed = [has_failed(item) for item in missing]
    again = [item for item, before in zip(missing, failed, strict=True) if before]
    if context.retry_failed:
        return again
    return [item for item, before in zip(missing, failed, strict=True) if not before] + again


def check_tried(context: Context, stage: str, entries: Iterable[Entry | None]) -> None:
    """Refuse to go on where ``--retry-failed`` left blocks aside that nobody has tried.

    Parameters
    ----------
    context : Context
        Names the region.
    stage : str
        The verb.
    entries : iterable
        Of all its blocks; None: there is none.

    Raises
    ------
    StageMissingError
        If there are any.
    """
    untried = sum(entry is None for entry in entries)
    if untried:
        raise StageMissingError(
            f"{untried} blocks of {stage} have not been tried yet",
            next_step=make_command("predict", context.config, context.region)
            + ", without --retry-failed",
        )
