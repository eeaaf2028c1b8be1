"""Visits, scorecard and context layers in the map: the restricted one has all, the public none."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from sample_known import HELD, SECRET, make_known
from sample_layers import AREAS, box, declare, layer
from sample_map import make_joined, make_run

from pipeline.errors import DisclosureError
from pipeline.map import column_rules
from pipeline.map import disclosure as rules
from pipeline.map import folder as map_folder
from pipeline.map.page.report import write_report
from pipeline.publish import point_to, tell_without_visits
from pipeline.sites.join import INDUSTRIAL, Joined

SENSITIVE = {
    "armed_group1", "presence", "interference", "childunder15", "workers_numb", "women", "mercury",
    "visit_date", "village", "precision", "distance_km", "longitude", "latitude",
    *(f"score_{name}" for name in ("security", "health_safety", "state_services", "formalisation",
                                   "production", "accessibility")),
}  # fmt: skip


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    """A run's cells, visits and layers through the real join."""
    return make_known(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module", params=["public", "restricted"])
def made(joined: Joined, request: Any, tmp_path_factory: Any) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    run = make_run(disclosure=request.param)
    map_folder.publish(joined, run, folder)
    write_report(joined, run, folder)
    return request.param, folder


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    names = [str(name) for name, _ in pyogrio.list_layers(folder / "map.gpkg")]
    return {name: pyogrio.read_dataframe(folder / "map.gpkg", layer=name) for name in names}


def test_every_site_and_visit_is_in_the_join_once(joined: Joined) -> None:
    assert joined.sites is not None and joined.visits is not None and joined.answers is not None
    assert len(joined.sites) == 24 and joined.sites["pcode"].is_unique
    assert len(joined.visits) == 31
    assert set(joined.answers["pcode"]) == set(joined.sites["pcode"])
    ages = joined.sites["visit_age_years"]
    assert ages.between(1, 11).all()
    assert {"zones_title", "zones_count"}.isdisjoint(joined.cells.columns)


def test_industrial_cells_are_told_apart(joined: Joined, made: tuple[str, Path]) -> None:
    edition, folder = made
    inside = shapely.contains_xy(box(5.8, 2.2, 0.1), *_centres(joined.cells))
    kinds = joined.cells.loc[inside, "class"]
    assert INDUSTRIAL in set(kinds) and not {"likely", "possible"} & set(kinds)
    assert INDUSTRIAL not in set(joined.cells.loc[~inside, "class"])
    for outline in joined.candidates.geometry:
        assert shapely.area(shapely.intersection(outline, box(5.8, 2.2, 0.1))) < 1e-9
    cells = tables(folder)["cells"]
    apart = cells[cells["class"] == INDUSTRIAL]
    assert len(apart) and (apart["pits_title"] == "pits 0").all()
    styles = tables(folder)["layer_styles"].set_index("f_table_name")["styleQML"]
    assert "industrial" in styles["cells"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"][INDUSTRIAL] == len(apart)
    assert edition in manifest["disclosure"]


def _centres(cells: pd.DataFrame) -> tuple[Any, Any]:
    from pipeline.geo import grid

    return grid.cell_centres(cells["cell"].to_numpy())


def test_the_restricted_map_has_all_of_it(joined: Joined, made: tuple[str, Path]) -> None:
    edition, folder = made
    if edition == "public":
        pytest.skip("see the next test")
    found = tables(folder)
    assert SENSITIVE - {"geometry"} <= set(found["sites"].columns)
    assert len(found["visits"]) == 31 and len(found["scorecard"]) == len(joined.answers)
    assert (found["scorecard_summary"]["unit"] == "territoire").any()
    assert found["matching"]["total"].iloc[0] == 24
    assert len(found["context_reports"]) == 2 and len(found["context_schemes"]) == 1
    assert found["context_zones"]["holder"].tolist() == [HELD, "'=2+2"]
    for name in ("cells", "candidates", "sites"):
        assert {"zones_title", "zones_holder", "zones_count", "reports_count", "schemes_km",
                "schemes_title", "pits_title"} <= set(found[name].columns), name  # fmt: skip
    assert found["sites"]["schemes_km"].min() == 0
    assert found["sites"]["score_health_safety"].isin(["very_low", "medium", "low"]).all()


def test_the_public_map_has_none_of_it(joined: Joined, made: tuple[str, Path]) -> None:
    edition, folder = made
    if edition == "restricted":
        pytest.skip("see the test before")
    found = tables(folder)
    assert {"visits", "scorecard", "scorecard_summary", "context_schemes"}.isdisjoint(found)
    for name, table in found.items():
        columns = {str(column) for column in table.columns}
        exact = {"longitude", "latitude"} if name == "candidates" else set()
        assert not columns & (SENSITIVE - exact), name
        assert not any(c.startswith(("schemes", "score_", "armed")) for c in columns), name
        assert not any("holder" in c for c in columns), name
        if isinstance(table, gpd.GeoDataFrame):
            hundredths = shapely.get_coordinates(table.geometry) * 100
            np.testing.assert_allclose(hundredths, np.round(hundredths), atol=1e-7, err_msg=name)
    assert {"zones_title", "zones_count", "reports_count"} <= set(found["cells"].columns)
    # The young report is not counted; the other one by its square of 0.1 degree.
    assert found["context_reports"]["count"].tolist() == [1]
    assert set(found["cells"]["reports_count"]) == {0, 1}
    for path in folder.iterdir():
        content = path.read_bytes()
        if path.suffix == ".qgz":
            with zipfile.ZipFile(path) as archive:
                content = archive.read("map.qgs")
        for secret in (SECRET, HELD, "=2+2"):
            assert secret.encode() not in content, path.name


def test_what_is_denied_is_refused_when_the_file_is_read_again(
    joined: Joined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    product = rules.disclose(joined, run)
    leaky = replace(product, tables=product.tables | {"visits": joined.visits})
    monkeypatch.setattr(rules, "disclose", lambda *_: leaky)
    with pytest.raises(DisclosureError, match="would show"):
        map_folder.publish(joined, run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_public_columns_come_from_public_places(joined: Joined) -> None:
    product = rules.disclose(joined, make_run())
    sites = product.layers["sites"]
    zone = product.layers["context_zones"].geometry.iloc[0]
    inside = shapely.intersects(zone, sites.geometry.to_numpy())
    assert ((sites["zones_count"] > 0) | ~inside).all()
    assert sites["zones_title"].notna().sum() >= inside.sum()


def test_names_are_in_both_languages(joined: Joined) -> None:
    policy = column_rules.policy_of(joined)
    assert policy["cells"]["zones_title"].alias("en") == "Zones: Title"
    assert policy["sites"]["zones_title"].alias("fr") == "Zones : Titre"
    assert policy["context_zones"]["holder"].alias("fr") == "Titulaire"
    assert policy["cells"]["schemes_km"].disclosure == "restricted"
    for column in SENSITIVE - {"longitude", "latitude"}:
        assert policy["sites"][column].disclosure == "restricted"


def test_a_layer_cannot_take_a_columns_name(joined: Joined, tmp_path: Path) -> None:
    made = declare(AREAS, name="score", columns=[
        {"name": "security", "type": "text", "english": "e", "french": "f",
         "disclosure": "public"}], along=["security"])  # fmt: skip
    clash = layer(tmp_path, made, [box(5, 1, 1)], security=["x"])
    with pytest.raises(DisclosureError, match="second column score_security"):
        column_rules.policy_of(replace(joined, known_layers=[clash]))


def test_the_page_tells_recall_and_credits(made: tuple[str, Path]) -> None:
    edition, folder = made
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Sites and map, both ways" in page and "What else is known" in page
    # The public knows nothing about workers, not even in sums.
    assert ("diggers at the visit" in page) == (edition == "restricted")
    record = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert record["context"]["context_zones"] == "nobody; none"


def test_without_context_or_sites_a_map_is_still_made(tmp_path: Path) -> None:
    bare = replace(make_joined(), sites=None)
    map_folder.publish(bare, make_run(disclosure="restricted"), tmp_path / "run")
    assert "matching" not in tables(tmp_path / "run")


def test_a_map_that_loses_its_table_of_visits_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_without_visits(tmp_path)
    for name, tables in (("bare", []), ("with", [{"name": "visits", "sha256": "0"}])):
        run = replace(make_run(), tables=tables)
        map_folder.publish(make_joined(), run, tmp_path / name)
        assert "LABELS" not in capsys.readouterr().out
        point_to(tmp_path / "latest", name)
        tell_without_visits(tmp_path)
    assert "give LABELS again" in capsys.readouterr().out


def test_a_table_that_is_not_published_leaves_no_trace_in_public(
    joined: Joined, tmp_path: Path
) -> None:
    mapping = tmp_path / "own.toml"
    mapping.write_text('[columns]\npcode = "id"\n', encoding="utf-8")
    run = make_run()
    run = replace(run, config=run.config.with_keys(labels_mapping=str(mapping)))
    counts = map_folder.publish(joined, run, tmp_path / "run")
    assert joined.sites is not None
    assert counts["sites"] == 0 and counts["sites_held_back"] == len(joined.sites)
    write_report(joined, run, tmp_path / "run")
    found = tables(tmp_path / "run")
    assert not len(found["sites"]) and found["cells"]["sites"].sum() == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "nobody has published" in page
    codes = {f'"{code}"' for code in joined.sites["pcode"]}
    assert codes and not [code for code in codes if code in page]
    for name, table in found.items():
        texts = {f'"{value}"' for value in table.select_dtypes("str").to_numpy().ravel()}
        assert not codes & texts, name
