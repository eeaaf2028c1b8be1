from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from pipeline.sites.ranking import CONCEALED, NO_TABLE, rank_candidates

ALL = ("industrial_mines", "mining_titles", "other_detections", "protected_areas")


def candidates(n: int = 40, seed: int = 3) -> gpd.GeoDataFrame:
    rng = np.random.default_rng(seed)
    table = {
        "candidate": np.arange(1, n + 1),
        "kind": ["candidate"] * (n - 4) + ["random"] * 4,
        "probability": rng.random(n),
        "low": np.nan,
        "high": np.nan,
        "dissimilarity": rng.random(n),
        "dispute": rng.random(n) * 3,
        "applicable": True,
        "likely_share": 0.5,
        "trained_share": 0.0,
        "area_km2": rng.random(n),
        "part_of": 0,
        "nearest_site_km": rng.choice([0.5, 3.0, 8.0, np.nan], n),
        "known_sites": rng.integers(0, 2, n),
        "clear_observations": 4.0,
        "industrial_mines_count": rng.integers(0, 2, n),
        "mining_titles_count": rng.integers(0, 3, n),
        "other_detections_km": rng.choice([0.4, np.nan], n),
        "protected_areas_count": rng.integers(0, 2, n),
    }
    shape = shapely.box(28, -2, 28.01, -1.99)
    return gpd.GeoDataFrame(pd.DataFrame(table), geometry=[shape] * n, crs="EPSG:4326")


def by_hand(row: dict[str, float]) -> float:
    """The words of docs/sites.md, applied to one row."""
    applicability = 1 - max(row["dissimilarity"], row["dispute"]) / 2
    novelty = 0.5 + min(row["nearest_site_km"], 5) / 10 if row["nearest_site_km"] >= 0 else 1
    if row["known_sites"] and row["kind"] == "candidate":
        novelty = 0.5
    context = 0.5 if row["industrial_mines_count"] else 1
    context *= 0.7 if row["mining_titles_count"] else 1
    context *= 1 if row["other_detections_km"] >= 0 else 0.8
    context *= 1 if row["protected_areas_count"] else 0.9
    return row["probability"] * max(applicability, 0.1) * novelty * context


def test_the_rank_can_be_computed_again_from_the_row() -> None:
    ranked = rank_candidates(candidates(), ALL)
    rows = ranked.drop(columns="geometry").to_dict("records")
    for row in rows:
        assert row["priority"] == pytest.approx(by_hand(row), abs=2e-3)
        factors = [row[f"factor_{name}"]
                   for name in ("probability", "applicability", "novelty", "context")]  # fmt: skip
        assert all(0 <= factor <= 1 for factor in factors)
        assert row["priority"] == pytest.approx(np.prod(factors), abs=1e-6)
    ordered = sorted(
        (row for row in rows if row["kind"] == "candidate"),
        key=lambda row: (-row["priority"], -row["area_km2"], row["candidate"]),
    )
    assert [row["rank"] for row in ordered] == list(range(1, len(ordered) + 1))
    # Those drawn at random keep the order of drawing, after all others.
    assert ranked["candidate"].tolist()[-4:] == [37, 38, 39, 40]


def test_a_layer_that_is_not_given_counts_one() -> None:
    assert (rank_candidates(candidates(), ())["factor_context"] == 1).all()
    assert set(rank_candidates(candidates(), ALL[:1])["factor_context"]) == {0.5, 1.0}


def test_what_is_withheld_moves_nothing_and_is_not_told() -> None:
    table = candidates()
    other = table.assign(nearest_site_km=0.1, known_sites=7)
    ranked = [rank_candidates(one, (), CONCEALED) for one in (table, other)]
    assert ranked[0]["candidate"].tolist() == ranked[1]["candidate"].tolist()
    assert ranked[0]["reasons_en"].tolist() == ranked[1]["reasons_en"].tolist()
    assert not ranked[0]["reasons_en"].str.contains("site").any()
    none = rank_candidates(table, (), NO_TABLE)
    assert none.loc[none["kind"] == "candidate", "reasons_en"].str.contains("not compared").all()


def test_the_reasons_name_the_context_in_both_languages() -> None:
    table = candidates(8).assign(
        kind="candidate", industrial_mines_count=1, mining_titles_count=1,
        protected_areas_count=1, other_detections_km=1.25,
    )  # fmt: skip
    english = rank_candidates(table, ALL)["reasons_en"][0]
    for words in ("touches an industrial mine", "mining title", "protected area", "1.2 km away"):
        assert words in english
    french = rank_candidates(table, ALL)["reasons_fr"][0]
    for words in ("mine industrielle", "titre minier", "aire protégée", "à 1,2 km"):
        assert words in french


def test_a_model_that_says_nothing_of_its_doubt_is_taken_at_its_word() -> None:
    table = candidates().assign(dissimilarity=np.nan, dispute=np.nan)
    assert (rank_candidates(table, ())["factor_applicability"] == 1).all()
