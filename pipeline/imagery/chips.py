"""Archives of labelled chips: ``chips.npz`` (pixels, labels), ``chips.csv`` (where and when)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.scaling import Scaling
from pipeline.errors import ChipsError
from pipeline.geo import grid

MAX_BYTES = 4 * 1024**3
MAX_SIDE_PX = 1_024
COLUMNS = ("chip", "label", "cell")
# What reading a damaged or hostile archive can end in.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
# The form's own imagery, unless the archive or the command line says otherwise: a Sentinel-2 L1C
# composite whose reflectance 0..0.30 was stretched to 8 bits.
BANDS = ("B04", "B03", "B02")
LEVEL = "L1C"
SCALING = Scaling(clip=0.30, steps=255)


@dataclass(frozen=True)
class ChipImagery:
    """What the chips' pixels are: bands in order, processing level and scaling.

    Parameters
    ----------
    bands : tuple of str
        Names in the order of the chips' last axis.
    level : str
        Processing level: ``L1C`` or ``L2A``.
    scaling : Scaling
        From reflectance to what the filters see.
    """

    bands: tuple[str, ...] = BANDS
    level: str = LEVEL
    scaling: Scaling = SCALING


@dataclass(frozen=True)
class Chips:
    """An archive in memory.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (n, H, W, C)
        As stored: uint8 steps of the scaling, or uint16 reflectance x 10000.
    label : numpy.ndarray of int8 or None, shape (n,)
        1 mine, 0 not; None where the archive has none.
    imagery : ChipImagery
        What the pixels are.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    label: NDArray[np.int8] | None
    imagery: ChipImagery

    def reflectance(
        self, rows: slice | Sequence[int] | NDArray[np.intp] = slice(None)
    ) -> NDArray[np.float32]:
        """Return reflectance (0..1) of some chips, float32, shape (n, C, H, W)."""
        factor = decoding(self.pixels.dtype, self.imagery.scaling)
        return np.moveaxis(self.pixels[rows], 3, 1).astype(np.float32) * np.float32(factor)


def decoding(dtype: np.dtype[np.generic], scaling: Scaling) -> float:
    """Reflectance of one step of stored pixels."""
    return scaling.clip / scaling.steps if dtype == np.uint8 else 1e-4


def read_chips(path: Path, imagery: ChipImagery | None = None) -> Chips:
    """Read ``chips.npz``.

    Parameters
    ----------
    path : pathlib.Path
        An ``.npz`` with ``chips`` (uint8 or uint16, n x H x W x C) and, where known, ``label``.
    imagery : ChipImagery, optional
        What the pixels are; default: the form's own.

    Returns
    -------
    Chips
        Pixels, what they are, and labels where the file has them.

    Raises
    ------
    ChipsError
        If the file is not in this form; its size is checked before it is unpacked.
    """
    imagery = imagery or ChipImagery()
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited on for ever
            raise ChipsError("this is no file", where=str(path))
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_BYTES:
                raise ChipsError("the archive unpacks to more than 4 GiB", where=str(path))
        with np.load(path, allow_pickle=False) as arrays:
            pixels = arrays["chips"]
            label = arrays.get("label")
    except _UNREADABLE as error:
        raise ChipsError(
            f"not an archive of chips: {error}",
            where=str(path),
            next_step="an .npz with `chips` (n x H x W x C, uint8) and `label` is expected",
        ) from None
    if pixels.ndim != 4 or pixels.dtype not in (np.uint8, np.uint16) or len(pixels) == 0:
        raise ChipsError(
            f"chips must be uint8 or uint16 of shape (n, H, W, C), not {pixels.dtype} "
            f"of shape {pixels.shape}",
            where=str(path),
        )
    if max(pixels.shape[1:3]) > MAX_SIDE_PX or pixels.shape[3] != len(imagery.bands):
        raise ChipsError(
            f"chips of {len(imagery.bands)} bands ({' '.join(imagery.bands)}) are expected, "
            f"not of shape {pixels.shape}",
            where=str(path),
            next_step="name the bands with --bands, in the order of the last axis",
        )
    if label is not None and (label.shape != (len(pixels),) or not np.isin(label, (0, 1)).all()):
        raise ChipsError("label must be one 0 or 1 for each chip", where=str(path))
    return Chips(pixels, None if label is None else label.astype(np.int8), imagery)


def read_table(path: Path, count: int) -> pd.DataFrame:
    """Read ``chips.csv``, one row a chip, ordered as the chips are.

    Raises
    ------
    ChipsError
        If a column is missing or the rows do not name every chip once.
    """
    try:
        table = pd.read_csv(path, low_memory=False)
    except (OSError, ValueError) as error:
        raise ChipsError(f"the table of chips cannot be read: {error}", where=str(path)) from None
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ChipsError(f"the table of chips has no column {', '.join(missing)}", where=str(path))
    if sorted(table["chip"]) != list(range(count)):
        raise ChipsError(
            f"the table must name each of the {count} chips once", where=f"{path}, column chip"
        )
    table = table.sort_values("chip").reset_index(drop=True)
    _check_places(table, path)
    return table


def _check_places(table: pd.DataFrame, path: Path) -> None:
    known = located(table)
    limits = {"lon": 180, "lat": 90, "ulx": 1e7, "uly": 2e7, "epsg": 1e5}
    for name, limit in limits.items():
        if name not in table.columns:
            if known.any():
                raise ChipsError(f"located chips have no column {name}", where=str(path))
            continue
        # Of a rough place only the degrees are used.
        said = known | table[name].notna().to_numpy() if name in ("lon", "lat") else known
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(float)[said]
        if not (np.abs(numbers) <= limit).all():
            raise ChipsError(
                f"the place of a chip lies beyond {limit:g}, or is no number",
                where=f"{path}, column {name}",
            )


def located(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Say which chips have an exact place: a UTM zone and the corner of their square."""
    if not {"epsg", "ulx", "uly"} <= set(table.columns):
        return np.zeros(len(table), bool)
    known: NDArray[np.bool_] = table[["epsg", "ulx", "uly"]].notna().all(axis=1).to_numpy()
    return known


def cells_of(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the cell that holds each chip's centre, -1 where its place is not exact."""
    cells = np.full(len(table), -1, np.int64)
    known = located(table)
    if known.any():
        cells[known] = grid.cell_of(table.loc[known, "lon"], table.loc[known, "lat"])
    return cells


def fold_groups(table: pd.DataFrame, run: int = 50) -> NDArray[np.str_]:
    """Name the place of each chip, for folds.

    The 1-degree square where it is known. Chips without a place stay together in runs of
    neighbours in the archive, since neighbours there may overlap on the ground.
    """
    place = table["cell"].astype(str).to_numpy().astype(str)
    unknown = np.char.startswith(place, "src:")
    runs = np.char.add(np.char.add(place, "#"), (np.arange(len(place)) // run).astype(str))
    return np.where(unknown, runs, place)
