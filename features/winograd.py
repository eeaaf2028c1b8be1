"""Convolve with a quarter of the multiplications, rectify and pool in one pass.

The minimal filtering of Winograd (1980), as Lavin and Gray (2016, CVPR) apply it to images: a tile
of 4 x 4 responses comes from ``(p + 3)^2`` products instead of ``16 p^2``. Pixels and filters are
turned beforehand; the products of one column of a tile, for several tiles at once, stay in
registers, are turned back, and the responses are rectified and summed without being stored.
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
    address,
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
        vectors = -(-self._count // lanes)
        turned = np.zeros((vectors * lanes, channels, side, side))
        # Column by column: the second pass works along a column first.
        turned[: self._count] = np.einsum(
            "ia,ncab,jb->ncji", turn_filter, filters.astype(np.float64), turn_filter, optimize=True
        )
        self._filters = aligned((vectors, channels, side, side, lanes))
        self._filters[...] = turned.reshape(vectors, lanes, channels, side, side).transpose(
            0, 2, 3, 4, 1
        )
        self._offsets = aligned((vectors * lanes,))
        self._offsets[: self._count] = offsets
        self._thresholds = aligned((rectifiers.count,))
        self._thresholds[...] = rectifiers.thresholds()
        self._row = _whole_vectors(side * side, lanes)
        self._turn = aligned((side * side, self._row))
        both = np.einsum("ia,jb->abji", turn_pixels, turn_pixels)
        self._turn[:, : side * side] = both.reshape(side * side, side * side)
        self._at_once = max(1, _TURNED_BYTES // (4 * channels * self._row) // self._tiles_at_once)
        self._turn_function = _turn_function(machine, side)
        self._pool_function = _pool_function(machine, patch, rectifiers.falling())
        self._shape = (self._at_once * self._tiles_at_once, channels, self._row)
        # One for each thread that uses this object.
        self._scratch = local()

    def sums(
        self, pixels: NDArray[np.float32], windows: NDArray[np.bool_], top: int = 0, left: int = 0
    ) -> NDArray[np.float64]:
        """Sum the rectified responses of a rectangle of windows.

        Parameters
        ----------
        pixels : numpy.ndarray of float32, shape (C, H, W)
            C-contiguous and finite, with ``TILE - 1`` more pixels to the right and below than the
            windows need.
        windows : numpy.ndarray of bool, shape (n, m)
            Windows that count.
        top, left : int
            Upper-left pixel of the first window.

        Returns
        -------
        numpy.ndarray of float64, shape (columns, N)
            Sums over the windows that count, column by column of the rectifiers.
        """
        channels, height, width = pixels.shape
        down, right = (-(-size // TILE) for size in windows.shape)
        whole = np.zeros((down * TILE, right * TILE), bool)
        whole[: windows.shape[0], : windows.shape[1]] = windows
        tiles = whole.reshape(down, TILE, right, TILE).swapaxes(1, 2).reshape(-1, TILE * TILE)
        used = np.flatnonzero(tiles.any(axis=1))
        rows, columns = np.divmod(used, right)
        bases = (top + TILE * rows) * width + left + TILE * columns
        together = self._tiles_at_once
        groups = -(-len(used) // together)
        weights = np.zeros((groups * together, TILE * TILE), np.float32)
        weights[: len(used)] = tiles[used]
        turned = self._turned_pixels()
        out = np.zeros((self._rectifiers.count, len(self._offsets)))
        for first in range(0, groups, self._at_once):
            some = bases[first * together : (first + self._at_once) * together]
            self._turn_function(
                pixels.ctypes.data,
                some.ctypes.data,
                len(some),
                channels,
                height * width,
                width,
                self._turn.ctypes.data,
                turned.ctypes.data,
            )
            last = min(first + self._at_once, groups)
            for group in range(first, last, _GROUPS_PER_FLUSH):
                self._pool_function(
                    address(turned, (group - first) * together),
                    address(weights, group * together),
                    min(_GROUPS_PER_FLUSH, last - group),
                    channels,
                    len(self._filters),
                    self._filters.ctypes.data,
                    self._offsets.ctypes.data,
                    self._thresholds.ctypes.data,
                    out.ctypes.data,
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


def _tiles_at_once(machine: Machine, side: int) -> int:
    """Return the tiles of which one column's products fit the registers, with room to work."""
    return max(1, (machine.registers - (8 if machine.registers >= 32 else 3)) // side)


def _whole_vectors(numbers: int, lanes: int) -> int:
    return -(-numbers // lanes) * lanes


@lru_cache(maxsize=16)
def _turn_function(machine: Machine, side: int) -> Callable[..., None]:
    """Compile: the pixels of every tile and band, times the matrix that turns both directions."""
    lanes = machine.lanes
    row = _whole_vectors(side * side, lanes)
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
    with function.loop(given["tiles"]) as tile, function.loop(given["channels"]) as channel:
        base = function.number(given["bases"], tile.index)
        image = function.pointer(given["pixels"], base, (channel.index, given["plane"]))
        vectors = range(row // lanes)
        with function.loop(side, [function.zero for _ in vectors]) as down:
            line = function.pointer(image, (down.index, given["width"]))
            totals = list(down.values)
            for right in range(side):
                pixel = function.spread(line, right)
                place = function.place((down.index, side * row), right * row)
                for part in vectors:
                    factor = function.load(given["matrix"], place, part * lanes)
                    totals[part] = function.fma(pixel, factor, totals[part])
            down.handed_on = totals
        start = function.place((tile.index, given["channels"]), channel.index)
        for part in vectors:
            function.store(down.values[part], given["turned"], (start, row), part * lanes)
    return function.compile()


@lru_cache(maxsize=16)
def _pool_function(machine: Machine, patch: int, falling: tuple[bool, ...]) -> Callable[..., None]:
    """Compile: products, responses, rectified sums, a vector of filters by a group of tiles."""
    lanes = machine.lanes
    points = _points(patch)
    side = len(points) + 1
    row = _whole_vectors(side * side, lanes)
    together = _tiles_at_once(machine, side)
    arguments = {
        "turned": FLOATS,
        "weights": FLOATS,
        "groups": INT,
        "channels": INT,
        "vectors": INT,
        "filters": FLOATS,
        "offsets": FLOATS,
        "thresholds": FLOATS,
        "out": DOUBLES,
    }
    function = Function("pool", arguments, lanes)
    given = function.arguments
    half_done = function.room(together * TILE * side)
    sums = function.room(len(falling))
    thresholds = [function.spread(given["thresholds"], k) for k in range(len(falling))]
    tile_size = function.place((given["channels"], row))
    filters_size = function.place((given["channels"], side * side * lanes))
    with function.loop(given["vectors"]) as vector:
        filters = function.pointer(given["filters"], (vector.index, filters_size))
        offsets = function.load(given["offsets"], (vector.index, lanes))
        for column in range(len(falling)):
            function.store(function.zero, sums, column * lanes)
        with function.loop(given["groups"]) as group:
            first = function.place((group.index, together))
            tiles = [
                function.pointer(given["turned"], (function.place(first, tile), tile_size))
                for tile in range(together)
            ]
            _emit_products(function, points, tiles, filters, given["channels"], half_done)
            with function.loop(together) as tile:
                done = function.pointer(half_done, (tile.index, TILE * side * lanes))
                responses = _emit_responses(function, points, done, offsets)
                begin = function.place((function.place(first, tile.index), TILE * TILE))
                counted = [
                    function.spread(given["weights"], begin, window)
                    for window in range(TILE * TILE)
                ]
                emit_sums(function, responses, counted, thresholds, falling, sums)
        begin = function.place((vector.index, lanes))
        everything = function.place((given["vectors"], lanes))
        emit_flush(function, sums, len(falling), given["out"], begin, everything)
    return function.compile()


def _emit_products(
    function: Function,
    points: tuple[Fraction, ...],
    tiles: list[Any],
    filters: Any,
    channels: Any,
    half_done: Any,
) -> None:
    """Emit the products of several tiles, column by column, each turned back along itself."""
    lanes = function.lanes
    side = len(points) + 1
    row = _whole_vectors(side * side, lanes)
    with function.loop(side) as across:
        nothing = [function.zero] * (len(tiles) * side)
        with function.loop(channels, nothing) as channel:
            place = function.place((channel.index, row), (across.index, side))
            factors = function.place(
                (channel.index, side * side * lanes), (across.index, side * lanes)
            )
            for down in range(side):
                factor = function.load(filters, factors, down * lanes)
                for index, tile in enumerate(tiles):
                    at = index * side + down
                    pixel = function.spread(tile, place, down)
                    channel.handed_on[at] = function.fma(pixel, factor, channel.values[at])
        for index in range(len(tiles)):
            products = channel.values[index * side : (index + 1) * side]
            for down, value in enumerate(_turn_back(function, points, products)):
                line = (index * TILE + down) * side * lanes
                function.store(value, half_done, (across.index, lanes), line)


def _emit_responses(
    function: Function, points: tuple[Fraction, ...], half_done: Any, offsets: Any
) -> list[Any]:
    """Emit the responses of one tile, row by row."""
    side = len(points) + 1
    responses = []
    for down in range(TILE):
        values = [
            function.load(half_done, (down * side + across) * function.lanes)
            for across in range(side)
        ]
        responses += [
            function.build.fadd(value, offsets) for value in _turn_back(function, points, values)
        ]
    return responses


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
