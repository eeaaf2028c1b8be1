"""Words for what happened to a cell between two seasons, and why it sometimes has none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from pipeline.classes import CANNOT_TELL, can_tell, cuts

NEW, PERSISTING, FADING, NONE = "new", "persisting", "fading", "none"
WORDS = (NEW, PERSISTING, FADING, NONE, CANNOT_TELL)
CLOUDS_FROM, CLOUDS_TO, UNLIKE_FROM, UNLIKE_TO, OVERLAP = (
    "clouds_from", "clouds_to", "unlike_from", "unlike_to", "overlap",
)  # fmt: skip
REASONS = (CLOUDS_FROM, CLOUDS_TO, UNLIKE_FROM, UNLIKE_TO, OVERLAP)
_OF_A_SEASON = (
    "probability", "low", "high", "dissimilarity", "observed", "clear_observations",
    "first_image", "last_image",
)  # fmt: skip
# A change must also exceed so many times the usual spread of the cells' differences, most of which
# are air, season and pixels that lie a little elsewhere (docs/decisions/0019-change.md).
LEAST_SPREADS = 3.0
# Clear dates per pixel, on average: a median of fewer is a single image, cloud left in and all.
LEAST_CLEAR = 2.0
_DEVIATION = 1.4826  # of a normal distribution, over its median absolute deviation


def side_by_side(
    first: pd.DataFrame, second: pd.DataFrame, differences: pd.DataFrame
) -> pd.DataFrame:
    """Return one row a cell with both seasons and their difference.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Predictions of the same cells (``pipeline.predict.read_predictions``).
    differences : pandas.DataFrame
        Of ``read_differences``; a cell that is not there was not seen in both.

    Returns
    -------
    pandas.DataFrame
        ``cell``, the seasons' columns with ``_from`` and ``_to``, ``change``, ``change_low`` and
        ``change_high``, in the order of the cells.
    """
    columns = ["cell", *_OF_A_SEASON]
    both = first[columns].merge(
        second[columns], on="cell", how="outer", suffixes=("_from", "_to"), validate="1:1"
    )
    whole = both.merge(differences, on="cell", how="left", validate="1:1")
    return whole.sort_values("cell", ignore_index=True)


def name_cells(table: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Say of every cell what happened to it.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``side_by_side`` gives it.
    thresholds : mapping
        The model's, ``possible`` and ``likely``.

    Returns
    -------
    pandas.DataFrame
        With ``change``, ``change_low`` and ``change_high`` less the median of all cells' changes,
        which is what the seasons themselves differ by; ``change_class``: ``new``, ``persisting``,
        ``fading``, ``none`` (no mining seen in either season) or ``cannot_tell``; and
        ``change_reason``, of ``REASONS`` for ``cannot_tell``, else empty.

    Notes
    -----
    A score has risen or fallen if the interval of its difference leaves zero out, and the
    difference exceeds ``LEAST_SPREADS`` times the robust spread of all differences. A cell is new
    if it has risen from below likely to at least half way (in logits) between possible and likely;
    fading if it has fallen from there. It persists if it is at least possible in both seasons and
    likely in one. Where it is likely in one season and below possible in the other, but has neither
    risen nor fallen, the intervals overlap: nobody can tell. Nor is a change named that one of the
    seasons shows in fewer than ``LEAST_CLEAR`` clear images.
    """
    middle, spread = _usual(table["change"])
    moved = {
        name: (table[name] - middle).astype(np.float32)
        for name in ("change", "change_low", "change_high")
    }
    by = moved["change"]
    risen = (moved["change_low"] > 0) & (by > LEAST_SPREADS * spread)
    fallen = (moved["change_high"] < 0) & (by < -LEAST_SPREADS * spread)
    possible, likely = cuts(thresholds)
    half = np.float32(expit((logit(thresholds["possible"]) + logit(thresholds["likely"])) / 2))
    before, after = table["probability_from"], table["probability_to"]
    low, high = np.fmin(before, after), np.fmax(before, after)
    words = np.select(
        [
            risen & (before < likely) & (after >= half),
            fallen & (before >= half),
            (low >= possible) & (high >= likely),
            (low < possible) & (high >= likely),
        ],
        [NEW, FADING, PERSISTING, CANNOT_TELL],
        default=NONE,
    ).astype(object)
    changed = np.isin(words, [NEW, FADING])
    reasons = np.select(
        [
            before.isna() | (changed & (table["clear_observations_from"] < LEAST_CLEAR)),
            after.isna() | (changed & (table["clear_observations_to"] < LEAST_CLEAR)),
            ~can_tell(before, table["dissimilarity_from"]),
            ~can_tell(after, table["dissimilarity_to"]),
            words == CANNOT_TELL,
        ],
        list(REASONS),
        default="",
    )
    words[reasons != ""] = CANNOT_TELL
    return table.assign(**moved, change_class=words, change_reason=reasons)


def _usual(change: pd.Series[float]) -> tuple[float, float]:
    """Return the median of the changes and their robust spread, of the cells seen twice."""
    seen = change.dropna().to_numpy(float)
    if not len(seen):
        return 0.0, 0.0
    middle = float(np.median(seen))
    return middle, _DEVIATION * float(np.median(np.abs(seen - middle)))
