"""Recall by group, and likely squares without a site: every site is counted once."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy.stats import binomtest

from pipeline.geo import grid
from pipeline.sites.matching import COLUMNS, chance_recall, match_table, visit_age, wilson


def sites_of(count: int = 60) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "matched": [n % 3 == 0 for n in range(count)],
            "cell_class": ["cannot_tell" if n % 10 == 1 else "unlikely" for n in range(count)],
            "in_training": [n < 6 for n in range(count)],
            "workers_numb": pd.array([[0, 1, 49, 50, 500, None][n % 6] for n in range(count)]),
            "mineral": [["Or", "Coltan", None][n % 3] for n in range(count)],
            "province": ["Rare" if n < 9 else "Nord-Kivu" for n in range(count)],
            "precision": ["gps"] * count,
            "visit_date": pd.to_datetime(
                [
                    ["2021-06-01", "2018-01-01", "2009-01-01", "2022-06-01"][n % 4]
                    for n in range(count)
                ]
            ),
        }
    )


def test_chance_is_the_share_of_the_map_in_reach() -> None:
    # A strip of 100 cells of 0.55 km with one likely cell in the middle.
    first = int(grid.cell_of(5.0, 0.0001))
    kinds = ["unlikely"] * 100
    kinds[50] = "likely"
    cells = pd.DataFrame({"cell": [first + n for n in range(100)], "class": kinds})
    chance = chance_recall(cells)
    # Centres within 1.25 km of the likely cell's edge: itself and two (0.28 and 0.83 km) on each
    # side; within 6 km: itself and eleven on each side (the last at 5.84 km).
    assert chance == {"gps": 0.05, "approximate": 0.23}
    table = match_table(sites_of(), CELLS, "", False, chance).set_index(["dimension", "group"])
    assert table.loc[("all", ""), "chance"] == pytest.approx(0.05)
    mixed = sites_of().assign(precision=["gps", "approximate"] * 30)
    table = match_table(mixed, CELLS, "", False, chance).set_index(["dimension", "group"])
    assert table.loc[("all", ""), "chance"] == pytest.approx(0.14)
    assert table.loc[("precision", "approximate"), "chance"] == pytest.approx(0.23)
    none_called = chance_recall(cells.assign(**{"class": "unlikely"}))
    assert none_called == {"gps": 0.0, "approximate": 0.0}


CELLS = pd.DataFrame(
    {
        "class": ["likely"] * 5 + ["possible"],
        "nearest_site_km": [0.0, 1.0, 1.1, 7.0, float("nan"), 0.0],
    }
)


@pytest.mark.parametrize("hits, count", [(0, 5), (5, 5), (3, 17), (40, 100)])
def test_the_interval_is_wilsons(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert all(math.isnan(end) for end in wilson(0, 0))


def test_groups_sum_to_the_sites() -> None:
    table = match_table(sites_of(), CELLS, "2022-02-21")
    assert list(table.columns) == list(COLUMNS)
    grouped = table[table["dimension"] != "likely_squares"].groupby("dimension")
    assert set(grouped.groups) == {
        "all", "workers", "mineral", "province", "precision", "visit_age",
    }  # fmt: skip
    for name in ("total", "told", "matched", "in_training"):
        assert grouped[name].sum().nunique() == 1, name
    whole = table[table["dimension"] == "all"].iloc[0]
    assert (whole["total"], whole["matched"], whole["in_training"]) == (60, 20, 6)
    # Of six that fall where the map cannot tell, two match a neighbouring cell.
    assert whole["told"] == 56
    assert whole["recall"] == pytest.approx(20 / 56)
    assert whole["low"] < whole["recall"] < whole["high"]


def test_the_bands() -> None:
    table = match_table(sites_of(), CELLS, "2022-02-21").set_index(["dimension", "group"])["total"]
    workers = table["workers"].to_dict()
    assert workers == {"0": 10, "1-49": 20, "50-499": 10, "500+": 10, "–": 10}
    assert table["visit_age"].to_dict() == {
        "0-2": 15, "2-5": 15, "10+": 15, "< 0": 15,
    }  # fmt: skip
    assert table["likely_squares"].to_dict() == {
        "0-1": 2, "1-5": 1, "5+": 1, "–": 1,
    }  # fmt: skip


def test_the_public_sees_no_small_group() -> None:
    table = match_table(sites_of(), CELLS, "2022-02-21", public=True)
    groups = table[table["dimension"] != "likely_squares"]
    assert (groups["total"] >= 10).all()
    assert "Rare" not in set(table["group"])
    assert {"workers", "precision"}.isdisjoint(table["dimension"])


def test_without_sites_there_is_no_table() -> None:
    assert match_table(None, CELLS, "2022-02-21").empty


def test_the_age_of_a_visit() -> None:
    dates = pd.to_datetime(pd.Series(["2021-02-21", "2023-02-21", None]))
    assert visit_age(dates, "2022-02-21").fillna(-9).tolist() == [1.0, -1.0, -9]
