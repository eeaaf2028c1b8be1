"""The images and filters that every way is given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.bank import FilterBank, FilterGroup
from features.kernel import observed_windows, ready_pixels
from features.rectify import Rectifiers
from features.scaling import Scaling

CELL_PX = 60


@dataclass(frozen=True)
class Case:
    """An image of noise, and filters whose responses have standard deviation 1.

    ``columns`` counts both sides: half as many filters. The rectifiers are torchgeo's.
    """

    title: str
    bands: int
    side: int
    columns: int
    patch: int

    @property
    def rectifiers(self) -> Rectifiers:
        return Rectifiers((1.0,), "shared")

    @property
    def filters(self) -> np.ndarray:
        shape = (self.columns // self.rectifiers.count, self.bands, self.patch, self.patch)
        noise = np.random.default_rng(1).normal(size=shape)
        return (noise / self.patch / self.bands**0.5).astype(np.float32)

    @property
    def offsets(self) -> np.ndarray:
        return np.zeros(len(self.filters), np.float32)

    @property
    def pixels(self) -> np.ndarray:
        shape = (self.bands, self.side, self.side)
        return np.random.default_rng(2).normal(size=shape).astype(np.float32)

    def ready(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels as the kernels want them, and all of the windows."""
        observed = np.ones((self.side, self.side), bool)
        return ready_pixels(self.pixels, observed), observed_windows(observed, self.patch)


CASES = {
    "A": Case("RGB 256x256, 1,024 columns, p 3", 3, 256, 1024, 3),
    "B": Case("10 bands 100x100, 1,024 columns, p 3", 10, 100, 1024, 3),
    "C": Case("10 bands 100x100, 4,096 columns, p 5", 10, 100, 4096, 5),
    "D": Case("RGB 256x256, 8,192 columns, p 3", 3, 256, 8192, 3),
}


def block_bank() -> FilterBank:
    """A bank of the shape that the pipeline samples by default, for six bands."""
    rng = np.random.default_rng(3)
    groups = tuple(
        FilterGroup(
            (rng.normal(size=(64, 6, patch, patch)) / patch / 6**0.5).astype(np.float32),
            rng.normal(0, 0.1, 64).astype(np.float32),
        )
        for patch in (3, 5)
    )
    bands = ("B02", "B03", "B04", "B08", "B11", "B12")
    return FilterBank(bands, "L2A", Scaling(), groups, (0.25, 1.0, 2.5), 3, "benchmark")


def plain_bank(bands: int, patch: int, filters: int) -> FilterBank:
    """A bank of one patch size without symmetric versions, two columns a filter."""
    shape = (filters, bands, patch, patch)
    noise = np.random.default_rng(4).normal(size=shape) / patch / bands**0.5
    group = FilterGroup(noise.astype(np.float32), np.zeros(filters, np.float32))
    names = tuple(f"B{band:02d}" for band in range(bands))
    return replace(block_bank(), bands=names, groups=(group,), biases=(1.0,), symmetric=False)


def clouded_block(side: int, masked: float = 0.2) -> np.ndarray:
    """Reflectance of six bands, float32, NaN in round clumps that cover a share of the block."""
    rng = np.random.default_rng(5)
    pixels = rng.uniform(0.02, 0.5, (6, side, side)).astype(np.float32)
    clouds = np.zeros((side, side), bool)
    down, right = np.ogrid[:side, :side]
    while clouds.mean() < masked:
        top, left, radius = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(10, 60)
        clouds |= (down - top) ** 2 + (right - left) ** 2 < radius**2
    pixels[:, clouds] = np.nan
    return pixels
