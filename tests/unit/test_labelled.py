"""The features of labelled arrays: the same ones, in memory or chunk by chunk."""

from __future__ import annotations

import dataclasses
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from sample_model import BANDS, sample_bank, textured

from features.errors import BankError, BankMismatchError
from features.labelled import labelled_features
from features.rcf import cell_features

BANK = sample_bank()
HALO = BANK.patch_max - 1
CELL = 10


def image(height: int = 47, width: int = 63, seed: int = 1, gaps: float = 0.01) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    pixels = textured(rng, 3, height, width)
    pixels[rng.random(pixels.shape) < gaps] = np.nan
    return xr.DataArray(
        pixels,
        dims=("band", "y", "x"),
        coords={
            "band": list(BANDS),
            "y": ("y", 4.0 - 0.5 * np.arange(height), {"units": "degrees_north"}),
            "x": 10 + 0.5 * np.arange(width),
            "spatial_ref": ((), 0, {"crs_wkt": "EPSG:4326", "GeoTransform": "10 0.5 0 4 0 -0.5"}),
        },
    )


def test_whole_cells_are_those_of_the_array_function() -> None:
    pixels = image()
    cells = labelled_features(pixels, BANK, CELL)
    assert cells.features.dims == ("column", "y", "x")
    assert cells.observed.dims == ("y", "x")
    assert cells.features.shape == (BANK.columns, 5, 7)
    assert cells.features.dtype == cells.observed.dtype == np.float32
    plain, shares = cell_features(pixels.values, BANK, (4, 6), CELL)
    inner = cells.isel(y=slice(4), x=slice(6))
    assert np.array_equal(inner.features.values.reshape(BANK.columns, -1).T, plain, equal_nan=True)
    assert np.array_equal(inner.observed.values.reshape(-1), shares.min(axis=1))


def test_windows_that_would_leave_the_image_do_not_count() -> None:
    cells = labelled_features(image(gaps=0), BANK, CELL)
    # 47 rows: the fifth row of cells holds 7 of them, of which 4 begin a window of 4 px; the same
    # for 3 of 63 columns, of which none does.
    assert cells.observed.values[:4, :6] == pytest.approx(1)
    assert cells.observed.values[4, :6] == pytest.approx(4 / CELL)
    assert (cells.observed.values[:, 6] == 0).all()
    assert np.isnan(cells.features.values[:, :, 6]).all()
    assert np.isfinite(cells.features.values[:, :, :6]).all()
    # Without a remainder the last cells lack their halo only.
    exact = labelled_features(image(40, 60, gaps=0), BANK, CELL)
    assert exact.observed.values[3, :5] == pytest.approx(7 / CELL)
    assert exact.observed.values[3, 5] == pytest.approx(49 / CELL**2)


def test_coordinates_are_the_cells_centres() -> None:
    pixels = image()
    cells = labelled_features(pixels, BANK, CELL)
    # The mean of the first ten pixels' centres, then ten pixels on, beyond the image too.
    assert cells.y.values == pytest.approx(4 - 0.5 * 4.5 - 5 * np.arange(5))
    assert cells.x.values == pytest.approx(10 + 0.5 * 4.5 + 5 * np.arange(7))
    assert cells.y.attrs == {"units": "degrees_north"}
    assert cells.spatial_ref.attrs == {"crs_wkt": "EPSG:4326"}
    assert list(cells.column.values) == list(BANK.column_names)
    about = {"bank": BANK.hash, "recipe": "atlas", "level": "L2A", "cell_px": CELL}
    assert cells.attrs == about
    bare = labelled_features(image().drop_vars(["y", "x"]), BANK, CELL)
    assert set(bare.coords) == {"column", "spatial_ref"}
    # The image itself is as it was.
    xr.testing.assert_identical(pixels, image())


# Chunks of whole cells, of parts of cells, of less than the halo, and of everything.
CHUNKS = [(20, 20), (13, 17), (2, 3), (47, 63), (10, 63), (36, 51)]


@pytest.mark.parametrize("cell_px", [CELL, 2, 20])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_no_value_depends_on_the_chunks(chunks: tuple[int, int], cell_px: int) -> None:
    pixels = image(gaps=0.002)
    eager = labelled_features(pixels, BANK, cell_px)
    chunked = pixels.chunk({"band": 2, "y": chunks[0], "x": chunks[1]})
    lazy = labelled_features(chunked, BANK, cell_px)
    assert isinstance(lazy.features.data, da.Array)
    assert isinstance(lazy.observed.data, da.Array)
    assert np.isfinite(eager.features.values).any()
    with dask.config.set(scheduler="threads", num_workers=2):
        xr.testing.assert_identical(lazy.compute(), eager)


def counting(pixels: xr.DataArray, size: int) -> tuple[xr.DataArray, list[Any]]:
    """The same in chunks, and a list of the chunks that were read."""
    read: list[Any] = []

    def chunk(block_info: Any = None) -> np.ndarray:
        at = block_info[None]["array-location"]
        read.append(tuple(at))
        return pixels.values[tuple(slice(*pair) for pair in at)]

    blocks = [-(-length // size) for length in pixels.shape[1:]]
    sizes = [
        tuple(min(size, length - size * i) for i in range(n))
        for length, n in zip(pixels.shape[1:], blocks, strict=True)
    ]
    data = da.map_blocks(
        chunk, chunks=((3,), *sizes), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    return pixels.copy(data=data), read


def test_nothing_is_read_before_it_is_asked_for_and_little_then() -> None:
    pixels = image(200, 200)
    chunked, read = counting(pixels, 20)
    lazy = labelled_features(chunked, BANK, CELL)
    assert read == []
    assert lazy.features.data.chunks == ((BANK.columns,), (2,) * 10, (2,) * 10)
    cell = lazy.isel(y=5, x=5).compute(scheduler="synchronous")
    # Its own chunk and the three that the halo reaches into.
    assert len(read) == len(set(read)) == 4
    read.clear()
    whole = lazy.compute(scheduler="synchronous")
    assert len(read) == len(set(read)) == 100
    assert np.array_equal(whole.features[:, 5, 5], cell.features)


def test_bands_are_chosen_by_name_and_dimensions_may_have_any() -> None:
    pixels = image()
    expected = labelled_features(pixels, BANK, CELL)
    more = xr.concat([pixels, pixels[:1].assign_coords(band=["B08"])], "band")
    shuffled = more.isel(band=[3, 2, 0, 1]).transpose("x", "band", "y")
    xr.testing.assert_identical(labelled_features(shuffled, BANK, CELL), expected)
    renamed = pixels.rename(band="channel", y="lat", x="lon")
    cells = labelled_features(renamed, BANK, CELL, band="channel", y="lat", x="lon")
    xr.testing.assert_identical(cells.rename(lat="y", lon="x"), expected)


def test_images_that_do_not_fit_are_refused() -> None:
    pixels = image()
    labelled_features(pixels, BANK, CELL, level="L2A")
    with pytest.raises(BankMismatchError, match="imagery is L1C"):
        labelled_features(pixels, BANK, CELL, level="L1C")
    for bands in (["B04", "B03", "B08"], ["B04", "B03", "B03"]):
        other = pixels.assign_coords(band=bands)
        with pytest.raises(BankMismatchError, match=f"B04 B03 B02, the image has {bands[0]}"):
            labelled_features(other, BANK, CELL)
    with pytest.raises(BankMismatchError, match=r"assign_coords\(band=\['B04', 'B03', 'B02'\]\)"):
        labelled_features(pixels.drop_vars("band"), BANK, CELL)
    for wrong in (pixels.expand_dims("time"), pixels[0], pixels.rename(y="lat")):
        with pytest.raises(BankError, match="dimensions band, y, x is needed, not of"):
            labelled_features(wrong, BANK, CELL)
    for wrong in (pixels.fillna(0).astype(np.int16), pixels[:, :0]):
        with pytest.raises(BankError, match="floating-point numbers is needed"):
            labelled_features(wrong, BANK, CELL)
    with pytest.raises(BankError, match="at least 1 px"):
        labelled_features(pixels, BANK, 0)


def test_an_image_smaller_than_a_patch_has_no_observed_cell() -> None:
    for pixels in (image(3, 20), image(3, 20).chunk()):
        cells = labelled_features(pixels, BANK, CELL)
        assert (cells.observed.values == 0).all()
        assert np.isnan(cells.features.values).all()


def test_a_patch_of_one_pixel_needs_no_halo() -> None:
    group = dataclasses.replace(
        BANK.groups[0], filters=np.ascontiguousarray(BANK.groups[0].filters[..., :1, :1])
    )
    bank = dataclasses.replace(BANK, groups=(group,))
    pixels = image(40, 60, gaps=0)
    eager = labelled_features(pixels, bank, CELL)
    assert (eager.observed == 1).all()
    xr.testing.assert_identical(labelled_features(pixels.chunk(13), bank, CELL).compute(), eager)
