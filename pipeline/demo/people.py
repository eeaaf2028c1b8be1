"""What people made besides mines: villages, roads, fields, farm ponds, quarries, a large pit."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from pipeline.demo.canvas import Canvas
from pipeline.demo.frame import HECTARE_PX, blob, fractal_noise, smooth_noise
from pipeline.demo.nature import Nature, outline, stamp

Points = NDArray[np.float64]
_WATERS = (
    "orange_water",
    "milky_water",
    "green_water",
    "green_water",
    "green_water",
    "dark_water",
    "dark_water",
)


def place_villages(rng: np.random.Generator, shape: tuple[int, int], count: int) -> Points:
    """Return the centres of villages, shape (n, 2), pixels, at least 500 m apart."""
    chosen: list[NDArray[np.float64]] = []
    while len(chosen) < count:
        point = rng.uniform((0, 0), (shape[1], shape[0]))
        if all(np.hypot(*(point - other)) > 55 for other in chosen):
            chosen.append(point)
    return np.array(chosen)


def draw_roads(rng: np.random.Generator, canvas: Canvas, villages: Points) -> list[BaseGeometry]:
    """Paint laterite roads and tracks between villages; return the roads as polygons."""
    near = cKDTree(villages)
    distance, neighbour = near.query(villages, k=min(6, len(villages)))
    start = np.repeat(np.arange(len(villages)), distance.shape[1] - 1)
    links = sparse.csr_array(
        (distance[:, 1:].ravel(), (start, neighbour[:, 1:].ravel())), shape=(len(villages),) * 2
    )
    tree = csgraph.minimum_spanning_tree(links).tocoo()
    pairs = list(zip(tree.row.tolist(), tree.col.tolist(), strict=True))
    extra = rng.choice(len(start), len(villages) // 4, replace=False)
    pairs += [(int(start[k]), int(neighbour[:, 1:].ravel()[k])) for k in extra]
    roads: list[BaseGeometry] = []
    lines: list[BaseGeometry] = []
    paints = []
    for a, b in pairs:
        line = wander(rng, villages[a], villages[b], 0.06)
        large = rng.random() < 0.35
        mix = {"laterite": 1.0, "sand": float(rng.uniform(0, 0.6))}
        paint = canvas.paint(rng, "road", mix, cover=0.9 if large else 0.45)
        if large:
            polygon = line.buffer(rng.uniform(0.6, 0.95))
            roads.append(polygon)
            lines.append(polygon)
        else:
            lines.append(line)
        paints.append(paint)
    canvas.draw(lines, paints)
    return roads


def wander(
    rng: np.random.Generator, start: Points, stop: Points, strength: float
) -> shapely.LineString:
    """Return a winding line between two points."""
    length = float(np.hypot(*(stop - start)))
    steps = max(3, int(length / 5))
    t = np.linspace(0, 1, steps)
    straight = start + t[:, None] * (stop - start)
    sway = sum(
        rng.standard_normal() / k * np.sin(k * np.pi * t) for k in range(1, max(3, steps // 4))
    )
    normal = np.array([-(stop - start)[1], (stop - start)[0]])
    return shapely.LineString(straight + strength * np.asarray(sway)[:, None] * normal)


def draw_village(
    rng: np.random.Generator, canvas: Canvas, centre: Points, hectares: float
) -> BaseGeometry:
    """Paint bare yards, roofs and trees; return the village's outline."""
    mask = blob(rng, HECTARE_PX * hectares, rng.uniform(1, 2.5), rng.uniform(0, np.pi), 0.35)
    yards = fractal_noise(rng, mask.shape, 7, 2, 0.6)
    kept = mask & (yards > -0.45)  # trees stand in the rest
    tone = {"laterite": rng.random(), "brown_soil": rng.random(), "sand": rng.random() + 0.1}
    stamp(canvas, kept, centre, canvas.paint(rng, "village", tone, cover=0.85))
    for _ in range(2):
        patch = kept & (smooth_noise(rng, mask.shape, 4) > 0.35)
        stamp(canvas, patch, centre, canvas.paint(rng, "village", tone, spread=0.25))
    roofs = kept & (rng.random(mask.shape) < rng.uniform(0.04, 0.1))
    which = rng.integers(0, 5, mask.shape)
    for k, name in enumerate(("tin_roof", "rusty_roof", "thatch", "thatch", "rusty_roof")):
        mix = {name: 1.0, "brown_soil": 0.7}  # a house is smaller than a pixel
        stamp(canvas, roofs & (which == k), centre, canvas.paint(rng, "village", mix))
    return outline(canvas, mask, centre)


def draw_fields(
    rng: np.random.Generator, canvas: Canvas, nature: Nature, villages: Points, count: int
) -> list[BaseGeometry]:
    """Paint shifting cultivation around villages; return the bare fields."""
    states = (
        {"brown_soil": 1.0, "straw": 0.4},
        {"red_soil": 1.0, "laterite": 0.6},
        {"straw": 1.0, "sand": 0.5},
        {"sand": 1.0, "laterite": 0.5},
        {"crop": 1.0},
        {"crop": 1.0, "brown_soil": 0.6},
        {"fallow": 1.0},
        {"fallow": 1.0, "crop": 0.7},
        {"ash": 1.0, "brown_soil": 0.4},
    )
    palette = [
        canvas.paint(
            rng, "field", states[k % len(states)], spread=0.15, cover=float(rng.uniform(0.7, 1))
        )
        for k in range(20 * len(states))
    ]
    # Clusters: around villages, and a few out in the bush.
    seeds = np.concatenate(
        [villages, rng.uniform((0, 0), canvas.ids.shape[::-1], (len(villages), 2))]
    )
    owner = rng.integers(0, len(seeds), count)
    reach = rng.gamma(2.0, 28, count)
    turn = rng.uniform(0, 2 * np.pi, count)
    centre = seeds[owner] + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    size = np.exp(rng.normal(np.log(5.6), 0.5, count))[:, None]
    tilt = (rng.normal(0, 0.25, count) + owner * 2.4)[:, None]
    corner = np.array([0.25, 0.75, 1.25, 1.75]) * np.pi + rng.normal(0, 0.22, (count, 4))
    corner = np.sort(corner, axis=1)
    stretch = rng.uniform(1.0, 1.9, count)[:, None]
    x, y = size * stretch * np.cos(corner), size / stretch * np.sin(corner)
    points = centre[:, None, :] + np.stack(
        [x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], axis=-1
    )
    shapes = shapely.polygons(points)
    state = rng.choice(len(states), count, p=_STATE_SHARES)
    paint = state + len(states) * rng.integers(0, 20, count)
    canvas.draw(list(shapes), [palette[k] for k in paint])
    return [shape for shape, k in zip(shapes, state, strict=True) if k in (1, 3)]


_STATE_SHARES = (0.15, 0.14, 0.12, 0.12, 0.11, 0.09, 0.12, 0.08, 0.07)


def draw_farm_ponds(rng: np.random.Generator, canvas: Canvas, places: Points) -> list[BaseGeometry]:
    """Paint groups of regular ponds between bunds; return one polygon a group."""
    groups: list[BaseGeometry] = []
    shapes: list[BaseGeometry] = []
    paints: list[int] = []
    for place in places:
        rows, cols = int(rng.integers(1, 5)), int(rng.integers(2, 6))
        wide, high = rng.uniform(2.6, 5.5), rng.uniform(2.2, 4.5)
        bund = rng.uniform(0.8, 1.6)
        tilt = rng.uniform(0, np.pi)
        y, x = np.mgrid[:rows, :cols].reshape(2, -1)
        keep = rng.random(len(x)) < 0.9
        x0 = (x[keep] - cols / 2) * (wide + bund)
        y0 = (y[keep] - rows / 2) * (high + bund)
        ponds = shapely.box(x0, y0, x0 + wide, y0 + high)
        soil = str(rng.choice(["brown_soil", "laterite", "fallow", "fallow"]))
        ground = shapely.union_all(shapely.buffer(ponds, bund, join_style="mitre"))
        move = [np.cos(tilt), -np.sin(tilt), np.sin(tilt), np.cos(tilt), *place]
        ground, *basins = (shapely.affinity.affine_transform(g, move) for g in (ground, *ponds))
        base = canvas.paint(rng, "farm_pond", {soil: 1.0, "fallow": 0.3})
        # Ponds of one farm are alike, with a few drained or green.
        usual = str(rng.choice(_WATERS))
        names = [
            usual if rng.random() < 0.7 else str(rng.choice((*_WATERS, "sand"))) for _ in basins
        ]
        shapes += [ground, *basins]
        paints += [base, *(canvas.paint(rng, "farm_pond", {name: 1.0}) for name in names)]
        groups.append(ground)
    canvas.draw(shapes, paints)
    return groups


def draw_quarry(rng: np.random.Generator, canvas: Canvas, centre: Points) -> BaseGeometry:
    """Paint a building-stone quarry: a pale floor and a shaded face; return its outline."""
    mask = blob(
        rng, HECTARE_PX * float(np.exp(rng.uniform(-1.5, 0.7))), rng.uniform(1, 1.8), 0.0, 0.15
    )
    floor = {"grey_rock": 1.0, "gravel": rng.random(), "pale_sand": 0.6 * rng.random()}
    stamp(canvas, mask, centre, canvas.paint(rng, "quarry", floor))
    face = mask & ~np.roll(mask, (2, 1), axis=(0, 1))
    stamp(canvas, face, centre, canvas.paint(rng, "quarry", {"ash": 1.0, "grey_rock": 0.5}))
    return outline(canvas, mask, centre)


def draw_industrial_pit(rng: np.random.Generator, canvas: Canvas, centre: Points) -> BaseGeometry:
    """Paint a terraced pit, its tailings pond, dump, plant and straight haul roads."""
    tilt = rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(36, 48)
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wobble = 1 + 0.05 * np.cos(3 * turn + rng.uniform(0, 6)) + 0.04 * np.cos(5 * turn)
    ring = np.stack([1.35 * np.cos(turn), np.sin(turn)], axis=1) * wobble[:, None]
    tones = ({"laterite": 1.0, "sand": 0.4}, {"red_soil": 1.0, "ash": 0.3})
    dam = shapely.box(70, -38, 132, 26)
    dump = shapely.Polygon(ring * 26 + np.array([-10.0, 74.0]))
    roads = (
        ((30, 0), (72, 0)),
        ((0, 30), (0, 52)),
        ((20, 20), (60, 44)),
        ((66, 48), (170, 130)),
    )
    # Shape, materials and spread of each part, the later over the earlier.
    parts: list[tuple[BaseGeometry, dict[str, float], float]] = [
        *(
            (
                shapely.Polygon(ring * radius * (1 - step * 0.115) + step * np.array([1.2, -0.8])),
                tones[step % 2],
                0.05,
            )
            for step in range(8)
        ),
        (shapely.Polygon(ring * radius * 0.1 + 9), {"green_water": 1.0}, 0.12),
        (dam, {"laterite": 1.0}, 0.12),
        (dam.buffer(-2.2, join_style="mitre"), {"milky_water": 1.0, "pale_sand": 0.6}, 0.12),
        (shapely.box(74, -34, 104, 2), {"milky_water": 1.0}, 0.12),
        (dump, {"gravel": 1.0, "red_soil": 0.5}, 0.12),
        (dump.buffer(-7), {"gravel": 1.0}, 0.12),
        (shapely.box(58, 40, 72, 46), {"tin_roof": 1.0}, 0.12),
        (shapely.box(60, 50, 66, 60), {"tin_roof": 1.0, "grey_rock": 0.5}, 0.12),
        *(
            (shapely.LineString(ends).buffer(1.1), {"laterite": 1.0, "sand": 0.6}, 0.03)
            for ends in roads
        ),
    ]
    paints = [canvas.paint(rng, "industrial_pit", mix, spread=spread) for _, mix, spread in parts]
    move = [np.cos(tilt), -np.sin(tilt), np.sin(tilt), np.cos(tilt), *centre]
    placed = [shapely.affinity.affine_transform(shape, move) for shape, _, _ in parts]
    canvas.draw(placed, paints)
    return shapely.union_all(placed)
