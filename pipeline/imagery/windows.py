"""Read the part of a raster that covers a box, whole and checked, or fail with a named cause.

Files here are opened by GDAL; of remote ones the bytes are fetched first (``remote``), so that GDAL
only decodes. A file that does not decode is fetched anew within the budget.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from pipeline.errors import AsmAtlasError, MissingBandError, MissingMetadataError, ReadFailedError
from pipeline.geo import grid
from pipeline.imagery.checksums import bytes_match, file_matches, kind_and_digest
from pipeline.imagery.hrefs import is_remote, plain
from pipeline.imagery.items import SceneBand
from pipeline.imagery.remote import CHANGED, Cursor, Kept, RemoteFile
from pipeline.imagery.retry import Limits
from pipeline.runtime.http import FetchError

MAX_PIXELS = 40_000 * 40_000
GDAL_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_NUM_THREADS": "1",
    "GDAL_TIFF_INTERNAL_MASK": "NO",
    # libjpeg and OpenJPEG would make up what a damaged file lacks.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
}
# What the first bytes say a file is; a VRT named .tif could read any file of this machine.
_DRIVERS = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0c": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}
CHECKSUM = "checksum"
_MARGIN_PX = 4
# GDAL calls back into Python for the bytes of a remote file. While it does, it holds locks of its
# own and waits for Python's; another thread that holds Python's and waits for GDAL's would wait
# forever. So one thread at a time is in GDAL; bytes are fetched side by side outside of it.
GDAL_LOCK = threading.RLock()
_kept = Kept()

# What another try cannot help, and what to do then.
_LASTING = ("does not decode", "not found", "not found (404)", "not found (410)", CHECKSUM)
_MARK = (
    "--failed-scenes mark (FAILED_SCENES=mark) makes the blocks without the scene, counts the gap "
    "and ends with exit code 27"
)
_MEND = f"mend or replace this file, then run the same command again; or {_MARK}"
_AGAIN = (
    "run the same command again, finished blocks are kept; check your own network or proxy "
    f"(HTTPS_PROXY); or {_MARK}"
)


@dataclass(frozen=True)
class Numbers:
    """A part of a raster as it is stored.

    Parameters
    ----------
    values : numpy.ndarray of float32, shape (h, w)
        Digital numbers, NaN where nodata; empty if the file does not reach the box.
    transform : affine.Affine
        From columns and rows to the file's coordinates.
    crs : rasterio.crs.CRS
        The file's.
    """

    values: NDArray[np.float32]
    transform: Affine
    crs: CRS


def read_numbers(
    band: SceneBand,
    provider: str,
    bounds: tuple[float, float, float, float],
    limits: Limits,
    where: str,
) -> Numbers:
    """Read the part of a band's file that covers a box and a margin.

    Parameters
    ----------
    band : SceneBand
        File, index, nodata and checksum.
    provider : str
        Name of the table's row that tells how to get in, for a remote file.
    bounds : tuple of float
        West, south, east, north; EPSG:4326.
    limits : Limits
        Hosts, tries and times.
    where : str
        Scene and band, for messages.

    Returns
    -------
    Numbers
        As stored.

    Raises
    ------
    ReadFailedError
        If the file cannot be read, after all tries.
    MissingBandError
        If the file has no band of that index.
    MissingMetadataError
        If it has no coordinate system.
    """
    where = f"{where}, {plain(band.href)}"
    if not is_remote(band.href):
        if band.checksum and not _local_matches(band, where):
            raise _failed(CHECKSUM, "its bytes are not what the catalogue says", where)
        with _opened(band.href, where) as file:
            return _window(file, band, bounds, where)
    remote = _kept.take(band.href, band.version) or RemoteFile(band.href, provider, limits)
    remote.start(limits)
    return _read_remote(remote, band, bounds, limits, where)


def _read_remote(
    remote: RemoteFile,
    band: SceneBand,
    bounds: tuple[float, float, float, float],
    limits: Limits,
    where: str,
) -> Numbers:
    last = _failed("nothing tried", "", where)
    for number in remote.budget.tries():
        if number > 1:
            remote.start_over()
        try:
            whole = _verified(remote, band, limits)
            remote.read(0, 1)
            with _opened(remote, where) as file:
                ranges = list(_ranges(file, band, bounds))
            remote.prefetch(ranges)
            with _opened(remote, where) as file:
                numbers = _window(file, band, bounds, where)
            # GDAL may make light of a read that failed.
            if remote.failure is None:
                _kept.put(band.href, band.version, remote, whole=whole)
                return numbers
        except ReadFailedError as error:
            last = error
        if isinstance(remote.failure, AsmAtlasError):
            raise remote.failure
        if remote.failure is not None:
            cause = remote.failure.cause
            last = _failed(cause, f"{limits.tries} tries", where)
            if cause not in (CHANGED, CHECKSUM):
                break
    raise last


def _verified(remote: RemoteFile, band: SceneBand, limits: Limits) -> bool:
    """Check the whole file's checksum where that is asked for; whether all of it is here."""
    if not band.checksum or kind_and_digest(band.checksum) is None:
        return False
    remote.read(0, 1)
    if remote.failure is not None or remote.total > limits.verify_bytes:
        return False
    if not bytes_match(remote.whole(), band.checksum) and remote.failure is None:
        remote.failure = FetchError(CHECKSUM)
    return True


def _ranges(
    file: rasterio.DatasetReader, band: SceneBand, bounds: tuple[float, float, float, float]
) -> Iterator[tuple[int, int]]:
    """Byte ranges of the tiles that a box needs; none where the format does not tell."""
    window = _place(file, bounds)
    if window is None or not 1 <= band.index <= file.count:
        return
    height, width = file.block_shapes[band.index - 1]
    (top, bottom), (left, right) = window.toranges()
    for row in range(top // height, (bottom - 1) // height + 1):
        for col in range(left // width, (right - 1) // width + 1):
            start, size = (
                file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band.index)
                for what in ("OFFSET", "SIZE")
            )
            if start and size:
                yield int(start), int(start) + int(size)


def _window(
    file: rasterio.DatasetReader,
    band: SceneBand,
    bounds: tuple[float, float, float, float],
    where: str,
) -> Numbers:
    window = _place(file, bounds)
    if window is None:
        return Numbers(np.empty((0, 0), np.float32), file.transform, file.crs)
    if not 1 <= band.index <= file.count:
        raise MissingBandError(
            f"a file has {file.count} bands, not {band.index}",
            where=where,
            next_step="mend the catalogue: the asset's eo:bands or bands do not fit its file",
        )
    values = file.read(band.index, window=window, out_dtype=np.float32)
    if band.nodata is not None:
        values[values == band.nodata] = np.nan
    return Numbers(values, file.window_transform(window), file.crs)


def _place(
    file: rasterio.DatasetReader, bounds: tuple[float, float, float, float]
) -> Window | None:
    """Columns and rows that cover a box (EPSG:4326) and a margin."""
    left, bottom, right, top = transform_bounds(grid.CRS, file.crs, *bounds, densify_pts=21)
    to_pixel = ~file.transform
    (x0, y0), (x1, y1) = to_pixel @ (left, top), to_pixel @ (right, bottom)
    if not np.isfinite([x0, y0, x1, y1]).all():
        raise RasterioIOError("the file lies nowhere near its scene")
    x0, y0 = max(0, int(x0) - _MARGIN_PX), max(0, int(y0) - _MARGIN_PX)
    x1 = min(file.width, int(np.ceil(x1)) + _MARGIN_PX)
    y1 = min(file.height, int(np.ceil(y1)) + _MARGIN_PX)
    return Window(x0, y0, x1 - x0, y1 - y0) if x0 < x1 and y0 < y1 else None


@contextmanager
def _opened(place: str | RemoteFile, where: str) -> Iterator[rasterio.DatasetReader]:
    """Open a raster, with every GDAL failure turned into a ReadFailedError."""
    try:
        with GDAL_LOCK, rasterio.Env(**GDAL_OPTIONS):
            if isinstance(place, RemoteFile):
                name = f"atlas-{uuid.uuid4().hex}"
                file = rasterio.open(
                    name, driver=_driver(place.read(0, 4)), opener=lambda *_, **__: Cursor(place)
                )
            else:
                with Path(place).open("rb") as beginning:
                    file = rasterio.open(place, driver=_driver(beginning.read(4)))
            with file:
                if file.crs is None:
                    raise MissingMetadataError(
                        "a file has no coordinate system",
                        where=where,
                        next_step="say it: gdal_edit.py -a_srs EPSG:NUMBER FILE, or leave it out",
                    )
                if file.width * file.height > MAX_PIXELS:
                    raise ReadFailedError(
                        "a file claims more pixels than any scene has",
                        where=where,
                        next_step="leave it out of the catalogue, or --failed-scenes mark",
                    )
                yield file
    except FileNotFoundError as error:
        raise _failed("not found", str(error), where) from None
    except (RasterioError, OSError) as error:
        raise _failed("does not decode", str(error.__cause__ or error), where) from None


def _driver(beginning: bytes) -> str:
    driver = _DRIVERS.get(beginning)
    if driver is None:
        raise RasterioIOError("neither a GeoTIFF nor a JPEG 2000 file")
    return driver


def _local_matches(band: SceneBand, where: str) -> bool:
    try:
        return file_matches(Path(band.href), band.checksum)
    except OSError as error:
        raise _failed("not found", str(error), where) from None


def _failed(cause: str, text: str, where: str) -> ReadFailedError:
    reason = text.splitlines()[0] if text else "no reason given"
    return ReadFailedError(
        f"pixels could not be read: {cause} ({reason})",
        where=where,
        next_step=_MEND if cause in _LASTING else _AGAIN,
    )
