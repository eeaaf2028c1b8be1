"""A cell is of one class, whoever asks: a high score on ground unlike the training data is none."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from sample_visits import write_visits
from test_compare import CELLS, THRESHOLDS, map_of, truth_of

import pipeline
from pipeline.change.naming import UNLIKE_FROM, UNLIKE_TO, name_cells
from pipeline.classes import CLASSES, can_tell, classify, cuts
from pipeline.evaluation.compare import evaluate
from pipeline.evaluation.explain import _classed
from pipeline.evaluation.sample import draw_cells, strata_of
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.map.files.raster import write_probability
from pipeline.sites.join import join_cells
from pipeline.sites.visits import read_visits

REGION = resolve_region("bbox:28.0,-2.3,28.3,-2.0", 10)
SEEN, GREY, UNSEEN = int(CELLS[40]), int(CELLS[41]), int(CELLS[42])


def predictions() -> pd.DataFrame:
    """Three cells of note: a mine, the same score on strange ground, and one without a score."""
    cells = map_of({SEEN: 0.95, GREY: 0.95, UNSEEN: np.nan})
    unlike = np.where(cells["cell"] == GREY, 1.5, 0.4).astype(np.float32)
    return cells.assign(
        low=cells["probability"], high=cells["probability"], labels="", dispute=np.float32(0),
        dissimilarity=pd.Series(unlike).mask(cells["probability"].isna()), applicable=True,
        observed=np.float32(1), clear_observations=np.float32(6), first_image="2022-01-01",
        last_image="2022-02-01", scenes=np.int16(6), in_training=False,
    )  # fmt: skip


def of(table: pd.DataFrame, column: str) -> list[object]:
    return table.set_index("cell")[column].loc[[SEEN, GREY, UNSEEN]].tolist()


WANTED = ["likely", "cannot_tell", "cannot_tell"]


def test_the_rule() -> None:
    score = [0.8, 0.79, 0.5, 0.49, np.nan, 0.95, 0.95, 0.95]
    unlike = [1.0, 0.0, 0.0, 0.0, 0.0, 1.001, np.nan, 1.0]
    found = classify(score, THRESHOLDS, unlike).tolist()
    assert found == ["likely", "possible", "possible", "unlikely", "cannot_tell", "cannot_tell",
                     "likely", "likely"]  # fmt: skip
    assert can_tell(score, unlike).tolist() == [name != "cannot_tell" for name in found]
    assert classify(score, THRESHOLDS)[5] == "likely"
    assert set(found) <= set(CLASSES)


def test_a_score_at_the_threshold_is_above_it_in_the_scores_own_precision() -> None:
    assert classify(np.float32([0.9]), {"possible": 0.1, "likely": 0.9}).tolist() == ["likely"]
    assert cuts(THRESHOLDS) == (np.float32(0.5), np.float32(0.8))


@pytest.mark.parametrize("possible, likely", [(0.9, 0.8), (0.0, 0.5), (0.5, 1.01), (np.nan, 0.5)])
def test_thresholds_out_of_order_are_refused(possible: float, likely: float) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        classify([0.5], {"possible": possible, "likely": likely})


def test_the_joined_map() -> None:
    assert of(join_cells(predictions(), None, REGION, THRESHOLDS).cells, "class") == WANTED


def test_the_sample_draws_no_grey_cell_as_likely() -> None:
    cells = predictions()
    stratum = cells.assign(stratum=strata_of(cells, THRESHOLDS))
    assert of(stratum, "stratum") == ["likely", "unlike", "cannot_tell"]
    learned = cells.assign(in_training=cells["cell"].isin([SEEN, GREY, UNSEEN]))
    stratum = learned.assign(stratum=strata_of(learned, THRESHOLDS))
    assert of(stratum, "stratum") == ["trained_called", "trained_rest", "cannot_tell"]
    drawn = draw_cells(cells, THRESHOLDS, len(cells) - 1)
    assert of(drawn, "stratum") == ["likely", "unlike", "cannot_tell"]
    assert (drawn["number"] > 0).sum() == len(cells) - 1, "people can label what is unlike"
    assert not drawn.loc[drawn["stratum"] == "cannot_tell", "number"].any()


def test_evaluation_counts_grey_cells_as_cannot_tell(tmp_path: Path) -> None:
    truth = truth_of(tmp_path / "truth.gpkg", {SEEN: 5.0, GREY: 5.0})
    found = evaluate(predictions(), truth, THRESHOLDS, REGION)
    assert found.left_out["cannot tell"] == 2
    assert found.scores["n"] == len(CELLS) - 2
    assert found.scores["at"]["likely"]["recall"] == 1.0
    assert found.mines["all"]["mines"] == 1


def test_explain_names_the_maps_class() -> None:
    assert of(_classed(predictions(), THRESHOLDS), "class") == WANTED


def test_no_change_is_named_on_strange_ground() -> None:
    one = predictions().set_index("cell").loc[[GREY]].reset_index()
    quiet = one.assign(probability=np.float32(0.1), dissimilarity=np.float32(0.4))
    for before, after, why in ((quiet, one, UNLIKE_TO), (one, quiet, UNLIKE_FROM)):
        table = before.merge(after, on="cell", suffixes=("_from", "_to"))
        table = table.assign(change=4.0, change_low=3.0, change_high=5.0)
        named = name_cells(table, THRESHOLDS)
        assert named["change_class"].tolist() == ["cannot_tell"]
        assert named["change_reason"].tolist() == [why]


def test_the_raster_shows_no_score_where_the_map_cannot_tell(tmp_path: Path) -> None:
    cells = join_cells(predictions(), None, REGION, THRESHOLDS).cells
    write_probability(tmp_path / "p.tif", cells, grid.CELL_DEGREES, "score", {})
    with rasterio.open(tmp_path / "p.tif") as file:
        places = [tuple(map(float, grid.cell_centres(cell))) for cell in (SEEN, GREY, UNSEEN)]
        values = [float(value[0]) for value in file.sample(places)]
    assert values[0] == pytest.approx(0.95)
    assert np.isnan(values[1:]).all()


def test_a_site_has_no_score_from_a_grey_cell(tmp_path: Path) -> None:
    lon, lat = grid.cell_centres(GREY)
    visits = read_visits(
        write_visits(tmp_path / "v.csv", {"longitude": float(lon), "latitude": float(lat)})
    )
    alone = predictions()
    alone = alone[alone["cell"] == GREY]
    joined = join_cells(alone, visits, REGION, THRESHOLDS)
    assert isinstance(joined.sites, gpd.GeoDataFrame)
    assert joined.sites["cell_class"].tolist() == ["cannot_tell"]
    assert joined.sites["probability"].isna().all()


def test_the_rule_is_written_nowhere_else() -> None:
    """The limit of dissimilarity is compared in one file of the pipeline."""
    root = Path(pipeline.__file__).parent
    rule = re.compile(r"dissimilarity[^\n]*[<>]=?\s*1\b")
    found = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if any(rule.search(line) for line in path.read_text(encoding="utf-8").splitlines())
    ]
    assert found == ["classes.py"]
