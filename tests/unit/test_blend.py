"""Several observations become one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.imagery.blend import (
    BLENDS,
    NODATA,
    NOT_CLEAR,
    blend_named,
    geometric_median,
    median,
    medoid,
    percentile,
)

SHAPE = (3, 40, 30)


def stack(count: int, gaps: float = 0.4) -> NDArray[np.int16]:
    rng = np.random.default_rng(count)
    layers = rng.integers(-1_000, 12_000, (count, *SHAPE)).astype(np.int16)
    hidden = rng.random((count, *SHAPE[1:])) < gaps
    layers[np.broadcast_to(hidden[:, None], layers.shape)] = NOT_CLEAR
    return layers


def known(layers: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers with NaN, and which pixels nobody saw (made 0 in the numbers)."""
    numbers = np.where(layers == NOT_CLEAR, np.nan, layers.astype(float))
    empty = np.isnan(numbers).all(axis=0)
    numbers[0][empty] = 0
    return numbers, empty


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("share", [0.5, 0.25, 0.9])
def test_percentiles_are_numpys(count, share) -> None:
    layers = stack(count)
    numbers, empty = known(layers)
    expected = np.nanpercentile(numbers, 100 * share, axis=0)
    found = percentile(layers, share)
    assert (found[empty] == NODATA).all()
    assert np.abs(found[~empty] - expected[~empty]).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_median_is_numpys_to_the_digit(count) -> None:
    layers = stack(count)
    numbers, empty = known(layers)
    found = median(layers)
    assert np.array_equal(found[~empty], np.rint(np.nanmedian(numbers, axis=0))[~empty])


def test_the_medoid_is_the_observation_nearest_to_all() -> None:
    layers = stack(7)
    found = medoid(layers.copy())
    for row, col in np.ndindex(SHAPE[1:]):
        seen = [layer for layer in layers[:, :, row, col].astype(float) if layer[0] != NOT_CLEAR]
        if not seen:
            assert (found[:, row, col] == NODATA).all()
            continue
        sums = [sum(np.linalg.norm(one - other) for other in seen) for one in seen]
        chosen = found[:, row, col].astype(float)
        assert any(np.array_equal(chosen, one) for one in seen)
        total = sum(np.linalg.norm(chosen - other) for other in seen)
        assert total == pytest.approx(min(sums), rel=1e-5)


def test_the_geometric_median_is_what_a_minimiser_finds() -> None:
    layers = stack(6, gaps=0.2)
    found = geometric_median(layers)
    for row, col in [(0, 0), (5, 7), (20, 11), (39, 29)]:
        seen = np.array([x for x in layers[:, :, row, col].astype(float) if x[0] != NOT_CLEAR])

        def total(place: NDArray[np.float64], seen: NDArray[np.float64] = seen) -> float:
            return float(np.linalg.norm(seen - place, axis=1).sum())

        best = minimize(total, seen.mean(axis=0), method="Nelder-Mead", options={"xatol": 0.1})
        assert total(found[:, row, col].astype(float)) <= best.fun * (1 + 1e-4)


def test_an_outlier_moves_neither_medoid_nor_geometric_median_far() -> None:
    layers = np.full((5, 2, 1, 1), 1_000, np.int16)
    layers[0] = 9_000
    assert (medoid(layers.copy()) == 1_000).all()
    assert (np.abs(geometric_median(layers.copy()) - 1_000) <= 1).all()


@pytest.mark.parametrize("name", ["median", "percentile-20", "medoid", "geometric-median"])
def test_one_observation_is_itself_and_none_is_nodata(name) -> None:
    layers = np.full((2, 2, 1, 2), NOT_CLEAR, np.int16)
    layers[1, :, 0, 0] = (123, -45)
    found = blend_named(name)(layers)
    assert found[:, 0, 0].tolist() == [123, -45]
    assert (found[:, 0, 1] == NODATA).all()


@pytest.mark.parametrize("name", ["median", "percentile-1", "percentile-99", "medoid"])
def test_the_configuration_takes_what_the_table_has(name) -> None:
    assert Config().with_keys(blend=name).imagery.blend == name


@pytest.mark.parametrize("name", ["", "mean", "percentile", "percentile-0", "percentile-100",
                                  "percentile-N", "percentile-05", "median-5"])  # fmt: skip
def test_the_configuration_refuses_what_it_has_not(name) -> None:
    with pytest.raises(ConfigError, match="blend must be one of median, percentile-N"):
        Config().with_keys(blend=name)


def test_another_way_to_blend_is_one_line_in_the_table(monkeypatch) -> None:
    monkeypatch.setitem(BLENDS, "first", lambda layers: layers[0])
    assert Config().with_keys(blend="first").imagery.blend == "first"
    layers = stack(3)
    assert (blend_named("first")(layers) == layers[0]).all()
