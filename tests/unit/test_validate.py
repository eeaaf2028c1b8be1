"""Which ways of holding out a table's rows allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sample_model import sample_table

from pipeline.geo import grid
from pipeline.training.dataset import TrainingTable
from pipeline.training.validation import hold_outs, places_of, show_validation, validate_table
from pipeline.training.validation_plot import draw_validation

ROWS = 400


def table(west: float, south: float, degrees: float, loose: int = 0) -> TrainingTable:
    """Rows scattered over a square; the last ones without a place."""
    features, label, fold, weight = sample_table(8, ROWS)
    rng = np.random.default_rng(6)
    lon, lat = west + rng.uniform(0, degrees, ROWS), south + rng.uniform(0, degrees, ROWS)
    cell = grid.cell_of(lon, lat)
    cell[ROWS - loose :] = -1
    text = np.full(ROWS, "x")
    return TrainingTable(features, label, fold, cell, text, text, weight)


def by_name(given: TrainingTable) -> dict:
    return {way.name.text: way for way in hold_outs(given, *places_of(given), 1)}


def test_rows_of_two_countries_are_judged_by_one_another() -> None:
    # Around Lake Kivu: the border of Rwanda and the DRC.
    found = validate_table(table(28.0, -3.0, 2.0, loose=40), 0.1, 1)
    rows = {row["name"]: row for row in found}
    countries = rows["whole countries"]
    assert "democratic-republic-of-the-congo" in countries["how"]
    assert "rwanda" in countries["how"]
    assert "40 rows without a place stay in training" in countries["how"]
    assert countries["n"] <= 360
    assert rows["random rows"]["n"] == ROWS
    assert rows["checkerboard of 0.5 degrees"]["n"] == 360
    assert rows["whole regions"]["n"] == ROWS
    assert rows["checkerboard of 8 degrees"]["left_out"] == "all rows to judge lie in one part"


def test_what_cannot_be_held_out_says_why() -> None:
    one = by_name(table(24.0, -1.0, 0.5))
    assert "all rows with a place lie in democratic-rep" in one["whole countries"].why_not.text
    assert "two 1-degree squares" in one["whole regions"].why_not.text
    sea = by_name(table(5.0, 2.0, 0.5))
    assert sea["whole countries"].why_not.text == "no row lies in one"
    nowhere = by_name(table(5.0, 2.0, 0.5, loose=ROWS))
    assert nowhere["whole countries"].why_not.text == "no row lies in one"
    assert (nowhere["checkerboard of 0.1 degrees"].folds == -1).all()
    assert nowhere["random rows"].folds is not None


def test_unlabelled_rows_are_named() -> None:
    given = table(28.0, -3.0, 2.0)
    known = given.label == 1
    ways = hold_outs(TrainingTable(**{**vars(given), "known": known}), *places_of(given), 1)
    assert all("unlabelled rows count as no mine" in way.how.text for way in ways)


def test_the_table_is_shown_and_drawn(tmp_path: Path, capsys) -> None:
    rows = validate_table(table(28.0, -3.0, 2.0), 0.1, 1)
    show_validation(rows)
    said = capsys.readouterr().out.splitlines()
    assert "random folds AUC" in said[0]
    widths = {len(line) for line in said[1 : 1 + sum("left_out" not in row for row in rows)]}
    assert len(widths) == 1, "aligned"
    draw_validation(rows, tmp_path / "a.png")
    draw_validation([row for row in rows if "left_out" in row], tmp_path / "b.png", "SIMULATED")
    with Image.open(tmp_path / "a.png") as full, Image.open(tmp_path / "b.png") as empty:
        assert full.size == empty.size
        colours = [len(picture.convert("RGB").getcolors(1_000_000)) for picture in (full, empty)]
    assert colours[0] > 2 * colours[1], "curves in several colours"
