"""Where the simulated landscape lies: its frame of pixels, and noise and blobs to fill it with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import sparse
from shapely.geometry.base import BaseGeometry

from pipeline.geo.grid import PIXELS_PER_DEGREE

Floats = NDArray[np.float32]

# Metres per pixel of 1/12000 degree (mean of both axes at 2 degrees north) and pixels a hectare.
PIXEL_METRES = 9.243
HECTARE_PX = 10_000 / (9.214 * 9.271)


@dataclass(frozen=True)
class Frame:
    """A raster of the global pixel grid: the simulated region and a margin around it.

    Parameters
    ----------
    west, south, east, north : float
        The region in degrees, EPSG:4326, edges on whole pixels.
    margin : int
        Pixels added on every side, so that windows and composites at the edge see land.
    """

    west: float = 5.8
    south: float = 2.0
    east: float = 6.2
    north: float = 2.3
    margin: int = 208

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, the margin included."""
        rows = round((self.north - self.south) * PIXELS_PER_DEGREE)
        cols = round((self.east - self.west) * PIXELS_PER_DEGREE)
        return rows + 2 * self.margin, cols + 2 * self.margin

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) to degrees."""
        step = 1 / PIXELS_PER_DEGREE
        return Affine(
            step, 0, self.west - self.margin * step, 0, -step, self.north + self.margin * step
        )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees, the margin included."""
        rows, cols = self.shape
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (cols, rows)
        return west, south, east, north

    def to_degrees(self, shape: BaseGeometry) -> BaseGeometry:
        """Move a geometry from pixel coordinates to EPSG:4326."""
        t = self.transform
        return shapely.affinity.affine_transform(shape, [t.a, t.b, t.d, t.e, t.c, t.f])

    @property
    def inner(self) -> tuple[float, float, float, float]:
        """First column and row and last column and row of the region itself, with a guard."""
        (rows, cols), guard = self.shape, self.margin + 20.0
        return guard, guard, cols - guard, rows - guard

    @property
    def area_share(self) -> float:
        """Area relative to the whole demo's, by which the numbers of things are scaled."""
        return (self.east - self.west) * (self.north - self.south) / 0.12


def _spline(size: int, scale: float, offset: float) -> tuple[NDArray[np.int64], Floats]:
    """First knot and cubic B-spline weights, shape (size, 4), for knots ``scale`` pixels apart."""
    at = np.arange(size) / scale + offset
    first = at.astype(np.int64)
    t = (at - first).astype(np.float32)
    s = 1 - t
    weights = np.stack(
        [s * s * s, (3 * t - 6) * t * t + 4, (3 * s - 6) * s * s + 4, t * t * t], axis=1
    )
    return first, np.asarray(weights / 6, np.float32)


def _matrix(first: NDArray[np.int64], weights: Floats) -> sparse.csr_array | Floats:
    """Weights as a matrix, shape (size, knots): dense where it is small, else sparse."""
    columns, knots = first[:, None] + np.arange(4), int(first[-1]) + 4
    if len(first) < 400:
        dense = np.zeros((len(first), knots), np.float32)
        np.put_along_axis(dense, columns, weights, axis=1)
        return dense
    pointers = np.arange(0, 4 * len(first) + 1, 4)
    return sparse.csr_array((weights.ravel(), columns.ravel(), pointers), shape=(len(first), knots))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Floats:
    """Return smooth noise of mean 0 and deviation near 1 whose features measure ``scale`` pixels.

    White noise on knots ``scale`` pixels apart, interpolated by cubic B-splines.
    """
    offset = rng.random(2)
    rows, cols = (_matrix(*_spline(n, scale, float(o))) for n, o in zip(shape, offset, strict=True))
    knots = rng.standard_normal((rows.shape[1], cols.shape[1]), dtype=np.float32)
    # A cubic B-spline keeps 0.479 of the deviation along each axis.
    wide = np.ascontiguousarray((cols @ knots.T).T) * np.float32(1 / 0.479)
    return np.asarray(rows @ wide)


def enlarge(image: Floats, times: int, shape: tuple[int, int]) -> Floats:
    """Return an image enlarged by a whole number and smoothed by cubic B-splines."""
    padded = np.pad(image, ((2, 3), (2, 3)), mode="edge")
    # A knot stands one place after the four that reach it begin, and the padding adds two.
    offset = 0.5 + 0.5 / times
    rows, cols = (_matrix(*_spline(n, times, offset)) for n in shape)
    wide = np.ascontiguousarray((cols @ padded[:, : cols.shape[1]].T).T)
    return np.asarray(rows @ wide[: rows.shape[1]])


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int, gain: float = 0.5
) -> Floats:
    """Return a sum of octaves of smooth noise, each half as large and ``gain`` times as strong."""
    total = np.zeros(shape, np.float32)
    norm = 0.0
    for octave in range(octaves):
        strength = gain**octave
        norm += strength**2
        total += np.float32(strength) * smooth_noise(rng, shape, max(2.0, scale / 2**octave))
    return total / np.float32(np.sqrt(norm))


def blob(
    rng: np.random.Generator, area: float, elongation: float, angle: float, ragged: float
) -> NDArray[np.bool_]:
    """Return a mask of ``area`` pixels: a noisy ellipse in the middle of its box.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    area : float
        Pixels in the mask.
    elongation : float
        Long axis over short axis.
    angle : float
        Direction of the long axis, radians from the columns towards the rows.
    ragged : float
        Strength of the noise at the outline; 0.1 is smooth, 0.6 falls into pieces.

    Returns
    -------
    numpy.ndarray of bool
        The mask in its box.
    """
    count = max(1, round(area))
    half = int(np.ceil(np.sqrt(count * elongation) * 0.85)) + 4
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = np.hypot(along / np.sqrt(elongation), across * np.sqrt(elongation))
    radius /= np.sqrt(count / np.pi)
    score = radius + np.float32(2 * ragged) * fractal_noise(
        rng, x.shape, max(3.0, np.sqrt(count) / 2.5), 3, 0.7
    )
    return np.asarray(score <= np.partition(score.ravel(), count - 1)[count - 1])
