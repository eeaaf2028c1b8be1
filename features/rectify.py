"""Which rectified sums a bank asks for, and the vector code that adds them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.vector import Function

SIDES = ("one", "two", "shared")


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
            Bias by bias, the positive side first: ``relu(z - t)``, then ``relu(t - z)``.
        """
        if self.sides == "one":
            return np.array(self.biases, np.float32)
        other = {"two": -1, "shared": 1}[self.sides]
        return np.array([[bias, other * bias] for bias in self.biases], np.float32).reshape(-1)

    def falling(self) -> tuple[bool, ...]:
        """Say which columns grow as the response falls."""
        return (False,) * self.count if self.sides == "one" else (False, True) * len(self.biases)


def emit_sums(
    function: Function,
    responses: Sequence[Any],
    weights: Sequence[Any],
    thresholds: Sequence[Any],
    falling: tuple[bool, ...],
    sums: Any,
) -> None:
    """Emit code that rectifies vectors of responses, weighs them and adds them to running sums.

    Parameters
    ----------
    function : Function
        Under construction.
    responses : sequence of llvmlite.ir.Value
        One vector for each window, one filter a lane.
    weights : sequence of llvmlite.ir.Value
        1 for a window that counts and 0 for another, in every lane.
    thresholds : sequence of llvmlite.ir.Value
        As ``Rectifiers.thresholds``, in every lane.
    falling : tuple of bool
        As ``Rectifiers.falling``.
    sums : llvmlite.ir.Value
        Array of one vector for each column.
    """
    build = function.build
    for column, (threshold, falls) in enumerate(zip(thresholds, falling, strict=True)):
        # Two chains of sums, so that one addition need not wait for the other.
        chains = [function.load(sums, column * function.lanes), function.zero]
        for turn, (response, weight) in enumerate(zip(responses, weights, strict=True)):
            pair = (threshold, response) if falls else (response, threshold)
            above = function.relu(build.fsub(*pair))
            chains[turn % 2] = function.fma(above, weight, chains[turn % 2])
        function.store(build.fadd(*chains), sums, column * function.lanes)


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
    with function.loop(columns) as column, function.loop(function.lanes) as lane:
        value = function.number(sums, (column.index, function.lanes), lane.index)
        function.add_to(out, function.place((column.index, width), first, lane.index), value)
