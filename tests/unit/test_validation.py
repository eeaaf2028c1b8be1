"""What the table of validation says, and of what it must know nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sample_model import sample_table

from models.folds import random_folds, splits
from models.refit import Refits
from models.statement import Statement
from models.validation import (
    HoldOut,
    Sizes,
    _cross_fitted,
    _precision_by_recall,
    calibration_error,
    validate,
)
from models.validation_words import (
    RANDOM,
    REGIONS,
    TRAINED,
    gap_words,
    left_out_words,
    size_words,
    validation_card,
    validation_rows,
)

PLACES = 20


def clustered(rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places that hold one class each, and look like nothing but themselves."""
    rng = np.random.default_rng(2)
    place = np.arange(rows) * PLACES // rows
    label = (place % 2).astype(np.int8)
    features = rng.random((rows, PLACES + 4)) * 0.5
    features[np.arange(rows), place] += 3
    features[:, PLACES] += 0.2 * label
    return features.astype(np.float32), label, place


def way(name: str, how: str, *more: object, **keys: object) -> HoldOut:
    return HoldOut(Statement(name), Statement(how), *more, **keys)


def judge(ways: list[HoldOut], **keys: object) -> list[dict]:
    features, label, place = clustered()
    refits = Refits(features, label, np.ones(len(label)), 0.01)
    lon = place * 0.5
    return validate(refits, label, ways, lon, np.zeros(len(label)), **keys)


def ways() -> list[HoldOut]:
    _, label, place = clustered()
    return [
        way(RANDOM, "by lot", random_folds(label, 5)),
        way(TRAINED, "by place", (place // 4).astype(np.int16)),
        way("far", "by place", (place // 4).astype(np.int16), 100.0),
        way(REGIONS, "", why_not=Statement("there is one only")),
    ]


def test_neighbours_give_away_what_places_do_not() -> None:
    rows = judge(ways())
    at_random, by_place, far, none = rows
    assert at_random["auc"] > 0.99
    assert by_place["auc"] < 0.9
    assert far["auc"] != by_place["auc"], "rows within 100 km were not trained on"
    assert none == {"name": REGIONS, "how": "", "left_out": "there is one only"}
    gap = at_random["auc"] - by_place["auc"]
    assert f"the gap of {gap:.3f} is what" in gap_words(rows)
    assert at_random["brier"] < 0.05 < by_place["brier"]
    assert (at_random["n"], at_random["positives"], at_random["folds"]) == (400, 200, 5)
    assert at_random["brier_base"] == 0.25
    assert "the other folds" in at_random["how"]
    assert left_out_words(rows) == [f"{REGIONS}: there is one only"]


def test_curves_and_sets_of_a_fold_do_not_know_its_labels() -> None:
    rng = np.random.default_rng(4)
    label = (rng.random(300) < 0.4).astype(np.int8)
    scores = label + rng.normal(size=300)
    folds = (np.arange(300) % 3).astype(np.int16)
    scores[290:], folds[290:] = np.nan, -1
    parts = list(splits(folds))
    turned = np.where(folds == 1, 1 - label, label).astype(np.int8)
    probability, sets, called = _cross_fitted(label, scores, parts)
    other, other_sets, other_called = _cross_fitted(turned, scores, parts)
    held = folds == 1
    assert np.array_equal(probability[held], other[held])
    assert np.array_equal(sets[held], other_sets[held])
    assert np.array_equal(called[held], other_called[held])
    assert not np.array_equal(probability[folds == 0], other[folds == 0])
    assert np.isnan(probability[290:]).all() and set(sets[290:]) == {""}


def test_sets_hold_their_label_where_folds_are_alike() -> None:
    features, label, fold, weight = sample_table(6, rows=3000)
    refits = Refits(features, label, weight, 0.01)
    nowhere = np.full(3000, np.nan)
    (row,) = validate(refits, label, [way(RANDOM, "x", fold)], nowhere, nowhere)
    assert row["sets"]["mine"] == pytest.approx(0.9, abs=0.03)
    assert row["sets"]["not"] == pytest.approx(0.9, abs=0.03)
    assert row["ece"] < 0.03
    assert row["brier"] < row["brier_base"]


def test_too_few_rows_give_a_reason_and_no_figure() -> None:
    _, label, place = clustered()
    few = np.where(np.arange(len(label)) < 15, 0, -1).astype(np.int16)
    single = np.zeros(len(label), np.int16)
    alone = np.where(label == 1, 0, 1).astype(np.int16)
    rows = judge(
        [
            way("few", "", few),
            way("one part", "", single),
            way("classes apart", "", alone),
            way("too near", "", (place // 10).astype(np.int16), 5_000.0),
        ]
    )
    assert [row["left_out"] for row in rows] == [
        "of the rows to judge 0 are mines and 15 are not: too few",
        "all rows to judge lie in one part",
        "of the rows to fit on 0 are mines and 200 are not: too few",
        "of the rows to fit on 0 are mines and 0 are not: too few",
    ]
    assert rows[0]["left_out_codes"] == [{"code": "few_to_judge", "mines": 0, "others": 15}]
    assert gap_words(rows) == ""
    assert len(validation_rows(rows)) == 1


def test_recall_is_told_by_size() -> None:
    _, label, _ = clustered()
    hectares = np.where(label == 1, np.arange(400) % 4 + 0.5, 99)
    hectares[::7] = np.nan
    (row,) = judge(ways()[:1], sizes=[Sizes("hectares", hectares, (0.0, 2.0, 50.0))])
    small, large = row["sizes"]
    known = (label == 1) & np.isfinite(hectares)
    assert (small["from"], small["mines"]) == (0.0, int((known & (hectares < 2)).sum()))
    assert (large["from"], large["mines"]) == (2.0, int((known & (hectares >= 2)).sum()))
    assert small["found"] == small["mines"], "neighbours give every one away"
    assert size_words([row | {"name": REGIONS}])[0].startswith("hectares from 0: ")
    assert "no row says" in size_words(judge(ways()[1:2]))[0]


def test_figures_by_hand() -> None:
    assert calibration_error([[0.1, 0.2, 30], [0.5, 0.5, 60], [0.9, 0.6, 10]]) == 0.06
    points = _precision_by_recall(np.array([1, 0, 1, 0], np.int8), np.array([4.0, 3.0, 2.0, 1.0]))
    assert points[4] == [0.5, 1.0]
    assert points[5] == [0.6, 0.6667]
    assert points[9] == [1.0, 0.6667]


def test_the_card_shows_every_way() -> None:
    rows = judge(ways())
    text = validation_card(rows, "forest")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {10}
    assert "Random folds AUC" in text
    assert "those of a ridge" in text and "those of a ridge" not in validation_card(rows, "ridge")
    assert f"- Not judged: {REGIONS}: there is one only." in text
    assert validation_card([], "ridge") == ""
