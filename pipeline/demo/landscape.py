"""The simulated land: reflectance and land cover on the global grid, and the truth in polygons."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.demo import nature, people
from pipeline.demo.canvas import BANDS, Canvas
from pipeline.demo.frame import Floats, Frame, smooth_noise
from pipeline.demo.mines import Mine, draw_mines, place_mines
from pipeline.demo.rivers import Stem, river_network

# How many of each there are in the demo's 0.4 x 0.3 degrees (and as densely in its margin).
MINES = 148
VILLAGES = 95
HAMLETS = 160
FIELDS = 8_500
FARM_POND_GROUPS = 85
POOLS = 110
OUTCROPS = 130
QUARRIES = 25
BURNS = 160
AREA_PX = 5280 * 4080
_STRIP = 128


@dataclass(frozen=True)
class Landscape:
    """A simulated landscape.

    Parameters
    ----------
    frame : Frame
        Where it lies.
    reflectance : numpy.ndarray of uint16, shape (6, rows, cols)
        Bottom-of-atmosphere reflectance x 10000 in `BANDS`, before any date's effects.
    cover : numpy.ndarray of uint8, shape (rows, cols)
        Index into `CLASSES`.
    mines : list of Mine
        Artisanal mines; pixel coordinates.
    lookalikes : list of (str, BaseGeometry)
        What could be taken for a mine; pixel coordinates.
    """

    frame: Frame
    reflectance: NDArray[np.uint16]
    cover: NDArray[np.uint8]
    mines: list[Mine]
    lookalikes: list[tuple[str, BaseGeometry]]


@dataclass(frozen=True)
class Painting:
    """A landscape before its light is computed, so that a later year can be painted over it.

    Parameters
    ----------
    frame : Frame
        Where it lies.
    canvas : Canvas
        Which pixel is made of what.
    nature : Nature
        The land before people.
    texture : tuple of numpy.ndarray of float32, shape (rows, cols)
        Relative brightness of crowns and clods, and of whole slopes.
    stems : list of Stem
        The rivers.
    villages : numpy.ndarray of float64, shape (n, 2)
        Columns and rows of the villages.
    mines : list of Mine
        Artisanal mines; pixel coordinates.
    lookalikes : list of (str, BaseGeometry)
        What could be taken for a mine; pixel coordinates.
    """

    frame: Frame
    canvas: Canvas
    nature: nature.Nature
    texture: tuple[Floats, Floats]
    stems: list[Stem]
    villages: NDArray[np.float64]
    mines: list[Mine]
    lookalikes: list[tuple[str, BaseGeometry]]


def paint_landscape(
    frame: Frame, seed: np.random.SeedSequence, mines: NDArray[np.float64] | None = None
) -> Painting:
    """Paint the land of a frame; the same for the same seed.

    Parameters
    ----------
    frame : Frame
        Extent on the global grid.
    seed : numpy.random.SeedSequence
        Source of all randomness.
    mines : numpy.ndarray, shape (n, 2), optional
        Columns and rows where the mines lie; without it they are placed along the rivers.

    Returns
    -------
    Painting
        Materials and truth.
    """
    rngs = iter([np.random.default_rng(child) for child in seed.spawn(16)])
    # Two threads: numpy lets go of the interpreter, and the result does not depend on them.
    with ThreadPoolExecutor(2) as pool:
        texture = pool.submit(_texture, next(rngs), frame.shape)
        return _populate(frame, rngs, mines, texture)


def develop(painting: Painting) -> Landscape:
    """Compute the reflectance of every pixel of a painting."""
    with ThreadPoolExecutor(2) as pool:
        reflectance = _reflectance(painting.canvas, painting.nature, painting.texture, pool)
    return Landscape(
        painting.frame, reflectance, painting.canvas.classes, painting.mines, painting.lookalikes
    )


def _populate(
    frame: Frame,
    rngs: Iterator[np.random.Generator],
    mines: NDArray[np.float64] | None,
    texture: Future[tuple[Floats, Floats]],
) -> Painting:
    """Paint everything, in the order in which the later covers the earlier."""
    shape = frame.shape
    share = shape[0] * shape[1] / AREA_PX

    def many(count: int) -> int:
        return max(2, round(count * share))

    stems = river_network(next(rngs), shape)
    land = nature.grow(next(rngs), shape, stems)
    canvas = Canvas(shape)
    lookalikes: list[tuple[str, BaseGeometry]] = []

    rng = next(rngs)
    nature.draw_burns(rng, canvas, land, many(BURNS))
    lookalikes += [("outcrop", s) for s in nature.draw_outcrops(rng, canvas, many(OUTCROPS))]

    rng = next(rngs)
    villages = people.place_villages(rng, shape, many(VILLAGES))
    hamlets = rng.uniform((0, 0), shape[::-1], (many(HAMLETS), 2))
    fields = people.draw_fields(
        rng, canvas, land, np.concatenate([villages, hamlets]), many(FIELDS)
    )
    lookalikes += [("field", s) for s in fields]

    rng = next(rngs)
    nature.draw_rivers(rng, canvas, stems)
    lookalikes += [("sandbar", s) for s in nature.draw_sandbars(rng, canvas, stems)]
    lookalikes += [("pool", s) for s in nature.draw_pools(rng, canvas, stems, many(POOLS))]

    rng = next(rngs)
    lookalikes += [("road", s) for s in people.draw_roads(rng, canvas, villages)]
    sizes = np.exp(rng.uniform(np.log(1.5), np.log(14), len(villages)))
    for place, size in zip(villages, sizes, strict=True):
        lookalikes.append(("village", people.draw_village(rng, canvas, place, float(size))))
    for place in hamlets:
        size = float(np.exp(rng.uniform(np.log(0.15), np.log(1.2))))
        lookalikes.append(("village", people.draw_village(rng, canvas, place, size)))
    homes, count = np.concatenate([villages, hamlets]), many(FARM_POND_GROUPS)
    ponds = homes[rng.integers(0, len(homes), count)] + rng.normal(0, 60, (count, 2))
    lookalikes += [("farm_pond", s) for s in people.draw_farm_ponds(rng, canvas, ponds)]
    for place in rng.uniform((0, 0), shape[::-1], (many(QUARRIES), 2)):
        lookalikes.append(("quarry", people.draw_quarry(rng, canvas, place)))

    rng = next(rngs)
    rows, cols = shape
    for half in range(2):
        middle = np.array([cols * (0.25 + 0.5 * half), rows / 2])
        spot = middle + rng.uniform(-0.12, 0.12, 2) * np.array([cols, 1.6 * rows])
        lookalikes.append(("industrial_pit", people.draw_industrial_pit(rng, canvas, spot)))

    rng = next(rngs)
    if mines is None:
        count = max(4, round(MINES * frame.area_share))
        places = place_mines(rng, canvas, stems, count, frame.inner)
    else:
        angles = rng.uniform(0, np.pi, len(mines))
        places = [(at, float(angle)) for at, angle in zip(mines, angles, strict=True)]
    drawn = draw_mines(rng, canvas, places)
    lookalikes = [(kind, shape) for kind, shape in lookalikes if not shape.is_empty]
    return Painting(frame, canvas, land, texture.result(), stems, villages, drawn, lookalikes)


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the relative brightness of crowns and clods, and of whole slopes."""
    fine = _blur(rng.standard_normal(shape, dtype=np.float32)) * np.float32(0.16)
    return fine, np.float32(0.1) * smooth_noise(rng, shape, 60)


def _reflectance(
    canvas: Canvas, land: nature.Nature, texture: tuple[Floats, Floats], pool: ThreadPoolExecutor
) -> NDArray[np.uint16]:
    """Reflectance x 10000 of nature and paints, with fine texture and the sensor's blur."""
    rows, cols = canvas.ids.shape
    result = np.empty((len(BANDS), rows, cols), np.uint16)
    covers, colours = canvas.cover, canvas.colours

    def fill(first: int) -> None:
        # One row more on either side, for the blur.
        wide = slice(max(first - 1, 0), min(first + _STRIP + 1, rows))
        inner = slice(first - wide.start, first - wide.start + min(_STRIP, rows - first))
        paint = canvas.ids[wide]
        cover = covers[paint]
        # Trees are rough, paints smooth.
        rough = np.where(cover > 0.5, np.float32(0.35), np.float32(0.4) + land.trees[wide] * 0.6)
        brightness = 1 + texture[0][wide] * rough + texture[1][wide]
        for band in range(len(BANDS)):
            bare = nature.background(land, band, wide)
            bare += cover * (colours[:, band][paint] - bare)
            bare *= brightness
            blurred = _blur(bare)[inner] * np.float32(10_000)
            result[band, first : first + _STRIP] = np.clip(blurred, 10, 9_000)

    list(pool.map(fill, range(0, rows, _STRIP)))
    return result


def _blur(image: Floats) -> Floats:
    """Blur by (1 6 1) / 8 along both axes; resampling to the tiles' grids blurs further."""
    padded = np.pad(image, 1, mode="edge")
    rows = 0.125 * padded[:-2] + 0.75 * padded[1:-1] + 0.125 * padded[2:]
    return np.asarray(0.125 * rows[:, :-2] + 0.75 * rows[:, 1:-1] + 0.125 * rows[:, 2:])
