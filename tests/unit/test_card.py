from __future__ import annotations

from dataclasses import replace

from sample_model import sample_bank, sample_manifest

from features.scaling import Scaling
from models.card import write_card

BANK = sample_bank()


def test_the_card_says_what_a_reader_needs() -> None:
    card = write_card(sample_manifest("ridge"), BANK)
    for words in (
        "# sample-ridge",
        "L2A, bands B04 B03 B02 in this order",
        "reflectance 0..0.5 as 0..1 |",
        "10 filters, patches of 3 x 3, 4 x 4 px, biases 0.25, 1 |",
        "300, 90 of them mines (30.0%)",
        "spatial folds",
        "AUC 0.900, average precision 0.800 at a\nprevalence of 30.0%, 60 rows",
        "| 0 | 60 | 18 | 0.900 | 0.800 |",
        '"Likely" begins at 0.750',
        '"possible" at 0.250',
        "not a verified site and not evidence of illegality",
        "## Not for",
    ):
        assert words in card
    assert "SIMULATED" not in card
    assert "{" not in card


def test_an_invented_landscape_is_said_first() -> None:
    card = write_card(sample_manifest("ridge", simulated=True), BANK)
    assert card.splitlines()[2].startswith("**SIMULATED")


def test_steps_and_missing_scores_are_shown() -> None:
    manifest = sample_manifest("forest")
    manifest.scores.folds[0].update(auc=None, ap=None)
    card = write_card(manifest, replace(BANK, scaling=Scaling(0.4, 255)))
    assert "| 0 | 60 | 18 | - | - |" in card
    assert "0..0.4 as 0..1, 255 steps |" in card


def test_every_line_of_a_table_is_a_row_of_it() -> None:
    lines = write_card(sample_manifest("ridge"), BANK).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in rows} == {3, 6}
    assert all(line.endswith("|") for line in rows)


def test_what_was_held_out_is_told_where_the_manifest_knows_it() -> None:
    plain = write_card(sample_manifest("ridge"), BANK)
    assert "What was held out" not in plain
    rows = [{"name": "whole countries", "how": "", "left_out": "no row lies in one"}]
    told = write_card(sample_manifest("ridge", validation=rows), BANK)
    assert "## What was held out" in told
    assert "- Not judged: whole countries: no row lies in one." in told
