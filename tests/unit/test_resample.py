"""Resampling by one sparse matrix gives what GDAL's own warp gives."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from imagery import WEST, utm_corner
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject

from pipeline.imagery.resample import Area, Resamplers
from pipeline.imagery.windows import Numbers


def source(gaps: float = 0.0, metres: float = 10.0, seed: int = 1) -> Numbers:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 9_000, (210, 190)).astype(np.float32)
    values[rng.random(values.shape) < gaps] = np.nan
    corner = utm_corner(5.97, 2.06)
    return Numbers(values, from_origin(*corner, metres, metres), CRS.from_epsg(32631))


def gdals(read: Numbers, area: Area, resampling: Resampling) -> np.ndarray:
    warped = np.full((area.height, area.width), np.nan, np.float32)
    gaps = bool(np.isnan(read.values).any())
    with rasterio.Env():
        reproject(
            read.values,
            warped,
            src_transform=read.transform,
            src_crs=read.crs,
            src_nodata=np.nan if gaps else None,
            dst_transform=area.transform,
            dst_crs="EPSG:4326",
            dst_nodata=np.nan if gaps else None,
            init_dest_nodata=gaps,
            resampling=resampling,
        )
    return warped


@pytest.mark.parametrize("gaps", [0.0, 0.05, 0.6])
@pytest.mark.parametrize("metres", [10.0, 20.0])
def test_bilinear_is_gdals(gaps, metres) -> None:
    read = source(gaps, metres)
    area = Area(WEST.transform, 1208, 1208)
    found = Resamplers().between(read, area).bilinear(read.values)
    expected = gdals(read, area, Resampling.bilinear)
    seen = np.isfinite(found) & np.isfinite(expected)
    assert seen.sum() > 10_000
    # A place right between a gap and a value may go either way.
    assert (np.isfinite(found) != np.isfinite(expected)).sum() <= 1e-4 * seen.sum() * bool(gaps)
    # A tenth of a digital number, where neighbours differ by thousands.
    assert np.abs(found[seen] - expected[seen]).max() < 0.1


def test_nearest_is_gdals() -> None:
    read = source(metres=20.0)
    area = Area(WEST.transform, 1208, 1208)
    found = Resamplers().between(read, area).nearest(read.values)
    expected = gdals(read, area, Resampling.nearest)
    both = np.isfinite(found) & np.isfinite(expected)
    assert both.sum() > 100_000
    # Places right between two pixels may go either way.
    assert (found[both] != expected[both]).mean() < 1e-4
    assert set(np.unique(found[both])) <= set(np.unique(read.values))


def test_a_grid_is_worked_out_once() -> None:
    resamplers = Resamplers(most=1)
    area = Area(WEST.transform, 200, 200)
    first = resamplers.between(source(seed=1), area)
    assert resamplers.between(source(seed=2), area) is first
    assert resamplers.between(source(metres=20.0), area) is not first
    assert resamplers.between(source(seed=1), area) is not first


def test_a_source_elsewhere_gives_nothing() -> None:
    area = Area(WEST.transform, 50, 50)
    read = source()
    assert np.isnan(
        Resamplers().between(read, area.part(-900, -900, 50, 50)).bilinear(read.values)
    ).all()
    one = Numbers(np.ones((1, 1), np.float32), read.transform, read.crs)
    found = Resamplers().between(one, Area(WEST.transform, 1208, 1208)).bilinear(one.values)
    assert set(np.unique(found[np.isfinite(found)])) == {1.0}
