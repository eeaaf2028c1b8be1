"""Clouds, their shadows and the swath's edge for each date, on a coarse grid of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.demo.frame import PIXEL_METRES, Floats, Frame, fractal_noise

# Frame pixels per pixel of the cloud grid.
CLOUD_STEP = 4
# Opacity above which the land is taken to be hidden.
HIDDEN = 0.05


@dataclass(frozen=True)
class Pass:
    """One overpass of the simulated satellite.

    Parameters
    ----------
    date : str
        ISO date.
    unit : str
        ``a`` or ``b``: which of the two satellites.
    baseline : str
        Processing baseline; from 04.00 on the stored numbers carry +1000.
    cloudiness : float
        Share of the frame under cloud.
    swath : float
        0: all of the frame seen; otherwise where the edge crosses the frame's middle row, as a
        share of its width: positive, the land west of it is seen; negative, the land east of it.
    """

    date: str
    unit: str
    baseline: str
    cloudiness: float
    swath: float = 0.0

    @property
    def offset(self) -> int:
        """What the stored numbers carry in addition to reflectance x 10000."""
        return 1000 if self.baseline >= "04.00" else 0


PASSES = (
    Pass("2021-12-06", "a", "03.01", 0.10),
    Pass("2021-12-21", "b", "03.01", 0.38),
    Pass("2022-01-05", "a", "03.01", 0.20, 0.62),
    Pass("2022-01-20", "b", "03.01", 0.05),
    Pass("2022-01-30", "b", "04.00", 0.28, -0.30),
    Pass("2022-02-24", "a", "04.00", 0.12),
)

# Two years on; a place of its own stays under fog all the while, see `build_skies`.
SECOND_PASSES = (
    Pass("2023-12-11", "b", "05.10", 0.14),
    Pass("2023-12-26", "a", "05.10", 0.30),
    Pass("2024-01-10", "b", "05.10", 0.08, -0.35),
    Pass("2024-01-25", "a", "05.10", 0.22),
    Pass("2024-02-09", "b", "05.10", 0.34, 0.70),
    Pass("2024-02-24", "a", "05.10", 0.07),
)


@dataclass(frozen=True)
class Fog:
    """A round bank of fog that hides the land on every date of a season.

    Parameters
    ----------
    col, row : float
        Its middle, pixels of the frame.
    radius : float
        Pixels of the frame within which it is thick; it thins out over a tenth more.
    """

    col: float
    row: float
    radius: float

    @property
    def reach(self) -> float:
        """Pixels from its middle to where the scene classification calls it cloud no more."""
        return 1.09 * self.radius


@dataclass(frozen=True)
class Sky:
    """What hides the land on one date; all of shape (rows, cols) of the cloud grid.

    Parameters
    ----------
    cloud : numpy.ndarray of float32
        Opacity of the clouds, 0..1.
    cirrus : numpy.ndarray of float32
        Opacity of thin high cloud, 0..0.3.
    shadow : numpy.ndarray of float32
        Strength of the clouds' shadow, 0..1.
    seen : numpy.ndarray of float32
        Positive inside the swath: distance to its edge in pixels of the cloud grid.
    """

    cloud: Floats
    cirrus: Floats
    shadow: Floats
    seen: Floats


def build_skies(
    frame: Frame,
    seed: np.random.SeedSequence,
    passes: Sequence[Pass] = PASSES,
    fog: Fog | None = None,
) -> list[Sky]:
    """Return the sky of every pass; each pixel without fog is clear in at least one of them."""
    skies = [
        _sky(np.random.default_rng(child), frame, over)
        for over, child in zip(passes, seed.spawn(len(passes)), strict=True)
    ]
    # Where no date is clear, the clearest date opens up.
    clearest = min(range(len(passes)), key=lambda k: passes[k].cloudiness)
    hidden = np.ones(skies[0].cloud.shape, bool)
    for sky in skies:
        hidden &= ~(np.maximum(np.maximum(sky.cloud, sky.cirrus), sky.shadow) < HIDDEN) | (
            sky.seen <= 1
        )
    gap = ndimage.gaussian_filter(ndimage.binary_dilation(hidden, iterations=8).astype("f4"), 3)
    keep = np.clip(1 - 2 * gap, 0, 1).astype(np.float32)
    sky = skies[clearest]
    skies[clearest] = Sky(sky.cloud * keep, sky.cirrus * keep, sky.shadow * keep, sky.seen)
    return skies if fog is None else [_fogged(sky, fog) for sky in skies]


def _fogged(sky: Sky, fog: Fog) -> Sky:
    """Cover a place; the bank thins out over a tenth of its radius."""
    y, x = np.mgrid[: sky.cloud.shape[0], : sky.cloud.shape[1]].astype(np.float32)
    away = np.hypot(x - fog.col / CLOUD_STEP, y - fog.row / CLOUD_STEP) * CLOUD_STEP / fog.radius
    bank = np.clip((1.1 - away) / 0.1, 0, 1).astype(np.float32) * np.float32(0.95)
    return Sky(np.maximum(sky.cloud, bank), sky.cirrus, sky.shadow * (1 - bank), sky.seen)


def _sky(rng: np.random.Generator, frame: Frame, over: Pass) -> Sky:
    shape = tuple(-(-n // CLOUD_STEP) for n in frame.shape)
    rows, cols = shape
    noise = fractal_noise(rng, (rows, cols), 110, 6, 0.62)
    cover = over.cloudiness * rng.uniform(0.8, 1.2)
    edge = float(np.quantile(noise, 1 - cover))
    cloud = np.clip((noise - edge) / 0.17, 0, 1).astype(np.float32) ** 0.8
    high = fractal_noise(rng, (rows, cols), 160, 3)
    cirrus = 0.6 * np.clip(high - np.quantile(high, 0.96), 0, 1)
    # The sun stands in the south-east in the morning, so shadows fall to the north-west.
    height, elevation, azimuth = rng.uniform(1200, 2200), np.radians(52), np.radians(132)
    reach = height / np.tan(elevation) / PIXEL_METRES / CLOUD_STEP
    shadow = _shift(cloud, round(reach * np.cos(azimuth)), -round(reach * np.sin(azimuth)))
    shadow = np.clip(shadow * 1.3, 0, 1) * (1 - cloud)
    seen = np.full((rows, cols), 1e6, np.float32)
    if over.swath:
        y, x = np.mgrid[:rows, :cols].astype(np.float32)
        line = abs(over.swath) * cols + rng.uniform(-0.05, 0.05) * cols
        line = line - (y - rows / 2) * np.float32(np.tan(np.radians(12)))
        seen = (line - x if over.swath > 0 else x - line).astype(np.float32)
    return Sky(cloud, cirrus.astype(np.float32), shadow.astype(np.float32), seen)


def _shift(image: Floats, down: int, right: int) -> Floats:
    """Move an image by whole pixels; what comes in from outside repeats the edge."""
    reach = max(abs(down), abs(right))
    padded = np.pad(image, reach, mode="edge")
    rows, cols = image.shape
    y, x = reach - down, reach - right
    return np.asarray(padded[y : y + rows, x : x + cols])
