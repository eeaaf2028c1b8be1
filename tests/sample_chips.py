"""A small archive of labelled chips, built in code: mines have another texture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SIDE = 24
EPSG = 32631


def chip_pixels(label: NDArray[Any], seed: int = 1) -> NDArray[np.uint8]:
    """One chip for each label, uint8, shape (n, SIDE, SIDE, 3); mines are rough, others smooth."""
    rng = np.random.default_rng(seed)
    rough = rng.standard_normal((len(label), SIDE, SIDE, 3))
    smooth = gaussian_filter(rough, (0, 2, 2, 0))
    field = np.where(label[:, None, None, None] == 1, rough, smooth / smooth.std())
    level = rng.uniform(60, 140, (len(label), 1, 1, 1))
    return (level + 18 * field).clip(0, 255).astype(np.uint8)


def write_archive(folder: Path, count: int = 80, located: int | None = None, seed: int = 1) -> Path:
    """Write ``chips.npz`` and ``chips.csv``; the first ``located`` (default: all) have a place.

    Located chips lie in a row 480 m apart, in the 1-degree squares 0_2 to 3_2 (UTM zone 31N).
    """
    located = count if located is None else located
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    label = (rng.random(count) < 0.4).astype(np.int8)
    label[:2] = (0, 1)
    to_degrees = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)
    index = np.arange(count)
    ulx, uly = 240_000.0 + index * 480 + (index % 4) * 111_000, np.full(count, 250_000.0)
    lon, lat = to_degrees.transform(ulx + 5 * SIDE, uly - 5 * SIDE)
    known = index < located
    square = [f"{int(x)}_{int(y)}" for x, y in zip(np.floor(lon), np.floor(lat), strict=True)]
    table = pd.DataFrame(
        {
            "chip": index,
            "label": label,
            "cell": np.where(known, square, "src:somewhere"),
            "subset": np.where(label == 1, "positives", "negatives"),
            "lon": np.where(known, lon, np.nan),
            "lat": np.where(known, lat, np.nan),
            "epsg": np.where(known, EPSG, np.nan),
            "ulx": np.where(known, ulx, np.nan),
            "uly": np.where(known, uly, np.nan),
            "date_start": "2020-01-01",
            "date_end": "2020-12-31",
        }
    )
    table.to_csv(folder / "chips.csv", index=False)
    np.savez_compressed(folder / "chips.npz", chips=chip_pixels(label, seed), label=label)
    return folder
