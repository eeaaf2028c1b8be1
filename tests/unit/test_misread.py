"""Mistakes in reading pixels, made on purpose."""

from __future__ import annotations

import numpy as np

from pipeline.imagery.misread import misread


def test_every_image_is_read_wrongly_in_one_of_the_ways() -> None:
    rng = np.random.default_rng(1)
    images = rng.uniform(0.01, 0.3, (200, 3, 6, 5)).astype(np.float32)
    images[:, :, 0, 0] = np.nan
    wrong = misread(images, rng)
    assert wrong.shape == images.shape
    assert np.array_equal(np.isnan(wrong), np.isnan(images))
    orders = scales = offsets = 0
    for before, after in zip(images[:, :, 1:], wrong[:, :, 1:], strict=True):
        ratio = (after / before).ravel()
        if np.allclose(np.sort(after.ravel()), np.sort(before.ravel())):
            assert not np.array_equal(after, before)
            orders += 1
        elif np.allclose(ratio, ratio[0]):
            assert np.isclose(ratio[0], 10_000) or np.isclose(ratio[0], 1e-4)
            scales += 1
        else:
            assert np.allclose(after - before, 0.1, atol=1e-6)
            offsets += 1
    assert orders > 100
    assert scales > 20
    assert offsets > 5


def test_one_band_has_no_other_order() -> None:
    images = np.full((50, 1, 4, 4), 0.2, np.float32)
    wrong = misread(images, np.random.default_rng(2))
    assert (wrong != images).all()
