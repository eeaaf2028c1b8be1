"""Inspections that come back, as points or as a labelled sample, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sample_labels import draw_labels
from sample_visits import write_visits

from pipeline.config import Config
from pipeline.errors import ConfigError, LabelsError, NoLabelsError
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.sites.labels.gather import gather_labels
from pipeline.sites.labels.inspections import label_inspections, label_sample
from pipeline.sites.labels.rows import MINE, NOT

REGION = resolve_region("bbox:5.9,2.0,6.1,2.1", 100)
SEASON = "2021-12..2022-02"
CELLS = REGION.blocks[0].cells()


def points(path: Path, *labels: Any, date: str = "2022-01-10", **columns: Any) -> Path:
    """A point in the middle of one cell after the other."""
    lon, lat = grid.cell_centres(CELLS[4, : len(labels)])
    table = pd.DataFrame({"longitude": lon, "latitude": lat, "label": labels, "date": date})
    table.assign(**columns).to_csv(path, index=False)
    return path


def sample(path: Path, labels: list[str | None], **keys: Any) -> Path:
    return draw_labels(path, CELLS[4, : len(labels)], labels, **keys)


def test_points_give_rows_of_both_labels(tmp_path) -> None:
    path = points(tmp_path / "a.csv", "mine", "No mine", "look-alike", "cannot tell", "", "1")
    labels = label_inspections(path, REGION, SEASON)
    rows = labels.rows
    assert rows["label"].tolist() == [MINE, NOT, NOT, MINE]
    assert rows["what"].tolist() == ["inspection", "inspection", "look-alike", "inspection"]
    assert rows["cell"].tolist() == CELLS[4, [0, 1, 2, 5]].tolist()
    assert rows["source"].tolist() == ["a.csv 1", "a.csv 2", "a.csv 3", "a.csv 6"]
    assert rows["weight"].tolist() == [1, 4, 4, 1], "somebody looked and said no"
    assert labels.left_out == {"inspected_outside": 0, "inspected_unsure": 2}
    assert len(labels.places) == 2, "background keeps away from mines, not from what is none"


def test_the_latest_inspection_of_a_cell_counts(tmp_path) -> None:
    path = points(tmp_path / "a.csv", "mine", "no mine")
    table = pd.read_csv(path)
    table["longitude"], table["date"] = table["longitude"].iloc[0], ["2021-12-01", "2022-02-01"]
    table["source"] = "team 7"
    table.to_csv(path, index=False)
    rows = label_inspections(path, REGION, SEASON).rows
    assert rows[["label", "date", "source"]].to_numpy().tolist() == [[NOT, "2022-02-01", "team 7"]]


@pytest.mark.parametrize(
    ("label", "date", "words"),
    [("maybe", "2022-01-10", "is no label"), ("mine", "yesterday", "is no date")],
)
def test_words_that_are_none_of_ours(tmp_path, label, date, words) -> None:
    path = points(tmp_path / "a.csv", "mine", label, date=date)
    with pytest.raises(LabelsError, match=words) as caught:
        label_inspections(path, REGION, SEASON)
    assert caught.value.exit_code == 45


def test_a_table_without_labels_and_one_from_elsewhere(tmp_path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame({"lon": [5.95], "lat": [2.05]}).to_csv(path, index=False)
    with pytest.raises(LabelsError, match="no column label"):
        label_inspections(path, REGION, SEASON)
    pd.DataFrame({"lon": [7.0], "lat": [2.05], "label": ["mine"]}).to_csv(path, index=False)
    with pytest.raises(NoLabelsError, match="no inspection gives"):
        label_inspections(path, REGION, SEASON)


def test_a_sample_is_used_only_where_that_is_asked_for(tmp_path) -> None:
    path = sample(tmp_path / "s.gpkg", ["mine", "no mine", "cannot tell", None])
    with pytest.raises(LabelsError, match="USE_SAMPLE"):
        label_inspections(path, REGION, SEASON)
    labels = label_sample(path, REGION, SEASON)
    assert labels.samples == ("abc123",)
    assert labels.rows["label"].tolist() == [MINE, NOT]
    assert labels.rows["source"].tolist() == ["image of 2022"] * 2


def test_files_that_are_no_sample(tmp_path) -> None:
    with pytest.raises(LabelsError, match="no layer sample"):
        label_sample(points(tmp_path / "a.csv", "mine"), REGION, SEASON)
    with pytest.raises(LabelsError, match="which one it is"):
        label_sample(sample(tmp_path / "nameless.gpkg", ["mine"], name=""), REGION, SEASON)
    with pytest.raises(LabelsError, match="cells' numbers"):
        label_sample(sample(tmp_path / "far.gpkg", ["mine"], cell=[-4]), REGION, SEASON)


def test_all_sources_come_together_with_one_row_a_cell(tmp_path) -> None:
    site = {"pcode": "s", "visit_date": "2022-01-10"}
    lon, lat = (float(value) for value in grid.cell_centres(CELLS[4, 1]))
    visits = write_visits(tmp_path / "v.csv", site | {"longitude": lon, "latitude": lat})
    path = points(tmp_path / "a.csv", "mine", "no mine", date="2022-02-01")
    config = Config().with_keys(
        inspections=str(path), use_sample=str(sample(tmp_path / "s.gpkg", ["mine"]))
    )
    labels = gather_labels(config, visits, REGION, SEASON)
    rows = labels.rows.set_index("cell")
    assert rows["label"].to_dict() == {CELLS[4, 0]: MINE, CELLS[4, 1]: NOT}, "the latest counts"
    assert labels.samples == ("abc123",)
    assert [told.text.split(" (")[0] for told in labels.about] == [
        "visits in the IPIS form",
        "inspections",
        "labelled sample",
    ]
    assert sum(labels.left_out.values()) == 0


def test_sources_that_make_no_sense(tmp_path) -> None:
    with pytest.raises(NoLabelsError, match="no labels were given"):
        gather_labels(Config(), None, REGION, SEASON)
    with pytest.raises(ConfigError, match="searched area"):
        gather_labels(Config().with_keys(searched="x.gpkg"), Path("visits.csv"), REGION, SEASON)
    only = points(tmp_path / "a.csv", "no mine")
    with pytest.raises(NoLabelsError, match="is a mine"):
        gather_labels(Config().with_keys(inspections=str(only)), None, REGION, SEASON)
