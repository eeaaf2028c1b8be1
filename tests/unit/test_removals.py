"""What somebody asked to be left out leaves every public file, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from sample_known import make_known
from sample_map import make_run

from pipeline.config import Config
from pipeline.errors import DisclosureError, RemovalsError
from pipeline.geo import grid
from pipeline.map import folder as map_folder
from pipeline.map.disclosure import disclose
from pipeline.map.removals import (
    COLUMNS,
    gap_around,
    read_removals,
    requested_areas,
    summarise_requests,
)
from pipeline.publish import tell_older
from pipeline.sites.join import Joined

HEAD = ",".join(COLUMNS)


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    return make_known(tmp_path_factory.mktemp("layers"))


def asked(folder: Path, *rows: str, **changes: Any) -> Any:
    path = folder / "removals.csv"
    path.write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    run = make_run(**changes)
    return replace(run, config=run.config.with_keys(removals=str(path)))


def test_a_named_site_leaves_with_the_square_around_it(joined: Joined, tmp_path: Path) -> None:
    sites: Any = joined.sites
    spot = sites.set_index("pcode").geometry["p03"]
    product = disclose(joined, asked(tmp_path, "p03,,,,,,,2022-01-01,asked by the chief"))
    before = disclose(joined, make_run())
    gap = shapely.box(*gap_around(spot.x, spot.y))
    inside = set(sites["pcode"][shapely.covered_by(sites.geometry.to_numpy(), gap)])
    assert "p03" in inside
    assert set(product.layers["sites"]["pcode"]) == set(sites["pcode"]) - inside
    gone = set(before.layers["cells"]["cell"]) - set(product.layers["cells"]["cell"])
    assert len(gone) == 25
    west, south, east, north = grid.coarse_cell_bounds(np.array(sorted(gone)))
    assert shapely.contains_xy(gap, (west + east) / 2, (south + north) / 2).all()
    for name in ("cells", "coverage", "candidates"):
        shapes = product.layers[name].geometry.to_numpy()
        assert not (shapely.area(shapely.intersection(shapes, gap)) > 1e-12).any(), name
    told = before.layers["cells"]["sites"].sum() - product.layers["cells"]["sites"].sum()
    assert told == len(inside)
    assert product.tables["matching"]["total"].iloc[0] == len(sites) - len(inside)


def test_candidates_have_no_gap_in_their_numbers(joined: Joined, tmp_path: Path) -> None:
    many = joined.candidates
    moved = [shapely.affinity.translate(many.geometry.iloc[0], 0, 0.04 * n) for n in range(-1, 3)]
    table = many.iloc[[0] * 4].reset_index(drop=True).set_geometry(moved, crs=grid.CRS)
    table = table.assign(rank=[2, 1, 3, 4], candidate=[1, 2, 3, 4])
    spot = moved[1].representative_point()
    run = asked(tmp_path, f",{spot.x},{spot.y},,,,,2022-01-01,")
    layer = disclose(replace(joined, candidates=table), run).layers["candidates"]
    assert 0 < len(layer) < 4
    assert sorted(layer["rank"]) == sorted(layer["candidate"]) == list(range(1, len(layer) + 1))
    assert {"nearest_site_km", "known_sites"}.isdisjoint(layer)
    assert not layer["reasons_en"].str.contains("site").any()


def test_whole_features_of_layers_leave_and_larger_ones_stay(
    joined: Joined, tmp_path: Path
) -> None:
    run = asked(tmp_path, ",5.91,2.13,,,,,2022-01-01,")
    before, after = disclose(joined, make_run()), disclose(joined, run)
    assert before.layers["context_reports"]["count"].tolist() == [1]
    assert "context_reports" not in after.layers
    assert "reports_count" not in after.layers["cells"]
    assert len(after.layers["context_zones"]) == len(before.layers["context_zones"])


def test_nothing_of_it_is_in_any_public_file(joined: Joined, tmp_path: Path) -> None:
    why = "Somebody who asked"
    run = asked(tmp_path, f"p03,,,,,,,2022-01-01,{why}", ",,,5.9,2.1,5.95,2.15,2022-01-01,")
    map_folder.publish(joined, run, tmp_path / "run")
    sites: Any = joined.sites
    name = sites.set_index("pcode")["name"]["p03"]
    for path in (tmp_path / "run").iterdir():
        content = path.read_bytes()
        for secret in (why, f"{name}\x00", '"p03"', "removals.csv", str(tmp_path)):
            assert secret.encode() not in content, (path.name, secret)


def test_the_restricted_product_marks_it(joined: Joined, tmp_path: Path) -> None:
    run = asked(tmp_path, "p03,,,,,,,2022-01-01,", disclosure="restricted")
    product = disclose(joined, run)
    sites = product.layers["sites"].set_index("pcode")
    assert sites["withheld"]["p03"] and not sites["withheld"].all()
    assert product.layers["cells"]["withheld"].sum() == 100
    assert len(sites) == 24 and "withheld" in product.layers["candidates"]
    assert "withheld" not in disclose(joined, make_run(disclosure="restricted")).layers["cells"]


def test_a_code_that_is_not_here_changes_nothing(joined: Joined, tmp_path: Path) -> None:
    product = disclose(joined, asked(tmp_path, "elsewhere,,,,,,,2022-01-01,"))
    assert len(product.layers["cells"]) == len(disclose(joined, make_run()).layers["cells"])


def test_a_request_for_everything_is_refused(joined: Joined, tmp_path: Path) -> None:
    with pytest.raises(DisclosureError, match="whole region"):
        disclose(joined, asked(tmp_path, ",,,5,1,7,3,2022-01-01,"))


def test_the_gap_does_not_point_at_its_middle() -> None:
    places = np.random.default_rng(1).uniform(-80, 80, (500, 2))
    offsets = places - [gap_around(lon, lat)[:2] for lon, lat in places]
    assert np.min(offsets) >= -1e-7 and np.max(offsets) <= 0.05 + 1e-7
    assert np.mean(offsets) == pytest.approx(0.025, abs=0.002)
    assert np.std(offsets) > 0.012, "the place may be anywhere in it"


def test_boxes_grow_to_whole_squares(tmp_path: Path) -> None:
    run = asked(tmp_path, ",,,5.001,2.0,5.019,2.0,2022-01-01,")
    found = read_removals(run.config)
    assert found is not None and found.boxes.tolist() == [[5.0, 2.0, 5.02, 2.01]]


def test_the_workspaces_own_list_is_found(tmp_path: Path) -> None:
    config = Config().with_keys(workspace=str(tmp_path))
    assert read_removals(config) is None
    (tmp_path / "removals.csv").write_text(HEAD + "\np01,,,,,,,2022-01-01,\n")
    found = read_removals(config)
    assert found is not None and found.sites == {"p01"}


@pytest.mark.parametrize(
    "row",
    [
        ",,,,,,,2022-01-01,",
        "p01,5,2,,,,,2022-01-01,",
        "p01,,,,,,,soon,",
        ",5,,,,,,2022-01-01,",
        ",nan,2,,,,,2022-01-01,",
        ",1e9,2,,,,,2022-01-01,",
        ",,,6,2,5,3,2022-01-01,",
        ",,,5,2,6,,2022-01-01,",
        ",,,5,2,6,3,2022-01-01,x,too many",
    ],
)
def test_rows_that_name_nothing_stop_the_publish(tmp_path: Path, row: str) -> None:
    with pytest.raises(RemovalsError):
        read_removals(asked(tmp_path, row).config)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00\x81", b"site\x00,since\n"])
def test_lists_that_cannot_be_read_stop_the_publish(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "removals.csv"
    path.write_bytes(content)
    with pytest.raises(RemovalsError):
        read_removals(Config().with_keys(workspace=str(tmp_path)))
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RemovalsError):
        read_removals(Config().with_keys(workspace=str(tmp_path)))


@pytest.mark.parametrize(("since", "told"), [("", "it is empty"), ("1/2/2024", "it is '1/2/2024'")])
def test_a_request_without_a_day_says_so(tmp_path, since, told) -> None:
    path = tmp_path / "removals.csv"
    path.write_text(f"{','.join(COLUMNS)}\nsite1,,,,,,,{since},\n")
    with pytest.raises(RemovalsError, match="since must be the day of the request") as caught:
        read_removals(Config().with_keys(removals=str(path)))
    assert told in str(caught.value) and "line 2" in caught.value.where
    path.unlink()
    with pytest.raises(RemovalsError, match="there is no such file") as caught:
        read_removals(Config().with_keys(removals=str(path)))
    assert "site,longitude" in caught.value.next_step


def test_it_says_what_the_requests_name_and_what_they_do_not(
    joined: Joined, tmp_path: Path
) -> None:
    run = asked(
        tmp_path,
        "p03,,,,,,,2022-01-01,",
        "nosuchsite,,,,,,,2022-01-01,",
        ",2.13,5.91,,,,,2022-01-01,longitude and latitude the wrong way round",
    )
    removals = read_removals(run.config)
    assert removals is not None
    assert summarise_requests(joined, removals) == (
        "3 requests: 1 name something in this region, 25 squares; 2 name nothing here"
    )


def test_older_folders_that_still_show_it_are_named_and_no_others(
    joined: Joined, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "demo"
    sites: Any = joined.sites
    spot = sites.set_index("pcode").geometry["p03"]
    run = asked(tmp_path, "p03,,,,,,,2022-01-01,")
    map_folder.publish(joined, make_run(), home / "before")
    map_folder.publish(joined, make_run(disclosure="restricted"), home / "restricted")
    map_folder.publish(joined, run, home / "after")
    here, away = (
        int(grid.coarse_cell_of(grid.cell_of(lon, lat)))
        for lon, lat in ((spot.x, spot.y), (spot.x + 0.2, spot.y))
    )
    for number in (here, away):
        (home / "explained" / f"square-{number}").mkdir(parents=True)
    removals = read_removals(run.config)
    assert removals is not None
    tell_older(home, requested_areas(joined, removals))
    said = capsys.readouterr()
    named = [line for line in (said.out + said.err).splitlines() if "delete it" in line]
    assert len(named) == 2
    assert "demo/before still" in named[0] and f"square-{here} still" in named[1]
