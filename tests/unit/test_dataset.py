"""The training table: visited cells, background far from them, folds by block."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from imagery import make_context
from sample_cells import feature_entry
from sample_model import sample_bank

from pipeline.errors import NoLabelsError, StoreCorruptError
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.sites.labels.background import far_from_mines, with_background
from pipeline.sites.labels.rows import MINE, NOT, Labels, make_rows
from pipeline.training import dataset
from pipeline.training.dataset import TrainingTable, build_dataset, read_dataset
from pipeline.workflow.cells import read_features

BANK = sample_bank(patches=(3,), count=3)
REGION = "bbox:5.9,2.0,6.1,2.1"
BLOCKS = resolve_region(REGION).blocks


def make_labels(count: int = 12, shifts: tuple[int, ...] = (0,)) -> Labels:
    """Positives along the blocks' diagonals."""
    cells = np.concatenate([np.diag(block.cells()) for block in BLOCKS])[:: 40 // count][:count]
    lon, lat = grid.cell_centres(cells)
    positives = make_rows(
        cells,
        MINE,
        "visit",
        [f"site{i}" for i in range(count)],
        "2022-01-01",
        [shifts[i % len(shifts)] for i in range(count)],
        size=np.where(np.arange(count) % 2, 30.0, np.nan),
    )
    return Labels(positives, np.column_stack([lon, lat, np.full(count, 250.0)]), {})


def build(folder: Path, labels: Labels, **keys: Any) -> tuple[TrainingTable, Any]:
    observed = np.ones(400, np.float32)
    observed[:30] = 0.1
    seasons = {
        shift: [feature_entry(folder, b, BANK, observed=observed, seed=shift + 10) for b in BLOCKS]
        for shift in labels.rows["shift"].unique()
    }
    context = make_context(folder, **({"region": REGION} | keys))
    entry = build_dataset(context, with_background(labels, context.region), seasons, BANK)
    return read_dataset(entry.path), entry


def test_rows_labels_and_folds(tmp_path) -> None:
    labels = make_labels()
    table, entry = build(tmp_path, labels)
    mine = table.label == 1
    assert entry.facts is not None
    assert entry.facts["positives"] == mine.sum() == 10, "two of 12 were not observed"
    assert set(table.cell[mine]) < set(labels.positives["cell"])
    assert set(table.source[mine]) < set(labels.positives["source"])
    assert (table.source[~mine] == "background").all()
    assert (table.date[mine] == "2022-01-01").all()
    assert (table.date[~mine] == "").all()
    assert far_from_mines(table.cell[~mine], labels).all()
    assert table.known is not None and table.what is not None
    assert (table.known == mine).all(), "background is unlabelled"
    assert set(table.what[mine]) == {"visit"}
    sizes = {size.unit: size.values for size in table.sizes}
    assert np.isnan(sizes["hectares"]).all()
    assert np.isnan(sizes["workers"][~mine]).all()
    assert set(sizes["workers"][mine & np.isfinite(sizes["workers"])]) == {30.0}
    assert np.isfinite(table.features).all()
    assert table.weight.mean() == pytest.approx(1)
    assert table.weight[mine].sum() == pytest.approx(0.1 * len(mine))
    names = np.array([grid.block_of_cell(cell).name for cell in table.cell])
    assert len(set(zip(names, table.fold, strict=True))) == 2, "no block is split"
    assert set(table.fold) == {0, 1}


def test_features_stand_with_their_own_cell(tmp_path) -> None:
    table, _ = build(tmp_path, make_labels())
    stored = read_features(
        [feature_entry(tmp_path, block, BANK, seed=10) for block in BLOCKS], BANK
    )
    place = {cell: row for row, cell in enumerate(stored.cell)}
    expected = stored.features[[place[cell] for cell in table.cell]]
    assert np.array_equal(table.features, expected)


def test_seasons_are_joined_each_with_its_own_visits(tmp_path) -> None:
    table, _ = build(tmp_path, make_labels(shifts=(0, -3)))
    assert (table.label == 1).sum() == 10
    # A cell of background is a row in each season.
    assert pd.Series(table.cell[table.label == 0]).value_counts().max() == 2


def test_cells_beyond_the_border_are_not_trained_on(tmp_path) -> None:
    table, _ = build(tmp_path, make_labels(20), region="bbox:5.9,2.03,6.1,2.1")
    assert grid.cell_centres(table.cell)[1].min() > 2.03
    assert (table.label == 1).sum() >= 10


def test_background_is_limited(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(dataset, "BACKGROUND_PER_POSITIVE", 3)
    table, _ = build(tmp_path, make_labels())
    assert (table.label == 0).sum() == 30


def test_the_table_is_reused_until_something_changes(tmp_path) -> None:
    labels = make_labels()
    assert not build(tmp_path, labels)[1].reused
    first = build(tmp_path, labels)[1]
    assert first.reused
    assert not build(tmp_path, labels, seed=2)[1].reused
    moved = labels.with_rows(labels.rows.assign(source="x"))
    assert not build(tmp_path, moved)[1].reused


def test_too_few_positives(tmp_path) -> None:
    with pytest.raises(NoLabelsError, match="only 2 mines"):
        build(tmp_path, make_labels(4))


def test_no_background_at_all(tmp_path) -> None:
    labels = make_labels()
    # A place known so badly that every cell may be a mine.
    everywhere = np.vstack([labels.places, [6.0, 2.05, 30_000.0]])
    with pytest.raises(NoLabelsError, match="background"):
        build(tmp_path, replace(labels, places=everywhere))


def test_one_block_cannot_be_split_by_place(tmp_path) -> None:
    labels = make_labels()
    cells = BLOCKS[0].cells()[5].reshape(-1)[:12]
    labels = labels.with_rows(labels.rows.assign(cell=cells))
    entries = {0: [feature_entry(tmp_path, BLOCKS[0], BANK)]}
    with pytest.raises(NoLabelsError, match="split by place"):
        context = make_context(tmp_path, region=REGION)
        build_dataset(context, with_background(labels, context.region), entries, BANK)


def test_features_of_another_bank_are_refused(tmp_path) -> None:
    entry = feature_entry(tmp_path, BLOCKS[0], sample_bank(4, patches=(3,), count=3))
    with pytest.raises(StoreCorruptError, match="where bank"):
        read_features([entry], BANK)


def test_inspected_rows_are_kept_and_count_more(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(dataset, "BACKGROUND_PER_POSITIVE", 3)
    labels = make_labels()
    cells = BLOCKS[0].cells()[10, :8]
    checked = make_rows(cells, NOT, "inspection", "team", "2022-02-01", weight=4.0)
    together = labels.with_rows(pd.concat([labels.rows, checked], ignore_index=True))
    table, entry = build(tmp_path, together)
    assert table.known is not None and entry.facts is not None
    inspected = table.source == "team"
    assert set(table.cell[inspected]) == set(cells)
    assert (table.label[inspected] == 0).all() and table.known[inspected].all()
    assert (entry.facts["negatives"], entry.facts["unlabelled"]) == (8, 30)
    background = table.source == "background"
    assert table.weight[inspected] == pytest.approx(4 * table.weight[background][0])


def test_searched_ground_makes_both_classes_count_the_same(tmp_path) -> None:
    everything = np.array([shapely.box(5.8, 1.9, 6.2, 2.2)], object)
    table, _ = build(tmp_path, replace(make_labels(), searched=everything))
    assert table.known is not None and table.known.all()
    mine = table.label == 1
    assert table.weight[mine].sum() == pytest.approx(table.weight[~mine].sum())
    assert set(table.source[~mine]) == {"searched area"}
