"""What happened between two seasons: differences, words, places, seasons, the series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imagery import EAST, WEST, make_context
from sample_cells import feature_entry
from sample_model import sample_bank
from test_train import ABOUT, table

from models.change import Rows, compare_times
from models.model import Model
from models.registry import load_model
from pipeline.change.difference import difference_blocks, read_differences
from pipeline.change.naming import name_cells, side_by_side
from pipeline.change.places import find_places
from pipeline.change.seasons import seasons_between
from pipeline.change.series import Series
from pipeline.errors import ConfigError, MixedModelsError, StoreCorruptError
from pipeline.geo import grid
from pipeline.predict import predict_cells
from pipeline.runtime.atomic import sha256_of
from pipeline.training.register import register_models
from pipeline.workflow.ledger import Entry

BANK = sample_bank(patches=(3,), count=3)
REGION = "bbox:5.9,2.0,6.01,2.1"
THRESHOLDS = {"possible": 0.2, "likely": 0.6}
FIRST, LAST = "2021-12..2022-02", "2023-12..2024-02"


def registered(folder: Path, seed: int = 1) -> Model:
    registry = folder / "work" / "models"
    register_models(table(), BANK, replace(ABOUT, seed=seed), registry, kinds=["ridge"])
    return load_model(registry / "here-ridge")


def test_the_difference_of_shared_replicates_is_narrower_than_two_intervals(tmp_path: Path) -> None:
    model = registered(tmp_path)
    rng = np.random.default_rng(1)
    one = rng.random((200, BANK.columns)).astype(np.float32)
    two = np.abs(one + rng.normal(0, 0.02, one.shape).astype(np.float32))
    two[::7] = np.nan
    found = compare_times(model, Rows(one), Rows(two), BANK.hash)
    before, after = (model.predict(rows, BANK.hash) for rows in (one, two))
    seen = np.isfinite(found.change)
    assert (~seen)[::7].all() and seen.sum() == 200 - len(two[::7])

    def logit(p: Any) -> Any:
        p = p[seen].astype(float)
        return np.log(p / (1 - p))

    # The change is that of the calibrated probabilities.
    moved = logit(after.probability) - logit(before.probability)
    np.testing.assert_allclose(found.change[seen], moved, atol=2e-3)
    assert (found.low <= found.change)[seen].all() and (found.change <= found.high)[seen].all()
    together = (found.high - found.low)[seen]
    apart = sum(logit(one.high) - logit(one.low) for one in (before, after))
    assert np.median(together / apart) < 0.5
    same = compare_times(model, Rows(one), Rows(one), BANK.hash)
    assert (same.change == 0).all() and (same.high == 0).all()


def test_blocks_are_compared_once_and_only_where_both_seasons_have_them(tmp_path: Path) -> None:
    model = registered(tmp_path)
    context = make_context(tmp_path, region=REGION)
    mines = WEST.cells()[[3, 9], [12, 14]]
    early = [feature_entry(tmp_path / "a", block, BANK) for block in (WEST, EAST)]
    late = [feature_entry(tmp_path / "b", WEST, BANK, mines=mines)]
    entries = difference_blocks(context, early, late, model)
    assert [entry.unit for entry in entries] == [WEST.name]
    found = read_differences(entries).set_index("cell")
    assert found["change"][mines].min() > found["change"].drop(mines).max()
    assert difference_blocks(context, early, late, model)[0].reused
    turned = difference_blocks(context, late, early, model)
    assert not turned[0].reused
    assert read_differences(turned).set_index("cell")["change"][mines].max() < 0
    with pytest.raises(StoreCorruptError, match="has changed"):
        odd = replace(model, manifest=replace(model.manifest, seed=99))
        difference_blocks(context, early, late, odd)


def cells(rows: list[dict[str, Any]], quiet: int = 200) -> pd.DataFrame:
    """Rows to be named, among many cells in which little happens."""
    rng = np.random.default_rng(1)
    usual = {
        "probability_from": 0.01, "probability_to": 0.01, "dissimilarity_from": 0.5,
        "dissimilarity_to": 0.5, "first_image_from": "2021-12-06", "last_image_from": "2022-02-24",
        "first_image_to": "2023-12-11", "last_image_to": "2024-02-24",
        "clear_observations_from": 4.0, "clear_observations_to": 4.0,
    }  # fmt: skip
    many = [usual | {"change": float(x)} for x in rng.normal(0.4, 0.5, quiet)]
    whole = pd.DataFrame([*(usual | row for row in rows), *many])
    lows = [row.get("low", row.get("change", np.nan) - 1) for row in rows]
    highs = [row.get("high", row.get("change", np.nan) + 1) for row in rows]
    whole["change_low"] = [*lows, *(whole["change"][len(rows) :] - 1)]
    whole["change_high"] = [*highs, *(whole["change"][len(rows) :] + 1)]
    whole.insert(0, "cell", 1_000_000 + 3 * np.arange(len(whole)))
    return whole


@pytest.mark.parametrize(
    ("row", "word", "reason"),
    [
        ({"probability_to": 0.9, "change": 7.0}, "new", ""),
        # Half way in logits between 0.2 and 0.6 is 0.38.
        ({"probability_to": 0.40, "change": 4.5}, "new", ""),
        ({"probability_to": 0.36, "change": 4.5}, "none", ""),
        ({"probability_to": 0.9, "change": 7.0, "low": 0.1}, "cannot_tell", "overlap"),
        ({"probability_to": 0.9, "change": 1.2, "low": 0.9}, "cannot_tell", "overlap"),
        ({"probability_from": 0.9, "probability_to": 0.8, "change": -0.5}, "persisting", ""),
        ({"probability_from": 0.9, "probability_to": 0.95, "change": 6.0}, "persisting", ""),
        ({"probability_from": 0.9, "probability_to": 0.7, "change": -4.0}, "fading", ""),
        ({"probability_from": 0.9, "change": -7.0}, "fading", ""),
        ({"probability_from": 0.9, "change": -7.0, "high": 1.0}, "cannot_tell", "overlap"),
        ({"probability_to": 0.9, "change": 7.0, "dissimilarity_from": 1.1}, "cannot_tell",
         "unlike_from"),
        ({"dissimilarity_to": 1.1, "change": 0.0}, "cannot_tell", "unlike_to"),
        ({"probability_from": np.nan, "dissimilarity_to": 2.0}, "cannot_tell", "clouds_from"),
        ({"probability_to": np.nan}, "cannot_tell", "clouds_to"),
        ({"change": 0.4}, "none", ""),
        # No change is named from a single image; what has not changed keeps its word.
        ({"probability_to": 0.9, "change": 7.0, "clear_observations_to": 1.9}, "cannot_tell",
         "clouds_to"),
        ({"probability_from": 0.9, "change": -7.0, "clear_observations_from": 1.2}, "cannot_tell",
         "clouds_from"),
        ({"probability_to": 0.9, "change": 7.0, "clear_observations_to": 2.0}, "new", ""),
        ({"probability_from": 0.9, "probability_to": 0.8, "change": -0.5,
          "clear_observations_to": 1.0}, "persisting", ""),
    ],
)  # fmt: skip
def test_a_cell_has_one_word_and_cannot_tell_says_why(
    row: dict[str, Any], word: str, reason: str
) -> None:
    named = name_cells(cells([row]), THRESHOLDS)
    assert (named["change_class"][0], named["change_reason"][0]) == (word, reason)
    quiet = named[1:]
    assert set(quiet["change_class"]) == {"none"}
    assert quiet["change"].median() == pytest.approx(0, abs=0.05), "less what the seasons differ by"


def test_places_are_new_growing_persisting_or_fading() -> None:
    new = {"probability_to": 0.9, "change": 7.0}
    old = {"probability_from": 0.9, "probability_to": 0.9, "change": 0.4}
    gone = {"probability_from": 0.95, "change": -7.0}
    named = name_cells(cells([new, new, old, new, gone, old, gone]), THRESHOLDS)
    corner = int(WEST.cells()[5, 5])
    step = grid.CELL_COLUMNS
    named.loc[:6, "cell"] = [
        corner, corner + 1,  # two new ones side by side
        corner + 4 * step, corner + 4 * step + 1,  # new beside old
        corner + 8 * step, corner + 8 * step + 1,  # old beside what fades
        corner + 12 * step,
    ]  # fmt: skip
    found = find_places(named).set_index("place")
    assert found["change_class"].tolist() == ["new", "growing", "fading", "persisting"]
    assert found["cells"].tolist() == [2, 2, 1, 2]
    assert found["new_cells"].tolist() == [2, 1, 0, 0]
    assert found.loc[3, "cell"] == corner + 12 * step
    assert found.crs.to_string() == grid.CRS
    assert found["area_km2"].round(1).tolist() == [0.6, 0.6, 0.3, 0.6]
    assert len(find_places(name_cells(cells([]), THRESHOLDS))) == 0


def test_cells_of_both_seasons_stand_side_by_side_once() -> None:
    columns = ["cell", "probability", "low", "high", "dissimilarity", "observed",
               "clear_observations", "first_image", "last_image"]  # fmt: skip
    first = pd.DataFrame({name: [1.0, 2.0] for name in columns}).astype({"cell": int})
    second = first.assign(probability=[0.5, 0.6])[::-1]
    moved = pd.DataFrame({"cell": [2], "change": [3.0], "change_low": [2.0], "change_high": [4.0]})
    both = side_by_side(first, second, moved)
    assert both["cell"].tolist() == [1, 2]
    assert both["probability_to"].tolist() == [0.5, 0.6]
    assert np.isnan(both["change"][0]) and both["change"][1] == 3
    with pytest.raises(pd.errors.MergeError):
        side_by_side(pd.concat([first, first]), second, moved)


def test_seasons_of_a_series() -> None:
    assert seasons_between(FIRST, LAST) == [FIRST, LAST]
    assert seasons_between(FIRST, LAST, "year") == [FIRST, "2022-12..2023-02", LAST]
    quarters = seasons_between("2023-01..2023-03", "2024-01..2024-03", "quarter")
    assert quarters[1:4] == ["2023-04..2023-06", "2023-07..2023-09", "2023-10..2023-12"]
    assert len(quarters) == 5
    for first, last in ((LAST, FIRST), (FIRST, FIRST), (FIRST, ""), (f"{FIRST},{LAST}", LAST)):
        with pytest.raises(ConfigError):
            seasons_between(first, last)
    with pytest.raises(ConfigError, match="more than"):
        seasons_between("1900-01..1900-03", "2024-01..2024-03", "quarter")
    with pytest.raises(ConfigError, match="year or quarter"):
        seasons_between(FIRST, LAST, "month")


def predicted(folder: Path, model: Model, context: Any, seed: int = 1) -> Any:
    entry = predict_cells(
        context, [feature_entry(folder, WEST, BANK, seed=seed)], model, context.region.blocks
    )
    return SimpleNamespace(entry=entry, model=model, scenes=SimpleNamespace(simulated=False))


def test_a_series_keeps_each_season_once(tmp_path: Path) -> None:
    model = registered(tmp_path)
    context = make_context(tmp_path, region=REGION)
    series = Series.of(context, model)
    series.keep(LAST, predicted(tmp_path, model, context, seed=2))
    series.keep(FIRST, predicted(tmp_path, model, context))
    before = {path: path.stat().st_mtime_ns for path in series.folder.iterdir()}
    series.keep(FIRST, predicted(tmp_path, model, context))
    assert {path: path.stat().st_mtime_ns for path in series.folder.iterdir()} == before
    kept = series.read()
    assert kept["season"].drop_duplicates().tolist() == [FIRST, LAST]
    assert not kept.duplicated(["cell", "season"]).any()
    assert kept.loc[kept["probability"].isna(), "class"].eq("cannot_tell").all()
    assert set(series.read([LAST])["season"]) == {LAST}
    series.forget(keep=[LAST])
    assert series.seasons() == [LAST]


def test_two_models_do_not_mix_and_the_error_says_how_to_go_on(tmp_path: Path) -> None:
    model = registered(tmp_path)
    context = make_context(tmp_path, region=REGION)
    Series.of(context, model).keep(FIRST, predicted(tmp_path, model, context))
    Series.of(context, model).check("make monitor")
    other = replace(model, manifest=replace(model.manifest, name="newer"))
    with pytest.raises(MixedModelsError, match="make monitor RERUN=yes") as caught:
        Series.of(context, other).check("make monitor RERUN=yes")
    assert "here-ridge" in str(caught.value) and "newer" in str(caught.value)
    assert caught.value.exit_code == 54
    stricter = make_context(tmp_path, region=REGION, min_observed=0.5)
    with pytest.raises(MixedModelsError, match="other settings"):
        Series.of(stricter, model).check("make monitor")


def test_a_season_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    model = registered(tmp_path)
    series = Series.of(make_context(tmp_path, region=REGION), model)
    series.folder.mkdir(parents=True)
    (series.folder / f"{FIRST}.parquet").write_bytes(b"half")
    with pytest.raises(StoreCorruptError, match="delete the file"):
        series.check("make monitor")


def test_entries_of_another_file_are_not_reused(tmp_path: Path) -> None:
    model = registered(tmp_path)
    context = make_context(tmp_path, region=REGION)
    one = feature_entry(tmp_path, WEST, BANK)
    made = difference_blocks(context, [one], [one], model)[0]
    Path(made.path).write_bytes(b"flipped")
    again = difference_blocks(context, [one], [one], model)[0]
    assert not again.reused and sha256_of(Path(again.path)) == made.sha256
    assert isinstance(again, Entry)
