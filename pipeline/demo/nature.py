"""What lies there by itself: forest, savanna, rivers, sandbars, pools, outcrops, burnt grass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from pipeline.demo.canvas import Canvas
from pipeline.demo.frame import HECTARE_PX, Floats, blob, enlarge, fractal_noise, smooth_noise
from pipeline.demo.rivers import Stem

# Reflectance of closed canopy, of dry grass and of the ground between, B02 B03 B04 B08 B11 B12.
_CANOPY = (0.026, 0.047, 0.028, 0.305, 0.150, 0.068)
_GRASS = (0.055, 0.084, 0.098, 0.235, 0.290, 0.185)
_GROUND = (0.065, 0.098, 0.145, 0.240, 0.325, 0.255)
_COARSE = 4


@dataclass(frozen=True)
class Nature:
    """The land before people.

    Parameters
    ----------
    trees : numpy.ndarray of float32, shape (rows, cols)
        Share of each pixel under trees, 0..1.
    bare : numpy.ndarray of float32, shape (rows, cols)
        Share of the rest that is bare ground, 0..1.
    moisture : numpy.ndarray of float32, shape (rows / 4, cols / 4)
        Where forest grows; above 0 is forest.
    """

    trees: Floats
    bare: Floats
    moisture: Floats

    def wetness(self, col: float, row: float) -> float:
        """Moisture at a pixel."""
        rows, cols = self.moisture.shape
        y, x = int(row) // _COARSE, int(col) // _COARSE
        return float(self.moisture[min(max(y, 0), rows - 1), min(max(x, 0), cols - 1)])


def grow(rng: np.random.Generator, shape: tuple[int, int], stems: list[Stem]) -> Nature:
    """Return forest and savanna for a frame with its rivers."""
    small = (-(-shape[0] // _COARSE), -(-shape[1] // _COARSE))
    streams = rasterize(
        [(shapely.LineString(stem.points / _COARSE), 1) for stem in stems],
        out_shape=small,
        transform=Affine.identity(),
        all_touched=True,
        dtype=np.uint8,
    )
    distance = ndimage.distance_transform_edt(streams == 0).astype(np.float32) * _COARSE
    moisture = 2.1 * fractal_noise(rng, small, 190, 4, 0.55) + 0.15
    # Gallery forest: along streams, of uneven width, and with gaps.
    reach = 9 * np.exp(smooth_noise(rng, small, 20))
    gallery = 2.2 * np.exp(-((distance / np.maximum(reach, 2)) ** 2))
    gallery *= smooth_noise(rng, small, 35) > -0.5
    moisture = np.maximum(moisture, gallery + 0.4 * moisture - 0.5)
    wet = enlarge(moisture, _COARSE, shape)
    # Savanna trees stand in clumps; forest has gaps. Fine noise decides pixel by pixel.
    fine = fractal_noise(rng, shape, 9, 3, 0.9)
    trees = np.clip(wet * 2.2 + 0.28 + 0.6 * fine, 0.02, 1.0)
    soil = fractal_noise(rng, shape, 40, 4, 0.7)
    bare = np.clip(0.30 + 0.5 * soil, 0.0, 0.9)
    return Nature(trees.astype(np.float32), bare.astype(np.float32), moisture)


def background(nature: Nature, band: int, rows: slice) -> Floats:
    """Reflectance of the natural land in one band and some rows, shape (len(rows), cols)."""
    open_land = nature.bare[rows] * np.float32(_GROUND[band] - _GRASS[band])
    open_land += np.float32(_GRASS[band])
    return open_land + nature.trees[rows] * (np.float32(_CANOPY[band]) - open_land)


def draw_rivers(rng: np.random.Generator, canvas: Canvas, stems: list[Stem]) -> None:
    """Paint the water of every river wide enough to be seen between the trees."""
    waters: list[BaseGeometry] = []
    paints: list[int] = []
    for stem in stems:
        turbid = float(rng.beta(2, 2))
        for start in range(0, len(stem.points) - 1, 4):
            part = slice(start, start + 6)
            width = float(stem.width[part].mean()) * float(np.exp(0.1 * rng.standard_normal()))
            if width < 0.9:
                continue
            if start % 40 == 0 or not paints:
                mix = {"river_water": 1.0, "dark_water": 1 - turbid, "orange_water": 0.3 * turbid}
                paint = canvas.paint(rng, "river", mix, spread=0.04)
            waters.append(shapely.LineString(stem.points[part]).buffer(max(width / 2, 0.5)))
            paints.append(paint)
    canvas.draw(waters, paints)


def draw_sandbars(
    rng: np.random.Generator, canvas: Canvas, stems: list[Stem]
) -> list[BaseGeometry]:
    """Paint point bars on the inner side of bends; return their shapes."""
    found: list[BaseGeometry] = []
    for stem in stems:
        bend = np.abs(stem.curvature) * np.maximum(stem.width, 1)
        peaks = np.flatnonzero(
            (bend == ndimage.maximum_filter1d(bend, 13)) & (bend > 0.05) & (stem.width > 2.2)
        )
        for peak in peaks:
            if rng.random() > 0.75:
                continue
            width = max(float(stem.width[peak]), 2.5)
            area = float(np.clip(width**2 * rng.uniform(1.0, 4.5), 8, 700))
            tangent = stem.directions[peak]
            side = np.sign(stem.curvature[peak]) * np.array([-tangent[1], tangent[0]])
            centre = stem.points[peak] + side * width * rng.uniform(0.5, 0.9)
            mask = blob(
                rng, area, rng.uniform(2, 4.5), float(np.arctan2(tangent[1], tangent[0])), 0.2
            )
            tone = rng.random()
            mix = {"sand": 1.0, "pale_sand": tone, "gravel": 1.2 * (1 - tone)}
            found.append(stamp_layers(rng, canvas, mask, centre, "sandbar", mix))
    return found


def draw_pools(
    rng: np.random.Generator, canvas: Canvas, stems: list[Stem], count: int
) -> list[BaseGeometry]:
    """Paint oxbows and seasonal pools with muddy rims on the flood plain; return their shapes."""
    found: list[BaseGeometry] = []
    kinds = ("dark_water", "dark_water", "green_water", "green_water", "milky_water")
    for centre, angle in riverside(rng, stems, count, 4, 60):
        mask = blob(
            rng, HECTARE_PX * float(np.exp(rng.uniform(-2.6, 1.0))), rng.uniform(1, 5), angle, 0.2
        )
        rim = ndimage.binary_dilation(np.pad(mask, 2))
        soil = str(rng.choice(["brown_soil", "gravel", "fallow", "fallow"]))
        stamp(canvas, rim, centre, canvas.paint(rng, "pool", {soil: 1.0}))
        stamp(canvas, mask, centre, canvas.paint(rng, "pool", {str(rng.choice(kinds)): 1.0}))
        found.append(outline(canvas, rim, centre))
    return found


def draw_outcrops(rng: np.random.Generator, canvas: Canvas, count: int) -> list[BaseGeometry]:
    """Paint bare lateritic crusts and eroded slopes; return their shapes."""
    found: list[BaseGeometry] = []
    rows, cols = canvas.ids.shape
    for _ in range(count):
        area = HECTARE_PX * float(np.exp(rng.uniform(np.log(0.3), np.log(14))))
        mask = blob(rng, area, rng.uniform(1, 2.5), rng.uniform(0, np.pi), 0.25)
        mix = {"laterite": rng.random() + 0.3, "gravel": rng.random(), "sand": 0.6 * rng.random()}
        centre = np.array([rng.uniform(0, cols), rng.uniform(0, rows)])
        found.append(stamp_layers(rng, canvas, mask, centre, "outcrop", mix))
    return found


def draw_burns(rng: np.random.Generator, canvas: Canvas, nature: Nature, count: int) -> None:
    """Paint burnt savanna."""
    rows, cols = canvas.ids.shape
    for _ in range(count):
        centre = np.array([rng.uniform(0, cols), rng.uniform(0, rows)])
        if nature.wetness(*centre) > 0:
            continue
        area = HECTARE_PX * float(np.exp(rng.uniform(0, 4)))
        mask = blob(rng, area, rng.uniform(1, 2.5), rng.uniform(0, np.pi), 0.4)
        mix = {"ash": 1.0, "straw": float(rng.uniform(0, 0.8))}
        stamp(canvas, mask, centre, canvas.paint(rng, "burnt", mix, cover=0.8))


def riverside(
    rng: np.random.Generator, stems: list[Stem], count: int, near: float, far: float
) -> list[tuple[NDArray[np.float64], float]]:
    """Draw places beside rivers: points and the river's direction there."""
    weights = np.array([len(stem.points) for stem in stems], float)
    places = []
    for index in rng.choice(len(stems), count, p=weights / weights.sum()):
        stem = stems[index]
        at = int(rng.integers(len(stem.points)))
        tangent = stem.directions[at]
        offset = float(stem.width[at]) / 2 + rng.uniform(near, far)
        side = rng.choice([-1, 1]) * np.array([-tangent[1], tangent[0]])
        places.append((stem.points[at] + side * offset, float(np.arctan2(tangent[1], tangent[0]))))
    return places


def stamp_layers(
    rng: np.random.Generator,
    canvas: Canvas,
    mask: NDArray[np.bool_],
    centre: NDArray[np.float64],
    kind: str,
    mix: dict[str, float],
) -> BaseGeometry:
    """Stamp a blob of a few tones that change smoothly, with grassy gaps inside."""
    tone = fractal_noise(rng, mask.shape, max(4.0, float(np.sqrt(mask.sum())) / 2), 2, 0.5)
    stamp(canvas, mask, centre, canvas.paint(rng, kind, mix))
    for level in (0.1, 0.35, 0.6):
        stamp(canvas, mask & (tone > level), centre, canvas.paint(rng, kind, mix, spread=0.2))
    grassy = {"fallow": 1.0, **{name: share * 0.4 for name, share in mix.items()}}
    stamp(canvas, mask & (tone < -0.6), centre, canvas.paint(rng, kind, grassy))
    return outline(canvas, mask, centre)


def stamp(canvas: Canvas, mask: NDArray[np.bool_], centre: NDArray[np.float64], paint: int) -> None:
    """Paint a mask centred at a point (column, row); what lies off the canvas is cut."""
    window, part = canvas.window(mask.shape, float(centre[0]), float(centre[1]))
    canvas.ids[window][mask[part]] = paint


def outline(canvas: Canvas, mask: NDArray[np.bool_], centre: NDArray[np.float64]) -> BaseGeometry:
    """Return the exact outline, in pixel coordinates, of what `stamp` painted."""
    window, part = canvas.window(mask.shape, float(centre[0]), float(centre[1]))
    return outline_of_pixels(mask[part], window)


def outline_of_pixels(mask: NDArray[np.bool_], window: tuple[slice, slice]) -> BaseGeometry:
    """Return the outline, in pixel coordinates, of a mask that covers a window of the canvas."""
    if not mask.any():
        return shapely.MultiPolygon()
    corner = Affine.translation(window[1].start, window[0].start)
    rings = shapes(mask.astype(np.uint8), mask=mask, transform=corner, connectivity=4)
    return shapely.union_all([shapely.geometry.shape(ring) for ring, _ in rings])
