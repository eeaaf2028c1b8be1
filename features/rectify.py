"""Which rectified sums a bank asks for, and the vector code that adds them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.vector import Function

SIDES = ("one", "two", "shared")
# Sixteen numbers of so many significant bits add up exactly in single precision.
_THRESHOLD_BITS = 20


@dataclass(frozen=True)
class Rectifiers:
    """The columns that one filter gives.

    Parameters
    ----------
    biases : tuple of float
        Each gives its own columns.
    sides : str
        ``one``: ``relu(z - b)``; ``two``: also ``relu(-z - b)``; ``shared``: also ``relu(b - z)``,
        torchgeo's way, in which the two halves differ by a linear map of the pixels.
    """

    biases: tuple[float, ...]
    sides: str = "two"

    @property
    def count(self) -> int:
        """Number of columns for each filter."""
        return len(self.biases) * (1 if self.sides == "one" else 2)

    def thresholds(self) -> NDArray[np.float32]:
        """Return where each column's rectifier begins.

        Returns
        -------
        numpy.ndarray of float32, shape (count,)
            Bias by bias, the positive side first: ``relu(z - t)``, then ``relu(t - z)``. Rounded to
            20 significant bits: see ``emit_sums``.
        """
        part, power = np.frexp(np.array(self.biases, np.float64))
        rounded = np.ldexp(np.round(np.ldexp(part, _THRESHOLD_BITS)), power - _THRESHOLD_BITS)
        if self.sides != "one":
            other = {"two": -1, "shared": 1}[self.sides]
            rounded = np.stack([rounded, other * rounded], axis=1)
        thresholds: NDArray[np.float32] = rounded.astype(np.float32).reshape(-1)
        return thresholds

    def falling(self) -> tuple[bool, ...]:
        """Say which columns grow as the response falls."""
        return (False,) * self.count if self.sides == "one" else (False, True) * len(self.biases)


def emit_sums(
    function: Function,
    responses: Sequence[Any],
    weights: Sequence[Any],
    counted: Any,
    thresholds: Sequence[Any],
    sides: str,
    sums: Any,
) -> None:
    """Emit code that rectifies vectors of responses, weighs them and adds them to running sums.

    Parameters
    ----------
    function : Function
        Under construction.
    responses : sequence of llvmlite.ir.Value
        One vector for each window, one filter a lane; 16 at most.
    weights : sequence of llvmlite.ir.Value
        1 for a window that counts and 0 for another, in every lane.
    counted : llvmlite.ir.Value
        Sum of the weights, in every lane.
    thresholds : sequence of llvmlite.ir.Value
        As ``Rectifiers.thresholds``, in every lane.
    sides : str
        As in ``Rectifiers``.
    sums : llvmlite.ir.Value
        Array of one vector for each column.

    Notes
    -----
    ``relu(z - t)`` is ``max(z, t) - t``: the thresholds are subtracted once for all windows, which
    saves a third of the work, and ``relu(t - z)`` of the same threshold is ``max(z, t) - z``. The
    thresholds add up exactly, so a column that no response reaches stays exactly 0.
    """
    build = function.build

    def above(values: Sequence[Any], threshold: Any) -> Any:
        # Two chains of sums, so that one addition need not wait for the other.
        chains = [build.fneg(build.fmul(threshold, counted)), function.zero]
        for turn, (value, weight) in enumerate(zip(values, weights, strict=True)):
            chains[turn % 2] = function.fma(value, weight, chains[turn % 2])
        return build.fadd(*chains)

    def add(column: int, amount: Any) -> None:
        place = column * function.lanes
        function.store(build.fadd(function.load(sums, place), amount), sums, place)

    for column in range(0, len(thresholds), 1 if sides == "one" else 2):
        threshold = thresholds[column]
        risen = above([function.larger(value, threshold) for value in responses], threshold)
        add(column, risen)
        if sides == "shared":
            add(column + 1, build.fsub(risen, above(responses, threshold)))
        elif sides == "two":
            threshold = thresholds[column + 1]
            low = [function.smaller(value, threshold) for value in responses]
            add(column + 1, build.fneg(above(low, threshold)))


def emit_flush(
    function: Function, sums: Any, columns: int, out: Any, first: Any, width: Any
) -> None:
    """Emit code that adds running sums to the double-precision result.

    Parameters
    ----------
    function : Function
        Under construction.
    sums : llvmlite.ir.Value
        Array of one vector for each column.
    columns : int
        Number of columns.
    out : llvmlite.ir.Value
        Array of shape (columns, width), double precision.
    first, width : llvmlite.ir.Value
        First filter of the vector, and number of filters.
    """
    with function.loop(columns) as column:
        value = function.load(sums, (column.index, function.lanes))
        # Rounding must not make a sum of rectified responses negative.
        value = function.larger(value, function.zero)
        function.add_to(out, function.place((column.index, width), first), value)
