"""The estimators give the published figures, and intervals that are never certain of themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.area import (
    Strata,
    Z,
    accuracy,
    area,
    called_accuracy,
    ratio,
    stratum_means,
    wilson,
)

# Olofsson et al. 2014, table 8: rows the map, columns the reference; the map's pixels of 30 m.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
HECTARES = 0.09


def strata_of(cells: Any, area_of: Any = None) -> Strata:
    sizes = np.asarray(cells, np.int64)
    names = tuple(str(i) for i in range(len(sizes)))
    return Strata(names, sizes, np.asarray(sizes if area_of is None else area_of, float))


def worked_example() -> tuple[Strata, list[int], list[str], list[str]]:
    rows = [(i, j) for i in range(4) for j in range(4) for _ in range(COUNTS[i, j])]
    stratum = [i for i, _ in rows]
    mapped, reference = [CLASSES[i] for i, _ in rows], [CLASSES[j] for _, j in rows]
    return Strata(CLASSES, PIXELS, PIXELS * HECTARES), stratum, mapped, reference


def test_the_worked_example_of_olofsson_2014() -> None:
    strata, stratum, mapped, reference = worked_example()
    assert len(stratum) == 640
    found = accuracy(strata, stratum, mapped, reference, CLASSES)
    # As the paper prints them, page 54.
    assert found.overall.value == pytest.approx(0.95, abs=0.005)
    assert Z * found.overall.error == pytest.approx(0.02, abs=0.005)
    users = [round(found.users[name].value, 2) for name in CLASSES]
    assert users == [0.88, 0.73, 0.93, 0.96]
    assert [round(Z * found.users[name].error, 2) for name in CLASSES] == [0.07, 0.10, 0.04, 0.02]
    assert round(found.producers[CLASSES[0]].value, 2) == 0.75
    assert round(Z * found.producers[CLASSES[0]].error, 2) == 0.21
    total = strata.area.sum()
    hectares = [found.share[name].value * total for name in CLASSES]
    assert np.round(hectares).tolist() == [21158, 11686, 285770, 581386]
    margins = [Z * found.share[name].error * total for name in CLASSES]
    # The paper has no finite-population correction, which takes away 0.02 % here, and uses 1.96.
    np.testing.assert_allclose(margins, [6158, 3756, 15510, 16282], rtol=3e-4)


def test_the_worked_example_by_the_papers_own_equations() -> None:
    strata, stratum, mapped, reference = worked_example()
    found = accuracy(strata, stratum, mapped, reference, CLASSES)
    drawn, weight = COUNTS.sum(axis=1), PIXELS / PIXELS.sum()
    proportion = weight[:, None] * COUNTS / drawn[:, None]
    np.testing.assert_allclose(found.matrix, proportion, rtol=1e-12)
    for j, name in enumerate(CLASSES):
        user = COUNTS[j, j] / drawn[j]
        producer = proportion[j, j] / proportion[:, j].sum()
        pixels_of = PIXELS.sum() * proportion[:, j].sum()
        # Equation 7.
        own = PIXELS[j] ** 2 * (1 - producer) ** 2 * user * (1 - user) / (drawn[j] - 1)
        rest = 0.0
        for i in range(4):
            if i != j:
                share = COUNTS[i, j] / drawn[i]
                rest += PIXELS[i] ** 2 * share * (1 - share) / (drawn[i] - 1)
        error = math.sqrt(own + producer**2 * rest) / pixels_of
        assert found.producers[name].value == pytest.approx(producer)
        assert found.producers[name].error == pytest.approx(error, rel=3e-4)
        # Equations 6 and 10.
        users_error = math.sqrt(user * (1 - user) / (drawn[j] - 1))
        assert found.users[name].error == pytest.approx(users_error, rel=3e-4)
        shares = COUNTS[:, j] / drawn
        area_error = math.sqrt((weight**2 * shares * (1 - shares) / (drawn - 1)).sum())
        assert found.share[name].error == pytest.approx(area_error, rel=3e-4)


def test_the_worked_example_of_stehman_2014() -> None:
    # Table 2: forty pixels in four strata that are not the map's classes.
    stratum = np.repeat(np.arange(4), 10)
    mapped = [*"AAAAAAABBB", *"ABBBBBBBBB", *"BBCCCCCCBB", *"DDDDDDDDDD"]
    reference = [*"AAAAACBABC", *"ABBBBBAABB", *"CCCCCDDBBA", *"DDDDDDDCCB"]
    strata = strata_of([40_000, 30_000, 20_000, 10_000])
    found = accuracy(strata, stratum, mapped, reference, tuple("ABCD"))
    assert found.share["A"].value == pytest.approx(0.35)
    assert found.share["C"].value == pytest.approx(0.20)
    assert found.overall.value == pytest.approx(0.63)
    assert found.users["B"].value == pytest.approx(0.574, abs=5e-4)
    assert found.producers["B"].value == pytest.approx(0.794, abs=5e-4)
    assert found.matrix[1, 2] == pytest.approx(0.08)
    assert found.share["A"].error == pytest.approx(0.082, abs=5e-4)
    assert found.share["C"].error == pytest.approx(0.064, abs=5e-4)
    assert found.overall.error == pytest.approx(0.085, abs=5e-4)
    assert found.users["B"].error == pytest.approx(0.126, abs=2e-3)


def test_a_call_on_whole_strata_has_the_errors_of_the_general_form() -> None:
    rng = np.random.default_rng(3)
    strata = strata_of([50, 300, 2000], [10.0, 65.0, 400.0])
    stratum = np.repeat([0, 1, 2], [30, 40, 60])
    mine = rng.random(130) < np.array([0.8, 0.4, 0.1])[stratum]
    found = called_accuracy(strata, stratum, mine, [True, True, False])
    mapped = np.where(stratum < 2, "mine", "not").tolist()
    general = accuracy(strata, stratum, mapped, np.where(mine, "mine", "not").tolist(), ("mine",))
    for name, other in (("users", general.users), ("producers", general.producers)):
        assert found[name].value == pytest.approx(other["mine"].value)
        assert found[name].error == pytest.approx(other["mine"].error)
    assert found["overall"].value == pytest.approx(general.overall.value)
    for one in found.values():
        assert 0 <= one.low < one.value < one.high <= 1


@pytest.mark.parametrize("labels", [0, 1])
def test_a_sample_of_one_kind_does_not_make_certain(labels: int) -> None:
    strata = strata_of([100, 5000])
    stratum = np.repeat([0, 1], [40, 100])
    value = np.concatenate([np.ones(40), np.full(100, labels)])
    found = area(strata, stratum_means(strata, stratum, value))
    assert found.error == 0
    assert found.value == 100 + 5000 * labels
    # The rule of three allows 3 in 100; Wilson's limit is a little wider than that.
    wide = found.high - found.value if labels == 0 else found.value - found.low
    assert 5000 * 0.03 < wide < 5000 * 0.04
    accurate = called_accuracy(strata, stratum, value > 0, [True, False])
    assert accurate["producers"].value == pytest.approx(100 / found.value)
    assert accurate["producers"].low < 0.45
    plain = ratio(strata, stratum, value, np.ones(140))
    assert plain.error == 0
    assert math.isnan(plain.low) and math.isnan(plain.high)


def test_a_stratum_that_is_labelled_whole_is_certain() -> None:
    strata = strata_of([3, 1, 0])
    means = stratum_means(strata, [0, 0, 0, 1], [1, 0, 1, 1])
    found = area(strata, means)
    assert means.covered.all()
    assert (found.value, found.error, found.low, found.high) == (3, 0, 3, 3)
    assert ratio(strata, [0, 0, 0, 1], [1, 0, 1, 1], np.ones(4)).high == pytest.approx(0.75)


def test_strata_with_one_or_no_label_are_outside_of_the_estimate() -> None:
    strata = strata_of([10, 100, 1000])
    means = stratum_means(strata, [0, 0, 0, 1], [1, 1, 0, 1])
    assert means.labelled.tolist() == [3, 1, 0]
    assert means.covered.tolist() == [True, False, False]
    found = area(strata, means)
    assert found.value == pytest.approx(10 * 2 / 3)
    assert found.high <= 10
    nothing = called_accuracy(strata, [1], [True], [False, True, False])
    assert all(math.isnan(one.value) for one in nothing.values())


def test_shares_give_the_mined_area() -> None:
    strata = strata_of([1000, 1000])
    share = np.array([0.1, 0.2, 0.0, 0.3, 0, 0, 0, 0])
    found = area(strata, stratum_means(strata, np.repeat([0, 1], 4), share))
    assert found.value == pytest.approx(150)
    spread = np.var(share[:4], ddof=1) / 4 * (1 - 4 / 1000)
    assert found.error == pytest.approx(1000 * math.sqrt(spread))
    assert found.high > 1000 * 0.4, "four cells without a mine say little of the second stratum"
    less = area(strata, stratum_means(strata, np.repeat([0, 1], 4), share, most=0.3))
    assert (less.value, less.error) == (found.value, found.error)
    assert found.value < less.high < found.high


def test_values_that_are_no_shares_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.0\.4"):
        stratum_means(strata_of([9]), [0, 0], [0.1, 0.5], most=0.4)
    for value in (1.1, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            stratum_means(strata_of([9]), [0, 0], [0.5, value])
    with pytest.raises(ValueError, match="more labelled"):
        stratum_means(strata_of([1]), [0, 0], [0.5, 1])


def test_wilsons_limits() -> None:
    low, high = wilson([0.1, 0.0, 1.0, 0.5, 0.4], [50, 100, 100, 0, np.inf])
    # 5 of 50: 0.0435 to 0.2136 (Newcombe 1998's method 3).
    assert low[0] == pytest.approx(0.0435, abs=1e-4)
    assert high[0] == pytest.approx(0.2136, abs=1e-4)
    assert (low[1], high[2]) == (0, 1)
    assert high[1] == pytest.approx(1 - low[2]) == pytest.approx(0.0370, abs=1e-4)
    assert low[3] == pytest.approx(0, abs=1e-9) and high[3] == pytest.approx(1, abs=1e-9)
    assert low[4] == high[4] == 0.4


POPULATIONS = {
    "mines in every stratum": ([200, 400, 1400, 2800], [0.8, 0.3, 0.05, 0.005], [40, 60, 99, 99]),
    "most of them missed": ([20, 100, 2000, 40_000], [0.9, 0.4, 0.03, 0.0005], [20, 60, 99, 120]),
    "none outside": ([100, 5000], [0.5, 0.0], [30, 100]),
}


@pytest.mark.parametrize("shared", [False, True], ids=["cells", "shares"])
@pytest.mark.parametrize("name", POPULATIONS)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(name: str, shared: bool) -> None:
    cells, share, drawn = POPULATIONS[name]
    rng = np.random.default_rng(11)
    strata = strata_of(cells)
    populations = []
    for count, part in zip(cells, share, strict=True):
        mines = round(count * part)
        values: NDArray[np.float64] = np.zeros(count)
        values[:mines] = rng.beta(1, 6, mines) if shared else 1
        populations.append(values)
    truth = sum(values.sum() for values in populations)
    stratum = np.repeat(np.arange(len(cells)), drawn)
    held, draws = 0, 600
    for _ in range(draws):
        value = np.concatenate(
            [rng.choice(v, n, replace=False) for v, n in zip(populations, drawn, strict=True)]
        )
        most = value.max() if shared else 1.0
        found = area(strata, stratum_means(strata, stratum, value, most))
        held += found.low <= truth <= found.high
    # Three standard errors of six hundred draws are 2.7 %.
    assert 0.92 <= held / draws <= 0.995
