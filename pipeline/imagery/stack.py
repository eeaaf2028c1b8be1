"""One layer an acquisition, on disk while a block is blended, so that dates take no memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Of all acquisitions together, per strip: what sorts within a core's own cache.
_STRIP_BYTES = 2 << 20


class Stack:
    """Layers of one shape, written one after the other and read back in strips of rows.

    They lie in a file without a name in the folder for temporary files (``TMPDIR``), which goes
    with the process whatever ends it.

    Parameters
    ----------
    bands, height, width : int
        Shape of a layer.
    """

    def __init__(self, bands: int, height: int, width: int) -> None:
        self._shape = (bands, height, width)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._count = 0

    def close(self) -> None:
        """Give the room on the disk back."""
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, layer: NDArray[np.int16]) -> None:
        """Write one more layer.

        Parameters
        ----------
        layer : numpy.ndarray of int16, shape (bands, height, width)
            Its values.
        """
        if layer.shape != self._shape or layer.dtype != np.int16:
            raise ValueError(f"a layer is int16 of {self._shape}, not {layer.dtype} {layer.shape}")
        self._file.seek(self._count * layer.nbytes)
        self._file.write(np.ascontiguousarray(layer).data)
        self._count += 1

    def strips(self) -> Iterator[tuple[slice, NDArray[np.int16]]]:
        """Read all layers back, some rows at a time.

        Yields
        ------
        rows : slice
            Which rows.
        values : numpy.ndarray of int16, shape (layers, bands, rows, width)
            The caller's own, to sort as it likes.
        """
        bands, height, width = self._shape
        row_bytes = 2 * width
        rows = max(1, _STRIP_BYTES // max(1, self._count * bands * row_bytes))
        self._file.flush()
        for top in range(0, height, rows):
            some = min(rows, height - top)
            values = np.empty((self._count, bands, some, width), np.int16)
            for layer in range(self._count):
                for band in range(bands):
                    self._file.seek(((layer * bands + band) * height + top) * row_bytes)
                    if self._file.readinto(values[layer, band].data) != some * row_bytes:
                        raise OSError("the folder for temporary files lost a part of a layer")
            yield slice(top, top + some), values
