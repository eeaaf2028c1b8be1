"""Artisanal mines: where they lie, their mosaic of ponds, spoil and ridges, and the land around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from pipeline.demo.canvas import CLASSES, Canvas
from pipeline.demo.frame import HECTARE_PX, blob, smooth_noise
from pipeline.demo.nature import outline, riverside, stamp
from pipeline.demo.people import wander
from pipeline.demo.rivers import Stem

SMALLEST_HA, LARGEST_HA = 0.1, 30.0
_WATERS = ("orange_water", "milky_water", "green_water", "dark_water")


@dataclass(frozen=True)
class Mine:
    """One working.

    Parameters
    ----------
    shape : BaseGeometry
        Outline of the changed pixels, pixel coordinates.
    kind : str
        ``pits``, ``ponds`` or ``abandoned``.
    area_ha : float
        Area of the outline.
    """

    shape: BaseGeometry
    kind: str
    area_ha: float


def place_mines(
    rng: np.random.Generator,
    canvas: Canvas,
    stems: list[Stem],
    count: int,
    region: tuple[float, float, float, float],
) -> list[tuple[NDArray[np.float64], float]]:
    """Draw places for mines along rivers and on terraces, as many in the west as in the east.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    canvas : Canvas
        Places on a large river or an industrial pit are refused.
    stems : list of Stem
        The rivers.
    count : int
        How many.
    region : tuple of float
        First column, first row, last column, last row that may hold a mine.

    Returns
    -------
    list of (numpy.ndarray, float)
        Points (column, row) and the river's direction there, radians.
    """
    west, north, east, south = region
    middle = (west + east) / 2
    taken = canvas.classes == CLASSES.index("industrial_pit")
    places: list[tuple[NDArray[np.float64], float]] = []
    halves = [0, 0]
    for _ in range(60):
        for point, angle in riverside(rng, stems, count, 2, 45):
            half = int(point[0] > middle)
            inside = west < point[0] < east and north < point[1] < south
            if not inside or halves[half] >= (count + half) // 2:
                continue
            col, row = int(point[0]), int(point[1])
            if taken[max(row - 60, 0) : row + 60, max(col - 60, 0) : col + 60].any():
                continue
            if any(np.hypot(*(point - other)) < 45 for other, _ in places):
                continue
            places.append((point, angle))
            halves[half] += 1
    return places


def draw_mines(
    rng: np.random.Generator, canvas: Canvas, places: list[tuple[NDArray[np.float64], float]]
) -> list[Mine]:
    """Paint the disturbed land around all mines, then the mines; return their true outlines."""
    # Near log-uniform from 0.1 to 30 ha, a little fewer of the smallest.
    share = rng.random(len(places)) ** 0.75
    sizes = SMALLEST_HA * (LARGEST_HA / SMALLEST_HA) ** share
    draw_surroundings(rng, canvas, [point for point, _ in places], sizes * HECTARE_PX)
    drawn = [
        draw_mine(rng, canvas, point, angle, float(size))
        for (point, angle), size in zip(places, sizes, strict=True)
    ]
    return [mine for mine in drawn if mine is not None]


def draw_mine(
    rng: np.random.Generator,
    canvas: Canvas,
    centre: NDArray[np.float64],
    angle: float,
    hectares: float,
    kind: str = "",
) -> Mine | None:
    """Paint one mine where no river and no other mine is; None: no room. ``kind`` empty: drawn."""
    area = max(hectares * HECTARE_PX, SMALLEST_HA * HECTARE_PX + 1)
    stretch = float(rng.uniform(1.2, 2.4))
    mask = np.pad(blob(rng, area, stretch, angle + rng.normal(0, 0.3), 0.25), 2)
    window, part = canvas.window(mask.shape, float(centre[0]), float(centre[1]))
    # Rivers stay rivers, and no pixel belongs to two mines.
    free = ~np.isin(canvas.class_at(window), [CLASSES.index("river"), CLASSES.index("mine")])
    mask[part] &= free
    if mask.sum() < SMALLEST_HA * HECTARE_PX:
        return None
    kind = kind or str(rng.choice(["pits", "ponds", "abandoned"], p=[0.4, 0.53, 0.07]))
    paint = _mosaic(rng, canvas, mask.shape, kind)
    canvas.ids[window][mask[part]] = paint[part][mask[part]]
    shape = outline(canvas, mask, centre)
    return Mine(shape, kind, float(shape.area) / HECTARE_PX)


def _mosaic(
    rng: np.random.Generator, canvas: Canvas, shape: tuple[int, int], kind: str
) -> NDArray[np.uint16]:
    """Mix the paints of a patchwork of ponds, spoil, ridges and remnants, 20 to 60 m each."""
    spacing = float(rng.uniform(2.8, 4.6))
    rows, cols = shape
    count = int(np.ceil((rows + 8) * (cols + 8) / spacing**2))
    seeds = rng.uniform((-4, -4), (rows + 4, cols + 4), (count, 2))
    y, x = np.mgrid[:rows, :cols].astype(np.float64)
    y += 1.6 * smooth_noise(rng, shape, 3)
    x += 1.6 * smooth_noise(rng, shape, 3)
    distance, nearest = cKDTree(seeds).query(np.stack([y.ravel(), x.ravel()], axis=1), k=2)
    edge = (distance[:, 1] - distance[:, 0]).reshape(shape)
    facet = nearest[:, 0].reshape(shape)
    water = {"pits": 0.34, "ponds": 0.5, "abandoned": 0.3}[kind] * float(rng.uniform(0.8, 1.2))
    usual = str(rng.choice(_WATERS[:3]))
    soils = {
        "sand": 1.0,
        "gravel": rng.random(),
        "laterite": rng.random(),
        "pale_sand": 0.4 + rng.random(),
    }
    regrowth = 0.5 if kind == "abandoned" else 0.12
    shades: list[tuple[str, int]] = []
    for k in range(36):
        at = (k + 0.5) / 36
        if at < water:
            name = usual if rng.random() < 0.6 else str(rng.choice(_WATERS))
            shades.append(("water", canvas.paint(rng, "mine", {name: 1.0}, spread=0.2)))
        elif at < 1 - regrowth:
            mix = {name: share * rng.random() for name, share in soils.items()}
            shades.append(("soil", canvas.paint(rng, "mine", mix, spread=0.2)))
        else:
            mix = {"fallow": 1.0, "crop": rng.random(), "brown_soil": 0.4 * rng.random()}
            shades.append(("green", canvas.paint(rng, "mine", mix, spread=0.2)))
    shade = rng.integers(0, len(shades), count)[facet]
    paint: NDArray[np.uint16] = np.array([p for _, p in shades], np.uint16)[shade]
    wet = np.array([name == "water" for name, _ in shades])[shade]
    ridge = (edge < 0.9) & wet
    paint[ridge] = canvas.paint(rng, "mine", {"brown_soil": 1.0, **soils})
    return paint


def draw_surroundings(
    rng: np.random.Generator,
    canvas: Canvas,
    centres: list[NDArray[np.float64]],
    areas: NDArray[np.float64],
) -> None:
    """Paint tracks, camps and cleared patches within some 200 m; none of it is mine."""
    tracks: list[BaseGeometry] = []
    paints = []
    for centre, size in zip(centres, np.sqrt(areas), strict=True):
        for _ in range(int(rng.integers(1, 4))):
            turn = rng.uniform(0, 2 * np.pi)
            end = centre + (size / 2 + rng.uniform(8, 24)) * np.array([np.cos(turn), np.sin(turn)])
            mix = {"laterite": 1.0, "brown_soil": 0.5}
            tracks.append(wander(rng, centre, end, 0.15))
            paints.append(canvas.paint(rng, "disturbed", mix, cover=float(rng.uniform(0.3, 0.6))))
    canvas.draw(tracks, paints)
    for centre, size in zip(centres, np.sqrt(areas), strict=True):
        for _ in range(int(rng.integers(1, 5))):
            turn = rng.uniform(0, 2 * np.pi)
            at = centre + (size / 2 + rng.uniform(0, 18)) * np.array([np.cos(turn), np.sin(turn)])
            mask = blob(rng, rng.uniform(4, 30), rng.uniform(1, 2), turn, 0.35)
            mix = {"fallow": 1.0, "brown_soil": rng.random(), "straw": rng.random()}
            stamp(canvas, mask, at, canvas.paint(rng, "disturbed", mix, cover=0.8))
            if rng.random() < 0.5:
                camp = mask & (rng.random(mask.shape) < 0.15)
                stamp(canvas, camp, at, canvas.paint(rng, "disturbed", {"tarpaulin": 1.0}))
