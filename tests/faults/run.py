"""Inject a thousand faults into the reading of imagery and count what became of them.

``make faults``. Prints a table, writes ``data/processed/faults/summary.json`` and ends with 1 when
a mark is missed: no wrong pixel, no lost block, every fault that clears recovered, every other one
named, every flipped bit caught, no command that ends with 0 over a failed block.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from commands import end_of_commands
from images import blocks, simulate
from judge import Flips, Row, Tally
from marked import Marked, marked_cases
from plan import Case, cases
from server import serving
from suite import Suite, of_block

from pipeline.errors import AsmAtlasError
from pipeline.runtime.cluster import workers
from pipeline.runtime.console import console

OUT = ROOT / "data" / "processed" / "faults" / "summary.json"
SEED, AT_LEAST, OF_EACH_KIND = 20_261, 1_000, 60
# More than cores: who waits for a hanging server does not work.
WORKERS = 4


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--out", type=Path, default=OUT, help="file of the figures")
    options.add_argument("--only", default="", help="cases whose name begins so; for a look")
    given = options.parse_args()
    started = time.monotonic()
    print(f"seed {given.seed}", flush=True)
    console.quiet = True
    # Lost workers are what is wanted here, not news.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    tally, flips = Tally(), Flips()
    files = simulate(given.seed)
    sizes = {path: len(content) for path, content in files.content.items()}
    names = [block.name for block in blocks()]
    chosen = [case for case in cases(names, sizes, given.seed) if case.name.startswith(given.only)]
    ended: dict[str, int] = {}
    marked = Marked()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving() as server,
        workers("local", WORKERS) as pool,
    ):
        suite = Suite(server, pool, files, Path(folder))
        _say(started, "undisturbed")
        for case in chosen:
            told = len(tally.complaints)
            _judge(case, suite, tally, flips)
            _say(started, "\n".join([case.name, *tally.complaints[told:]]))
        if not given.only or given.only == "marked":
            marked = marked_cases(suite, given.seed)
            tally.complaints += marked.complaints
            _say(started, "marked")
        if not given.only or given.only == "commands":
            ended = end_of_commands(suite, tally)
            _say(started, "commands")
        print(f"{server.requests} requests, {tally.deliveries} of them disturbed")
    if not given.only:
        _check_numbers(tally)
    _print(tally, flips, marked, ended)
    if not given.only:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        summary = json.dumps(_summary(given.seed, tally, flips, marked, ended), indent=1)
        given.out.write_text(summary + "\n")
        print(given.out)
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if tally.complaints else 0


def _judge(case: Case, suite: Suite, tally: Tally, flips: Flips) -> None:
    found, error = suite.outcomes(case)
    for block, result in found.items():
        faults = of_block(case.faults, block)
        if faults and faults[0].kind == "flipped bit":
            flips.count(case, block, faults[0], result, tally.complaints)
        else:
            tally.count(case, block, faults, result)
    failed = any(result.status != "made" for result in found.values())
    if (error is not None) != failed or not isinstance(error, AsmAtlasError | None):
        tally.complaints.append(f"{case.name}: ended with {error!r}")


def _check_numbers(tally: Tally) -> None:
    """A plan whose faults never happened would prove nothing."""
    for kind, row in tally.rows.items():
        if row.injected < OF_EACH_KIND:
            tally.complaints.append(f"{kind}: only {row.injected} faults were delivered")
    if tally.total.injected < AT_LEAST:
        tally.complaints.append(f"only {tally.total.injected} faults were delivered")


def _summary(
    seed: int, tally: Tally, flips: Flips, marked: Marked, ended: dict[str, int]
) -> dict[str, Any]:
    total = tally.total
    return {
        "seed": seed,
        "injected": total.injected,
        "kinds": sum(row.injected > 0 for row in tally.rows.values()),
        "wrong_pixels": total.wrong_pixels,
        "lost_blocks": total.lost_blocks,
        "clearable": total.clearable,
        "recovered": total.recovered,
        "named": total.named,
        **asdict(flips),
        "marked": asdict(marked),
        "exit_codes": ended,
        "per_kind": {kind: asdict(row) for kind, row in tally.rows.items()},
        "complaints": tally.complaints,
    }


def _print(tally: Tally, flips: Flips, marked: Marked, ended: dict[str, int]) -> None:
    columns = list(vars(Row()))
    print(f"\n{'kind':18}" + "".join(f"{name.replace('_', ' '):>14}" for name in columns))
    for kind, row in (*tally.rows.items(), ("all", tally.total)):
        print(f"{kind:18}" + "".join(f"{value:14}" for value in asdict(row).values()))
    print(
        f"\nflipped bits: {flips.caught} of {flips.flipped} caught by checksum; without one, of "
        f"{flips.unchecked} {flips.noticed} failed, {flips.harmless} changed nothing "
        f"and {flips.unseen} passed unseen"
    )
    print(
        f"failed scenes marked: {marked.marked} of {marked.failed_scenes}, "
        f"{marked.wrong_pixels} wrong pixels"
    )
    print("exit codes: " + ", ".join(f"{name} {code}" for name, code in ended.items()))
    for complaint in tally.complaints:
        print(f"MISSED  {complaint}")


def _say(started: float, what: str) -> None:
    print(f"{time.monotonic() - started:6.1f} s  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
