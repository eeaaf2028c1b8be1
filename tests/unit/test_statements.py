"""What files record by code, and what earlier ones record in English, is told in every language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_validate import by_name, table

from models.errors import TrainingError
from models.folds import region_folds
from models.registry import SHIPPED
from models.statement import Statement
from models.validation_words import COUNTRIES, CROSS_FITTED, RANDOM, REGIONS, TRAINED
from pipeline.sites.labels.rows import reasons
from pipeline.words.catalogue import ENGLISH, entries, languages, say
from pipeline.words.statements import statement, tell
from pipeline.words.uncoded import translated

IN_ENGLISH = re.compile(
    r"\b(the|of|and|with|without|rows?|held|from|less|more|than|no|are|is|by|not|in|every)\b"
)
LEFT_OUT = dict.fromkeys(
    ("outside", "not_on_site", "others", "approximate", "abandoned", "barely_touched",
     "inspected_outside", "inspected_unsure", "dated_far"), 3,
)  # fmt: skip


def made() -> Iterator[Statement]:
    """Statements as the code makes them."""
    for given in (table(28.0, -3.0, 2.0, loose=40), table(5.0, 2.0, 0.5), table(24.0, -1.0, 0.5)):
        known = np.arange(len(given.label)) % 2 == 0
        for one in (given, type(given)(**{**vars(given), "known": known})):
            for way in by_name(one).values():
                yield from (way.name, way.how, way.why_not)
    for code in ("few_to_fit", "few_to_judge", "few_outside"):
        yield statement(code, mines=0, others=12)
    yield statement("one_part")
    yield statement("own_ground", ground="demo-train") + statement("preferred")
    yield statement("nearest", models=3, km=1204.4)
    yield statement("blocks", degrees=0.1) + statement("background_unverified")
    yield statement("area", cells=250, strata=5) + statement("fullest", most=0.625)
    yield statement("accuracy", cells=250) + statement("accuracy_interval")
    parts = [statement("visits", file="v.csv"), statement("background")]
    yield statement("listed", items=[*parts, *reasons(LEFT_OUT, 2)])
    names = [statement("as_given", text=name) for name in ("-70_-5", "-60_-5")]
    yield statement("listed", items=[
        statement("chips", file="amazon"), statement("without_squares", items=names),
        statement("counting", items=[statement("times", subset="far", times=3.0)]),
    ])  # fmt: skip


NESTED: list[object] = []
for _ in range(2000):
    NESTED = [{"code": "listed", "items": NESTED}]
STATEMENTS = list(dict.fromkeys(one.text for one in made() if one.text))


def test_codes_and_english_texts_are_told_alike_and_no_english_is_left() -> None:
    assert len(STATEMENTS) > 40
    for one in made():
        record = json.loads(json.dumps(one.record("how")))
        assert tell(record, "how", ENGLISH) == one.text
        french = tell(record, "how", "fr")
        assert french == translated(one.text, "fr")
        # Names of countries stay as they are recorded.
        bare = french.replace("democratic-republic-of-the-congo", "")
        assert not IN_ENGLISH.search(bare), french


def test_a_text_without_codes_is_kept_among_others() -> None:
    both = Statement("cells of my own") + statement("background")
    assert (both.text, both.codes) == (
        "cells of my own; background more than 1 km from every known site", ()
    )  # fmt: skip
    assert tell(both.record("data"), "data", "fr").startswith("cells of my own ; fond à plus de")
    listed = statement("listed", items=[Statement("cells of my own"), statement("background")])
    assert tell(listed.record("data"), "data", "fr").startswith("cells of my own, fond à plus de")
    assert (statement("background") + Statement()).codes == ({"code": "background"},)


def test_what_the_models_say_themselves_is_in_the_catalogue() -> None:
    texts = {"cross_fitted": CROSS_FITTED, "way_random": RANDOM, "way_trained": TRAINED,
             "way_regions": REGIONS, "way_countries": COUNTRIES}  # fmt: skip
    for code, text in texts.items():
        assert say(f"statements.{code}", ENGLISH) == text
    with pytest.raises(TrainingError) as caught:
        region_folds(np.full(3, 0.5), np.full(3, 0.5), np.ones(3, np.int8))
    assert tell(caught.value.statement.record("why"), "why", ENGLISH) == str(caught.value)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "spatial folds, whole 0.1-degree blocks held out",
            "plis spatiaux, des blocs entiers de 0,1 degré tenus à l'écart",
        ),
        ("the spatial folds of the training; x", "les plis spatiaux de l'apprentissage ; x"),
        ("visits (abandoned pits.csv)", "visits (abandoned pits.csv)"),
        (
            "the nearest of 3 that fit: trained 1,204 km away",
            "le plus proche des 3 qui conviennent : appris à 1\u202f204 km de là",
        ),
        (
            "no cell is taken to be mined more than the fullest that was labelled (62%)",
            "aucune cellule n'est tenue pour plus exploitée que la plus pleine des étiquetées"
            " (62 %)",
        ),
    ],
)
def test_figures_and_names_of_an_english_text_stay(english: str, french: str) -> None:
    assert translated(english, "fr") == french
    assert translated(english, ENGLISH) == english


def test_the_shipped_model_has_no_codes_and_is_told_in_french() -> None:
    manifest = json.loads((SHIPPED / "amazon-rgb" / "manifest.json").read_text(encoding="utf-8"))
    assert "_codes" not in json.dumps(manifest)
    for row in manifest["validation"]:
        assert not IN_ENGLISH.search(tell(row, "name", "fr"))
        assert not IN_ENGLISH.search(tell(row, "how", "fr"))
    assert tell(manifest["scores"], "how", "fr") == (
        "plis spatiaux, des carrés entiers de 1 degré tenus à l'écart ; vignettes sans lieu par"
        " suites de voisines"
    )
    assert "sans les sous-ensembles negatives_cloudy" in tell(manifest["data"], "description", "fr")


@pytest.mark.parametrize(
    "codes",
    [
        [{"code": "of_a_later_version"}], [{"code": "apart"}], [{"code": "apart", "km": "x"}],
        [{"code": ["apart"]}], [{}], ["apart"], 3, None, {"code": "apart"},
        [{"code": "apart", "km": 1, "lang": "fr"}], [{"code": "way_checkers"}], NESTED,
    ],
)  # fmt: skip
def test_codes_that_cannot_be_told_leave_the_text(codes: object) -> None:
    record = {"how": "the spatial folds of the training", "how_codes": codes}
    assert tell(record, "how", "fr") == "les plis spatiaux de l'apprentissage"
    assert tell({}, "how", "fr") == ""


def test_texts_of_a_record_are_no_templates() -> None:
    told = statement("chips", file="{0.__class__} {file}")
    for lang in languages():
        assert "{0.__class__} {file}" in tell(told.record("how"), "how", lang)


def test_statements_of_the_catalogue_are_made_somewhere() -> None:
    root = Path(__file__).parents[2]
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("pipeline", "models")
        for path in (root / folder).rglob("*.py")
    )
    keys = [name.split(".")[1] for name in entries(ENGLISH) if name.startswith("statements.")]
    assert [key for key in keys if f'"{key}"' not in code] == []
