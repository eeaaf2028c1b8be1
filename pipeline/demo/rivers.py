"""A branching river network: shortest paths over a rough surface, warped into meanders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from pipeline.demo.frame import Floats, smooth_noise

# Pixels between the nodes of the drainage graph.
_NODE_PX = 12
# Nodes that must drain through a node before it is a stream (about 1.2 square kilometres).
_STREAM = 100
# Nodes that the trunk has drained before it enters the frame.
_INFLOW = 150_000.0
# Hydraulic geometry: pixels of width per square root of drained nodes (the trunk: 80 to 110 m).
_WIDTH = 0.022


@dataclass(frozen=True)
class Stem:
    """One river from its head, or from where it leaves the frame, to its mouth.

    Parameters
    ----------
    points : numpy.ndarray of float64, shape (n, 2)
        Column and row, pixels, about 6 pixels apart.
    width : numpy.ndarray of float64, shape (n,)
        Width of the water, pixels; below 1 the canopy hides it.
    """

    points: NDArray[np.float64]
    width: NDArray[np.float64]

    @property
    def directions(self) -> NDArray[np.float64]:
        """Unit tangents, shape (n, 2)."""
        tangent = np.gradient(self.points, axis=0)
        return np.asarray(tangent / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None])

    @property
    def curvature(self) -> NDArray[np.float64]:
        """Signed change of direction per pixel, positive towards the right bank."""
        direction = np.unwrap(np.arctan2(*self.directions.T[::-1]))
        turn = np.gradient(direction) / np.maximum(
            np.hypot(*np.gradient(self.points, axis=0).T), 1e-9
        )
        return np.asarray(ndimage.gaussian_filter1d(turn, 2))


def river_network(rng: np.random.Generator, shape: tuple[int, int]) -> list[Stem]:
    """Return the rivers of a frame, the trunk (which crosses it from side to side) first."""
    rows, cols = shape[0] // _NODE_PX + 2, shape[1] // _NODE_PX + 2
    trunk_row = rows * 0.5 + rows * 0.13 * _smooth_line(rng, cols, 18)
    across = np.abs(np.arange(rows)[:, None] - trunk_row[None, :])
    # The trunk's valley is cheap to follow, so that one large river collects all the others.
    cost = np.exp(1.9 * smooth_noise(rng, (rows, cols), 5) + smooth_noise(rng, (rows, cols), 2))
    cost *= np.where(across < 3, 0.12, 1.0)
    downstream_col = cols - 1 if rng.random() < 0.5 else 0
    outlet = int(np.argmin(across[:, downstream_col])) * cols + downstream_col
    distance, parent = csgraph.dijkstra(
        _graph(cost), indices=outlet, return_predecessors=True, directed=False
    )
    order = np.argsort(-distance, kind="stable")
    flow = np.ones(rows * cols)
    inlet = int(np.argmin(across[:, cols - 1 - downstream_col])) * cols + cols - 1 - downstream_col
    flow[inlet] = _INFLOW
    for node in order[:-1]:
        flow[parent[node]] += flow[node]
    warp = _warp(rng, (rows, cols))
    return _stems(order, parent, flow, inlet, outlet, warp)


def _smooth_line(rng: np.random.Generator, size: int, sigma: float) -> NDArray[np.float64]:
    line = ndimage.gaussian_filter1d(rng.standard_normal(size), sigma, mode="reflect")
    return np.asarray((line - line.mean()) / line.std())


def _graph(cost: NDArray[np.float64] | Floats) -> sparse.csr_array:
    """Link each node to its eight neighbours; a link costs its length times the mean cost."""
    rows, cols = cost.shape
    node = np.arange(rows * cols).reshape(rows, cols)
    links = []
    for a, b, length in (
        (np.s_[:, :-1], np.s_[:, 1:], 1.0),
        (np.s_[:-1, :], np.s_[1:, :], 1.0),
        (np.s_[:-1, :-1], np.s_[1:, 1:], 2**0.5),
        (np.s_[:-1, 1:], np.s_[1:, :-1], 2**0.5),
    ):
        links.append((node[a].ravel(), node[b].ravel(), (length * (cost[a] + cost[b]) / 2).ravel()))
    start, stop, weight = (np.concatenate(parts) for parts in zip(*links, strict=True))
    return sparse.csr_array((weight, (start, stop)), shape=(node.size, node.size))


def _warp(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Position of each node in pixels, displaced so that every channel through it meanders."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    grid = np.stack([x, y], axis=-1) * _NODE_PX
    for axis in range(2):
        grid[..., axis] += 33 * smooth_noise(rng, shape, 4.5) + 10 * smooth_noise(rng, shape, 2)
    return grid.reshape(-1, 2)


def _stems(
    order: NDArray[np.int64],
    parent: NDArray[np.int32],
    flow: NDArray[np.float64],
    inlet: int,
    outlet: int,
    position: NDArray[np.float64],
) -> list[Stem]:
    """Trace every stream from its head down to a river already traced."""
    wet = flow >= _STREAM
    placed: dict[int, NDArray[np.float64]] = {}
    stems = []
    fed = np.zeros(flow.size, bool)
    children = np.flatnonzero(wet & (np.arange(flow.size) != outlet))
    fed[parent[children]] = True
    # The trunk comes first: it enters from outside the frame.
    heads = [inlet] + [int(n) for n in order if wet[n] and not fed[n] and n != inlet]
    for head in heads:
        path = [head]
        while path[-1] != outlet and path[-1] not in placed:
            path.append(int(parent[path[-1]]))
        if len(path) < 8:
            continue
        points = position[path].copy()
        smooth = ndimage.gaussian_filter1d(points, 1.2, axis=0, mode="nearest")
        smooth[0] = points[0]
        # A tributary ends where the river that it joins really runs.
        smooth[-1] = placed.get(path[-1], points[-1])
        for node, point in zip(path[:-1], smooth[:-1], strict=True):
            placed[node] = point
        placed.setdefault(path[-1], smooth[-1])
        at = np.arange(len(path))
        dense = np.arange(0, len(path) - 1 + 1e-9, 0.5)
        fine = np.stack([np.interp(dense, at, smooth[:, k]) for k in range(2)], axis=1)
        fine[1:-1] = ndimage.gaussian_filter1d(fine, 1.0, axis=0, mode="nearest")[1:-1]
        width = np.interp(dense, at, _WIDTH * np.sqrt(flow[path]))
        stems.append(Stem(fine, width))
    return stems
