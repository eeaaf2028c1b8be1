"""The table of label kinds: what each takes, whom it credits, and one that is added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_labels import draw_labels
from sample_visits import write_visits

from models.statement import Statement
from pipeline.config import Config, LabelSettings
from pipeline.geo import grid
from pipeline.geo.regions import Region, resolve_region
from pipeline.sites.labels import gather
from pipeline.sites.labels.gather import KINDS, gather_labels
from pipeline.sites.labels.rows import MINE, LabelKind, Labels, make_rows

REGION = resolve_region("bbox:5.9,2.0,6.1,2.1", 100)
SEASON = "2021-12..2022-02"
CELLS = REGION.blocks[0].cells()


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    lon, lat = (float(value) for value in grid.cell_centres(CELLS[4, 1]))
    site = {"pcode": "s", "visit_date": "2022-01-10", "longitude": lon, "latitude": lat}
    return write_visits(tmp_path / "v.csv", site)


def _read_list(path: Path, region: Region, season: str, settings: LabelSettings) -> Labels:
    cells = np.loadtxt(path, np.int64, ndmin=1)
    rows = make_rows(cells, MINE, "list", path.name)
    return Labels(rows, np.empty((0, 3)), {}, about=(Statement(f"listed cells ({path.name})"),))


def test_a_kind_of_labels_is_one_class_and_one_line(tmp_path, visits, monkeypatch) -> None:
    listed = tmp_path / "mines.lst"
    listed.write_text(f"{CELLS[7, 7]}\n")
    lists = LabelKind(lambda settings, labels: listed, _read_list)
    monkeypatch.setattr(gather, "KINDS", (*KINDS, lists))
    labels = gather_labels(Config(labels=LabelSettings(file=str(visits))), visits, REGION, SEASON)
    assert set(labels.positives["cell"]) == {CELLS[4, 1], CELLS[7, 7]}
    assert labels.about[-1].text == "listed cells (mines.lst)"
    assert labels.credits == (
        "IPIS open data, ODC-BY 1.0 (credit IPIS)",
        "mines.lst: not stated",
    )


def test_each_file_is_of_one_kind(tmp_path, visits) -> None:
    both = LabelSettings(inspections="seen.csv", use_sample="sample.gpkg")
    for labels, first in ((visits, "v.csv"), (Path("outlines.geojson"), "outlines.geojson")):
        files = [kind.file(both, labels) for kind in KINDS]
        assert [file.name for file in files if file] == [first, "seen.csv", "sample.gpkg"]
    assert [kind.file(LabelSettings(), None) for kind in KINDS] == [None] * len(KINDS)


def test_labels_bring_their_credit(tmp_path, visits) -> None:
    sample = draw_labels(tmp_path / "s.gpkg", CELLS[4, :1], ["mine"])
    config = Config(labels=LabelSettings(file=str(visits), use_sample=str(sample)))
    given = gather_labels(config, visits, REGION, SEASON)
    assert given.credits == ("IPIS open data, ODC-BY 1.0 (credit IPIS)", "s.gpkg: not stated")
    # What a region brings itself, as the demo its visits, is nobody else's.
    own = gather_labels(
        Config(labels=LabelSettings(use_sample=str(sample))), visits, REGION, SEASON
    )
    assert own.credits == ("s.gpkg: not stated",)
