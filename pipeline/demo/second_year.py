"""The landscape two years on: mines that came, grew, closed or grew over, a road and a flood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from pipeline.demo import nature, people
from pipeline.demo.canvas import CLASSES, Canvas
from pipeline.demo.frame import HECTARE_PX, smooth_noise
from pipeline.demo.landscape import AREA_PX, BURNS, FIELDS, Painting
from pipeline.demo.mines import Mine, draw_mine, draw_surroundings, place_mines

# How many of each there are in the demo's 0.4 x 0.3 degrees.
NEW, GROWING, ABANDONED, REGROWN = 30, 16, 16, 8
SMALLEST_NEW_HA, LARGEST_NEW_HA = 0.3, 12.0
# New mines keep this far from older ones and from road and flood, pixels: a cell is 60 wide.
APART = 110
_OPEN = ("natural", "burnt", "field")


@dataclass(frozen=True)
class Change:
    """Something that was planted between the two years.

    Parameters
    ----------
    kind : str
        ``new``, ``growing``, ``abandoned``, ``regrown``, ``road`` or ``flood``.
    shape : BaseGeometry
        What changed, pixel coordinates; of a growing mine what was added.
    first_ha, second_ha : float
        Hectares worked in each of the two years.
    """

    kind: str
    shape: BaseGeometry
    first_ha: float
    second_ha: float


def change_landscape(
    painting: Painting, seed: np.random.SeedSequence
) -> tuple[Painting, list[Change]]:
    """Paint the second year over the first.

    Parameters
    ----------
    painting : Painting
        The first year; stays as it is.
    seed : numpy.random.SeedSequence
        Source of all randomness.

    Returns
    -------
    Painting
        The second year; ``mines`` are those that are worked, with what they have grown.
    list of Change
        What was planted.
    """
    rngs = iter([np.random.default_rng(child) for child in seed.spawn(8)])
    canvas = painting.canvas.copy()
    share = painting.frame.area_share

    def many(count: int) -> int:
        return max(1, round(count * share))

    _turn_the_fields(next(rngs), canvas, painting)
    old = [mine.shape for mine in painting.mines]
    flood = _draw_flood(next(rngs), canvas, painting, old)
    road = _draw_road(next(rngs), canvas, painting)
    taken = shapely.STRtree([*old, flood, road])
    fresh = _open_mines(next(rngs), canvas, painting, taken, many(NEW))
    rng = next(rngs)
    order = rng.permutation(len(painting.mines)).tolist()
    closed = [k for k in order if painting.mines[k].kind == "abandoned"]
    order = [k for k in order if k not in closed and painting.mines[k].area_ha >= 0.5]
    # What grows over was given up before the first year, as far as there are such mines.
    regrown = (closed + order)[: many(REGROWN)]
    order = [k for k in order if k not in regrown]
    abandoned, growing = order[: many(ABANDONED)], order[many(ABANDONED) :][: many(GROWING)]
    changes = [Change("new", mine.shape, 0.0, mine.area_ha) for mine in fresh]
    worked = dict(enumerate(painting.mines))
    rng = next(rngs)
    for k in growing:
        mine, added = _grow(rng, canvas, painting.mines[k])
        if added is not None:
            changes.append(Change("growing", added, painting.mines[k].area_ha, mine.area_ha))
            worked[k] = mine
    rng = next(rngs)
    for kind, numbers, left in (("abandoned", abandoned, 0.25), ("regrown", regrown, 0.0)):
        for k in numbers:
            mine = worked.pop(k)
            _grow_over(rng, canvas, mine, left)
            changes.append(Change(kind, mine.shape, mine.area_ha, 0.0))
    changes += [Change("road", road, 0.0, 0.0), Change("flood", flood, 0.0, 0.0)]
    return replace(painting, canvas=canvas, mines=[*worked.values(), *fresh]), changes


def _mask(canvas: Canvas, shape: BaseGeometry) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the part of the canvas around a shape, and which of its pixels the shape holds."""
    west, north, east, south = shape.bounds
    rows, cols = canvas.ids.shape
    down = slice(max(int(north), 0), min(int(south) + 1, rows))
    along = slice(max(int(west), 0), min(int(east) + 1, cols))
    size = (max(down.stop - down.start, 0), max(along.stop - along.start, 0))
    corner = Affine.translation(along.start, down.start)
    if 0 in size:
        return (down, along), np.zeros(size, bool)
    inside = rasterize([(shape, 1)], size, transform=corner, dtype=np.uint8)
    return (down, along), np.asarray(inside, bool)


def _turn_the_fields(rng: np.random.Generator, canvas: Canvas, painting: Painting) -> None:
    """Let old burns green, burn other ground, and clear new fields beside the old ones."""
    canvas.ids[canvas.classes == CLASSES.index("burnt")] = 0
    share = canvas.ids.size / AREA_PX
    beside = canvas.copy()
    nature.draw_burns(rng, beside, painting.nature, max(2, round(BURNS * share)))
    people.draw_fields(
        rng, beside, painting.nature, painting.villages, max(2, round(FIELDS * share / 3))
    )
    free = np.isin(canvas.classes, [CLASSES.index(kind) for kind in _OPEN])
    canvas.take(beside, free)


def _draw_flood(
    rng: np.random.Generator, canvas: Canvas, painting: Painting, mines: list[BaseGeometry]
) -> BaseGeometry:
    """Put the banks of a stretch of a large river, far from mines, under brown water."""
    length = 160
    west, north, east, south = painting.frame.inner
    tree = shapely.STRtree(mines)
    best, chosen = 0.0, painting.stems[0].points[:2]
    for stem in painting.stems:
        for start in range(0, len(stem.points), length // 2):
            part = stem.points[start : start + length]
            col, row = part.T
            kept = (col > west) & (row > north) & (col < east) & (row < south)
            kept[tree.query(shapely.points(part), predicate="dwithin", distance=APART)[0]] = False
            score = float(stem.width[start : start + length].mean() * kept.sum())
            if score > best and kept.sum() > 2:
                best, chosen = score, part[kept]
    banks = shapely.LineString(chosen).buffer(26)
    near = [mines[k].buffer(APART / 2) for k in tree.query(banks, "dwithin", APART / 2)]
    reach = banks.difference(shapely.union_all(near))
    window, mask = _mask(canvas, reach)
    mask &= smooth_noise(rng, mask.shape, 18) > -0.8
    kinds = (*_OPEN, "sandbar", "pool", "river")
    mask &= np.isin(canvas.class_at(window), [CLASSES.index(kind) for kind in kinds])
    water = {"orange_water": 1.0, "river_water": 0.6, "milky_water": 0.4}
    canvas.ids[window][mask] = canvas.paint(rng, "river", water, spread=0.05, cover=0.95)
    # Where the water has gone down, it has left sand and silt.
    silt = mask & (smooth_noise(rng, mask.shape, 25) > 0.9)
    canvas.ids[window][silt] = canvas.paint(
        rng, "sandbar", {"gravel": 1.0, "sand": 0.7, "brown_soil": 0.5}, cover=0.9
    )
    return nature.outline_of_pixels(mask, window)


def _draw_road(rng: np.random.Generator, canvas: Canvas, painting: Painting) -> BaseGeometry:
    """Cut a wide laterite road across the land, with its borrow strips of bare soil."""
    west, north, east, south = painting.frame.inner
    start = np.array([west + 5, rng.uniform(north, south)])
    stop = np.array([east - 5, rng.uniform(north, south)])
    line = people.wander(rng, start, stop, 0.04)
    laterite = canvas.paint(rng, "road", {"laterite": 1.0, "red_soil": 0.5}, cover=0.95)
    bare = canvas.paint(rng, "road", {"brown_soil": 1.0, "straw": 0.5}, cover=0.6)
    for width, paint in ((2.2, bare), (1.1, laterite)):
        window, mask = _mask(canvas, line.buffer(width))
        mask &= canvas.class_at(window) != CLASSES.index("mine")
        canvas.ids[window][mask] = paint
    return line.buffer(2.2)


def _open_mines(
    rng: np.random.Generator,
    canvas: Canvas,
    painting: Painting,
    taken: shapely.STRtree,
    count: int,
) -> list[Mine]:
    """Dig new mines away from all that was there."""
    west, north, east, south = painting.frame.inner
    places = place_mines(
        rng, canvas, painting.stems, max(4 * count, 60), (west, north, east, south)
    )
    kept: list[tuple[NDArray[np.float64], float]] = []
    for at, angle in places:
        free = not len(taken.query(shapely.Point(at), predicate="dwithin", distance=APART))
        if free and len(kept) < count and all(np.hypot(*(at - one)) > APART for one, _ in kept):
            kept.append((at, angle))
    sizes = SMALLEST_NEW_HA * (LARGEST_NEW_HA / SMALLEST_NEW_HA) ** rng.random(len(kept))
    draw_surroundings(rng, canvas, [at for at, _ in kept], sizes * HECTARE_PX)
    kinds = rng.choice(["pits", "ponds"], len(kept))
    drawn = [
        draw_mine(rng, canvas, at, angle, float(size), str(kind))
        for (at, angle), size, kind in zip(kept, sizes, kinds, strict=True)
    ]
    return [mine for mine in drawn if mine is not None]


def _grow(rng: np.random.Generator, canvas: Canvas, mine: Mine) -> tuple[Mine, BaseGeometry | None]:
    """Add 60 to 150 % to a mine, from its edge outwards."""
    parts = getattr(mine.shape, "geoms", [mine.shape])
    part = max(parts, key=lambda shape: float(shape.area))
    edge = part.exterior.interpolate(rng.random(), normalized=True)
    added = float(np.clip(mine.area_ha * rng.uniform(0.6, 1.5), 0.6, 12))
    at, angle = np.array([edge.x, edge.y]), float(rng.uniform(0, np.pi))
    new = draw_mine(rng, canvas, at, angle, added, mine.kind)
    if new is None:
        return mine, None
    whole = shapely.union_all([mine.shape, new.shape])
    return Mine(whole, mine.kind, float(whole.area) / HECTARE_PX), new.shape


def _grow_over(rng: np.random.Generator, canvas: Canvas, mine: Mine, left: float) -> None:
    """Cover a mine with pioneer plants; a share of it stays open, as ponds and bare heaps do."""
    window, inside = _mask(canvas, mine.shape)
    noise = smooth_noise(rng, inside.shape, 4)
    green = inside & (noise >= np.quantile(noise[inside], left))
    tones = smooth_noise(rng, inside.shape, 7)
    for low, mix in (
        (-np.inf, {"fallow": 1.0, "crop": 0.5}),
        (0.0, {"fallow": 1.0, "brown_soil": 0.15}),
        (0.7, {"fallow": 1.0, "crop": 1.0}),
    ):
        paint = canvas.paint(rng, "disturbed", mix, spread=0.1, cover=0.75)
        canvas.ids[window][green & (tones > low)] = paint
