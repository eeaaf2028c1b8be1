"""Convolve with a quarter of the multiplications, rectify and pool in one pass.

The minimal filtering of Winograd (1980), as Lavin and Gray (2016, CVPR) apply it to images: a tile
of 4 x 4 responses comes from ``(p + 3)^2`` products instead of ``16 p^2``. Pixels and filters are
turned beforehand; half a line of the products of several tiles stays in registers, lines are turned
back along themselves, then across, and the responses are rectified and summed.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from threading import local
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

# Side of a tile of responses.
TILE = 4
# For each patch size, the points (beside infinity) whose rounding errors were smallest of all
# choices of small fractions: 1e-6, 1e-6, 2e-6 and 7e-6 of a response's standard deviation.
POINTS = {
    3: ("0", "1", "-1", "2", "-2"),
    4: ("0", "1", "-1", "2", "-2", "-1/3"),
    5: ("0", "1", "-1", "2", "-2", "1/2", "-1/2"),
    6: ("0", "1", "-1", "1/2", "-1/2", "3/2", "-3/2", "-4"),
}
# Turned pixels that stay in the second-level cache.
_TURNED_BYTES = 512 * 1024
# A set of filters of more bytes does not stay in the first-level cache beside the pixels; then
# each line of it is multiplied with this many groups of tiles before the next one comes.
_FILTER_BYTES = 20 * 1024
_GROUPS_A_LINE = 4
# Single-precision sums over this many groups of tiles, then double precision.
_GROUPS_PER_FLUSH = 32


class WinogradKernel:
    """A set of filters made ready for minimal filtering.

    Parameters
    ----------
    filters : numpy.ndarray of float32, shape (N, C, p, p)
        The filters; p a key of ``POINTS``.
    offsets : numpy.ndarray of float32, shape (N,)
        Constant part of every response.
    rectifiers : Rectifiers
        The columns wanted.
    """

    def __init__(
        self, filters: NDArray[np.float32], offsets: NDArray[np.float32], rectifiers: Rectifiers
    ) -> None:
        machine = this_machine()
        self._count, channels, patch, _ = filters.shape
        self._rectifiers = rectifiers
        _, turn_filter, turn_pixels = matrices(patch)
        side = len(turn_filter)
        self._tiles_at_once = _tiles_at_once(machine, side)
        lanes = machine.lanes
        vectors = _pieces(machine, side)
        sets = -(-self._count // (vectors * lanes))
        turned = np.zeros((sets * vectors * lanes, side, channels, side))
        turned[: self._count] = np.einsum(
            "ia,ncab,jb->nicj", turn_filter, filters.astype(np.float64), turn_filter, optimize=True
        )
        # Line by line, each with all of its bands: the products of a line are added up together.
        self._filters = aligned((sets, side, channels, side, vectors, lanes))
        self._filters[...] = turned.reshape(sets, vectors, lanes, side, channels, side).transpose(
            0, 3, 4, 5, 1, 2
        )
        self._offsets = aligned((sets * vectors * lanes,))
        self._offsets[: self._count] = offsets
        self._thresholds = aligned((rectifiers.count,))
        self._thresholds[...] = rectifiers.thresholds()
        self._row = _row(side, lanes)
        self._turn = aligned((side, _whole_vectors(side, lanes)))
        self._turn[:, :side] = turn_pixels.T
        self._at_once = max(1, _TURNED_BYTES // (4 * channels * self._row) // self._tiles_at_once)
        self._turn_function = _turn_function(machine, patch)
        groups_a_line = 1 if self._filters[0].nbytes <= _FILTER_BYTES else _GROUPS_A_LINE
        self._pool_function = _pool_function(
            machine, patch, rectifiers.count, rectifiers.sides, groups_a_line
        )
        self._shape = (self._at_once * self._tiles_at_once, channels, self._row)
        constants = (self._turn, self._filters, self._offsets, self._thresholds)
        self._addresses = tuple(array.ctypes.data for array in constants)
        # One for each thread that uses this object.
        self._scratch = local()

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """See ``features.kernel.Kernel.sums``."""
        channels, height, width = pixels.shape
        together = self._tiles_at_once
        rows, columns, weights = _tiles(windows, together)
        bases = (rows + top) * width + columns + left
        groups = len(weights) // together
        turned = self._turned_pixels()
        out = np.zeros((self._rectifiers.count, len(self._offsets)))
        # Looking an array's address up takes as long as multiplying a tile.
        image, ready, result = pixels.ctypes.data, turned.ctypes.data, out.ctypes.data
        counting = weights.ctypes.data
        for first in range(0, groups, self._at_once):
            some = bases[first * together : (first + self._at_once) * together]
            self._turn_function(
                image,
                some.ctypes.data,
                len(some),
                channels,
                height * width,
                width,
                self._addresses[0],
                ready,
            )
            last = min(first + self._at_once, groups)
            for group in range(first, last, _GROUPS_PER_FLUSH):
                self._pool_function(
                    ready + (group - first) * together * turned.strides[0],
                    counting + group * together * weights.strides[0],
                    min(_GROUPS_PER_FLUSH, last - group),
                    channels,
                    len(self._filters),
                    *self._addresses[1:],
                    result,
                )
        return out[:, : self._count]

    def _turned_pixels(self) -> NDArray[np.float32]:
        # What an earlier call left in unused tiles is finite, and their windows weigh nothing.
        if not hasattr(self._scratch, "turned"):
            self._scratch.turned = aligned(self._shape)
        turned: NDArray[np.float32] = self._scratch.turned
        return turned

    def __reduce__(self) -> Any:
        raise TypeError("a kernel is machine code; send the bank and make the kernel there")


def _tiles(
    windows: NDArray[np.bool_], together: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the corners of the tiles that hold windows which count, and the windows' weights."""
    # Most squares of a region are alike, and laying them out takes as long as a tenth of them.
    if windows.all():
        return _tiles_of_all(*windows.shape, together)
    return _lay_out(windows, together)


@lru_cache(maxsize=8)
def _tiles_of_all(
    down: int, right: int, together: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    return _lay_out(np.ones((down, right), bool), together)


def _lay_out(
    windows: NDArray[np.bool_], together: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    down, right = (-(-size // TILE) for size in windows.shape)
    whole = np.zeros((down * TILE, right * TILE), bool)
    whole[: windows.shape[0], : windows.shape[1]] = windows
    tiles = whole.reshape(down, TILE, right, TILE).swapaxes(1, 2).reshape(-1, TILE * TILE)
    used = np.flatnonzero(tiles.any(axis=1))
    rows, columns = np.divmod(used, right)
    # Of each window in a tile, and their sum; the last group is filled up with tiles of nothing.
    weights = np.zeros((-(-len(used) // together) * together, TILE * TILE + 1), np.float32)
    weights[: len(used), :-1] = tiles[used]
    weights[:, -1] = weights[:, :-1].sum(axis=1)
    return TILE * rows, TILE * columns, weights


def matrices(
    patch: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the three matrices of minimal filtering, made with exact fractions.

    Parameters
    ----------
    patch : int
        Number of taps.

    Returns
    -------
    back : numpy.ndarray of float64, shape (TILE, n)
        From products to responses; ``n = TILE + patch - 1``.
    turn_filter : numpy.ndarray of float64, shape (n, patch)
        From taps to factors.
    turn_pixels : numpy.ndarray of float64, shape (n, n)
        From pixels to factors: ``back @ ((turn_filter @ g) * (turn_pixels @ d))`` correlates the
        pixels ``d`` with the taps ``g``.

    Notes
    -----
    Toom and Cook: polynomials are multiplied by their values at ``n - 1`` points and at infinity,
    and the transposed algorithm filters.
    """
    points = _points(patch)
    back = [
        [*(point**index for point in points), Fraction(index == TILE - 1)] for index in range(TILE)
    ]
    turn_filter, turn_pixels = [], []
    for chosen in points:
        others = [point for point in points if point != chosen]
        scale = Fraction(1)
        for other in others:
            scale *= chosen - other
        turn_filter.append([chosen**power / scale for power in range(patch)])
        turn_pixels.append([*_with_roots(others), Fraction(0)])
    turn_filter.append([Fraction(power == patch - 1) for power in range(patch)])
    turn_pixels.append(_with_roots(list(points)))
    return (
        np.array(back).astype(np.float64),
        np.array(turn_filter).astype(np.float64),
        np.array(turn_pixels).astype(np.float64),
    )


def _points(patch: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(point) for point in POINTS[patch])


def _with_roots(roots: list[Fraction]) -> list[Fraction]:
    """Return the coefficients, the constant first, of the product of ``x - root``."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [root * value for value in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _pieces(machine: Machine, side: int) -> int:
    """Return in how many pieces a line is multiplied, each with as many vectors of filters.

    A short line of four tiles fits the registers. Of a long one half fits, and multiplying each
    pixel that was loaded with two vectors of filters saves loads.
    """
    return 1 if _room(machine) >= 4 * side else 2


def _tiles_at_once(machine: Machine, side: int) -> int:
    """Return the tiles of which a piece of a line of products fits the registers."""
    pieces = _pieces(machine, side)
    return max(1, _room(machine) // (pieces * -(-side // pieces)))


def _room(machine: Machine) -> int:
    return machine.registers - (8 if machine.registers >= 32 else 3)


def _whole_vectors(numbers: int, lanes: int) -> int:
    return -(-numbers // lanes) * lanes


def _row(side: int, lanes: int) -> int:
    """Return the room for one band of a turned tile: the last line is stored as whole vectors."""
    return _whole_vectors(side * (side - 1) + _whole_vectors(side, lanes), lanes)


@lru_cache(maxsize=16)
def _turn_function(machine: Machine, patch: int) -> Callable[..., None]:
    """Compile: the pixels of every tile and band, turned along their lines, then across."""
    lanes = machine.lanes
    across = matrices(patch)[2]
    side = len(across)
    arguments = {
        "pixels": FLOATS,
        "bases": INTS,
        "tiles": INT,
        "channels": INT,
        "plane": INT,
        "width": INT,
        "matrix": FLOATS,
        "turned": FLOATS,
    }
    function = Function("turn", arguments, lanes)
    given = function.arguments
    row = _row(side, lanes)
    long = _whole_vectors(side, lanes)
    with function.loop(given["tiles"]) as tile, function.loop(given["channels"]) as channel:
        base = function.number(given["bases"], tile.index)
        image = function.pointer(given["pixels"], base, (channel.index, given["plane"]))
        start = function.place((tile.index, given["channels"]), channel.index)
        turned = function.pointer(given["turned"], (start, row))
        lines: list[list[Any]] = [[] for _ in range(side)]
        for part in range(0, long, lanes):
            columns = [function.load(given["matrix"], right * long + part) for right in range(side)]
            for down, values in enumerate(lines):
                line = function.pointer(image, (down, given["width"]))
                value = function.zero
                for right, column in enumerate(columns):
                    value = function.fma(function.spread(line, right), column, value)
                values.append(value)
        for down in range(side):
            for part in range(long // lanes):
                value = function.zero
                for values, factor in zip(lines, across[down], strict=True):
                    if factor:
                        known = function.constant(float(factor))
                        value = function.fma(values[part], known, value)
                # Reaches into the next line, which is stored after it.
                function.store(value, turned, down * side + part * lanes, alignment=4)
    return function.compile()


@lru_cache(maxsize=16)
def _pool_function(
    machine: Machine, patch: int, columns: int, sides: str, groups_a_line: int
) -> Callable[..., None]:
    """Compile: products, responses, rectified sums, a set of filters by a group of tiles."""
    lanes = machine.lanes
    points = _points(patch)
    side = len(points) + 1
    together, vectors = _tiles_at_once(machine, side), _pieces(machine, side)
    arguments = {
        "turned": FLOATS,
        "weights": FLOATS,
        "groups": INT,
        "channels": INT,
        "sets": INT,
        "filters": FLOATS,
        "offsets": FLOATS,
        "thresholds": FLOATS,
        "out": DOUBLES,
    }
    function = Function("pool", arguments, lanes)
    given = function.arguments
    tile_room = vectors * TILE * side * lanes
    half_done = function.room(groups_a_line * together * tile_room // lanes)
    sums = function.room(vectors * columns)
    thresholds = [function.spread(given["thresholds"], k) for k in range(columns)]
    tile_size = function.place((given["channels"], _row(side, lanes)))
    line_size = function.place((given["channels"], side * vectors * lanes))
    width = vectors * lanes
    with function.loop(given["sets"]) as some:
        filters = function.pointer(
            given["filters"], (some.index, function.place((line_size, side)))
        )
        with function.loop(vectors * columns) as column:
            function.store(function.zero, sums, (column.index, lanes))
        with function.loop(given["groups"], step=groups_a_line) as chunk:
            groups = function.least(
                function.place(given["groups"], (chunk.index, -1)), groups_a_line
            )
            with function.loop(side) as line, function.loop(groups) as group:
                first = function.place((function.place(chunk.index, group.index), together))
                tiles = [
                    function.pointer(
                        given["turned"],
                        (function.place(first, tile), tile_size),
                        (line.index, side),
                    )
                    for tile in range(together)
                ]
                factors = function.pointer(filters, (line.index, line_size))
                products = _emit_products(
                    function, side, vectors, tiles, factors, given["channels"]
                )
                for own, values in enumerate(products):
                    place = function.place((group.index, together * tile_room))
                    done = function.place(place, (line.index, lanes))
                    for right, value in enumerate(_turn_back(function, points, values)):
                        at = (own * TILE + right) * side * lanes
                        function.store(value, half_done, done, at)
            with (
                function.loop(vectors) as vector,
                function.loop(function.place((groups, together))) as tile,
            ):
                place = function.place((chunk.index, together), tile.index)
                *weights, counted = [
                    function.spread(given["weights"], (place, TILE * TILE + 1), window)
                    for window in range(TILE * TILE + 1)
                ]
                done = function.pointer(
                    half_done, (tile.index, tile_room), (vector.index, TILE * side * lanes)
                )
                offsets = function.load(
                    given["offsets"], (some.index, width), (vector.index, lanes)
                )
                responses = _emit_responses(function, points, done, offsets)
                own = function.pointer(sums, (vector.index, columns * lanes))
                emit_sums(function, responses, weights, counted, thresholds, sides, own)
        everything = function.place((given["sets"], width))
        with function.loop(vectors) as vector:
            begin = function.place((some.index, width), (vector.index, lanes))
            own = function.pointer(sums, (vector.index, columns * lanes))
            emit_flush(function, own, columns, given["out"], begin, everything)
    return function.compile()


def _emit_products(
    function: Function, side: int, vectors: int, tiles: list[Any], filters: Any, channels: Any
) -> list[list[Any]]:
    """Emit the products of one line of several tiles, tile by tile and vector by vector."""
    lanes = function.lanes
    row = _row(side, lanes)
    products: list[list[Any]] = [[] for _ in range(len(tiles) * vectors)]
    size = -(-side // vectors)
    for begin in range(0, side, size):
        part = range(begin, min(begin + size, side))
        nothing = [function.zero] * (len(part) * len(products))
        with function.loop(channels, nothing) as channel:
            place = function.place((channel.index, row))
            factors = function.place((channel.index, side * vectors * lanes))
            at = 0
            for right in part:
                several = [
                    function.load(filters, factors, (right * vectors + vector) * lanes)
                    for vector in range(vectors)
                ]
                for tile in tiles:
                    pixel = function.spread(tile, place, right)
                    for factor in several:
                        channel.handed_on[at] = function.fma(pixel, factor, channel.values[at])
                        at += 1
        for at, value in enumerate(channel.values):
            products[at % len(products)].append(value)
    return products


def _emit_responses(
    function: Function, points: tuple[Fraction, ...], half_done: Any, offsets: Any
) -> list[Any]:
    """Emit the responses of one tile, row by row."""
    side = len(points) + 1
    columns = []
    for right in range(TILE):
        values = [
            function.load(half_done, (right * side + down) * function.lanes) for down in range(side)
        ]
        # What is added at the point 1 is added to every response.
        one = points.index(Fraction(1))
        values[one] = function.build.fadd(values[one], offsets)
        columns.append(_turn_back(function, points, values))
    return [columns[right][down] for down in range(TILE) for right in range(TILE)]


def _turn_back(function: Function, points: tuple[Fraction, ...], products: list[Any]) -> list[Any]:
    """Emit ``back @ products``; a point and its negative share their even and odd parts."""
    build = function.build
    results: list[Any] = [products[0]] + [None] * (TILE - 1)

    def add(index: int, factor: Fraction, value: Any) -> None:
        if results[index] is None:
            known = function.constant(float(factor))
            results[index] = value if factor == 1 else build.fmul(known, value)
        elif factor == 1:
            results[index] = build.fadd(results[index], value)
        else:
            results[index] = function.fma(function.constant(float(factor)), value, results[index])

    for place, point in enumerate(points):
        negative = -point
        if point == 0 or (point < 0 and negative in points):
            continue
        value = products[place]
        parts = (value, value)
        if negative in points:
            mirror = products[points.index(negative)]
            parts = (build.fadd(value, mirror), build.fsub(value, mirror))
        for index in range(TILE):
            add(index, point**index, parts[index % 2])
    add(TILE - 1, Fraction(1), products[-1])
    return results
