"""What the user sees while it works: a line a step, bars on long ones, a counted summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipeline.redaction import redact
from pipeline.runtime.journal import journal

T = TypeVar("T")

console = Console(stderr=False, highlight=False, soft_wrap=True)


def say(stage: str, text: str) -> None:
    """Print one line of the flow: the stage's verb, then what it did.

    Parameters
    ----------
    stage : str
        The verb.
    text : str
        What it did; never read as markup.
    """
    text = redact(text)
    console.print(f"[bold]{stage:<10}[/bold] ", end="")
    # The text may hold names from files: never read it as markup.
    console.print(text, markup=False)
    journal.write("said", stage=stage, text=text)


def bar(items: Iterable[T], stage: str, total: int) -> Iterator[T]:
    """Pass the items on and show how many of them have passed.

    Parameters
    ----------
    items : iterable
        The items.
    stage : str
        The verb.
    total : int
        Number of items.

    Yields
    ------
    object
        Each item.
    """
    with Progress(
        TextColumn(f"[bold]{stage:<10}[/bold]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # A log file of a batch job wants lines, not bars.
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(stage, total=total)
        for item in items:
            progress.advance(task)
            yield item


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of texts as lines whose columns stand below one another.

    Parameters
    ----------
    rows : sequence of sequence of str
        As many texts each.

    Returns
    -------
    list of str
        One line a row: the first column to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
