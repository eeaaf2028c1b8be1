"""A canvas of materials: which pixel is made of what, and how each material reflects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")

# Land-cover classes of the painted things; 0 is what nature left.
CLASSES = (
    "natural",
    "river",
    "sandbar",
    "pool",
    "outcrop",
    "burnt",
    "field",
    "farm_pond",
    "village",
    "road",
    "quarry",
    "industrial_pit",
    "disturbed",
    "mine",
)

# Bottom-of-atmosphere reflectance in B02 B03 B04 B08 B11 B12. Mines, farm ponds, sandbars, villages
# and fields draw from the same materials: no colour belongs to mines alone.
MATERIALS: dict[str, tuple[float, ...]] = {
    "sand": (0.140, 0.185, 0.230, 0.300, 0.390, 0.330),
    "pale_sand": (0.180, 0.230, 0.280, 0.350, 0.450, 0.390),
    "gravel": (0.110, 0.140, 0.170, 0.225, 0.300, 0.260),
    "laterite": (0.065, 0.105, 0.175, 0.260, 0.350, 0.290),
    "red_soil": (0.055, 0.088, 0.150, 0.235, 0.310, 0.250),
    "brown_soil": (0.060, 0.085, 0.120, 0.205, 0.270, 0.215),
    "ash": (0.042, 0.048, 0.055, 0.110, 0.170, 0.150),
    "straw": (0.075, 0.110, 0.150, 0.265, 0.340, 0.250),
    "crop": (0.040, 0.072, 0.055, 0.330, 0.200, 0.105),
    "fallow": (0.045, 0.075, 0.072, 0.265, 0.230, 0.135),
    "orange_water": (0.070, 0.115, 0.160, 0.105, 0.035, 0.022),
    "milky_water": (0.115, 0.160, 0.165, 0.105, 0.035, 0.022),
    "green_water": (0.060, 0.095, 0.075, 0.045, 0.020, 0.014),
    "dark_water": (0.035, 0.045, 0.032, 0.022, 0.012, 0.008),
    "river_water": (0.062, 0.085, 0.085, 0.055, 0.022, 0.015),
    "tin_roof": (0.230, 0.245, 0.260, 0.300, 0.340, 0.310),
    "rusty_roof": (0.105, 0.125, 0.175, 0.250, 0.330, 0.300),
    "thatch": (0.065, 0.085, 0.110, 0.190, 0.270, 0.210),
    "tarpaulin": (0.190, 0.190, 0.185, 0.260, 0.270, 0.230),
    "grey_rock": (0.130, 0.145, 0.160, 0.190, 0.230, 0.210),
}


class Canvas:
    """Materials painted over nature, the later over the earlier.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.

    Attributes
    ----------
    ids : numpy.ndarray of uint16, shape (rows, cols)
        Paint of each pixel; 0 where nature shows.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.ids = np.zeros(shape, np.uint16)
        self._colours: list[NDArray[np.float32]] = [np.zeros(6, np.float32)]
        self._classes: list[int] = [0]
        self._cover: list[float] = [0.0]

    def copy(self) -> Canvas:
        """Return another canvas with the same paints, to go on with."""
        other = Canvas((0, 0))
        other.ids = self.ids.copy()
        other._colours, other._classes = self._colours.copy(), self._classes.copy()
        other._cover = self._cover.copy()
        return other

    def take(self, other: Canvas, where: NDArray[np.bool_]) -> None:
        """Take over, where asked, what was painted on a copy of this canvas since."""
        self._colours, self._classes = other._colours.copy(), other._classes.copy()
        self._cover = other._cover.copy()
        self.ids[where] = other.ids[where]

    def paint(
        self,
        rng: np.random.Generator,
        kind: str,
        mixture: dict[str, float],
        *,
        spread: float = 0.12,
        cover: float = 1.0,
    ) -> int:
        """Mix a new paint and return its number.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        kind : str
            Land-cover class, one of `CLASSES`.
        mixture : dict
            Shares of `MATERIALS`.
        spread : float
            Relative deviation of the brightness from paint to paint.
        cover : float
            Share of the pixel that the paint covers; nature shows through the rest.

        Returns
        -------
        int
            The paint's number.
        """
        total = sum(mixture.values())
        colour = sum(
            (np.asarray(MATERIALS[name]) * (share / total) for name, share in mixture.items()),
            np.zeros(6),
        )
        colour = colour * np.exp(spread * rng.standard_normal() + 0.04 * rng.standard_normal(6))
        self._colours.append(colour.astype(np.float32))
        self._classes.append(CLASSES.index(kind))
        self._cover.append(cover)
        return len(self._colours) - 1

    def draw(
        self, shapes: Iterable[BaseGeometry], paints: Sequence[int], *, touched: bool = False
    ) -> None:
        """Burn polygons or lines, in pixel coordinates, in order."""
        pairs = [(g, p) for g, p in zip(shapes, paints, strict=True) if not g.is_empty]
        if pairs:
            rasterize(pairs, out=self.ids, transform=Affine.identity(), all_touched=touched)

    def window(
        self, size: tuple[int, int], col: float, row: float
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the canvas's and a stamp's slices where a centred stamp overlaps the canvas."""
        canvas, stamp = [], []
        for length, centre, limit in zip(size, (row, col), self.ids.shape, strict=True):
            start = round(centre) - length // 2
            first, last = max(start, 0), min(start + length, limit)
            last = max(first, last)
            canvas.append(slice(first, last))
            stamp.append(slice(first - start, last - start))
        return (canvas[0], canvas[1]), (stamp[0], stamp[1])

    def class_at(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Land-cover class of a part of the canvas."""
        return np.asarray(self._classes, np.uint8)[self.ids[window]]

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Land-cover class of each pixel, shape (rows, cols)."""
        return np.asarray(self._classes, np.uint8)[self.ids]

    @property
    def colours(self) -> NDArray[np.float32]:
        """Reflectance of each paint, shape (paints, 6)."""
        return np.stack(self._colours)

    @property
    def cover(self) -> NDArray[np.float32]:
        """Covered share of a pixel of each paint, shape (paints,)."""
        return np.asarray(self._cover, np.float32)
