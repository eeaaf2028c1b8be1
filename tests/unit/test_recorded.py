"""What a model or an estimate records in English is told in French, whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from test_validate import by_name, table

from models.validation_words import CROSS_FITTED
from pipeline.map.area_layer import HOW_ACCURACY, HOW_AREA, HOW_MINED
from pipeline.map.page.recorded import retell
from pipeline.sites.labels import visits

ENGLISH = re.compile(
    r"\b(the|of|and|with|without|rows?|held|from|less|more|than|no|are|is|by|not|in|every)\b"
)


def recorded() -> Iterator[str]:
    """Sentences as the code makes them."""
    for given in (table(28.0, -3.0, 2.0, loose=40), table(5.0, 2.0, 0.5), table(24.0, -1.0, 0.5)):
        known = np.arange(len(given.label)) % 2 == 0
        for one in (given, type(given)(**{**vars(given), "known": known})):
            for way in by_name(one).values():
                yield f"{way.how}; {CROSS_FITTED}"
                yield way.why_not
    yield "of the rows to fit on 0 are mines and 12 are not: too few"
    yield "of the rows to judge 3 are mines and 0 are not: too few"
    yield "all rows to judge lie in one part"
    yield "trained on the region's own training ground, demo-train; preferred there out of fold"
    yield "the nearest of 3 that fit: trained 1,204 km away"
    yield "spatial folds, whole 0.1-degree blocks held out; negatives are background, not verified"
    yield HOW_AREA.format(n=250, h=5) + HOW_MINED.format(most=0.625)
    yield HOW_ACCURACY.format(n=250)
    reasons = (visits.OUTSIDE, visits.NOT_ON_SITE, visits.OTHERS, visits.APPROXIMATE,
               visits.ABANDONED, "dated more than 2 years from any imagery")  # fmt: skip
    yield (
        "visits in the IPIS form (v.csv), positives at GPS-placed visits, background more than 1 "
        "km from every known site, " + ", ".join(f"3 {reason}" for reason in reasons)
    )


def test_no_english_is_left() -> None:
    told = [text for text in recorded() if text]
    assert len(told) > 60
    for text in told:
        french = retell(text, "fr")
        # Of the names of countries only: they stay as recorded.
        assert not ENGLISH.search(french.replace("democratic-republic-of-the-congo", "")), french
        assert retell(text, "en") == text


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "spatial folds, whole 0.1-degree blocks held out",
            "plis spatiaux, des blocs entiers de 0,1 degré tenus à l'écart",
        ),
        ("the spatial folds of the training; x", "les plis spatiaux de l'apprentissage ; x"),
        ("visits (abandoned pits.csv)", "visits (abandoned pits.csv)"),
    ],
)
def test_figures_and_names_stay(english: str, french: str) -> None:
    assert retell(english, "fr") == french


def test_thousands_do_not_become_decimals() -> None:
    assert "1\u202f204 km" in retell("the nearest of 3 that fit: trained 1,204 km away", "fr")


def test_a_share_has_a_french_percent() -> None:
    assert "étiquetées (62 %)" in retell(HOW_MINED.format(most=0.62), "fr")
