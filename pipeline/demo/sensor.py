"""The simulated sensor: a landscape and a sky become the stored bands of one date and UTM zone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import rasterio
from affine import Affine
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.shutil import copy as copy_raster
from rasterio.warp import transform_bounds

from pipeline.demo.canvas import BANDS
from pipeline.demo.clouds import CLOUD_STEP, Pass, Sky
from pipeline.demo.frame import Floats, Frame

_T = TypeVar("_T", bound=np.generic)
Stored = NDArray[np.uint16] | NDArray[np.uint8]
FINE_BANDS = BANDS[:4]
SIMULATED = "SIMULATED imagery of an invented landscape; no satellite took it"

# Reflectance of thick cloud, and what correction leaves of the air's own light, in `BANDS`.
_CLOUD = np.array([0.56, 0.55, 0.56, 0.60, 0.45, 0.34], np.float32)
_HAZE = np.array([0.005, 0.0035, 0.0025, 0.0015, 0.0005, 0.0005], np.float32)
# Relative change when grass dries out completely.
_DRYING = np.array([0.10, 0.10, 0.22, -0.04, 0.12, 0.22], np.float32)
_NOISE_DN = 6.0
# The instrument counts in 12 bits: reflectance x 10000 comes in steps.
_STEP_DN = 4
# Rows worked on at a time: what fits into a processor's cache.
_STRIP = 128


@dataclass(frozen=True)
class Zone:
    """The grid of one UTM zone's tile.

    Parameters
    ----------
    name : str
        ``SIM31`` and so on, after the zone.
    epsg : int
        Code of the zone's CRS, metres.
    left, top : int
        Upper-left corner, metres, on the 60 m grid of the zone.
    shape : tuple of int
        Rows and columns at 10 m, both even.
    middle : float
        Longitude of the landscape's middle, where the view is straight down.
    """

    name: str
    epsg: int
    left: int
    top: int
    shape: tuple[int, int]
    middle: float

    def transform(self, metres: int) -> Affine:
        """Pixel (column, row) to metres at a resolution."""
        return Affine(metres, 0, self.left, 0, -metres, self.top)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, bottom, right, top in metres."""
        rows, cols = self.shape
        return self.left, self.top - 10 * rows, self.left + 10 * cols, self.top


def zones(frame: Frame, overlap: float = 0.02) -> list[Zone]:
    """Return a tile for each UTM zone that a landscape lies in.

    Parameters
    ----------
    frame : Frame
        The landscape's extent.
    overlap : float
        Degrees by which each tile reaches into the zones beside its own.

    Returns
    -------
    list of Zone
        From west to east.
    """
    west, south, east, north = frame.bounds
    first, last = (int(np.floor((lon + 180) / 6)) + 1 for lon in (west, east))
    hemisphere = 32600 if south + north >= 0 else 32700
    tiles = []
    for number in range(first, last + 1):
        meeting = 6.0 * number - 180
        left, right = max(meeting - 6 - overlap, west), min(meeting + overlap, east)
        epsg = hemisphere + number
        box = transform_bounds("EPSG:4326", f"EPSG:{epsg}", left, south, right, north)
        x0, y0 = (int(np.floor(v / 60)) * 60 for v in box[:2])
        x1, y1 = (int(np.ceil(v / 60)) * 60 for v in box[2:])
        shape = (y1 - y0) // 10, (x1 - x0) // 10
        middle = (frame.west + frame.east) / 2
        tiles.append(Zone(f"SIM{number}", epsg, x0, y1, shape, middle))
    return tiles


@dataclass(frozen=True)
class Ground:
    """A landscape on one zone's grid.

    Parameters
    ----------
    zone : Zone
        The grid.
    fine : numpy.ndarray of uint16, shape (4, rows, cols)
        Reflectance x 10000 of the 10 m bands, 0 outside the landscape.
    coarse : numpy.ndarray of uint16, shape (6, rows / 2, cols / 2)
        The same of all bands at 20 m.
    """

    zone: Zone
    fine: NDArray[np.uint16]
    coarse: NDArray[np.uint16]


def project(frame: Frame, reflectance: NDArray[np.uint16], zone: Zone) -> Ground:
    """Resample a landscape to a zone's 10 m and 20 m grids."""
    rows, cols = zone.shape
    fine = np.zeros((len(FINE_BANDS), rows, cols), np.uint16)
    coarse = np.zeros((len(BANDS), rows // 2, cols // 2), np.uint16)
    for part, at in _lookups(frame, zone, 10):
        for index, values in enumerate(_bilinear(reflectance, *at)):
            strip = values.astype(np.uint16)
            if index < len(FINE_BANDS):
                fine[index, part] = strip
            quads = (strip[0::2, 0::2], strip[0::2, 1::2], strip[1::2, 0::2], strip[1::2, 1::2])
            mean = sum(quads[1:], quads[0].astype(np.uint16)) // 4
            # A quarter that lies outside the landscape leaves the whole pixel outside.
            mean[np.minimum.reduce(quads) == 0] = 0
            coarse[index, part.start // 2 : part.stop // 2] = mean
    return Ground(zone, fine, coarse)


def _lookups(
    frame: Frame, zone: Zone, metres: int, step: int = 1
) -> Iterator[tuple[slice, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Yield strips of a zone's rows with the frame's rows and columns that they show.

    The map from a UTM zone to degrees is smooth: a cubic through 13 x 13 exact points is within a
    hundredth of a pixel over a tile.
    """
    rows, cols = (n * 10 // metres for n in zone.shape)
    to_degrees = Transformer.from_crs(zone.epsg, 4326, always_xy=True)
    u, v = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 13))
    lon, lat = to_degrees.transform(zone.left + u * cols * metres, zone.top - v * rows * metres)
    inverse = ~(frame.transform @ Affine.scale(step))
    x, y = np.asarray(lon) * inverse.a + inverse.c, np.asarray(lat) * inverse.e + inverse.f
    design = polynomial.polyvander2d(u.ravel(), v.ravel(), [3, 3])
    fits = [np.linalg.lstsq(design, at.ravel(), rcond=None)[0].reshape(4, 4) for at in (y, x)]
    along = (np.arange(cols) + 0.5) / cols
    for first in range(0, rows, _STRIP):
        part = slice(first, min(first + _STRIP, rows))
        down = (np.arange(part.start, part.stop) + 0.5) / rows
        at_row, at_col = (
            (polynomial.polyvander(down, 3) @ (polynomial.polyvander(along, 3) @ fit).T - 0.5)
            for fit in fits
        )
        yield part, (at_row, at_col)


def _bilinear(
    sources: Iterable[NDArray[np.uint16] | Floats],
    at_row: NDArray[np.float64],
    at_col: NDArray[np.float64],
) -> Iterator[Floats]:
    """Interpolate rasters of one shape between four pixels; 0 where these are not all inside."""
    sources = list(sources)
    rows, cols = sources[0].shape
    row, col = np.floor(at_row).astype(np.intp), np.floor(at_col).astype(np.intp)
    inside = (row >= 0) & (col >= 0) & (row < rows - 1) & (col < cols - 1)
    down, right = (at_row - row).astype(np.float32), (at_col - col).astype(np.float32)
    corner = np.where(inside, row * cols + col, 0)
    corners = [corner, corner + 1, corner + cols, corner + cols + 1]
    for source in sources:
        flat = source.ravel()
        a, b, c, d = (flat.take(index).astype(np.float32, copy=False) for index in corners)
        b -= a
        b *= right
        a += b
        d -= c
        d *= right
        c += d
        c -= a
        c *= down
        a += c
        a *= inside
        yield a


def weather(frame: Frame, sky: Sky, zone: Zone) -> Sky:
    """Resample a sky to a zone's 20 m grid, shape (rows / 2, cols / 2)."""
    fields = np.zeros((4, zone.shape[0] // 2, zone.shape[1] // 2), np.float32)
    for part, at in _lookups(frame, zone, 20, CLOUD_STEP):
        row, col = (np.clip(v, 0, n - 1.001) for v, n in zip(at, sky.cloud.shape, strict=True))
        resampled = _bilinear((sky.cloud, sky.cirrus, sky.shadow, sky.seen), row, col)
        for field, values in zip(fields, resampled, strict=True):
            field[part] = values
    return Sky(*fields)


def observe(
    ground: Ground,
    air: Sky,
    over: Pass,
    season: float,
    shared: np.random.SeedSequence,
    own: np.random.SeedSequence,
) -> Iterator[tuple[str, Stored, int]]:
    """Yield the bands of one date and tile as they are stored.

    Parameters
    ----------
    ground : Ground
        The land.
    air : Sky
        What hides it.
    over : Pass
        The overpass: baseline and offset.
    season : float
        How dry it is, 0..1.
    shared : numpy.random.SeedSequence
        Randomness common to all tiles of the date: the state of the air, the direction of view.
    own : numpy.random.SeedSequence
        Randomness of this tile: noise, misregistration.

    Yields
    ------
    (str, numpy.ndarray of uint16 or uint8, int)
        Band, stored numbers (0 is nodata) and metres per pixel; ``SCL`` (uint8) last.
    """
    common, rng = np.random.default_rng(shared), np.random.default_rng(own)
    gain = 1 + 0.025 * common.standard_normal(6) + 0.02 * common.standard_normal()
    haze = _HAZE * common.uniform(0.1, 1.0) * 10_000
    slope = 0.03 * common.standard_normal()
    shift = rng.uniform(-0.25, 0.25, 2)
    dry = _grassiness(ground.coarse) * np.float32(season)
    # The view's slope runs with the longitude, so that both tiles agree where they overlap.
    west, _, east, _ = transform_bounds(
        f"EPSG:{ground.zone.epsg}", "EPSG:4326", *ground.zone.bounds
    )
    middle, cols = ground.zone.middle, ground.coarse.shape[2]
    across = np.linspace(west - middle, east - middle, cols, dtype=np.float32) / 0.4
    veil = np.clip(air.cloud + air.cirrus, 0, 1)
    light = (1 - np.float32(0.62) * air.shadow) * (1 - veil) * (1 + np.float32(slope) * across)
    # A pool of noise that every strip enters somewhere costs less than fresh noise.
    pool = rng.standard_normal((5 * _STRIP, ground.fine.shape[2]), dtype=np.float32)
    pool *= np.float32(_NOISE_DN)
    for index, band in enumerate(BANDS):
        fine = band in FINE_BANDS
        land = ground.fine[index] if fine else ground.coarse[index]
        stored = np.zeros(land.shape, np.uint16)
        scale = 2 if fine else 1
        for first in range(0, len(light), _STRIP // 2):
            part = slice(first, first + _STRIP // 2)
            grow = light[part] * (np.float32(gain[index]) * (1 + _DRYING[index] * dry[part]))
            add = veil[part] * (_CLOUD[index] * np.float32(10_000)) + np.float32(haze[index])
            seen = air.seen[part] > 0
            if fine:
                grow, add, seen = _twice(grow), _twice(add), _twice(seen)
            rows = slice(first * scale, first * scale + len(grow))
            signal = _shifted(land, rows, shift * scale / 2)
            signal *= grow
            signal += add
            entry = int(rng.integers(0, 4 * _STRIP))
            noise = pool[entry : entry + signal.shape[0], : signal.shape[1]]
            # Shot noise grows with the light.
            signal += noise * (1 + signal * np.float32(0.0002))
            signal += np.float32(over.offset + _STEP_DN / 2)
            np.clip(signal, _STEP_DN, 20_000, out=signal)
            strip = signal.astype(np.uint16)
            strip &= np.uint16(0xFFFF - (_STEP_DN - 1))
            strip *= seen & (land[rows] > 0)
            stored[rows] = strip
        yield band, stored, 10 if fine else 20
    yield "SCL", _classify(ground, air, rng), 20


def _grassiness(coarse: NDArray[np.uint16]) -> Floats:
    """1 for grass that dries out in the season, 0 for forest, water and bare ground."""
    red, near = coarse[2].astype(np.float32), coarse[3].astype(np.float32)
    index = (near - red) / np.maximum(near + red, 1)
    return np.asarray(np.clip(1 - np.abs(index - 0.42) / 0.2, 0, 1))


def _shifted(land: NDArray[np.uint16], rows: slice, shift: NDArray[np.float64]) -> Floats:
    """Return some rows of an image moved by part of a pixel, linearly interpolated."""
    down, right = (1 if amount > 0 else -1 for amount in shift)
    own = np.arange(rows.start, rows.stop)
    image = land[rows].astype(np.float32)
    image += np.float32(abs(shift[0])) * (land[np.clip(own - down, 0, len(land) - 1)] - image)
    beside = np.roll(image, right, axis=1)
    beside -= image
    beside *= np.float32(abs(shift[1]))
    image += beside
    return image


def _twice(image: NDArray[_T]) -> NDArray[_T]:
    """Repeat every pixel twice along both axes."""
    return np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)


def _classify(ground: Ground, air: Sky, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Scene classification (0..11) with the mistakes that the real one makes at cloud edges."""
    rho = ground.coarse
    red, near, swir = (rho[k].astype(np.float32) for k in (2, 3, 4))
    index = (near - red) / np.maximum(near + red, 1)
    scl = np.full(red.shape, 5, np.uint8)
    scl[index > 0.4] = 4
    scl[(swir < 800) & (index < 0.25)] = 6
    scl[(near < 1100) & (swir > 800) & (index < 0.3)] = 2
    # The classifier errs at the edges of clouds and shadows, not in the open.
    doubt = 0.03 * rng.standard_normal(red.shape, dtype=np.float32)
    doubt *= np.maximum(np.maximum(air.cloud, air.shadow), air.cirrus) > 0.03
    cloud, shadow = air.cloud + doubt, air.shadow + 2 * doubt
    scl[(cloud > 0.05) & (cloud <= 0.10)] = 7
    scl[shadow > 0.15] = 3
    scl[air.cirrus + doubt > 0.10] = 10
    scl[cloud > 0.10] = 8
    scl[cloud > 0.6] = 9
    scl[(rho[0] == 0) | (air.seen <= 0)] = 0
    return scl


def write_cog(path: Path, image: Stored, zone: Zone, metres: int, tags: dict[str, str]) -> str:
    """Write a cloud-optimised GeoTIFF; return the sha256 of the file."""
    profile = {
        "driver": "GTiff",
        "height": image.shape[0],
        "width": image.shape[1],
        "count": 1,
        "dtype": image.dtype.name,
        "crs": f"EPSG:{zone.epsg}",
        "transform": zone.transform(metres),
        "nodata": 0,
    }
    with rasterio.MemoryFile() as plain, rasterio.MemoryFile() as cog:
        with plain.open(**profile) as target:
            target.write(image, 1)
            target.update_tags(TIFFTAG_IMAGEDESCRIPTION=SIMULATED, SIMULATED="YES", **tags)
        with plain.open() as source:
            copy_raster(
                source,
                cog.name,
                driver="COG",
                blocksize=512,
                compress="zstd",
                level=1,
                predictor="yes",
                overviews="none",
            )
        content = cog.read()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
