"""Time several ways of doing the same thing side by side, so that a busy machine hits them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    warm: bool = True,
) -> dict[str, np.ndarray]:
    """Seconds of every run in every round; each round begins with another run.

    What runs for minutes needs no run before (``warm``) that does not count.
    """
    names = list(runs)
    seconds = {name: np.zeros(rounds) for name in names}
    for name in names if warm else ():
        runs[name]()
    for turn in range(rounds):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            begin = clock()
            runs[name]()
            seconds[name][turn] = clock() - begin
    return seconds


def spread(values: np.ndarray) -> dict[str, float]:
    """Smallest value, quartiles and median."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    named = {"min": values.min(), "q1": low, "median": middle, "q3": high}
    return {name: round(float(value), 5) for name, value in named.items()}


def times_faster(seconds: Mapping[str, np.ndarray], ours: str, other: str) -> dict[str, float]:
    """How many times faster ours was than another, round by round."""
    return spread(seconds[other] / seconds[ours])
