from __future__ import annotations

import numpy as np
import pytest

from features.errors import BankError
from features.scaling import Scaling


def test_scaling_is_the_logarithm_of_the_stretched_reflectance() -> None:
    scaling = Scaling(clip=0.5, floor=0.02)
    scaled = scaling.apply(np.array([0.0, 0.25, 0.5], np.float32))
    assert scaled == pytest.approx(np.log([0.02, 0.52, 1.02]), rel=1e-6)
    assert scaled.dtype == np.float32


def test_pixels_saturate_below_zero_and_above_the_clip() -> None:
    scaling = Scaling(clip=0.5)
    low, high = scaling.apply(np.array([-0.3, 7.0], np.float32))
    assert low == scaling.apply(np.zeros(1, np.float32))[0]
    assert high == scaling.apply(np.full(1, 0.5, np.float32))[0]


def test_unobserved_stays_unobserved() -> None:
    assert np.isnan(Scaling().apply(np.array([np.nan], np.float32)))[0]


def test_a_factor_of_light_is_nearly_a_constant() -> None:
    scaling = Scaling(clip=2.0, floor=1e-6)
    pixels = np.linspace(0.2, 0.9, 8, dtype=np.float32)
    difference = scaling.apply(2 * pixels) - scaling.apply(pixels)
    assert difference == pytest.approx(np.full(8, np.log(2)), abs=1e-4)


def test_no_pixel_depends_on_the_others() -> None:
    scaling = Scaling()
    pixels = np.linspace(0, 1, 9, dtype=np.float32)
    alone = np.concatenate([scaling.apply(pixels[i : i + 1]) for i in range(9)])
    assert np.array_equal(alone, scaling.apply(pixels))


def test_steps_are_part_of_the_identity_only() -> None:
    pixels = np.linspace(0, 1, 9, dtype=np.float32)
    assert np.array_equal(Scaling(steps=255).apply(pixels), Scaling().apply(pixels))
    assert Scaling(steps=255) != Scaling()
    assert str(Scaling(0.5, 255)) == "reflectance 0..0.5 as 0..1 in 255 steps"
    assert str(Scaling()) == "reflectance 0..1 as 0..1"


def test_without_a_floor_there_is_no_logarithm() -> None:
    scaling = Scaling(clip=0.5, floor=0)
    scaled = scaling.apply(np.array([-1, 0, 0.25, 9, np.nan], np.float32))
    assert np.array_equal(scaled, np.array([0, 0, 0.5, 1, np.nan], np.float32), equal_nan=True)
    assert scaled.dtype == np.float32
    assert scaling.pixels == Scaling(clip=0.5).pixels != Scaling(clip=0.4).pixels
    assert Scaling.from_dict(scaling.to_dict()) == scaling


def test_a_scaling_survives_a_manifest() -> None:
    scaling = Scaling(0.3, 255, 0.01)
    assert Scaling.from_dict(scaling.to_dict()) == scaling


@pytest.mark.parametrize(
    "values",
    [{"clip": 0}, {"clip": 2.1}, {"clip": np.nan}, {"steps": -1}, {"floor": -1}, {"floor": np.nan}],
)
def test_impossible_scalings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(BankError, match="no such scaling"):
        Scaling(**values)
