"""A labelled file is held against the sample that was drawn; figures come with their intervals."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from sample_region import make_world

from models.registry import load_model, write_model
from pipeline.demo.labeller import execute, label_all, write_labels
from pipeline.errors import (
    AsmAtlasError,
    InputFileError,
    NoLabelsError,
    SampleError,
    SampleUsedError,
    StageMissingError,
)
from pipeline.evaluation import area, sample
from pipeline.evaluation.area_estimates import long_table
from pipeline.geo import grid
from pipeline.geo.distance import cell_area_km2
from pipeline.map.area_layer import read_estimates, stored_area
from pipeline.sites.samples import read_sample


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def drawn_file(world: Any, path: Path, size: int = 300, **keys: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "predict_region", lambda context, only: world[1])
        return sample.sample_region(world[0], path, size, **keys)


@pytest.fixture
def file(world, tmp_path) -> Path:
    return drawn_file(world, tmp_path / "s.gpkg")


@pytest.fixture
def labelled(world, file) -> Path:
    label_all(file, world[2])
    return file


def truth_km2(world: Any, cells: Any = None) -> float:
    mine = world[2]
    ids = mine.index[mine & (np.isin(mine.index, cells) if cells is not None else True)]
    return float(cell_area_km2(ids.to_numpy()).sum())


def first_cells(path: Path, count: int = 3) -> list[int]:
    with closing(sqlite3.connect(path)) as base:
        rows = base.execute("SELECT cell FROM sample ORDER BY number LIMIT ?", (count,))
        return [row[0] for row in rows]


def test_the_true_area_lies_in_the_interval(world, tmp_path) -> None:
    context, predicted, _ = world
    known = pd.read_parquet(predicted.entry.path).query("probability.notna()")["cell"]
    held, draws = 0, 8
    for draw in range(1, draws + 1):
        path = drawn_file(world, tmp_path / f"{draw}.gpkg", draw=draw)
        label_all(path, world[2])
        found = area.area_region(context.config, path, out=tmp_path / "area.json")
        figure = found["regions"][0]["cells_with_mining_km2"]
        held += figure["low"] <= truth_km2(world, known) <= figure["high"]
        assert figure["high"] < 2 * figure["value"]
    assert held >= draws - 1


def test_what_it_writes(world, labelled, tmp_path, capsys) -> None:
    context = world[0]
    found = area.area_region(context.config, labelled)
    home = context.config.workspace.processed / "demo"
    assert json.loads((home / "area.json").read_text()) == found
    assert found["simulated"] and found["words"].startswith("SIMULATED")
    assert found["disclosure"] == "public"
    assert found["labels"]["not labelled"] == 0
    assert [one["name"] for one in found["regions"]] == ["demo", "demo-heldout", "demo-train"]
    whole, *parts = found["regions"]
    assert sum(part["cells"] for part in parts) == whole["cells"] == 4800
    assert sum(part["labelled"] for part in parts) == whole["labelled"] == 300
    assert whole["not_estimated"] == {"cannot_tell": pytest.approx(40, abs=25)}
    assert whole["mined_km2"] is None
    table = pd.read_csv(home / "area.csv")
    assert len(table) == len(long_table(found)) == 3 + 6
    assert table["simulated"].all()
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    said = capsys.readouterr().out
    for words in ("SIMULATED", "that contain mining", "Olofsson", "95 %", "user's accuracy"):
        assert words in said
    kept = stored_area(context.config, "demo", found["predictions"])
    assert read_estimates(kept)["regions"][1]["outline"].startswith("POLYGON")
    text = (home / "area.json").read_text()
    assert not any(str(cell) in text for cell in first_cells(labelled, 300)), "no place of a cell"


def test_a_strata_of_low_scores_without_a_mine_is_not_free_of_mines(world, file, tmp_path) -> None:
    label_all(file, pd.Series(False, index=world[2].index))
    found = area.area_region(world[0].config, file, out=tmp_path / "a.json")
    figure = found["regions"][0]["cells_with_mining_km2"]
    assert figure["value"] == figure["standard_error"] == 0
    assert figure["low_1_96"] == figure["high_1_96"] == 0, "as published"
    assert figure["high"] > 10, "and what can be known"
    assert any("does not make it free of mines" in note for note in found["notes"])


def test_shares_give_the_mined_area(world, file, tmp_path) -> None:
    mine = world[2]
    share = pd.Series(np.random.default_rng(2).uniform(0.02, 0.5, len(mine)), index=mine.index)
    label_all(file, mine, share)
    found = area.area_region(world[0].config, file, out=tmp_path / "a")
    mined = found["regions"][0]["mined_km2"]
    known = pd.read_parquet(world[1].entry.path).query("probability.notna()")["cell"].to_numpy()
    truth = float((cell_area_km2(known) * (share * mine)[known].to_numpy()).sum())
    assert mined["low"] <= truth <= mined["high"]
    assert "fullest that was labelled" in mined["how"]
    assert mined["value"] < found["regions"][0]["cells_with_mining_km2"]["value"]
    assert (tmp_path / "a.json").is_file() and (tmp_path / "a.csv").is_file()
    some = next(cell for cell in first_cells(file, 300) if mine[cell])
    write_labels(file, {}, share={some: None})
    again = area.area_region(world[0].config, file, out=tmp_path / "a")
    assert again["regions"][0]["mined_km2"] is None
    assert any("1 mines have no share" in note for note in again["notes"])


def test_cannot_tell_is_counted_and_bounded(world, labelled, tmp_path) -> None:
    unknown = first_cells(labelled, 20)
    write_labels(labelled, dict.fromkeys(unknown, "cannot tell"))
    found = area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    whole = found["regions"][0]
    assert (whole["cannot_tell"], whole["labelled"]) == (20, 280)
    figure = whole["cells_with_mining_km2"]
    assert figure["low_if_cannot_tell_is_no_mine"] < figure["low"]
    assert figure["high_if_cannot_tell_is_mine"] > figure["high"]
    assert any(note.startswith("20 cells were labelled cannot tell") for note in found["notes"])


def test_cells_that_are_not_labelled_yet_are_named(world, labelled, tmp_path) -> None:
    numbers = pd.DataFrame({"cell": first_cells(labelled, 300)})
    last = numbers["cell"].iloc[-40:].tolist()
    write_labels(labelled, dict.fromkeys(last))
    found = area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    assert any("40 cells are not labelled yet; the numbers" in note for note in found["notes"])
    write_labels(labelled, dict.fromkeys(numbers["cell"].iloc[:2].tolist(), ""))
    found = area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    assert any("2 of them with numbers before" in note for note in found["notes"])
    assert found["regions"][0]["labelled"] == 258


def test_too_few_labels_in_a_stratum_leave_its_ground_out(world, file, tmp_path) -> None:
    drawn = sample.load_drawn(world[0].store("samples"), "demo", read_sample(file).id).cells.query(
        "number > 0"
    )
    label_all(file, world[2])
    blank = drawn[drawn["stratum"] == "unlikely"]["cell"].tolist()[1:]
    write_labels(file, dict.fromkeys(blank))
    found = area.area_region(world[0].config, file, out=tmp_path / "a.json")
    whole = found["regions"][0]
    assert set(whole["not_estimated"]) == {"unlikely", "cannot_tell"}
    assert whole["not_estimated_km2"] > 500
    assert any("unlikely" in note and "1 labelled" in note for note in found["notes"])


def test_regions_of_a_file(world, labelled, tmp_path) -> None:
    west, one = shapely.box(5.8, 2.0, 6.0, 2.3), shapely.box(5.9, 2.1, 5.906, 2.106)
    shapes = {"west": west, "one cell": one}
    features = [
        {"type": "Feature", "properties": {"name": name},
         "geometry": shapely.geometry.mapping(shape)} for name, shape in shapes.items()
    ]  # fmt: skip
    path = tmp_path / "parts.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = area.area_region(world[0].config, labelled, path, tmp_path / "a.json")
    assert [one["name"] for one in found["regions"]] == ["demo", "west", "one cell"]
    assert found["regions"][1]["cells"] == 2400
    assert found["disclosure"] == "restricted", "a small part gives a place away"
    assert found["regions"][2]["cells_with_mining_km2"]["value"] is None
    away = json.dumps(shapely.geometry.mapping(shapely.box(30, 2, 31, 3)))
    path.write_text(away)
    with pytest.raises(NoLabelsError, match="no polygon"):
        area.area_region(world[0].config, labelled, path, tmp_path / "b.json")


HOSTILE = {
    "labels that are none of": "UPDATE sample SET label = 'Mine!' WHERE number = 7",
    "cells that are there twice": "UPDATE sample SET cell = (SELECT cell FROM sample WHERE number "
    "= 8) WHERE number = 7",
    "whose number or cell is not one": "UPDATE sample SET cell = 'x' WHERE number = 7",
    "squares that were moved": "UPDATE sample SET geom = (SELECT geom FROM sample WHERE number = 8)"
    " WHERE number = 7",
    "drawn are not there": "DELETE FROM sample WHERE number = 7",
    "another's number": "UPDATE sample SET number = 15 - number WHERE number IN (7, 8)",
    "shares that are not within": "UPDATE sample SET share = 1.5, label = 'mine' WHERE number = 7",
    "shares where there is no mine": "UPDATE sample SET share = 0.5, label = 'no mine' "
    "WHERE number = 7",
    "mines of which no share": "UPDATE sample SET share = 0, label = 'mine' WHERE number = 7",
    "dates that are not": "UPDATE sample SET date = 'yesterday' WHERE number = 7",
    "lacks label": "ALTER TABLE sample RENAME COLUMN label TO etikett",
    "table strata": "UPDATE strata SET cells = cells + 1 WHERE stratum = 'likely'",
    "no table 'strata'": "DELETE FROM gpkg_contents WHERE table_name = 'strata'",
    "which sample this is": "UPDATE about SET value = '../../x' WHERE item = 'sample'",
    "has not drawn": "UPDATE about SET value = '0123456789abcdef' WHERE item = 'sample'",
}  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
def test_a_file_that_is_not_what_was_drawn_is_refused_and_the_fault_named(
    world, labelled, tmp_path, words
) -> None:
    execute(labelled, HOSTILE[words])
    with pytest.raises(AsmAtlasError, match=words) as caught:
        area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    kinds = {"no table 'strata'": "InputFileError", "has not drawn": "StageMissingError"}
    expected = kinds.get(words, "SampleError")
    assert type(caught.value).__name__ == expected
    assert not (tmp_path / "a.json").exists()


def test_every_fault_is_named_at_once(world, labelled) -> None:
    for words in ("labels that are none of", "dates that are not", "squares that were moved"):
        execute(labelled, HOSTILE[words])
    with pytest.raises(SampleError) as caught:
        read_sample(labelled)
    assert str(caught.value).count("(7)") == 3


def test_a_row_added_is_named(world, labelled) -> None:
    execute(
        labelled,
        "INSERT INTO sample (geom, number, cell) SELECT geom, 999, cell + 0 FROM sample LIMIT 1",
    )
    with pytest.raises(SampleError, match="twice"):
        read_sample(labelled)


def test_a_file_that_is_still_open_is_not_read(labelled) -> None:
    labelled.with_name(labelled.name + "-wal").write_bytes(b"x" * 64)
    with pytest.raises(InputFileError, match="open in another program"):
        read_sample(labelled)


def test_nothing_labelled_is_an_error(world, file, tmp_path) -> None:
    with pytest.raises(NoLabelsError):
        area.area_region(world[0].config, file)
    with pytest.raises(InputFileError):
        read_sample(tmp_path / "nowhere.gpkg")
    (tmp_path / "bad.gpkg").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputFileError):
        read_sample(tmp_path / "bad.gpkg")


def retrained(world: Any, **changes: Any) -> Any:
    """Register the map's model again, trained on something else, in a workspace of its own."""
    model = load_model(
        world[0].config and Path(world[0].config.workspace.path) / "models/here-ridge"
    )
    data = replace(model.manifest.data, **changes.get("data", {}))
    manifest = replace(model.manifest, data=data)
    folder = Path(world[0].config.workspace.path) / "models" / "here-ridge"
    for file in folder.iterdir():
        file.unlink()
    cells = changes.get("cells", model.cells)
    write_model(folder, manifest, model.bank, model.classifier, model.uncertainty, "", cells)
    return model


def test_a_sample_that_its_model_has_learned_from_is_refused(labelled, world, tmp_path) -> None:
    name = read_sample(labelled).id
    before = retrained(world, data={"samples": [name]})
    try:
        with pytest.raises(SampleUsedError, match=f"trained on the sample {name}"):
            area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
        retrained(world, data={"samples": []}, cells=np.array(first_cells(labelled, 300)))
        with pytest.raises(SampleUsedError, match="cells of the sample"):
            area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    finally:
        retrained(world, cells=before.cells)
    area.area_region(world[0].config, labelled, out=tmp_path / "a.json")


def test_a_model_that_is_gone_is_said(labelled, world, tmp_path) -> None:
    models = Path(world[0].config.workspace.path) / "models"
    models.rename(models.with_name("gone"))
    try:
        found = area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    finally:
        models.with_name("gone").rename(models)
    assert any("not registered any more" in note for note in found["notes"])


def test_a_cell_moved_to_its_neighbour_with_its_square_is_named(world, labelled) -> None:
    cell = first_cells(labelled, 1)[0]
    other = cell + 1 if cell + 1 not in first_cells(labelled, 300) else cell - 1
    square = shapely.box(*(float(edge[0]) for edge in grid.cell_bounds([other])))
    header = b"GP\x00\x01" + (4326).to_bytes(4, "little")
    execute(
        labelled,
        "UPDATE sample SET cell = ?, geom = ? WHERE cell = ?",
        [(other, header + shapely.to_wkb(square), cell)],
    )
    with pytest.raises(SampleError) as caught:
        area.area_region(world[0].config, labelled)
    assert "not drawn (1)" in str(caught.value) and "not there (1)" in str(caught.value)


def test_another_workspace_does_not_know_the_sample(world, labelled, tmp_path) -> None:
    config = world[0].config.with_keys(workspace=str(tmp_path))
    with pytest.raises(StageMissingError, match="has not drawn"):
        area.area_region(config, labelled)


def test_a_sample_drawn_by_the_older_rule_judges_no_map(world, labelled, tmp_path) -> None:
    before = area.load_drawn

    def older(*keys: Any) -> Any:
        drawn = before(*keys)
        return replace(drawn, facts=drawn.facts | {"version": 1})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(area, "load_drawn", older)
        found = area.area_region(world[0].config, labelled, out=tmp_path / "a.json")
    assert found["accuracy"] == {}
    assert found["regions"]
    assert any("draw another sample" in note for note in found["notes"])
