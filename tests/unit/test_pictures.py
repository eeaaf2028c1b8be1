"""Pictures show what was stored, where it lies, and say that it is simulated."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from imagery import clear_scl, make_context, make_item, save_items, texture
from PIL import Image
from sample_cells import feature_entry
from sample_model import sample_bank

from pipeline.composite import composite_blocks, read_composite
from pipeline.errors import DisclosureError
from pipeline.evaluation import pictures
from pipeline.geo import grid
from pipeline.scenes import find_scenes
from pipeline.workflow.cells import read_features


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pictures")
    items = []
    for tile, lon in (("31NHA", 5.985), ("32NKF", 5.99)):
        bands = {
            name: texture(n, mean=900 + 300 * n) for n, name in enumerate(("B02", "B03", "B04"))
        }
        items.append(
            make_item(folder / "source", bands | {"SCL": clear_scl()}, tile=tile, lon=lon, lat=2.01)
        )
    save_items(folder / "source", items)
    context = make_context(folder, region="bbox:5.95,1.95,6.05,2.06")
    return context, composite_blocks(context, find_scenes(context), context.region.blocks)


def drawn(figure: Any) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return np.asarray(Image.open(stream).convert("RGB"))


def test_composite_and_counts_are_drawn(made: Any) -> None:
    context, composites = made
    colour = drawn(pictures.true_colour(context, composites))
    assert len(np.unique(colour.reshape(-1, 3), axis=0)) > 1_000
    figure = pictures.clear_counts(context, composites)
    image = figure.axes[0].images[0].get_array()
    assert np.nanmax(image) == max(
        int(read_composite(entry.path)["clear"].max()) for entry in composites
    )


def test_an_invented_landscape_says_so(made: Any) -> None:
    context, composites = made
    told = replace(context, region=replace(context.region, simulated=True))
    texts = [text.get_text() for text in pictures.true_colour(told, composites).texts]
    assert "SIMULATED" in texts
    assert not [t.get_text() for t in pictures.true_colour(context, composites).texts
                if "SIMUL" in t.get_text()]  # fmt: skip


def test_a_chip_goes_over_the_edge_of_its_block(made: Any) -> None:
    _, composites = made
    store = {entry.unit: entry for entry in composites}
    # The westernmost cell of an eastern block: half of its chip lies in the western one.
    cell = int(grid.cell_of(6.0025, 2.0125))
    chip = pictures._chip(cell, store, ["B04"])
    px, margin = grid.CELL_PX, pictures._MARGIN
    assert chip.shape == (1, (2 * margin + 1) * px, (2 * margin + 1) * px)
    home = grid.block_of_cell(cell)
    row = int(np.flatnonzero(home.cells().ravel() == cell)[0]) // grid.CELLS_PER_BLOCK
    rows = slice((row - margin) * px, (row + margin + 1) * px)
    inside = slice(max(0, rows.start), min(rows.stop, grid.BLOCK_PX))
    east = read_composite(store[home.name].path)["reflectance"].sel(band=["B04"]).to_numpy()
    west_name = grid.Block(home.row, home.col - 1).name
    west = read_composite(store[west_name].path)["reflectance"].sel(band=["B04"]).to_numpy()
    cut = slice(inside.start - rows.start, inside.stop - rows.start)
    width = (margin + 1) * px
    np.testing.assert_array_equal(chip[:, cut, margin * px :], east[:, inside, :width])
    left = west[:, inside, grid.BLOCK_PX - margin * px : grid.BLOCK_PX]
    np.testing.assert_array_equal(chip[:, cut, : margin * px], left)


def candidates() -> gpd.GeoDataFrame:
    cells = grid.cell_of([5.9925, 6.0025], [2.0125, 2.0125])
    table = pd.DataFrame({"cell": cells, "rank": [2, 1], "probability": [0.8, 0.9]})
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy([5.99, 6.0], [2.01, 2.01]))


def test_the_blocks_under_the_chips_are_found(made: Any) -> None:
    context, _ = made
    names = [b.name for b in pictures.blocks_under(candidates(), context.region)]
    assert names == ["N02.0E005.9", "N02.0E006.0", "N01.9E005.9", "N01.9E006.0"]
    one = candidates().assign(cell=grid.cell_of([5.95, 6.0025], [2.05, 2.0125]))
    assert len(pictures.blocks_under(one.iloc[:1], context.region)) == 1


def test_candidates_are_drawn_by_rank_and_season(made: Any) -> None:
    context, composites = made
    exact = replace(context, config=context.config.with_keys(disclosure="restricted"))
    figure = pictures.candidate_chips(exact, candidates(), {"dry": composites, "wet": composites})
    assert [axes.get_title() for axes in figure.axes[:2]] == ["1: 0.90", "2: 0.80"]
    assert figure.axes[0].get_ylabel() == "dry" and figure.axes[2].get_ylabel() == "wet"
    assert drawn(figure).std() > 10


def test_single_places_of_real_ground_are_not_drawn_in_public(made: Any) -> None:
    context, composites = made
    assert context.config.map.disclosure == "public"
    with pytest.raises(DisclosureError, match="single places"):
        pictures.candidate_chips(context, candidates(), {"dry": composites})


def test_features_and_filters_are_drawn(tmp_path: Path, made: Any) -> None:
    context, _ = made
    bank = sample_bank(patches=(3, 4), count=5)
    block = context.region.blocks[0]
    cells = read_features([feature_entry(tmp_path, block, bank)], bank)
    figure = pictures.feature_maps(context, cells, bank, most=4)
    names = [axes.get_title() for axes in figure.axes]
    assert 1 <= len(names) <= 4 and set(names) <= set(bank.column_names)
    index = bank.column_names.index(names[0])
    image = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(image.ravel(), cells.features[:, index])
    rows = [axes.get_ylabel() for axes in pictures.filters(context, bank).axes]
    assert [text for text in rows if text] == ["3 px", "4 px"]


def test_areas_are_drawn_with_their_intervals(made: Any) -> None:
    context, _ = made
    found = {"value": 10.0, "low": 6.0, "high": 18.0}
    rows = [{"name": "north", "cells_with_mining_km2": found}]
    rows.append({"name": "south", "cells_with_mining_km2": dict.fromkeys(found)})
    figure = pictures.area_interval(context, {"regions": rows})
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["north"]
    assert axes.patches[0].get_width() == 10.0
    ends = axes.containers[0].lines[2][0].get_segments()[0][:, 0]
    assert ends.tolist() == pytest.approx([6.0, 18.0])
