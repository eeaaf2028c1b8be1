"""Convolve, rectify and pool in one pass: the responses never leave the registers.

A tile of windows times filters is held in registers; each turn takes one pixel of every window and
one weight of every filter. Windows are a list of places, so a masked window costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.rectify import Rectifiers, emit_flush, emit_sums
from features.vector import (
    DOUBLES,
    FLOATS,
    INT,
    INTS,
    Function,
    Machine,
    aligned,
    this_machine,
)

# Single-precision sums over this many tiles of windows, then double precision.
_GROUPS_PER_FLUSH = 256
# Weights of a tile that fill more bytes than this would come from the second cache for every group
# of windows: they are taken in two halves, each for all groups (docs/benchmarks.md).
_FIRST_CACHE = 32 * 1024


class DirectKernel:
    """A set of filters made ready for direct convolution.

    Parameters
    ----------
    filters : numpy.ndarray of float32, shape (N, C, p, p)
        The filters.
    offsets : numpy.ndarray of float32, shape (N,)
        Constant part of every response.
    rectifiers : Rectifiers
        The columns wanted.
    """

    def __init__(
        self, filters: NDArray[np.float32], offsets: NDArray[np.float32], rectifiers: Rectifiers
    ) -> None:
        machine = this_machine()
        self._vectors, self._windows = tile_shape(machine)
        self._count, self._shape = len(filters), filters.shape[1:]
        self._rectifiers = rectifiers
        width = self._vectors * machine.lanes
        tiles = -(-self._count // width)
        depth = int(np.prod(self._shape))
        padded = np.zeros((tiles * width, depth), np.float32)
        padded[: self._count] = filters.reshape(self._count, depth)
        self._weights = aligned((tiles, depth, width))
        self._weights[...] = padded.reshape(tiles, width, depth).transpose(0, 2, 1)
        self._offsets = aligned((tiles * width,))
        self._offsets[: self._count] = offsets
        self._thresholds = aligned((rectifiers.count,))
        self._thresholds[...] = rectifiers.thresholds()
        self._halves = self._weights[0].nbytes > _FIRST_CACHE
        self._pool = _pool_function(machine, rectifiers.count, rectifiers.sides, self._halves)
        constants = (self._weights, self._offsets, self._thresholds)
        self._addresses = tuple(array.ctypes.data for array in constants)

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """See ``features.kernel.Kernel.sums``."""
        _, height, width = pixels.shape
        rows, columns = np.nonzero(windows)
        groups = -(-len(rows) // self._windows)
        bases = np.zeros(groups * self._windows, np.int64)
        bases[: len(rows)] = (rows + top) * width + columns + left
        # Of each window in a group, and their sum.
        weights = np.zeros((groups, self._windows + 1), np.float32)
        whole, rest = divmod(len(rows), self._windows)
        weights[:whole, :-1] = 1
        weights[whole:, :rest] = 1
        weights[:, -1] = weights[:, :-1].sum(axis=1)
        bands, down, right = np.indices(self._shape)
        taps = np.ascontiguousarray((bands * height * width + down * width + right).reshape(-1))
        out = np.zeros((self._rectifiers.count, len(self._offsets)))
        # What the first half of the taps gave; threads may share this kernel, but not that.
        begun_groups = min(_GROUPS_PER_FLUSH, groups) if self._halves else 0
        begun = aligned((begun_groups, self._windows, self._weights.shape[2]))
        filters, offsets, thresholds = self._addresses
        # Looking an array's address up takes as long as multiplying a tile.
        image, places, result = pixels.ctypes.data, bases.ctypes.data, out.ctypes.data
        counting, steps = weights.ctypes.data, taps.ctypes.data
        for first in range(0, groups, _GROUPS_PER_FLUSH):
            self._pool(
                image,
                places + first * self._windows * bases.itemsize,
                counting + first * weights.strides[0],
                min(_GROUPS_PER_FLUSH, groups - first),
                steps,
                len(taps),
                len(taps) // 2,
                filters,
                offsets,
                len(self._weights),
                thresholds,
                begun.ctypes.data,
                result,
            )
        return out[:, : self._count]

    def __reduce__(self) -> Any:
        raise TypeError("a kernel is machine code; send the bank and make the kernel there")


def tile_shape(machine: Machine) -> tuple[int, int]:
    """Return how many vectors of filters by how many windows the registers hold."""
    return (4, 6) if machine.registers >= 32 else (2, 6)


@lru_cache(maxsize=16)
def _pool_function(machine: Machine, columns: int, sides: str, halves: bool) -> Callable[..., None]:
    vectors, windows = shape = tile_shape(machine)
    lanes = machine.lanes
    width = vectors * lanes
    arguments = {
        "pixels": FLOATS,
        "bases": INTS,
        "weights": FLOATS,
        "groups": INT,
        "taps": INTS,
        "depth": INT,
        "half": INT,
        "filters": FLOATS,
        "offsets": FLOATS,
        "tiles": INT,
        "thresholds": FLOATS,
        "begun": FLOATS,
        "out": DOUBLES,
    }
    function = Function("direct", arguments, lanes)
    given = function.arguments
    sums = function.room(vectors * columns)
    responses = function.room(vectors * windows)
    thresholds = [function.spread(given["thresholds"], k) for k in range(columns)]
    with function.loop(given["tiles"]) as tile:
        start = function.place((tile.index, width))
        filters = function.pointer(given["filters"], (start, given["depth"]))
        with function.loop(vectors * columns) as column:
            function.store(function.zero, sums, (column.index, lanes))
        first, last = INT(0), given["half"] if halves else given["depth"]
        held = vectors * windows
        if halves:
            with function.loop(given["groups"]) as group:
                begun = _offsets(function, vectors, start) * windows
                products = _emit_products(function, shape, filters, group.index, first, last, begun)
                for at, value in enumerate(products):
                    function.store(value, given["begun"], (group.index, held * lanes), at * lanes)
            first, last = last, given["depth"]
        with function.loop(given["groups"]) as group:
            if halves:
                begun = [
                    function.load(given["begun"], (group.index, held * lanes), at * lanes)
                    for at in range(held)
                ]
            else:
                begun = _offsets(function, vectors, start) * windows
            products = _emit_products(function, shape, filters, group.index, first, last, begun)
            begin = function.place((group.index, windows + 1))
            *counts, counted = [
                function.spread(given["weights"], begin, window) for window in range(windows + 1)
            ]
            for at, value in enumerate(products):
                function.store(value, responses, at * lanes)
            with function.loop(vectors) as vector:
                values = [
                    function.load(responses, (vector.index, lanes), window * vectors * lanes)
                    for window in range(windows)
                ]
                own = function.pointer(sums, (vector.index, columns * lanes))
                emit_sums(function, values, counts, counted, thresholds, sides, own)
        everything = function.place((given["tiles"], width))
        with function.loop(vectors) as vector:
            begin = function.place(start, (vector.index, lanes))
            own = function.pointer(sums, (vector.index, columns * lanes))
            emit_flush(function, own, columns, given["out"], begin, everything)
    return function.compile()


def _offsets(function: Function, vectors: int, start: Any) -> list[Any]:
    """Load a tile's offsets; anew for every group, since no register is left to keep them in."""
    return [
        function.load(function.arguments["offsets"], start, part * function.lanes)
        for part in range(vectors)
    ]


def _emit_products(
    function: Function,
    shape: tuple[int, int],
    filters: Any,
    group: Any,
    first: Any,
    last: Any,
    begun: list[Any],
) -> list[Any]:
    """Add the products of a group's windows with some taps of a tile of filters."""
    given, lanes = function.arguments, function.lanes
    vectors, windows = shape
    width = vectors * lanes
    group_start = function.place((group, windows))
    starts = [
        function.pointer(given["pixels"], function.number(given["bases"], group_start, window))
        for window in range(windows)
    ]
    taps, own = function.pointer(given["taps"], first), function.pointer(filters, (first, width))
    with function.loop(function.difference(last, first), begun) as tap:
        place = function.number(taps, tap.index)
        weights = [function.load(own, (tap.index, width), part * lanes) for part in range(vectors)]
        for window in range(windows):
            pixel = function.spread(starts[window], place)
            for part, weight in enumerate(weights):
                at = window * vectors + part
                tap.handed_on[at] = function.fma(pixel, weight, tap.values[at])
    return tap.values
