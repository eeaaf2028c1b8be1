from __future__ import annotations

import numpy as np
import pytest

from models.errors import TrainingError
from models.folds import checkerboard, random_folds, region_folds, splits


def scattered(rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three far-away clusters of mines, and rows without a place."""
    rng = np.random.default_rng(1)
    centre = np.repeat([[0.0, 0.0], [20.0, 5.0], [40.0, -10.0]], rows // 3, axis=0)
    lon, lat = (centre + rng.uniform(0, 3, centre.shape)).T
    lon[::50] = lat[::50] = np.nan
    return lon, lat, (rng.random(rows) < 0.3).astype(np.int8)


def test_regions_are_the_clusters_of_the_mines() -> None:
    lon, lat, label = scattered()
    folds = region_folds(lon, lat, label, 3)
    placed = np.isfinite(lon)
    cluster = np.repeat([0, 1, 2], 200)
    for number in range(3):
        assert len(np.unique(folds[placed & (cluster == number)])) == 1
    assert len(np.unique(folds[placed])) == 3
    assert np.array_equal(folds, region_folds(lon, lat, label, 3))


def test_mines_in_one_square_give_no_regions() -> None:
    with pytest.raises(TrainingError, match="two 1-degree squares"):
        region_folds(np.full(9, 5.5), np.full(9, 2.5), np.ones(9))


def test_random_folds_share_the_classes_out() -> None:
    label = np.repeat([0, 1], [90, 10])
    folds = random_folds(label, 5)
    assert np.bincount(folds).tolist() == [20] * 5
    assert np.bincount(folds[label == 1]).tolist() == [2] * 5


def test_a_checkerboard_changes_colour_from_square_to_square() -> None:
    lon, lat = np.array([0.5, 1.5, 0.5, 1.5, -0.5, np.nan]), np.array([0.5, 0.5, 1.5, 1.5, 0.5, 1])
    assert checkerboard(lon, lat, 1.0).tolist() == [0, 1, 1, 0, 1, -1]
    assert checkerboard(lon, lat, 2.0)[:4].tolist() == [0, 0, 0, 0]


def test_a_buffer_keeps_neighbours_out_of_training() -> None:
    lon = np.array([0.0, 0.05, 0.5, 3.0, np.nan])
    lat = np.zeros(5)
    folds = np.array([0, 1, 1, 1, 1], np.int16)
    first, second = splits(folds, lon, lat, buffer_km=10)
    assert first.test.tolist() == [True, False, False, False, False]
    # 5.6 km away; the next are 56 and 334 km; a row without a place is never near.
    assert first.train.tolist() == [False, False, True, True, True]
    assert not second.train.any()
    assert [split.train.sum() for split in splits(folds)] == [4, 1]
    loose = list(splits(np.array([0, 1, -1], np.int16)))
    assert [split.train[2] for split in loose] == [True, True], "without a fold: always fitted on"
    assert not any(split.test[2] for split in loose)
