"""Which pixels of a scene show the ground: from its scene classification, or by s2cloudless.

Clouds are told on pixels of the block's own grid, with a margin around it, so that what is near a
block's edge is the same in its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DependencyError, ReadFailedError

if TYPE_CHECKING:
    from s2cloudless.cloud_detector import S2PixelCloudDetector

LAST_SCL = 11
# Classes of the scene classification that are not a clear view of the ground: no data, saturated,
# cloud shadow, cloud of medium and high probability, cirrus.
UNCLEAR_SCL = (0, 1, 3, 8, 9, 10)
# Bands that the cloud model of s2cloudless wants, in its order, as top-of-atmosphere reflectance.
CLOUD_MODEL_BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
# The model was made for 60 m and coarser: it sees means of so many pixels (56 m).
COARSE_PX = 6
# Coarse pixels around a block whose clouds may reach into it.
COARSE_MARGIN = 4
_THRESHOLD = 0.4


@dataclass(frozen=True)
class CloudRule:
    """What counts as cloud.

    Parameters
    ----------
    unclear : tuple of int
        Classes of the scene classification that are not a clear view of the ground.
    dilation : int
        Pixels by which clouds are grown.
    """

    unclear: tuple[int, ...] = UNCLEAR_SCL
    dilation: int = 0


def scl_clouded(
    classes: NDArray[np.float32], unclear: tuple[int, ...], where: str
) -> NDArray[np.bool_]:
    """Tell clouds by the scene classification of an L2A scene.

    Parameters
    ----------
    classes : numpy.ndarray of float32, shape (h, w)
        Classes by nearest neighbour, NaN for none.
    unclear : tuple of int
        Classes that are not a clear view of the ground.
    where : str
        Scene and file, for messages.

    Returns
    -------
    numpy.ndarray of bool, shape (h, w)
        Whether a pixel is not clear; without a class it is not.

    Raises
    ------
    ReadFailedError
        If there is a class that does not exist.
    """
    numbers = np.nan_to_num(classes, nan=0)
    if numbers.max(initial=0) > LAST_SCL or numbers.min(initial=0) < 0:
        raise ReadFailedError(
            f"the scene classification holds a class outside 0 to {LAST_SCL}",
            where=where,
            next_step="the file is damaged or is not a scene classification",
        )
    hidden = np.isin(np.arange(LAST_SCL + 1), unclear)
    hidden[0] = True
    clouded: NDArray[np.bool_] = hidden[numbers.astype(np.uint8)]
    return clouded


def grown(clouded: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Grow clouds by some pixels in all eight directions."""
    if not pixels or not clouded.any():
        return clouded
    # 0.4 s that only growing clouds needs.
    from scipy.ndimage import binary_dilation, generate_binary_structure

    result: NDArray[np.bool_] = binary_dilation(
        clouded, generate_binary_structure(2, 2), iterations=pixels
    )
    return result


def modelled_clouds(reflectance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell clouds of an L1C scene by s2cloudless, on means of ``COARSE_PX`` pixels.

    The probability is smoothed and the mask grown by the model's own means (Zupanc et al. 2017,
    https://github.com/sentinel-hub/sentinel2-cloud-detector).

    Parameters
    ----------
    reflectance : numpy.ndarray of float32, shape (10, h, w)
        Top-of-atmosphere reflectance of ``CLOUD_MODEL_BANDS``, NaN where not observed; ``h`` and
        ``w`` are multiples of ``COARSE_PX``.

    Returns
    -------
    numpy.ndarray of bool, shape (h, w)
        Whether a pixel is clouded.

    Raises
    ------
    DependencyError
        If s2cloudless is not installed.
    """
    bands, height, width = reflectance.shape
    parts = reflectance.reshape(
        bands, height // COARSE_PX, COARSE_PX, width // COARSE_PX, COARSE_PX
    )
    known = np.isfinite(parts)
    counts = known.sum(axis=(2, 4))
    means = np.where(known, parts, 0).sum(axis=(2, 4)) / np.maximum(counts, 1)
    # Where nothing was observed there is no cloud to tell, and nothing that counts anyway.
    mask = _detector().get_cloud_masks(np.moveaxis(means, 0, -1)[None].astype(np.float64))[0]
    fine: NDArray[np.bool_] = np.kron(mask.astype(bool), np.ones((COARSE_PX, COARSE_PX), bool))
    return fine


@lru_cache(maxsize=1)
def _detector() -> S2PixelCloudDetector:
    try:
        from s2cloudless.cloud_detector import S2PixelCloudDetector
    except ModuleNotFoundError:
        raise DependencyError(
            "L1C imagery has no cloud classification, and s2cloudless is not installed",
            next_step="make install-l1c, or use L2A imagery",
        ) from None
    return S2PixelCloudDetector(
        threshold=_THRESHOLD, average_over=2, dilation_size=1, all_bands=False
    )
