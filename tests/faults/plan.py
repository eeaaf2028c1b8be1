"""Which faults are injected where: cases of 24 blocks, dealt out from a fixed seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from faults import EVER, OF_ANSWERS, Fault
from images import DATES, FILES

# Faults of each kind, and of those that clear how many one block has.
CLEARING, LASTING, MISSING, KILLS, DEADLY = 56, 40, 62, 57, 3
FAULTS_PER_BLOCK = 8
# Requests of one file that fail at most before it is well: one less than there are tries.
TRIES = 5
# Blocks of a case that nothing happens to: their neighbours' faults are not theirs.
HEALTHY = 3
FLIPS, UNCHECKED_FLIPS = 200, 60


@dataclass(frozen=True)
class Case:
    """One run over some blocks.

    Parameters
    ----------
    name : str
        Part of every address in it.
    faults : list of Fault
        Their blocks are worked on, and ``HEALTHY`` others.
    checksums : bool
        Whether the items carry ``file:checksum``.
    settings : dict
        Configuration keys that differ from the usual ones.
    """

    name: str
    faults: list[Fault]
    checksums: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def blocks(self, names: Sequence[str]) -> list[str]:
        """Blocks that are worked on, in their order."""
        faulty = {fault.block for fault in self.faults}
        healthy = [name for name in names if name not in faulty][:HEALTHY]
        return [name for name in names if name in faulty or name in healthy]


def cases(blocks: Sequence[str], sizes: dict[str, int], seed: int) -> list[Case]:
    """Every case of the suite, the same for a seed.

    Parameters
    ----------
    blocks : sequence of str
        Names of the region's blocks.
    sizes : dict
        Path of every file to its bytes.
    seed : int
        Of everything that is drawn.
    """
    dealer = random.Random(seed)
    return [
        *_clearing(dealer, blocks),
        *_lasting(dealer, blocks),
        *_kills(dealer, blocks),
        *_flips(dealer, blocks, sizes),
    ]


def _clearing(dealer: random.Random, blocks: Sequence[str]) -> Iterator[Case]:
    """Several faults on a block, of several kinds, on one file or more; all of them clear."""
    deck = _deck(dealer, OF_ANSWERS, CLEARING)
    hands = iter(lambda: list(islice(deck, FAULTS_PER_BLOCK)), [])
    for number, chosen in enumerate(_groups(dealer, blocks, hands)):
        checksums = _checked(number)
        faults: list[Fault] = []
        for block, kinds in chosen:
            used: dict[str, int] = {}
            for kind in kinds:
                path, part = _place(dealer, block, checksums)
                times = dealer.choice((1, 1, 2))
                while used.get(path, 0) + times >= TRIES:
                    path, part = _place(dealer, block, checksums)
                used[path] = used.get(path, 0) + times
                faults.append(Fault(kind, block, path, part, times, dealer.randrange(1_000)))
        yield Case(f"clearing-{number}", faults, checksums)


def _lasting(dealer: random.Random, blocks: Sequence[str]) -> Iterator[Case]:
    """One fault on a block that never clears."""
    quick = [kind for kind in OF_ANSWERS if kind != "hang"]
    for number, chosen in enumerate(_groups(dealer, blocks, _deck(dealer, quick, LASTING))):
        checksums = _checked(number)
        faults = [_lasts(dealer, kind, block, checksums) for block, kind in chosen]
        yield Case(f"lasting-{number}", faults, checksums)
    # Hangs take seconds: together they wait side by side, and no other case waits for them.
    for number, chosen in enumerate(_groups(dealer, blocks, _deck(dealer, ["hang"], LASTING))):
        checksums = _checked(number)
        faults = [_lasts(dealer, kind, block, checksums) for block, kind in chosen]
        yield Case(f"hanging-{number}", faults, checksums, {"read_tries": 3})
    # A file that lacks a band has another checksum too, which would be seen first.
    lacking = _deck(dealer, ["missing band"], MISSING)
    for number, chosen in enumerate(_groups(dealer, blocks, lacking)):
        faults = [_lasts(dealer, kind, block, True, "stack") for block, kind in chosen]
        yield Case(f"lacking-{number}", faults)


def _lasts(
    dealer: random.Random, kind: str, block: str, whole: bool, file: str | None = None
) -> Fault:
    return Fault(kind, block, *_place(dealer, block, whole, file), EVER, dealer.randrange(1_000))


def _kills(dealer: random.Random, blocks: Sequence[str]) -> Iterator[Case]:
    """Workers killed in the middle of a request: once, or as often as one comes."""
    times = [1] * KILLS + [EVER] * DEADLY
    dealer.shuffle(times)
    for number, chosen in enumerate(_groups(dealer, blocks, iter(times))):
        faults = [
            Fault("worker killed", block, *_place(dealer, block, False), often)
            for block, often in chosen
        ]
        yield Case(f"killed-{number}", faults)


def _flips(dealer: random.Random, blocks: Sequence[str], sizes: dict[str, int]) -> Iterator[Case]:
    """One bit of a file turned over, with and without checksums in the items."""
    for count, checksums, name in ((FLIPS, True, "checked"), (UNCHECKED_FLIPS, False, "unchecked")):
        for number, chosen in enumerate(_groups(dealer, blocks, iter(range(count)))):
            faults = []
            for block, _ in chosen:
                path, _ = _place(dealer, block, True)
                bit = dealer.randrange(8 * sizes[path])
                faults.append(Fault("flipped bit", block, path, variant=bit))
            yield Case(f"flips-{name}-{number}", faults, checksums)


def _checked(number: int) -> bool:
    """Every third case has checksums: its files are read whole, in one request each."""
    return number % 3 == 2


def _place(
    dealer: random.Random, block: str, whole: bool, file: str | None = None
) -> tuple[str, str]:
    """Draw a file of a block, and which of its requests where there are several."""
    # The stack twice as often: it alone has requests of both parts.
    file = file or dealer.choice((*FILES, "stack"))
    date = dealer.choice(DATES).replace("-", "")
    # The other files come in one request.
    part = dealer.choice(("header", "pixels")) if file == "stack" and not whole else "any"
    return f"SIM_{block}_{date}/{file}.tif", part


def _deck(dealer: random.Random, kinds: Sequence[str], each: int) -> Iterator[str]:
    deck = [kind for kind in kinds for _ in range(each)]
    dealer.shuffle(deck)
    return iter(deck)


def _groups(
    dealer: random.Random, blocks: Sequence[str], hands: Iterator[Any]
) -> Iterator[list[tuple[str, Any]]]:
    """Give each hand a block, case by case, and leave some blocks of every case alone."""
    while chosen := list(islice(hands, len(blocks) - HEALTHY)):
        yield list(zip(dealer.sample(list(blocks), len(chosen)), chosen, strict=True))
