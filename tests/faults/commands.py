"""How the command line ends over faults: never with 0 when a block failed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from faults import EVER, KINDS, OF_ANSWERS, Fault
from images import DATES
from judge import Tally
from plan import Case
from suite import COMMAND_BLOCKS, Suite, of_block

from pipeline import errors

READ_FAILED = errors.ReadFailedError.exit_code
EXPECTED = dict.fromkeys(OF_ANSWERS, READ_FAILED) | {
    "missing band": errors.MissingBandError.exit_code,
    "worker killed": errors.WorkerLostError.exit_code,
    "healthy": 0,
    "clearing": 0,
    "flipped bit": READ_FAILED,
    "marked": errors.PartialError.exit_code,
}


def end_of_commands(suite: Suite, tally: Tally) -> dict[str, int]:
    """Run one command for each kind of fault and return the exit codes.

    One of the blocks has a fault that never clears; the others must be made all the same.
    """
    with ThreadPoolExecutor(2) as pair:
        ran = pair.map(lambda kind: _run(suite, kind), EXPECTED)
        ended = {}
        for (kind, code), (case, found, exit_code, said) in zip(EXPECTED.items(), ran, strict=True):
            ended[kind] = exit_code
            for block, result in found.items():
                faults = of_block(case.faults, block)
                if kind == "flipped bit" and faults:
                    if not result.caught:
                        tally.complaints.append(f"command, {kind}: {result}")
                elif kind != "marked" or not faults:
                    # What a marked block must hold is looked at in ``marked.py``.
                    tally.count(case, block, faults, result)
            if exit_code != code or "Traceback" in said:
                words = " ".join(said.split())[-400:]
                tally.complaints.append(f"command, {kind}: {exit_code}, not {code}: {words}")
    return ended


def _run(suite: Suite, kind: str) -> tuple[Case, dict, int, str]:
    block = COMMAND_BLOCKS[-1]
    path = f"SIM_{block}_{DATES[-1].replace('-', '')}/stack.tif"
    name = f"command-{kind.replace(' ', '-')}"
    faults, settings = [], {}
    if kind == "clearing":
        faults = [Fault(each, block, path, "any", 1) for each in ("429", "503", "cut body")]
    elif kind == "marked":
        faults, settings = [Fault("404", block, path)], {"failed_scenes": "mark"}
    elif kind in KINDS:
        faults = [Fault(kind, block, path, "any", EVER)]
    elif kind == "flipped bit":
        faults = [Fault(kind, block, path, variant=8_000)]
    case = Case(name, faults, kind == "flipped bit", settings)
    exit_code, found, said = suite.command(case, "local" if kind == "worker killed" else "none")
    return case, found, exit_code, said
