"""Arrays as bytes: ``.npz`` without pickles."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(**arrays: Any) -> bytes:
    """Return arrays as the bytes of a compressed ``.npz`` file.

    Parameters
    ----------
    **arrays : array_like
        By name.

    Returns
    -------
    bytes
        ``unpack`` reads them.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a ``.npz`` file.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    dict of str to numpy.ndarray
        By name.

    Raises
    ------
    ValueError
        If an array holds Python objects, which could run code. Other exceptions of NumPy, zip and
        zlib where the file is damaged.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
