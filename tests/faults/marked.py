"""Blocks whose failed scenes are marked instead of stopping them (``failed_scenes = mark``).

Such a block must be what the other scenes alone give, value by value, and its band ``failed`` must
count every pixel that the failed scenes would have shown, and none that they do not reach.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from faults import EVER, OF_ANSWERS, Fault
from images import DATES, FILES
from judge import bands_of
from numpy.typing import NDArray
from plan import Case
from rasterio.transform import rowcol
from suite import NAMES, Suite, of_block

# Dates whose scenes fail, one case each.
FAILING = ((0,), (1,))
# How far the window of a scene reaches beyond the scene, in pixels of the grid.
_BEYOND_PX = 6


@dataclass
class Marked:
    """The counts of marked blocks."""

    failed_scenes: int = 0
    marked: int = 0
    wrong_pixels: int = 0
    complaints: list[str] = field(default_factory=list)


def marked_cases(suite: Suite, seed: int) -> Marked:
    """Run every case of ``FAILING`` and compare with runs that have no such scenes at all."""
    dealer, counts = random.Random(seed), Marked()
    for dates in FAILING:
        name = "-".join(map(str, dates))
        without = {DATES[date] for date in dates}
        faults = [_fault(dealer, block, date) for block in NAMES[::3] for date in dates]
        case = Case(f"marked-{name}", faults, settings={"failed_scenes": "mark"})
        kept = suite.run_without(f"without-{name}", without, NAMES[::3])
        error = suite.run(case)
        # That scenes are missing is said at the end of the command (``commands.py``).
        if error is not None:
            counts.complaints.append(f"{case.name}: ended with {error!r}")
        for block in case.blocks(NAMES):
            mine = [fault for fault in of_block(faults, block) if fault.given]
            counts.failed_scenes += len(mine)
            _compare(suite, case, block, kept, mine, counts)
        suite.forget(case.name, f"without-{name}")
    return counts


def _fault(dealer: random.Random, block: str, date: int) -> Fault:
    file = dealer.choice(tuple(FILES))
    # Hangs would make it slow, and are told apart elsewhere.
    kind = dealer.choice([kind for kind in OF_ANSWERS if kind != "hang"])
    path = f"SIM_{block}_{DATES[date].replace('-', '')}/{file}.tif"
    return Fault(kind, block, path, "any", EVER, dealer.randrange(1_000))


def _compare(
    suite: Suite, case: Case, block: str, kept: Path, mine: Sequence[Fault], counts: Marked
) -> None:
    """Compare one block with the undisturbed one or with that of the scenes that are left."""
    found = list((suite.store(case.name) / block).glob("*.tif"))
    if len(found) != 1:
        counts.complaints.append(f"{case.name} {block}: {len(found)} composites")
        return
    made, whole = bands_of(found[0]), bands_of(suite.undisturbed[block])
    expected = bands_of(next((kept / block).glob("*.tif"))) if mine else whole
    wrong = sum(
        int(np.count_nonzero(made[name] != values))
        for name, values in expected.items()
        if name != "failed"
    )
    # Every scene is an observation of its own: what the counts lack, the failed scenes would show.
    shown = sum((whole[name] - expected[name] for name in ("clear", "cloud")), 0)
    reach = sum((_reach(suite, fault, made["failed"].shape, found[0]) for fault in mine), 0)
    wrong += int(np.count_nonzero((made["failed"] < shown) | (made["failed"] > reach)))
    counts.wrong_pixels += wrong
    counts.marked += len(mine) if not wrong else 0
    if wrong:
        kinds = [f"{fault.kind} of {fault.path}" for fault in mine]
        counts.complaints.append(f"{case.name} {block}: {wrong} values differ; {kinds}")


def _reach(suite: Suite, fault: Fault, shape: tuple[int, ...], path: Path) -> NDArray[np.int16]:
    """1 where the fault's scene can lie, 0 elsewhere."""
    (scene,) = (one for one in suite.files.scenes if fault.path.startswith(f"{one['id']}/"))
    west, south, east, north = scene["bbox"]
    with rasterio.open(path) as file:
        (top, bottom), (left, right) = rowcol(file.transform, [west, east], [north, south])
    inside = np.zeros(shape, np.int16)
    rows = slice(max(0, int(top) - _BEYOND_PX), int(bottom) + _BEYOND_PX)
    inside[rows, max(0, int(left) - _BEYOND_PX) : int(right) + _BEYOND_PX] = 1
    return inside
