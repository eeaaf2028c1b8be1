"""Whatever is labelled: intervals hold their estimate, and a sample is divided as it was asked."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.allocation import LEAST, allocate
from models.area import Strata, area, called_accuracy, stratum_means


@st.composite
def samples(draw: st.DrawFn) -> tuple[Strata, np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 5))
    cells = draw(st.lists(st.integers(0, 300), min_size=count, max_size=count))
    sizes = draw(st.lists(st.floats(0.1, 10), min_size=count, max_size=count))
    strata = Strata(
        tuple(map(str, range(count))), np.array(cells), np.array(cells) * np.array(sizes)
    )
    stratum = [i for i, n in enumerate(cells) for _ in range(draw(st.integers(0, min(n, 12))))]
    value = draw(
        st.lists(
            st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
            min_size=len(stratum),
            max_size=len(stratum),
        )
    )
    return strata, np.array(stratum, np.int64), np.array(value, float)


@given(samples())
def test_the_interval_holds_the_estimate_and_stays_on_the_ground(sample) -> None:  # type: ignore[no-untyped-def]
    strata, stratum, value = sample
    means = stratum_means(strata, stratum, value)
    found = area(strata, means)
    assert found.error >= 0
    most = strata.area[means.covered].sum()
    assert 0 <= found.low <= found.value <= found.high <= most * (1 + 1e-9) + 1e-9
    certain = (means.labelled == strata.cells)[means.covered & (strata.cells > 0)].all()
    assert certain or found.high > found.low, "a sample never makes certain"


@given(samples(), st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(sample, random) -> None:  # type: ignore[no-untyped-def]
    strata, stratum, value = sample
    order = list(range(len(stratum)))
    random.shuffle(order)
    first = area(strata, stratum_means(strata, stratum, value))
    again = area(strata, stratum_means(strata, stratum[order], value[order]))
    np.testing.assert_allclose(
        [first.value, first.error, first.low, first.high],
        [again.value, again.error, again.low, again.high],
        rtol=1e-6,
        atol=1e-9,
    )


@given(samples())
def test_mines_and_what_is_no_mine_mirror_each_other(sample) -> None:  # type: ignore[no-untyped-def]
    strata, stratum, value = sample
    means = stratum_means(strata, stratum, value)
    most = strata.area[means.covered].sum()
    one, other = area(strata, means), area(strata, stratum_means(strata, stratum, 1 - value))
    np.testing.assert_allclose(one.value + other.value, most, atol=1e-6)
    np.testing.assert_allclose(one.error, other.error, atol=1e-6 * (1 + most))
    np.testing.assert_allclose(one.low + other.high, most, atol=1e-4 * (1 + most))


@given(samples(), st.integers(0, 31))
def test_accuracies_are_shares(sample, calls) -> None:  # type: ignore[no-untyped-def]
    strata, stratum, value = sample
    called = [bool(calls >> i & 1) for i in range(len(strata.names))]
    for one in called_accuracy(strata, stratum, value > 0.5, called).values():
        if not np.isnan(one.value):
            assert 0 <= one.low <= one.value + 1e-12
            assert one.value <= one.high + 1e-12 <= 1 + 1e-9


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 0.5)), min_size=1, max_size=6),
    st.integers(0, 3000),
)
def test_a_sample_is_divided_as_it_was_asked(table, more) -> None:  # type: ignore[no-untyped-def]
    cells = np.array([n for n, _ in table])
    floor = np.minimum(cells, LEAST)
    counts = allocate(cells, [s for _, s in table], int(floor.sum()) + more)
    assert counts.sum() == min(floor.sum() + more, cells.sum())
    assert (counts >= floor).all() and (counts <= cells).all()


def test_beyond_the_least_it_follows_size_times_deviation() -> None:
    counts = allocate([1000, 4000, 4000], [0.4, 0.1, 0.3], 600)
    np.testing.assert_allclose(counts, [120, 120, 360], atol=1)
    assert allocate([10, 0, 4000], [0.5, 0.5, 0.0], 100).tolist() == [10, 0, 90]
