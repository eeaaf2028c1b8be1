"""Pixels corrupted on purpose, as mistakes in reading would: what a model is to notice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALES = (10_000.0, 1 / 10_000)
# What Sentinel-2 adds to every pixel since baseline 04.00, as reflectance.
OFFSET = np.float32(0.1)
# Of the mistakes: another order of bands, another scale, the offset not taken off.
SHARES = (0.7, 0.2, 0.1)


def corrupt(reflectance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return images as one mistake each would have made them.

    Parameters
    ----------
    reflectance : numpy.ndarray of float32, shape (n, C, H, W)
        0..1; NaN is unobserved and stays so.
    rng : numpy.random.Generator
        Chooses the mistakes.

    Returns
    -------
    numpy.ndarray of float32, shape (n, C, H, W)
        Bands in another order (where there are several), reflectance times or divided by 10,000,
        or with the offset of newer products left in.
    """
    bands = reflectance.shape[1]
    wrong = np.empty_like(reflectance)
    for index, image in enumerate(reflectance):
        mistake = rng.choice(3, p=SHARES)
        if mistake == 0 and bands > 1:
            order = rng.permutation(bands)
            while (order == np.arange(bands)).all():
                order = rng.permutation(bands)
            wrong[index] = image[order]
        elif mistake == 2:
            wrong[index] = image + OFFSET
        else:
            wrong[index] = image * np.float32(rng.choice(SCALES))
    return wrong
