"""A part of the demo from imagery to an area with its interval, held against the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely

from pipeline.config import Config
from pipeline.demo.folder import demo_folder
from pipeline.demo.labeller import label_all
from pipeline.evaluation.area import area_region
from pipeline.evaluation.sample import sample_region
from pipeline.geo.distance import cell_area_km2
from pipeline.geo.regions import resolve_region
from pipeline.run import map_region
from pipeline.runtime.cluster import workers
from pipeline.sites.truth import read_truth
from pipeline.train import train_region
from pipeline.workflow.context import Context

# Of 95 % intervals; with so few draws chance alone lets some more miss.
DRAWS, HELD = 40, 34


def test_the_true_area_of_mines_lies_in_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four blocks of the landscape; the model learns from the visits within them.
    ground = shapely.box(5.8, 2.0, 6.0, 2.2)
    config = Config().with_keys(
        region="demo", workspace=str(tmp_path), disclosure="restricted", filters=24, patches="3"
    )
    region = replace(resolve_region("demo", 100), geometry=ground, training="")
    with workers("local", 2) as pool:
        context = Context(config, region, pool)
        train_region(context)
        folder = map_region(context, "publish")
    assert folder is not None
    cells = np.concatenate([region.cells(block) for block in region.blocks])
    truth = read_truth(demo_folder(context) / "truth.gpkg", cells)
    hectares = truth.cells.set_index("cell")["positive_ha"].reindex(cells).fillna(0)
    mine = hectares >= truth.unit_ha
    size = pd.Series(cell_area_km2(cells), index=cells)
    share = hectares / 100 / size
    # Slivers of neighbouring mines are not labelled as mines, nor counted.
    true_cells, true_mined = float(size[mine].sum()), float(hectares[mine].sum() / 100)
    held = np.zeros(2, int)
    for draw in range(1, DRAWS + 1):
        path = sample_region(context, tmp_path / f"{draw}.gpkg", size=300, draw=draw)
        label_all(path, mine, share)
        whole = area_region(config, path)["regions"][0]
        cells_km2, mined = whole["cells_with_mining_km2"], whole["mined_km2"]
        print(
            f"\ndraw {draw}: true {true_cells:.2f} km2, estimated {cells_km2['value']:.2f} "
            f"({cells_km2['low']:.2f} to {cells_km2['high']:.2f}); mined {true_mined:.3f} km2, "
            f"estimated {mined['value']:.3f} ({mined['low']:.3f} to {mined['high']:.3f})"
        )
        assert whole["not_estimated_km2"] == pytest.approx(0, abs=1)
        held += [
            cells_km2["low"] <= true_cells <= cells_km2["high"],
            mined["low"] <= true_mined <= mined["high"],
        ]
    print(f"\nheld the truth: {held[0]} and {held[1]} of {DRAWS} intervals")
    assert (held >= HELD).all()
    # The map that is published after it shows the estimate and is another run.
    again = map_region(context, "publish")
    assert again is not None and again != folder
    layer = pyogrio.read_dataframe(again / "map.gpkg", layer="regions")
    assert layer["cells_with_mining_km2"][0] == pytest.approx(cells_km2["value"])
    assert layer["simulated"].all()
