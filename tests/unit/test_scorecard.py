"""The scorecard: every level follows from answers that are named, and sums to what went in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sample_visits import write_visits

from pipeline.errors import DeclarationError
from pipeline.map.column_rules import load_policy
from pipeline.sites import scorecard
from pipeline.sites.answer_codes import read_rows
from pipeline.sites.scorecard import (
    LEVELS,
    NO_DATA,
    indicators,
    load_rules,
    score_sites,
    summarise,
    with_status,
)
from pipeline.sites.visits import all_sites, read_visits


def scored(folder: Path, *rows: dict[str, Any], lang: str = "en") -> tuple[Any, Any]:
    """Levels and answers of sites, by pcode."""
    visits = read_visits(write_visits(folder / "v.csv", *rows))
    sites = with_status(all_sites(visits), visits)
    levels, answers = score_sites(sites, lang)
    return levels.set_index(sites["pcode"]), answers


# An answer (or several) and the level that it must give, computed by hand from the table.
CASES = [
    ({"presence": "0", "interference": "0"}, "security", "high"),
    ({"presence": "1", "interference": "0"}, "security", "medium"),  # (1 + 2 * 3) / 3 = 2.33
    ({"presence": "1", "interference": "1"}, "security", "very_low"),  # 1 / 3
    ({"presence": "1", "interference": "0", "forced_labour_armed_group2": "1"},
     "security", "low"),  # (1 + 6 + 0) / 5 = 1.4
    ({"type_armed_group1": "Groupe armé étranger"}, "security", "very_low"),
    ({"type_armed_group1": "Aucun", "type_armed_group2": "Groupe armé local"},
     "security", "very_low"),
    ({"type_armed_group1": "Aucun"}, "security", "high"),
    ({"mercury": "1", "childunder15": "0"}, "health_safety", "low"),  # 1.5, halves down
    ({"mercury": "1", "childunder15": "1"}, "health_safety", "very_low"),
    ({"mercury": "", "childunder15": "0"}, "health_safety", "high"),
    ({"accident_dead": "2", "childunder15": ""}, "health_safety", "very_low"),
    ({"accident_injured": "2", "childunder15": "0"}, "health_safety", "medium"),  # (1 + 6) / 3
    ({"state_service1": "SAESSCAM", "state_service2": "Division des mines",
      "state_service3": "ANR"}, "state_services", "high"),
    ({"state_service1": "SAEMAPE"}, "state_services", "medium"),  # (6 + 1) / 3
    ({"state_service1": "Chefferie"}, "state_services", "low"),
    ({"state_service1": "Aucun"}, "state_services", "very_low"),
    ({"qualification": "Vert"}, "formalisation", "high"),
    ({"qualification": "Jaune", "traceability": "iTSCI"}, "formalisation", "medium"),  # 5 / 3
    ({"qualification": "Rouge"}, "formalisation", "very_low"),
    ({"workers_numb": "0"}, "production", "very_low"),
    ({"workers_numb": "49"}, "production", "low"),
    ({"workers_numb": "50"}, "production", "medium"),
    ({"workers_numb": "500"}, "production", "high"),
    ({"workers_numb": "49", "mechanisation": "Haut"}, "production", "medium"),  # 5 / 3
    ({"access_dry": "carmoto", "access_wet": "less2h"}, "accessibility", "medium"),  # 2.5
    ({"access_dry": "more2h", "access_wet": "more2h"}, "accessibility", "very_low"),  # 0.5
]  # fmt: skip


@pytest.mark.parametrize(("answers", "indicator", "level"), CASES)
def test_levels_follow_from_the_answers(
    tmp_path: Path, answers: dict[str, str], indicator: str, level: str
) -> None:
    blank = {"childunder15": "", "mercury": "", "interference": ""}
    levels, told = scored(tmp_path, blank | answers)
    assert levels[f"score_{indicator}"].tolist() == [level]
    mine = told[told["indicator"] == indicator]
    assert (mine["level"] == level).all() and len(mine)
    # The level can be computed again from what the table of answers says.
    gives = mine["gives"].map(LEVELS.index)
    mean = (gives * mine["weight"]).sum() / mine["weight"].sum()
    assert LEVELS.index(level) == round(mean - 1e-9)
    assert set(mine["column"].str.split(" ").str[0]) <= {
        *answers, *(f"{name}_code" for name in answers),
        *(f"status_{name}_code" for name in answers),
    }  # fmt: skip


def test_what_nobody_said_is_no_data(tmp_path: Path) -> None:
    levels, told = scored(tmp_path, {"childunder15": "", "mercury": "", "interference": ""})
    assert set(levels.iloc[0]) == {NO_DATA} and told.empty


def test_second_hand_answers_do_not_count_but_the_status_does(tmp_path: Path) -> None:
    levels, told = scored(
        tmp_path,
        {"visit_onsite": "0", "childunder15": "0", "qualification": "Jaune"},
        {"visit_onsite": "0", "project": "Qualification status", "qualification": "Vert",
         "visit_date": "2022-01-01"},
    )  # fmt: skip
    assert levels["score_health_safety"].tolist() == [NO_DATA]
    assert levels["score_formalisation"].tolist() == ["high"]
    row = told.iloc[0]
    assert (row["answer"], row["visit_date"], row["vid"]) == ("green", "2022-01-01", "")


def test_reasons_are_in_both_languages(tmp_path: Path) -> None:
    english = scored(tmp_path, {"childunder15": "1"})[1]["why"].tolist()
    french = scored(tmp_path, {"childunder15": "1"}, lang="fr")[1]["why"].tolist()
    assert english != french and "children under 15 work at the site" in english
    assert all(set(rule.texts) == {"en", "fr"} for rule in load_rules())


def test_every_indicator_has_its_row_in_the_rules_of_disclosure() -> None:
    assert {f"score_{name}" for name in indicators()} == {
        name for name in load_policy()["sites"] if name.startswith("score_")
    }


def test_a_new_indicator_is_its_rows_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = (*load_rules(), replace(load_rules()[0], indicator="water", columns=("mercury",)))
    monkeypatch.setattr(scorecard, "load_rules", lambda: rules)
    levels, told = scored(tmp_path, {"mercury": "1"}, {"mercury": "", "pcode": "p2"})
    assert list(levels)[-1] == "score_water" and len(levels.columns) == 7
    assert levels["score_water"].tolist() == ["low", NO_DATA]
    assert told[told["indicator"] == "water"]["column"].tolist() == ["mercury"]
    assert "water" in set(summarise(levels)["indicator"])


def test_the_table_speaks_of_codes_that_exist() -> None:
    rules = load_rules()
    weights: dict[tuple[str, str], set[float]] = {}
    for rule in rules:
        weights.setdefault((rule.indicator, rule.question), set()).add(rule.weight)
    assert all(len(found) == 1 for found in weights.values())
    rows = read_rows(
        scorecard.data_folder() / "visits" / "answers.csv",
        ["columns", "value", "code", "english", "french"],
    )
    codes = {row["code"] for row in rows}
    for rule in rules:
        if all(column.endswith("_code") for column in rule.columns):
            plain = [a for a in rule.answers if a != "*" and not a.startswith("n>=")]
            assert set(plain) <= codes, rule


@pytest.mark.parametrize(
    "row",
    [
        "1 safety,q,mercury,1,low,1,a,b", "security,q,mercury,1,lowest,1,a,b",
        "security,q,mercury,1,low,heavy,a,b", "security,q,,1,low,1,a,b", "security,q,mercury,1",
    ],
)  # fmt: skip
def test_a_slip_in_the_table_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    head = "indicator,question,columns,answers,level,weight,english,french"
    (tmp_path / "scorecard.csv").write_text(f"{head}\n{row}\n", encoding="utf-8")
    monkeypatch.setattr(scorecard, "data_folder", lambda: tmp_path)
    with pytest.raises(DeclarationError) as caught:
        load_rules.__wrapped__()
    assert "row 2" in str(caught.value)


def test_summaries_sum_to_the_sites(tmp_path: Path) -> None:
    rows = [
        {"pcode": f"p{n}", "province": "A" if n % 2 else "B", "territoire": f"t{n % 3}",
         "presence": str(n % 2), "interference": ""}
        for n in range(9)
    ]  # fmt: skip
    visits = read_visits(write_visits(tmp_path / "v.csv", *rows))
    sites = all_sites(visits)
    table = summarise(sites.join(score_sites(sites)[0]))
    for unit in ("all", "province", "territoire"):
        part = table[table["unit"] == unit]
        for indicator in indicators():
            mine = part[part["indicator"] == indicator]
            assert mine["sites"].sum() == 9
            assert (mine[[*LEVELS, NO_DATA]].sum(axis=1) == mine["sites"]).all()
    security = table[(table["unit"] == "province") & (table["indicator"] == "security")]
    assert security.set_index("province")["high"].to_dict() == {"A": 0, "B": 5}


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
def test_the_real_sites() -> None:
    data = Path(os.environ["ASM_ATLAS_TEST_DATA"])
    visits = read_visits(data / "ipis" / "visits.csv")
    sites = with_status(all_sites(visits), visits)
    levels, answers = score_sites(sites)
    assert len(levels) == 3409 and set(answers["pcode"]) <= set(sites["pcode"])
    recent = levels[sites["on_site"] & (sites["visit_date"] >= "2018-01-01")]
    assert len(recent) == 1109
    # Nearly every recent visit answers the questions about security and children.
    assert (recent["score_security"] == NO_DATA).sum() == 0
    assert (recent["score_health_safety"] == NO_DATA).sum() < 20
    workers = pd.to_numeric(sites["workers_numb"]).fillna(-1)
    mechanised = sites["mechanisation_code"].notna()
    large = (workers >= 500) & sites["on_site"] & ~mechanised
    assert set(levels.loc[large, "score_production"]) == {"high"}
    table = summarise(sites.join(levels))
    assert table[table["unit"] == "territoire"].groupby("indicator")["sites"].sum().eq(3409).all()
