"""Tables of other countries go in through a mapping; answers of either language become one code."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from sample_visits import BASE, visits_table, write_visits

from pipeline.config import Config
from pipeline.errors import DeclarationError, VisitsError
from pipeline.runtime.package_data import data_folder
from pipeline.sites.answer_codes import add_codes, code_meanings, comparable, count_unrecognised
from pipeline.sites.column_mapping import load_mapping
from pipeline.sites.scorecard import with_status
from pipeline.sites.visit_tables import are_visits
from pipeline.sites.visits import all_sites, read_visits

CAR = {
    "id": "caf1", "name": "Ndélé", "visit_date": "2019-03-01", "longitude": "20.6",
    "latitude": "8.4", "prefecture": "Bamingui-Bangoran", "workers_numb": "120",
    "workers_women": "4", "childunder15": "0", "actor1name": "X", "actor_type": "groupe_arme",
    "actor1name_tax": "1", "actor1name_pillage": "0", "services1_name": "Brigade minière",
    "services2_name": "", "services3_name": "", "accident_dead": "1", "accident_injured": "",
    "minerals_or": "1", "minerals_diamant": "1", "chantiers_numb": "7",
}  # fmt: skip
TANZANIA = {
    "sitename": "Nyarugusu", "worker": "300", "workerwomen": "", "mineral1name": "Gold",
    "mercury": "Yes", "pcode": "tza1", "visitdate": "2018-02-03", "longitude": "32.2",
    "latitude": "-3.1", "region": "Geita", "district": "Geita", "village": "N",
}  # fmt: skip


def write(path: Path, *rows: dict[str, str]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["car", "tanzania", "zimbabwe"])
def test_the_worked_examples_are_in_their_form(name: str) -> None:
    assert load_mapping(name).columns["pcode"]


def test_the_central_african_republic(tmp_path: Path) -> None:
    other = {**CAR, "id": "caf2", "actor_type": "0", "minerals_or": "0", "workers_women": "",
             "accident_dead": ""}  # fmt: skip
    visits = read_visits(write(tmp_path / "car.csv", CAR, other), "car")
    assert visits["mineral1"].tolist() == ["Or", "Diamant"]
    assert visits["mineral1_code"].tolist() == ["gold", "diamond"]
    assert visits["mineral2"].fillna("").tolist() == ["Diamant", ""]
    assert visits["presence"].tolist() == [1, 0]
    assert visits["women"].tolist()[0] == 1 and visits["women"].isna().tolist() == [False, True]
    assert visits["childunder15"].tolist() == [0, 0]
    assert visits["accident_dead"].tolist()[0] == 1 and pd.isna(visits["accident_dead"].iloc[1])
    assert visits["type_armed_group1_code"].tolist() == ["local_group", "none"]
    # Every original column is there to compare with.
    for column in CAR:
        assert visits[f"source_{column}"].iloc[0] == (CAR[column] or "x") or not CAR[column]
    assert all_sites(visits)["on_site"].all()


def test_tanzania(tmp_path: Path) -> None:
    visits = read_visits(write(tmp_path / "t.csv", TANZANIA), "tanzania")
    assert visits["mercury"].tolist() == [1] and visits["mineral1_code"].tolist() == ["gold"]
    assert visits["territoire"].tolist() == ["Geita"]
    with pytest.raises(VisitsError, match="mercury holds values that the mapping leaves out") as e:
        read_visits(write(tmp_path / "t.csv", TANZANIA, {**TANZANIA, "mercury": "?"}), "tanzania")
    assert "'?'" in str(e.value) and "visit 2" in e.value.where


def test_a_missing_column_lists_what_is_there(tmp_path: Path) -> None:
    short = {k: v for k, v in TANZANIA.items() if k != "sitename"}
    with pytest.raises(VisitsError, match="lacks columns that the mapping names: 'sitename'") as e:
        read_visits(write(tmp_path / "t.csv", short), "tanzania")
    assert "worker, workerwomen, mineral1name" in e.value.next_step
    assert "tanzania.toml" in e.value.where


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('[columns]\npcode = "a"\n[colums]\nx = "y"', "unknown key 'colums'"),
        ('[columns]\npcod = "a"', r"a key of \[columns\] is 'pcod'"),
        ("[columns]\npcode = 3", "pcode must be text"),
        ("", "no .columns."),
        ("[columns", "cannot be read"),
        ('[columns]\npcode = "a"\n[split]\nname = "b"', r"a key of \[split\] is 'name'"),
        ('[columns]\npcode = "a"\n[values.mercury]\nx = 1', "x must be text"),
    ],
)
def test_a_slip_in_a_mapping_is_an_error(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeclarationError, match=cause) as caught:
        load_mapping(path)
    assert str(path) in caught.value.where


def test_an_unknown_mapping_names_those_that_there_are() -> None:
    with pytest.raises(DeclarationError) as caught:
        load_mapping("../../etc/passwd")
    assert "car, tanzania, zimbabwe" in caught.value.next_step


def test_dates_lists_and_translations(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(
        '[columns]\npcode = "code"\nname = "nom"\nvisit_date = "jour"\nlongitude = "x"\n'
        'latitude = "y"\nvisit_onsite = "vu"\n[constants]\nproject = "IPIS - ici"\n'
        'location_origin = "GPS"\n[split]\nmineral = "minerais"\nstate_service = "services"\n'
        '[values.visit_onsite]\noui = "1"\nnon = "0"\n[dates]\nvisit_date = "%d/%m/%Y"\n',
        encoding="utf-8",
    )
    row = {"code": "a", "nom": "b", "jour": "31/01/2020", "x": "1", "y": "2", "vu": "oui",
           "minerais": "Or; Coltan", "services": "PMH, SAEMAPE, ANR, DGI, PNC"}  # fmt: skip
    visits = read_visits(write(tmp_path / "v.csv", row), mapping)
    assert visits["visit_date"].iloc[0] == pd.Timestamp("2020-01-31")
    assert visits[["mineral1_code", "mineral2_code"]].iloc[0].tolist() == ["gold", "coltan"]
    assert visits["state_service2_code"].tolist() == ["saemape"]
    assert visits["source_services"].tolist() == ["PMH, SAEMAPE, ANR, DGI, PNC"]
    with pytest.raises(VisitsError, match="must be a date of the form"):
        read_visits(write(tmp_path / "v.csv", {**row, "jour": "2020-01-31"}), mapping)


OWN = (
    '[columns]\npcode = "code"\nname = "nom"\nvisit_date = "jour"\nlongitude = "x"\n'
    'latitude = "y"\nmineral1 = "minerai"\n[constants]\nlocation_origin = "GPS"\n'
)
OWN_ROW = {"code": "a", "nom": "b", "jour": "2020-01-31", "x": "1", "y": "2", "minerai": "oro",
           "projet": "Mission", "vu": "1"}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "rows", "on_site"),
    [
        ("", [{}, {"code": "c"}], [True, True]),
        ('project = "Our mission"\n', [{}], [True]),
        ('visit_onsite = "0"\n', [{}], [False]),
    ],
)
def test_rows_of_a_table_with_a_mapping_are_visits_unless_it_says_otherwise(
    tmp_path: Path, more: str, rows: list[dict[str, str]], on_site: list[bool]
) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(OWN + more, encoding="utf-8")
    table = write(tmp_path / "v.csv", *({**OWN_ROW, **row} for row in rows))
    assert all_sites(read_visits(table, mapping))["on_site"].tolist() == on_site


def test_beside_visits_of_ipis_the_records_of_others_are_none(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    columns = 'project = "projet"\nvisit_onsite = "vu"\n[constants]'
    mapping.write_text(OWN.replace("[constants]", columns), "utf-8")
    rows = [OWN_ROW, {**OWN_ROW, "code": "c", "projet": "IPIS - x"}]
    table = write(tmp_path / "v.csv", *rows, {**rows[1], "code": "d", "vu": "0"})
    assert all_sites(read_visits(table, mapping))["on_site"].tolist() == [False, True, False]


def test_the_example_of_the_page_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sites.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(\[columns\].*?)^```", page, re.M | re.S)
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    row = {"site_code": "a", "site_name": "b", "date": "31/12/2021", "x": "1", "y": "2",
           "visited": "yes", "minerals": "oro; estaño", "service_pmh": "1", "children": "3",
           "mercury": "No"}  # fmt: skip
    table = write(tmp_path / "v.csv", row, {**row, "site_code": "c", "visited": "by phone"})
    visits = read_visits(table, tmp_path / "m.toml")
    assert visits["mineral1_code"].tolist() == ["gold", "gold"]
    assert visits["childunder15"].tolist() == [1, 1]
    assert all_sites(visits)["on_site"].tolist() == [True, False]


def test_words_of_another_language(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(OWN + '[values.mineral1]\noro = "Gold"\n"*" = "Other"\n', "utf-8")
    table = write(tmp_path / "v.csv", OWN_ROW, {**OWN_ROW, "code": "c", "minerai": "plata"})
    visits = read_visits(table, mapping)
    assert visits["mineral1_code"].tolist() == ["gold", "other"]
    assert visits["source_minerai"].tolist() == ["oro", "plata"]


@pytest.mark.parametrize("kind", ["table", "layer", "only layer"])
def test_visits_of_a_geopackage(tmp_path: Path, kind: str) -> None:
    table = visits_table({"workers_numb": "50"}, {"name": "=1+1", "mercury": "1"})
    expected = read_visits(write_visits(tmp_path / "v.csv", {"workers_numb": "50"},
                                        {"name": "=1+1", "mercury": "1"}))  # fmt: skip
    path = tmp_path / "v.gpkg"
    place = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(1, 1)], crs="EPSG:4326")
    points = gpd.GeoDataFrame(
        table.drop(columns=["longitude", "latitude"]),
        geometry=shapely.points([28.1, 28.1], [-2.1, -2.1]),
        crs="EPSG:4326",
    )
    if kind == "table":
        place.to_file(path, layer="other")
        gpd.GeoDataFrame(table).to_file(path, layer="visits", mode="a")
    else:
        points.to_crs("EPSG:32735").to_file(path, layer="visits" if kind == "layer" else "ipis")
    found = read_visits(path)
    for column in expected.columns.difference(["longitude", "latitude"]):
        same = found[column].astype("object").fillna("").tolist()
        assert same == expected[column].astype("object").fillna("").tolist(), column
    assert found["longitude"].tolist() == pytest.approx([28.1, 28.1], abs=1e-6)
    assert are_visits(path) is (kind != "only layer")
    assert are_visits(path, mapping="x.toml") and are_visits(Path("v.csv"))
    assert not are_visits(Path("mines.geojson"))


def test_words_for_yes_and_no(tmp_path: Path) -> None:
    words = ["1", "0", "Oui", "no", "Observed", "None observed", "No data", ""]
    visits = read_visits(write_visits(tmp_path / "v.csv", *({"mercury": w} for w in words)))
    assert visits["mercury"].fillna(9).tolist() == [1, 0, 1, 0, 1, 0, 9, 9]


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("mineral1", " cassiterite ", "cassiterite"), ("mineral3", "CASSITÉRITE", "cassiterite"),
        ("mineral1", "Gold", "gold"), ("mineral1", "inconnu", "unknown"),
        ("mineral1", "Manvenve", "unrecognised"),
        ("state_service2", "SAEMAPE", "saemape"), ("state_service1", "SAESSCAM", "saemape"),
        ("state_service4", "Environnement, Énergie", "environment;energy"),
        ("frequency_armed_group1", "Occasionelle", "irregular"),
        ("frequency_armed_group2", "Chaque semaine", "weekly"),
        ("type_armed_group1", "FARDC - Pas d’ingérence constatée", "army_no_interference"),
        ("type_armed_group1", "FARDC - Pas d'ingérence constatée", "army_no_interference"),
        ("access_wet", "More than 2h walk", "walk_over_2h"), ("access_dry", "carmoto", "vehicle"),
        ("qualification", "Vert", "green"), ("traceability", "iTSCI", "itsci"),
        ("womenwork", "Laver, Prostitution", "washing;sex_work"),
        ("childunder15work", "Creuser, autre chose", "digging;unrecognised"),
        ("womenwork", "Je ne sais pas", None), ("mechanisation", None, None),
    ],
)  # fmt: skip
def test_answers(column: str, text: str | None, code: str | None) -> None:
    table = add_codes(pd.DataFrame({column: pd.Series([text], dtype="str")}))
    assert table[column].tolist() == [text] or text is None
    found = table[f"{column}_code"].iloc[0]
    assert found == code or (code is None and pd.isna(found))
    assert ("unrecognised" in (code or "")) == bool(count_unrecognised(table))


def test_the_table_of_answers_is_whole() -> None:
    text = (data_folder() / "visits" / "answers.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))[1:]
    assert len({(row[0], comparable(row[1])) for row in rows}) == len(rows) > 300
    for lang in ("en", "fr"):
        assert all(code_meanings(lang).values())


def test_a_mapping_is_part_of_the_configuration() -> None:
    assert Config().with_keys(labels_mapping="car").labels.mapping == "car"
    assert set(BASE) > {"pcode", "mineral1"}


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
def test_the_dashboards_english_table_says_the_same() -> None:
    folder = Path(os.environ["ASM_ATLAS_TEST_DATA"]) / "ipis"
    visits = read_visits(folder / "visits.csv")
    assert sum(count_unrecognised(visits).values()) < 200
    assert set(count_unrecognised(visits)) <= {
        "mineral1", "frequency_armed_group1", "state_service3", "state_service4",
        "childunder15work", "womenwork",
    }  # fmt: skip
    english = pd.read_csv(folder / "latest_visit_english.csv", dtype=str, keep_default_na=False)
    english = add_codes(english.replace("NA", None).astype("str"))
    both = visits.merge(
        english.assign(visit_date=pd.to_datetime(english["visit_date"])),
        on=["pcode", "visit_date", "project"], suffixes=("", "_english"),
    ).drop_duplicates(["pcode", "visit_date"])  # fmt: skip
    assert len(both) > 2500
    for column in ("access_dry_code", "access_wet_code", "mineral1_code"):
        ours, theirs = both[column].fillna(""), both[f"{column}_english"].fillna("")
        # The dashboard writes "None" where nothing was recorded.
        same = (ours == theirs) | ((ours == "") & theirs.isin(["unrecognised", "none"]))
        assert same.mean() > 0.99, column


@pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)
def test_a_sites_status_is_that_of_the_dashboard() -> None:
    folder = Path(os.environ["ASM_ATLAS_TEST_DATA"]) / "ipis"
    visits = read_visits(folder / "visits.csv")
    sites = with_status(all_sites(visits), visits).set_index("pcode")
    english = pd.read_csv(folder / "latest_visit_english.csv", dtype=str, keep_default_na=False)
    theirs = add_codes(english.astype("str")).set_index("pcode")["qualification_code"]
    told = theirs[theirs.isin(["green", "yellow", "red", "blue"])]
    assert len(told) == 480
    assert (sites.loc[told.index, "status_qualification_code"] == told).all()
