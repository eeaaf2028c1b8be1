"""The one loop over blocks: find what is stored, make what is missing, count what failed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from pipeline.errors import AsmAtlasError, StageMissingError
from pipeline.runtime.console import bar, say
from pipeline.runtime.journal import journal
from pipeline.runtime.survey import survey
from pipeline.workflow import ledger
from pipeline.workflow.commands import make_command
from pipeline.workflow.context import Context
from pipeline.workflow.ledger import Entry

T = TypeVar("T")


class BlockStage(ABC, Generic[T]):
    """What one stage does with one block.

    A subclass is a frozen dataclass of what all its blocks have in common. It travels to the
    workers, so it must pickle.

    Attributes
    ----------
    verb : str
        The verb that runs the stage.
    store : str
        Folder of its results.
    suffix : str
        Of a stored file, with its dot.
    begins : bool
        Whether its blocks are made from scenes, not from the blocks of another stage.
    """

    verb: ClassVar[str]
    store: ClassVar[str]
    suffix: ClassVar[str]
    begins: ClassVar[bool] = False

    @property
    def product(self) -> str:
        """What is stored of a block, for messages."""
        return self.store

    @property
    def remakes(self) -> bool:
        """Whether a stored block that is asked for again is made again."""
        return False

    @abstractmethod
    def unit(self, item: T) -> str:
        """Return the name of the block."""

    @abstractmethod
    def inputs(self, item: T) -> dict[str, Any]:
        """Return everything that the result depends on; JSON."""

    @abstractmethod
    def write(self, path: Path, item: T) -> dict[str, Any]:
        """Write the block's file, on a worker, and return facts to remember; JSON."""

    def effort(self, item: T) -> int:
        """Return how much work a block is, compared with others: the most goes first."""
        return 0

    def follows(self, item: T) -> bool:
        """Return whether what the block is made from was made by this run."""
        return False

    def gaps(self, entry: Entry) -> int:
        """Return how many inputs a stored block lacks that another try may bring."""
        return 0

    def prepared(self, context: Context, todo: Sequence[T]) -> Self:
        """Return the stage ready to work on these blocks."""
        return self

    def finished(self, context: Context, entries: Sequence[Entry]) -> None:
        """Report on all blocks, failed ones too, before a failure is raised."""

    def summary(self, entries: Sequence[Entry]) -> str:
        """Return what the closing line says after the counts."""
        return ""


def run_blocks(context: Context, stage: BlockStage[T], items: Sequence[T]) -> list[Entry]:
    """Return the stored blocks of a stage; those that are missing are made on the workers.

    Parameters
    ----------
    context : Context
        Where the store is, who works, and whether this stage may make anything.
    stage : BlockStage
        What is done with a block.
    items : sequence
        The blocks, each once.

    Returns
    -------
    list of Entry
        One for each block, in the same order.

    Raises
    ------
    StageMissingError
        If a block is not stored and may not be made, or ``--retry-failed`` left blocks aside that
        were never tried.
    AsmAtlasError
        Of the class of the first block that failed; the others are stored first.
    """
    store = context.store(stage.store)
    known = survey(store, map(stage.unit, items))
    results: dict[str, Entry | None] = {
        stage.unit(item): ledger.find(
            store, stage.unit(item), stage.inputs(item), stage.suffix, known
        )
        for item in items
    }
    if not context.makes(stage.verb):
        return _all_stored(context, stage, results)

    def is_missing(item: T) -> bool:
        entry = results[stage.unit(item)]
        return entry is None or stage.gaps(entry) > 0

    # What takes long goes first, so that no worker is left alone with it at the end.
    missing = sorted(filter(is_missing, items), key=stage.effort, reverse=True)
    failed = [item for item in missing if _has_failed(stage, store, item, results, known)]
    todo = _to_do(context, stage, missing, failed, begun=len(missing) < len(items))
    for item in missing:
        results[stage.unit(item)] = None
    stage = stage.prepared(context, todo)
    done = context.workers.map(_task, todo, stage, str(store))
    reused = len(items) - len(missing)
    journal.stage(stage.verb, context.region.name, context.season, len(items), reused)
    for item, entry in bar(done, stage.verb, len(todo)):
        if isinstance(entry, AsmAtlasError):
            entry = ledger.fail(store, stage.unit(item), stage.inputs(item), stage.suffix, entry)
        results[entry.unit] = entry
        gaps = stage.gaps(entry) if entry.error is None else 0
        journal.block(stage.verb, entry.unit, entry.seconds, entry.error, gaps)
    entries = [entry for entry in results.values() if entry is not None]
    stage.finished(context, entries)
    _raise_failed(entries, stage.verb)
    if len(entries) < len(items):
        raise StageMissingError(
            f"{len(items) - len(entries)} blocks of {stage.verb} have not been tried yet",
            next_step=make_command("predict", context.config, context.region)
            + ", without --retry-failed",
        )
    reused = sum(entry.reused for entry in entries)
    counts = f"{len(entries)} blocks: {len(entries) - reused} made, {reused} reused"
    say(stage.verb, "; ".join(filter(None, [counts, stage.summary(entries)])))
    return entries


def _all_stored(
    context: Context, stage: BlockStage[T], results: dict[str, Entry | None]
) -> list[Entry]:
    for unit, entry in results.items():
        if entry is None:
            raise StageMissingError(
                f"block {unit} has no stored {stage.product}",
                next_step=make_command(stage.verb, context.config, context.region),
            )
    return [entry for entry in results.values() if entry is not None]


def _has_failed(
    stage: BlockStage[T],
    store: Path,
    item: T,
    results: dict[str, Entry | None],
    known: frozenset[str] | None,
) -> bool:
    unit = stage.unit(item)
    if results[unit] is not None:  # it is stored, with gaps
        return True
    return ledger.has_failed(store, unit, stage.inputs(item), stage.suffix, known)


def _to_do(
    context: Context, stage: BlockStage[T], missing: list[T], failed: list[T], begun: bool
) -> list[T]:
    """Return the missing blocks that this run works on, those last that failed before.

    They may take long to fail again. ``--retry-failed`` works on them alone, and on what is made
    from blocks that this run made; but a stage that never began makes all of its blocks.
    """
    units = {stage.unit(item) for item in failed}
    fresh = [item for item in missing if stage.unit(item) not in units]
    if context.retry_failed and (begun or failed or stage.begins):
        fresh = [item for item in fresh if stage.follows(item)]
    return fresh + failed


def _task(item: T, stage: BlockStage[T], store: str) -> Entry:
    return ledger.build(
        Path(store),
        stage.unit(item),
        stage.inputs(item),
        stage.suffix,
        lambda path: stage.write(path, item),
        again=stage.remakes,
    )


def _raise_failed(entries: Sequence[Entry], verb: str) -> None:
    """Raise the first failure among the entries, and say how many there were."""
    failed = [(entry.unit, entry.error) for entry in entries if entry.error is not None]
    for unit, error in failed:
        raise type(error)(
            f"{error.what} ({len(failed)} of {len(entries)} blocks failed in {verb})",
            where=f"block {unit}; {error.where}",
            next_step=error.next_step,
        )
