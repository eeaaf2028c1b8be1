"""Random convolutional features of labelled arrays (xarray), in memory or chunk by chunk (Dask)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from features.bank import FilterBank, bank_bytes, load_bank
from features.errors import BankError, BankMismatchError
from features.rcf import cell_features

COLUMN = "column"


def labelled_features(
    image: xr.DataArray,
    bank: FilterBank,
    cell_px: int,
    band: str = "band",
    y: str = "y",
    x: str = "x",
    level: str = "",
) -> xr.Dataset:
    """Compute the features of square cells of an image, with labels in and out.

    Cells are counted from the image's first row and column. Where its size is no multiple of
    ``cell_px``, the last row or column of cells reaches beyond it; windows that would leave the
    image do not count, there and in the cells along its last rows and columns, and ``observed``
    says so.

    Parameters
    ----------
    image : xarray.DataArray of float, dimensions ``band``, ``y`` and ``x`` in any order
        Reflectance (0..1), unobserved where any band is not finite. Its bands are chosen by the
        names that the coordinate ``band`` gives; others than the bank's are not looked at.
    bank : FilterBank
        The filters.
    cell_px : int
        Side of a cell in pixels.
    band, y, x : str
        Names of the dimensions.
    level : str
        Processing level of the image, ``L1C`` or ``L2A``; where given, it must be the bank's.

    Returns
    -------
    xarray.Dataset
        ``features``, float32, (column, y, x): means over the windows that counted, NaN for a cell
        in which none did; a window belongs to the cell that holds its upper-left pixel.
        ``observed``, float32, (y, x): share of the cell's windows that counted, the smallest over
        the patch sizes. The coordinates are the cells' centres, where the image has numbers for
        coordinates; coordinates without a dimension are kept. Attributes name the bank's hash and
        recipe, the level and ``cell_px``. Of a Dask array both are Dask arrays: nothing is
        computed before it is asked for, and a chunk needs its own pixels and those of a halo of
        ``bank.patch_max - 1`` px. No value depends on the chunks.

    Raises
    ------
    BankMismatchError
        If bands or the level are not the bank's.
    BankError
        If dimensions are missing or too many, pixels are not floats, or ``cell_px`` is below 1.
    """
    chosen = _bands_of(image, bank, (band, y, x))
    if level:
        bank.check_imagery(bank.bands, level)
    if cell_px < 1:
        raise BankError(f"a cell is at least 1 px wide, not {cell_px}")
    together = xr.apply_ufunc(
        _lazy if chosen.chunks is not None else _features_and_share,
        chosen,
        input_core_dims=[[band, y, x]],
        output_core_dims=[[COLUMN, y, x]],
        exclude_dims={band, y, x},
        kwargs={"bank": bank, "cell_px": cell_px},
        dask="allowed",
    )
    cells = xr.Dataset(
        {"features": together[{COLUMN: slice(-1)}], "observed": together[{COLUMN: -1}]},
        attrs={
            "bank": bank.hash,
            "recipe": bank.recipe,
            "level": bank.level,
            "cell_px": cell_px,
        },
    )
    for coordinate in cells.coords.values():
        # What rioxarray keeps of the pixels' grid is not the cells'.
        coordinate.attrs.pop("GeoTransform", None)
    centres = {
        name: (name, _centres(chosen[name].values, cell_px), chosen[name].attrs)
        for name in (y, x)
        if name in chosen.coords and np.issubdtype(chosen[name].dtype, np.number)
    }
    return cells.assign_coords({COLUMN: list(bank.column_names)} | centres)


def _bands_of(image: xr.DataArray, bank: FilterBank, dims: tuple[str, str, str]) -> xr.DataArray:
    """Return the bank's bands of an image, in the bank's order."""
    band = dims[0]
    if set(image.dims) != set(dims):
        raise BankError(
            f"an image of the dimensions {', '.join(dims)} is needed, "
            f"not of {', '.join(map(str, image.dims))}"
        )
    if not np.issubdtype(image.dtype, np.floating) or 0 in image.shape:
        raise BankError(
            f"reflectance (0..1) as floating-point numbers is needed, "
            f"not {image.dtype} of shape {image.shape}"
        )
    if band not in image.coords:
        names = ", ".join(map(repr, bank.bands))
        raise BankMismatchError(
            f"the image's bands have no names; with image.assign_coords({band}=[{names}]) they do"
        )
    found = [str(name) for name in image[band].values]
    if any(found.count(name) != 1 for name in bank.bands):
        raise BankMismatchError(
            f"the bank is for {' '.join(bank.bands)}, the image has {' '.join(found)}"
        )
    return image[{band: [found.index(name) for name in bank.bands]}]


def _features_and_share(
    pixels: NDArray[Any],
    bank: FilterBank,
    cell_px: int,
    cells: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Return features and, as the last plane, the observed share, (columns + 1, rows, columns).

    The cells (default: all that hold a pixel) begin at the first pixel; what they and their halo
    need beyond the last one was not observed.
    """
    height, width = pixels.shape[1:]
    down, right = cells or (-(-height // cell_px), -(-width // cell_px))
    halo = bank.patch_max - 1
    whole = np.full(
        (len(pixels), down * cell_px + halo, right * cell_px + halo), np.nan, np.float32
    )
    whole[:, :height, :width] = pixels
    features, shares = cell_features(whole, bank, (down, right), cell_px)
    together = np.concatenate([features, shares.min(axis=1, keepdims=True)], axis=1)
    return np.ascontiguousarray(together.T).reshape(-1, down, right)


def _lazy(pixels: Any, bank: FilterBank, cell_px: int) -> Any:
    """Return the same of a Dask array, in chunks of whole cells about as large as its own."""
    import dask.array as da
    from dask.delayed import delayed

    halo = bank.patch_max - 1
    counts = [
        _cells_of_chunks(size, max(chunks), halo, cell_px)
        for size, chunks in zip(pixels.shape[1:], pixels.chunks[1:], strict=True)
    ]
    beyond = [
        (0, sum(count) * cell_px - size)
        for count, size in zip(counts, pixels.shape[1:], strict=True)
    ]
    whole = da.pad(pixels, [(0, 0), *beyond], constant_values=np.nan)
    whole = whole.rechunk(
        {0: -1, 1: tuple(n * cell_px for n in counts[0]), 2: tuple(n * cell_px for n in counts[1])}
    )
    haloed = da.overlap.overlap(  # type: ignore[no-untyped-call]
        whole, {0: 0, 1: (0, halo), 2: (0, halo)}, boundary="none", allow_rechunk=False
    )
    return haloed.map_blocks(
        _chunk_features_and_share,
        # One node of the graph for all chunks.
        stored=delayed(bank_bytes(bank), name=f"bank-{bank.hash}"),
        cell_px=cell_px,
        counts=counts,
        chunks=((bank.columns + 1,), *counts),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )


def _chunk_features_and_share(
    pixels: NDArray[Any],
    stored: bytes,
    cell_px: int,
    counts: list[tuple[int, ...]],
    block_id: tuple[int, int, int],
) -> NDArray[np.float32]:
    cells = counts[0][block_id[1]], counts[1][block_id[2]]
    return _features_and_share(pixels, _bank(stored), cell_px, cells)


# Once a process, so that its kernels are made once.
@lru_cache(maxsize=4)
def _bank(stored: bytes) -> FilterBank:
    return load_bank(stored)


def _cells_of_chunks(size: int, chunk: int, halo: int, cell_px: int) -> tuple[int, ...]:
    """Return the cells of chunks of about this many pixels, none smaller than the halo."""
    cells, least = -(-size // cell_px), -(-halo // cell_px)
    step = max(1, round(chunk / cell_px), least)
    counts = [step] * (cells // step)
    rest = cells % step
    if rest >= least or not counts:
        counts += [rest] if rest else []
    else:
        counts[-1] += rest
    return tuple(counts)


def _centres(pixels: NDArray[Any], cell_px: int) -> NDArray[np.float64]:
    """Return the cells' centres from those of the pixels; beyond the last, its step goes on."""
    values = pixels.astype(np.float64)
    beyond = -len(values) % cell_px
    if beyond:
        step = values[-1] - values[-2] if len(values) > 1 else 0.0
        values = np.concatenate([values, values[-1] + step * np.arange(1, beyond + 1)])
    return np.asarray(values.reshape(-1, cell_px).mean(axis=1))
