from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from sample_visits import BASE, visits_table, write_visits

from pipeline.errors import InputFileError, VisitsError
from pipeline.sites.visits import (
    PRECISION_RADIUS_M,
    REQUIRED,
    all_sites,
    latest_on_site,
    location_precision,
    read_visits,
)

real = pytest.mark.skipif(
    "ASM_ATLAS_TEST_DATA" not in os.environ, reason="ASM_ATLAS_TEST_DATA is not set"
)


def test_columns_get_types_and_all_are_kept(tmp_path: Path) -> None:
    visits = read_visits(write_visits(tmp_path / "v.csv", {"workers_numb": 50, "mercury": 1}, {}))
    own = [name for name in visits.columns if not name.endswith("_code")]
    assert own == list(BASE)
    assert visits["visit_date"].iloc[0] == pd.Timestamp("2021-06-01")
    assert visits["longitude"].tolist() == [28.1, 28.1]
    assert visits["workers_numb"].iloc[0] == 50
    assert visits["pit_ownership_armed_group1"].iloc[0] == "dontknow"


def test_null_is_not_0(tmp_path: Path) -> None:
    visits = read_visits(
        write_visits(tmp_path / "v.csv", {"mercury": ""}, {"mercury": 0}, {"mercury": 1})
    )
    assert visits["mercury"].isna().tolist() == [True, False, False]
    assert visits["mercury"].sum() == 1
    assert visits["workers_numb"].isna().all()


def test_a_name_that_looks_like_nothing_is_a_name(tmp_path: Path) -> None:
    visits = read_visits(write_visits(tmp_path / "v.csv", {"name": "NA"}, {"name": "None"}))
    assert visits["name"].tolist() == ["NA", "None"]


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    visits_table({}).drop(columns=column).to_csv(tmp_path / "v.csv", index=False)
    with pytest.raises(VisitsError, match=f"lacks the column '{column}'") as caught:
        read_visits(tmp_path / "v.csv")
    assert str(tmp_path / "v.csv") in caught.value.where
    assert VisitsError.exit_code == 40


def test_a_misspelt_column_is_pointed_out(tmp_path: Path) -> None:
    table = visits_table({}).rename(columns={"pcode": "Pcode", "longitude": "longitud"})
    table.to_csv(tmp_path / "v.csv", index=False)
    with pytest.raises(VisitsError) as caught:
        read_visits(tmp_path / "v.csv")
    assert "'Pcode' instead of 'pcode'" in caught.value.next_step
    assert "'longitud' instead of 'longitude'" in caught.value.next_step


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("longitude", "181"), ("longitude", ""), ("longitude", "nan"), ("longitude", "inf"),
        ("longitude", "28,1"), ("latitude", "-91"), ("latitude", "N 2"), ("pcode", ""),
        ("visit_date", ""), ("visit_date", "2021"), ("visit_date", "2021-13-01"),
        ("visit_date", "1021-01-01"), ("visit_date", "01/06/2021"), ("visit_onsite", "2"),
        ("visit_onsite", "perhaps"), ("mercury", "-1"), ("mercury", "0.5"),
        ("taxation_armed_group1", "3"), ("workers_numb", "-3"), ("workers_numb", "many"),
        ("name", "x" * 10_001),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_found(tmp_path: Path, column: str, value: str) -> None:
    path = write_visits(tmp_path / "v.csv", {}, {column: value}, {})
    with pytest.raises(VisitsError) as caught:
        read_visits(path)
    assert f"column {column}" in caught.value.where
    assert "visit 2 (about line 3)" in caught.value.where
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n\n", b"\xff\xfe\x00\x01", "pcode;nom\n1;é".encode("latin-1"), b'"unclosed',
        b"a,a\n1,2\n", ",".join(f"c{i}" for i in range(500)).encode(),
        (",".join(BASE) + "\n").encode(),
        (",".join(BASE) + "\n" + ",".join(BASE.values()) + ",more,cells\n").encode(),
        b"\x00" * 100,
    ],
)  # fmt: skip
def test_files_that_are_no_tables(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.csv"
    path.write_bytes(content)
    with pytest.raises(VisitsError) as caught:
        read_visits(path)
    assert str(path) in caught.value.where


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "v.xlsx").write_bytes(b"PK")
    for name in ("missing.csv", "v.xlsx", "$(id).csv"):
        with pytest.raises(InputFileError):
            read_visits(tmp_path / name)
    with (tmp_path / "v.csv").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(InputFileError, match="64 MiB"):
        read_visits(tmp_path / "v.csv")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    visits_table({}).to_csv(path, index=False, encoding="utf-8-sig")
    assert "vid" in read_visits(path)


def test_the_latest_visit_on_the_spot(tmp_path: Path) -> None:
    visits = read_visits(
        write_visits(
            tmp_path / "v.csv",
            {"pcode": "b", "visit_date": "2020-01-02", "name": "first"},
            {"pcode": "b", "visit_date": "2020-01-02", "name": "same day, later row"},
            {"pcode": "b", "visit_date": "2019-01-01", "name": "older"},
            {"pcode": "b", "visit_date": "2022-01-01", "visit_onsite": 0, "name": "not there"},
            {"pcode": "b", "visit_date": "2022-01-01", "visit_onsite": "", "name": "unknown"},
            {"pcode": "b", "visit_date": "2023-01-01", "project": "iTSCi status", "name": "other"},
            {"pcode": "b", "visit_date": "2023-01-01", "project": "", "name": "nobody"},
            {"pcode": "a", "visit_date": "2018-01-01"},
            {"pcode": "c", "visit_onsite": 0, "name": "never", "location_origin": "Approximation"},
        )
    )
    latest = latest_on_site(visits)
    assert latest["pcode"].tolist() == ["a", "b"]
    assert latest["name"].iloc[1] == "same day, later row"
    sites = all_sites(visits)
    assert sites["pcode"].tolist() == ["a", "b", "c"]
    assert sites["on_site"].tolist() == [True, True, False]
    assert sites["visit_year"].tolist() == [2018, 2020, 2021]
    assert sites["precision"].tolist() == ["gps", "gps", "approximate"]


@pytest.mark.parametrize(
    ("origin", "kind"),
    [
        ("GPS", "gps"), ("GPS ", "gps"), ("gps", "gps"), ("GPS (IPIS 2009)", "gps"),
        ("GPS (village)", "approximate"), ("GPS (village Kiloza)", "approximate"),
        ("GPS(groupment Nkulu)", "approximate"), ("GPS (Approximation)", "approximate"),
        ("GPS (4 km du site)", "approximate"), ("Approximation", "approximate"),
        ("Landsat ETM+", "approximate"), ("", "approximate"), (None, "approximate"),
    ],
)  # fmt: skip
def test_precision(origin: str | None, kind: str) -> None:
    found = location_precision(pd.Series([origin], index=[7], dtype="str"))
    assert found.loc[7, "precision"] == kind
    assert found.loc[7, "radius_m"] == PRECISION_RADIUS_M[kind]


@real
def test_the_real_table() -> None:
    visits = read_visits(Path(os.environ["ASM_ATLAS_TEST_DATA"]) / "ipis" / "visits.csv")
    own = [name for name in visits.columns if not name.endswith("_code")]
    assert (len(visits), len(own)) == (6955, 85)
    assert visits["pcode"].nunique() == 3409
    ours = visits[
        (visits["visit_onsite"] == 1)
        & visits["project"].fillna("").str.startswith("IPIS")
        & (visits["visit_date"] >= "2018-01-01")
    ]
    assert (len(ours), ours["pcode"].nunique()) == (1913, 1109)
    assert len(latest_on_site(visits)) == 2688
    sites = all_sites(visits)
    assert (len(sites), int(sites["on_site"].sum())) == (3409, 2688)
    assert visits["workers_numb"].max() == 16458
    assert sites["pcode"].is_unique


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_named(tmp_path, sign, name) -> None:
    path = tmp_path / "v.csv"
    visits_table({"longitude": "28,1"}).to_csv(path, index=False, sep=sign)
    with pytest.raises(VisitsError, match=f"separated by {name}") as caught:
        read_visits(path)
    assert "separator comma" in caught.value.next_step


def test_what_another_form_needs_is_said(tmp_path) -> None:
    path = write_visits(tmp_path / "v.csv", {"visit_date": "31/12/2021"})
    with pytest.raises(VisitsError, match="form YYYY-MM-DD") as caught:
        read_visits(path)
    assert "LABELS_MAPPING" in caught.value.next_step
    visits_table({}).drop(columns="pcode").to_csv(path, index=False)
    with pytest.raises(VisitsError, match="lacks the column 'pcode'") as caught:
        read_visits(path)
    assert "LABELS_MAPPING" in caught.value.next_step
    path.write_text("")
    with pytest.raises(VisitsError, match="the file is empty") as caught:
        read_visits(path)
    assert "docs/sites.md" in caught.value.next_step
