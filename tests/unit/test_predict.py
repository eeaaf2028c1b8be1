"""One probability for each cell of the region, or none, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imagery import EAST, WEST, make_context
from sample_cells import FIRST_DAY, LAST_DAY, feature_entry
from sample_model import sample_bank
from test_train import ABOUT, table

from features.bank import FilterBank
from features.errors import BankMismatchError
from models.model import Model
from models.registry import load_model
from pipeline.composite import EPOCH
from pipeline.errors import NoClearPixelError, StoreCorruptError
from pipeline.geo import grid
from pipeline.predict import predict_cells, read_predictions
from pipeline.training.register import register_models

BANK = sample_bank(patches=(3,), count=3)
# Half a block: columns of cells from lon 5.95 on, and a strip of the next block.
REGION = "bbox:5.95,2.0,6.01,2.1"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    registry = tmp_path_factory.mktemp("registry")
    register_models(table(), BANK, ABOUT, registry, kinds=["ridge"])
    return load_model(registry / "here-ridge")


def predict(folder: Path, model: Model, entries: list[Any], **keys: Any) -> pd.DataFrame:
    context = make_context(folder, region=REGION, **keys)
    entry = predict_cells(context, entries, model, context.region.blocks)
    return read_predictions(entry.path)


def test_every_cell_of_the_region_is_a_row_and_no_other(tmp_path, model) -> None:
    found = predict(tmp_path, model, [feature_entry(tmp_path, WEST, BANK)])
    region = make_context(tmp_path, region=REGION).region
    expected = np.concatenate([region.cells(block) for block in region.blocks])
    assert found["cell"].tolist() == sorted(expected)
    assert len(found) == 12 * 20
    seen = np.isin(found["cell"], WEST.cells())
    assert found["probability"].notna()[seen].all()
    east = found[~seen]
    assert len(east) == 40
    assert east["probability"].isna().all(), "a block without imagery: rows that cannot tell"
    assert (east["observed"] == 0).all()
    assert east["first_image"].isna().all()
    assert (east["scenes"] == 0).all()
    west = found[seen]
    assert set(west["first_image"]) == {str(EPOCH + pd.Timedelta(days=FIRST_DAY))[:10]}
    assert set(west["last_image"]) == {str(EPOCH + pd.Timedelta(days=LAST_DAY))[:10]}
    assert west["probability"].dtype == np.float32
    assert west["probability"].between(0, 1).all()


def test_probabilities_stand_with_their_own_cell(tmp_path, model) -> None:
    mines = WEST.cells()[[3, 9, 15], [12, 14, 17]]
    entry = feature_entry(tmp_path, WEST, BANK, mines=mines)
    found = predict(tmp_path, model, [entry]).set_index("cell")["probability"]
    others = found.drop(mines).dropna()
    assert found[mines].min() > others.quantile(0.98)


def test_cells_say_how_sure_the_model_is(tmp_path, model) -> None:
    entry = feature_entry(tmp_path, WEST, BANK)
    found = predict(tmp_path, model, [entry]).dropna(subset="probability")
    assert (found["low"] <= found["probability"]).all()
    assert (found["probability"] <= found["high"]).all()
    assert found["high"].gt(found["low"]).mean() > 0.9
    assert set(found["labels"]) <= {"mine", "not", "both", "neither"}
    assert found["dissimilarity"].ge(0).all()
    inside = (found["dissimilarity"] <= 1) & (found["dispute"] <= 1)
    assert (found["applicable"] == inside).all()


def test_a_stated_prevalence_lowers_probabilities_but_not_their_order(tmp_path, model) -> None:
    entry = feature_entry(tmp_path, WEST, BANK)
    usual = predict(tmp_path, model, [entry]).dropna(subset="probability")
    rare = predict(tmp_path, model, [entry], prevalence=0.01).dropna(subset="probability")
    assert (rare["probability"] < usual["probability"]).all()
    assert (rare["probability"].rank() == usual["probability"].rank()).mean() > 0.9
    assert (rare["labels"] == usual["labels"]).all()


def test_badly_observed_cells_cannot_tell(tmp_path, model) -> None:
    observed = np.ones(400, np.float32)
    observed[:20], observed[20:40], observed[40:60] = 0, 0.24, 0.26
    entry = feature_entry(tmp_path, WEST, BANK, observed=observed)
    found = predict(tmp_path, model, [entry]).set_index("cell")["probability"]
    row = WEST.cells()[:, 12]
    assert np.isnan(found[row[0]])
    assert np.isnan(found[row[1]])
    assert np.isfinite(found[row[2]])
    stricter = predict(tmp_path, model, [entry], min_observed=0.5).set_index("cell")["probability"]
    assert np.isnan(stricter[row[2]])


def test_cells_that_the_model_was_trained_on_say_so(tmp_path, model) -> None:
    trained = WEST.cells()[5, 10:13]
    known = replace(model, cells=trained)
    found = predict(tmp_path, known, [feature_entry(tmp_path, WEST, BANK)])
    assert sorted(found.loc[found["in_training"], "cell"]) == sorted(trained)


def test_the_table_is_stored_once_and_does_not_depend_on_the_order_of_blocks(
    tmp_path, model
) -> None:
    context = make_context(tmp_path, region=REGION)
    entries = [feature_entry(tmp_path, block, BANK) for block in (WEST, EAST)]
    first = predict_cells(context, entries, model, [WEST, EAST])
    assert predict_cells(context, entries, model, [WEST, EAST]).reused
    other = make_context(tmp_path, region=REGION, workspace=str(tmp_path / "other"))
    turned = predict_cells(other, entries[::-1], model, [EAST, WEST])
    assert turned.sha256 == first.sha256


def test_nothing_observed_is_an_error_and_leaves_no_table(tmp_path, model) -> None:
    blind = feature_entry(tmp_path, WEST, BANK, observed=np.zeros(400, np.float32))
    context = make_context(tmp_path, region=REGION)
    with pytest.raises(NoClearPixelError, match="MIN_OBSERVED"):
        predict_cells(context, [blind], model, context.region.blocks)
    assert not list(context.store("predictions").rglob("*.parquet"))


def test_features_of_another_bank_are_refused(tmp_path, model) -> None:
    other: FilterBank = sample_bank(4, patches=(3,), count=3)
    with pytest.raises((StoreCorruptError, BankMismatchError)):
        predict(tmp_path, model, [feature_entry(tmp_path, WEST, other)])


def test_a_cells_centre_decides_whether_it_is_the_regions(tmp_path, model) -> None:
    found = predict(tmp_path, model, [feature_entry(tmp_path, WEST, BANK)])
    lon, lat = grid.cell_centres(found["cell"].to_numpy())
    assert lon.min() > 5.95
    assert lon.max() < 6.01
    assert lat.min() > 2.0
    assert lat.max() < 2.1
