from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely
from scipy import ndimage

from pipeline.geo import grid
from pipeline.map.column_rules import load_policy
from pipeline.sites.candidate_columns import COLUMNS, CandidateColumn, Clusters
from pipeline.sites.candidates import Reach, Search, find_candidates, lone_threshold
from pipeline.sites.clusters import connected_clusters

CORNER = int(grid.cell_of(28.0, -2.0))
NAMES = {".": "unlikely", "p": "possible", "L": "likely", "?": "cannot_tell"}
SCORES = {".": 0.1, "p": 0.5, "L": 0.9, "?": np.nan}


def cells_of(picture: list[str]) -> pd.DataFrame:
    rows = []
    for down, line in enumerate(picture):
        for right, sign in enumerate(line):
            rows.append((CORNER + down * grid.CELL_COLUMNS + right, SCORES[sign], NAMES[sign]))
    table = pd.DataFrame(rows, columns=["cell", "probability", "class"])
    return table.assign(clear_observations=6.0, in_training=False, nearest_site_km=np.nan)


def sites_at(*places: tuple[int, int, float, bool]) -> Reach:
    ids = np.array([CORNER + down * grid.CELL_COLUMNS + right for down, right, _, _ in places])
    lon, lat = grid.cell_centres(ids.astype(np.int64))
    return Reach(lon, lat, np.array([p[2] for p in places], float),
                 np.array([p[3] for p in places], bool))  # fmt: skip


def test_corners_join_and_possible_cells_alone_do_not_count() -> None:
    found = find_candidates(cells_of(["L....pp", ".p.....", "..?....", "....L.."]), None)
    assert found["cells"].tolist() == [2, 1]
    assert found["rank"].tolist() == [1, 2]
    assert found["candidate"].tolist() == [1, 2]
    assert list(found.columns[:-1]) == [*COLUMNS]
    assert found.crs.equals("EPSG:4326")
    assert found.geom_type.tolist() == ["MultiPolygon", "Polygon"]


def test_cells_that_cannot_be_told_do_not_connect() -> None:
    assert len(find_candidates(cells_of(["L?L"]), None)) == 2


def test_the_higher_probability_ranks_first_then_the_larger_area() -> None:
    cells = cells_of(["L..LL..L"])
    cells.loc[7, "probability"] = 0.95
    found = find_candidates(cells, None)
    assert found["cells"].tolist() == [1, 2, 1]
    assert found["candidate"].tolist() == [3, 2, 1]
    assert found["probability"].tolist() == pytest.approx([0.95, 0.9, 0.9])


def test_the_area_is_that_of_the_polygon() -> None:
    found = find_candidates(cells_of(["LL", "LL"]), None)
    assert found["area_km2"][0] == pytest.approx(found.to_crs("EPSG:6933").area[0] / 1e6, rel=1e-4)


def test_a_cluster_at_a_gps_site_is_no_candidate() -> None:
    cells = cells_of(["L...........L"])
    assert len(find_candidates(cells, sites_at((0, 0, 1.0, True)))) == 1
    # 3 cells, 1.6 km, between the site and the cluster's edge.
    assert len(find_candidates(cells, sites_at((0, 3, 1.0, True)))) == 2
    assert len(find_candidates(cells, sites_at((0, 3, 2.0, True)))) == 1


def test_a_roughly_located_site_marks_and_does_not_hide() -> None:
    cells = cells_of(["L...........L"])
    found = find_candidates(cells, sites_at((0, 1, 3.0, False)))
    assert found["known_sites"].tolist() == [0, 1]
    assert "may be a known site" in found["reasons_en"][1]
    # The marked one comes last, though both have the same score and area.
    assert found["candidate"].tolist() == [2, 1]


def test_reasons_say_what_was_compared() -> None:
    cells = cells_of(["Lp"]).assign(nearest_site_km=7.26)
    cells.loc[0, "in_training"] = True
    alone = find_candidates(cells, None)["reasons_en"][0]
    assert "not compared with any table of sites" in alone
    assert "50 % of its cells likely" in alone
    assert "50 % of its cells were used to train" in alone
    assert "no known site nearer than 7.3 km" in find_candidates(
        cells, sites_at((5, 50, 0.1, True))
    )["reasons_en"][0]  # fmt: skip


@pytest.mark.parametrize("picture", [["."], ["p"], ["?"]])
def test_no_candidate_is_an_empty_layer(picture: list[str]) -> None:
    found = find_candidates(cells_of(picture), sites_at((0, 0, 1.0, True)))
    assert len(found) == 0
    assert list(found.columns[:-1]) == [*COLUMNS]
    assert found.crs.equals("EPSG:4326")


def test_clusters_agree_with_an_image_labelled() -> None:
    rng = np.random.default_rng(5)
    for share in (0.1, 0.3, 0.5):
        mask = rng.random((60, 70)) < share
        rows, cols = np.nonzero(mask)
        found = connected_clusters(CORNER + rows * grid.CELL_COLUMNS + cols)
        true = ndimage.label(mask, np.ones((3, 3)))[0][mask]
        assert len(set(found)) == len(set(true)) == len(set(zip(found, true, strict=True)))
        assert found[0] == 0
        assert np.array_equal(np.unique(found, return_index=True)[0], np.arange(found.max() + 1))


def test_the_antimeridian_is_an_edge() -> None:
    last = grid.CELL_COLUMNS - 1
    # The last cell of a row and the first of the next are neighbours in number alone.
    assert connected_clusters(np.array([last, last + 1])).tolist() == [0, 1]


def test_a_quarter_of_a_million_cells_take_seconds() -> None:
    rng = np.random.default_rng(1)
    rows, cols = np.divmod(np.arange(250_000), 500)
    score = rng.random(250_000)
    cells = pd.DataFrame(
        {
            "cell": CORNER + rows * grid.CELL_COLUMNS + cols,
            "probability": score,
            "class": np.select([score > 0.97, score > 0.9], ["likely", "possible"], "unlikely"),
            "clear_observations": 5.0,
            "in_training": False,
            "nearest_site_km": 3.0,
        }
    )
    found = find_candidates(cells, sites_at((10, 10, 1.0, True), (400, 400, 1.0, True)))
    assert len(found) > 1000
    assert np.array_equal(found["rank"], np.arange(1, len(found) + 1))
    assert shapely.is_valid(found.geometry.to_numpy()).all()


def test_a_cell_that_stands_alone_needs_twice_the_odds() -> None:
    # Odds of 0.8 are 4, of 8/9 they are 8.
    assert lone_threshold(0.8) == pytest.approx(8 / 9)
    cells = cells_of(["L..Lp..L"])
    cells.loc[[0, 3, 7], "probability"] = [0.88, 0.82, 0.89]
    found = find_candidates(cells, None, Search(likely=0.8))
    assert found.set_index("candidate")["probability"].tolist() == pytest.approx([0.89, 0.82])
    assert len(find_candidates(cells, None, Search(likely=0.5))) == 3


def test_a_large_cluster_is_cut_and_says_so() -> None:
    picture = ["L" * 30] * 10 + ["." * 30, "LL" + "." * 28]
    found = find_candidates(cells_of(picture), None, Search(most_cells=36))
    parts = found[found["part_of"] > 0]
    assert parts["cells"].sum() == 300 and parts["cells"].between(9, 36).all()
    assert set(parts["part_of"]) == {1}
    assert found.loc[found["part_of"] == 0, "cells"].tolist() == [2]
    assert parts["reasons_en"].str.contains("part of a larger cluster, number 1").all()
    assert shapely.union_all(parts.geometry).area == pytest.approx(300 * 0.005**2)


def test_a_site_takes_away_only_its_part_of_a_large_cluster() -> None:
    cells = cells_of(["L" * 60] * 4)
    site = sites_at((1, 1, 0.3, True))
    assert find_candidates(cells, site, Search(most_cells=1000)).empty
    assert find_candidates(cells, site, Search(most_cells=36))["cells"].sum() >= 240 - 36


def test_the_random_sample_is_marked_last_and_the_seeds() -> None:
    cells = cells_of(["LL" + "." * 40, "?" * 42])
    found = find_candidates(cells, None, Search(random=5, seed=7))
    assert found["kind"].tolist() == ["candidate", *["random"] * 5]
    assert found["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    drawn = found["cell"].tolist()[1:]
    assert len(set(drawn)) == 5
    assert set(drawn) <= set(cells.loc[cells["class"] == "unlikely", "cell"])
    assert found["reasons_en"].str.contains("drawn at random").tolist() == [False, *[True] * 5]
    again = find_candidates(cells, None, Search(random=5, seed=7))
    assert again["cell"].tolist()[1:] == drawn
    assert find_candidates(cells, None, Search(random=5, seed=8))["cell"].tolist()[1:] != drawn
    assert len(find_candidates(cells, None, Search(random=99))) == 41
    alone = find_candidates(cells_of(["..."]), None, Search(random=2))
    assert alone["kind"].tolist() == ["random", "random"]


def test_every_cell_below_possible_is_drawn_equally_often() -> None:
    cells = cells_of(["L" + "." * 20])
    drawn = [
        find_candidates(cells, None, Search(random=5, seed=seed))["cell"].iloc[1:]
        for seed in range(200)
    ]
    counts = np.unique(np.concatenate(drawn), return_counts=True)[1]
    # 1,000 draws among 20 cells: 50 each, standard deviation 6.1.
    assert len(counts) == 20 and counts.min() > 25 and counts.max() < 75


def test_what_the_model_says_of_the_strongest_cell_goes_along() -> None:
    cells = cells_of(["LL"])
    cells.loc[1, "probability"] = 0.95
    cells = cells.assign(
        low=[0.1, 0.2], high=[0.8, 0.99], labels=["both", "mine"], dissimilarity=[0.1, 0.6],
        dispute=[0.1, 1.5], applicable=[True, False],
    )  # fmt: skip
    row = find_candidates(cells, None).iloc[0]
    assert row["cell"] == CORNER + 1 and row["labels"] == "mine" and not row["applicable"]
    assert (row["low"], row["high"]) == (0.2, 0.99)
    assert "highest score 0.95 (0.2 to 0.99)" in row["reasons_en"]
    assert "unlike the training ground" in row["reasons_en"]
    french = row["reasons_fr"]
    assert "score le plus élevé 0,95 (0,2 à 0,99)" in french
    assert "comparé à aucun tableau" in french


def test_a_column_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def widest(clusters: Clusters) -> pd.Series:
        return clusters.cells["cell"].agg(lambda cells: np.ptp(cells % grid.CELL_COLUMNS) + 1)

    monkeypatch.setitem(COLUMNS, "widest", CandidateColumn("int64", widest))
    found = find_candidates(cells_of(["pLp..", "....L"]), None)
    assert list(found.columns) == [*COLUMNS, "geometry"]
    assert found.set_index("candidate")["widest"].to_dict() == {1: 3, 2: 1}
    assert find_candidates(cells_of(["...."]), None)["widest"].dtype == np.int64


def test_every_column_is_declared() -> None:
    assert set(COLUMNS) <= set(load_policy()["candidates"])
