"""One command on one region: locked, journalled, and summed up in a line at its end."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from pipeline.config import Config, settings_hash
from pipeline.errors import (
    FILE_ACCESS_EXIT_CODE,
    INTERRUPTED_EXIT_CODE,
    MODEL_FILE_EXIT_CODE,
    AsmAtlasError,
    ConfigError,
    PartialError,
)
from pipeline.geo.regions import Region, resolve_region
from pipeline.runtime.cluster import workers
from pipeline.runtime.console import say
from pipeline.runtime.journal import Journal, journal
from pipeline.runtime.lease import lost
from pipeline.runtime.locks import only_run
from pipeline.workflow.context import Context


def lock_file(config: Config, region: str) -> Path:
    """Return the file whose lock says that a run of a region is at work."""
    return config.workspace.interim / "runs" / f"{region}.lock"


def journal_file(config: Config, region: str) -> Path:
    """Return the file that the last run of a region wrote line by line."""
    return config.workspace.interim / "runs" / f"{region}.jsonl"


@contextmanager
def session(config: Config, command: str, retry_failed: bool = False) -> Iterator[Context]:
    """Give a command its surroundings, alone on its region, and sum up what it did.

    Parameters
    ----------
    config : Config
        With a region.
    command : str
        The verb.
    retry_failed : bool, optional
        Whether to work on those blocks alone that failed before.

    Yields
    ------
    Context
        Region, configuration and workers.

    Raises
    ------
    RunLockedError
        If another run of the region is at work in this workspace.
    """
    region = _region(config)
    config.workspace.open()
    copy = Path(config.run.log) if config.run.log else None
    with (
        _terminated_as_interrupted(),
        only_run(lock_file(config, region.name), f"{command} {region.name}") as locked,
        journal.opened(journal_file(config, region.name), copy) as book,
    ):
        book.write(
            "start",
            command=command,
            region=region.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("asm-atlas"),
            settings=settings_hash(config),
        )
        if not locked:
            say("lock", "this file system knows no locks: see that no other run is at work here")
        started = time.monotonic()
        try:
            with workers(
                config.cluster.kind, config.cluster.workers, config.slurm, config.tls
            ) as pool:
                yield Context(config, region, pool, retry_failed)
        except BaseException as error:
            why = lost() or error
            _sum_up(book, f"{command} {region.name}", time.monotonic() - started, why)
            raise
        _sum_up(book, f"{command} {region.name}", time.monotonic() - started, None)


@contextmanager
def beside(config: Config, largest: int = 0) -> Iterator[Context]:
    """Give a command that changes nothing of a region's run its surroundings: it needs no lock.

    Parameters
    ----------
    config : Config
        With a region.
    largest : int, optional
        Most blocks of the region; 0: as configured.

    Yields
    ------
    Context
        Region, configuration and workers.
    """
    region = _region(config, largest)
    config.workspace.open()
    with workers(config.cluster.kind, config.cluster.workers, config.slurm, config.tls) as pool:
        yield Context(config, region, pool)


def _region(config: Config, largest: int = 0) -> Region:
    if not config.run.region:
        raise ConfigError("no region was given", next_step="REGION=demo, or see asm-atlas regions")
    return resolve_region(config.run.region, largest or config.run.max_blocks)


def _sum_up(book: Journal, what: str, seconds: float, error: BaseException | None) -> None:
    status, code = _how_it_ended(book, error)
    cause = f" ({type(error).__name__}, exit code {code})" if error is not None else ""
    counts = f"{book.made} blocks made, {book.reused} reused, {book.failed} failed"
    summary = f"{what}: {status}{cause} in {seconds:.0f} s; {counts}"
    say("summary", summary)
    book.write(
        "end",
        status=status,
        code=code,
        summary=summary,
        text=str(error) if error is not None else "",
        seconds=round(seconds, 3),
        made=book.made,
        reused=book.reused,
        failed=book.failed,
    )


def _how_it_ended(book: Journal, error: BaseException | None) -> tuple[str, int]:
    from features.errors import BankError
    from models.errors import ModelError

    if error is None:
        return ("done" if book.worked else "nothing to do"), 0
    if isinstance(error, PartialError):
        return "partial", error.exit_code
    if isinstance(error, AsmAtlasError):
        return "failed", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED_EXIT_CODE
    if isinstance(error, (BankError, ModelError)):
        return "failed", MODEL_FILE_EXIT_CODE
    return "failed", FILE_ACCESS_EXIT_CODE if isinstance(error, OSError) else 1


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """End on a batch system's SIGTERM as on Ctrl-C: workers are ended, the journal gets its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
