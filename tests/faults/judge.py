"""What became of every block of a case: the undisturbed pixels, a named failure, or neither."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from faults import CAUSES, KINDS, Fault
from numpy.typing import NDArray
from plan import Case


@dataclass(frozen=True)
class Outcome:
    """One block after a case.

    Parameters
    ----------
    status : str
        ``made``, ``failed`` or ``lost``: neither pixels nor a failure are stored.
    wrong : int
        Values of its composite that differ from the undisturbed one.
    cause, text : str
        Of a failed block, as its ledger entry says them.
    """

    status: str
    wrong: int = 0
    cause: str = ""
    text: str = ""

    def names(self, kind: str, checksums: bool) -> bool:
        """Whether the failure is called by the kind's name."""
        cause = CAUSES[kind]
        # Spoilt bytes do not even come to be decoded where there is a checksum.
        spoilt = checksums and kind == "does not decode" and self.caught
        return self.status == "failed" and (self.cause == cause or cause in self.text or spoilt)

    @property
    def caught(self) -> bool:
        """Whether a checksum stopped it."""
        return self.status == "failed" and "checksum" in self.text


def outcome(store: Path, block: str, undisturbed: Path) -> Outcome:
    """Look at what a stage's store holds of a block."""
    entries = [json.loads(path.read_text()) for path in (store / block).glob("*.json")]
    if len(entries) != 1:
        return Outcome("lost", text=f"{len(entries)} entries")
    (entry,) = entries
    # Nobody reads what a killed worker had begun, under a hidden name: the next attempt removes it.
    pictures = list((store / block).glob("[!.]*.tif"))
    if entry["status"] == "failed" and not pictures:
        return Outcome("failed", cause=entry["cause"], text=entry["text"])
    if entry["status"] == "done" and len(pictures) == 1:
        return Outcome("made", wrong=different_values(pictures[0], undisturbed))
    return Outcome("lost", text=f"status {entry['status']} and {len(pictures)} files")


def different_values(path: Path, other: Path) -> int:
    """Number of values, of all bands and counts, in which two composites differ."""
    # Files of the same bytes hold the same pixels.
    if path.read_bytes() == other.read_bytes():
        return 0
    made, expected = bands_of(path), bands_of(other)
    if [*made] != [*expected]:
        return sum(values.size for values in expected.values())
    pairs = zip(made.values(), expected.values(), strict=True)
    return sum(
        int(np.count_nonzero(one != two)) if one.shape == two.shape else two.size
        for one, two in pairs
    )


def bands_of(path: Path) -> dict[str, NDArray[np.int16]]:
    """Bands and counts of a composite by name."""
    with rasterio.open(path) as file:
        return dict(zip(file.descriptions, file.read(), strict=True))


@dataclass
class Row:
    """The counts of one kind of fault; a block with several kinds counts in each of their rows."""

    injected: int = 0
    clearable: int = 0
    recovered: int = 0
    named: int = 0
    wrong_pixels: int = 0
    lost_blocks: int = 0


@dataclass
class Tally:
    """The counts of all cases.

    ``complaints`` says in words what went wrong where.
    """

    rows: dict[str, Row] = field(default_factory=lambda: {kind: Row() for kind in KINDS})
    wrong_pixels: int = 0
    lost_blocks: int = 0
    deliveries: int = 0
    complaints: list[str] = field(default_factory=list)

    def count(self, case: Case, block: str, faults: list[Fault], result: Outcome) -> None:
        """Count one block of one case, with the faults that were planned for it."""
        given = [fault for fault in faults if fault.given]
        lasting = [fault for fault in given if not fault.clears]
        self.deliveries += sum(fault.given for fault in given)
        named = any(result.names(fault.kind, case.checksums) for fault in lasting)
        # A block that failed for what did not happen to it is as lost as one that is not there.
        lost = result.status == "lost" or (result.status == "failed" and not given)
        well = result.status == "made" and not result.wrong
        self.wrong_pixels += result.wrong
        self.lost_blocks += lost
        for kind in {fault.kind for fault in given}:
            self.rows[kind].wrong_pixels += result.wrong
            self.rows[kind].lost_blocks += lost
        for fault in given:
            row = self.rows[fault.kind]
            row.injected += 1
            row.clearable += fault.clears
            row.recovered += fault.clears and well
            row.named += not fault.clears and named
        if lost or result.wrong or not (named if lasting else well):
            kinds = Counter(f"{fault.kind} ({fault.part}, {_often(fault)})" for fault in given)
            what = f"{result.status} {result.cause} {' '.join(result.text.split())[:200]}"
            self.complaints.append(
                f"{case.name} {block}: {what}; {result.wrong} values differ; {dict(kinds)}"
            )

    @property
    def total(self) -> Row:
        """All kinds together, every block once."""
        rows = self.rows.values()
        return Row(
            *(sum(getattr(row, name) for row in rows) for name in list(vars(Row()))[:4]),
            self.wrong_pixels,
            self.lost_blocks,
        )


@dataclass
class Flips:
    """Bits turned over in files: with ``file:checksum`` in the items, and the same ones without."""

    flipped: int = 0
    caught: int = 0
    unchecked: int = 0
    noticed: int = 0
    harmless: int = 0
    unseen: int = 0

    def count(
        self, case: Case, block: str, fault: Fault, result: Outcome, complaints: list[str]
    ) -> None:
        """Count one block; only what a checksum should have caught is judged."""
        if not fault.given:
            complaints.append(f"{case.name} {block}: {fault.path} was never read")
        elif case.checksums:
            self.flipped += 1
            self.caught += result.caught
            if not result.caught:
                complaints.append(
                    f"{case.name} {block}: {fault.path} bit {fault.variant}: {result}"
                )
        else:
            self.unchecked += 1
            self.noticed += result.status == "failed"
            self.harmless += result.status == "made" and not result.wrong
            self.unseen += result.status == "made" and result.wrong > 0


def _often(fault: Fault) -> str:
    return f"form {fault.variant}, {fault.given} of {fault.times if fault.clears else 'ever'}"
