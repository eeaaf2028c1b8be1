"""The public product is coarse, old enough and free of what the table does not allow."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from sample_map import make_joined, make_run

from pipeline.config import Config
from pipeline.errors import DisclosureError, StoreCorruptError
from pipeline.geo import grid
from pipeline.map import disclosure
from pipeline.map.column_rules import denied, load_policy
from pipeline.map.disclosure import disclose
from pipeline.sites.candidates import Reach, Search, find_candidates


@pytest.fixture(scope="module")
def joined():
    return make_joined()


@pytest.fixture(scope="module")
def public(joined):
    return disclose(joined, make_run())


def test_every_setting_is_in_the_table():
    assert set(Config().flat()) == set(load_policy()["config"])


def test_a_column_that_is_not_in_the_table_is_denied():
    policy = load_policy()
    assert denied(policy, "public", "sites", ["name", "unheard_of", "workers_numb"]) == [
        "unheard_of",
        "workers_numb",
    ]
    assert denied(policy, "public", "no_such_layer", ["name"]) == ["name"]
    assert denied(policy, "restricted", "sites", ["unheard_of"]) == []


@pytest.mark.parametrize(
    "row",
    [
        "| cells | cell | secret | a | b | c |",
        "| cells | cell | public | a |",
        "| cells | cell | public | a | b | c |\n| cells | cell | public | a | b | c |",
        "",
    ],
)
def test_rules_that_cannot_be_understood_are_refused(tmp_path, row):
    file = tmp_path / "rules.md"
    head = "| layer | column | class | English | French | what |\n|---|---|---|---|---|---|\n"
    file.write_text(f"# Rules\n\n{head}{row}\n", encoding="utf-8")
    with pytest.raises(DisclosureError):
        load_policy(file)


def test_public_squares_hold_the_highest_score_of_their_cells(joined, public):
    cells = joined.cells.assign(square=grid.coarse_cell_of(joined.cells["cell"]))
    for name, rule in {"probability": "max", "clear_observations": "min", "sites": "sum"}.items():
        expected = cells.groupby("square")[name].agg(rule)
        got = public.layers["cells"].set_index("cell")[name]
        np.testing.assert_array_equal(got.sort_index().to_numpy(), expected.to_numpy())
    assert public.layers["cells"]["probability"].dtype == np.float32


def test_a_square_is_unknown_only_if_all_its_cells_are(joined, public):
    squares = public.layers["cells"].set_index("cell")
    kinds = joined.cells["class"].groupby(grid.coarse_cell_of(joined.cells["cell"])).agg(set)
    unknown = {square for square, found in kinds.items() if found == {"cannot_tell"}}
    assert unknown and unknown == set(squares.index[squares["class"] == "cannot_tell"])
    assert set(squares.index[squares["probability"].isna()]) == unknown


def test_no_public_geometry_is_finer_than_two_decimals(public):
    for name, layer in public.layers.items():
        hundredths = shapely.get_coordinates(layer.geometry) * 100
        np.testing.assert_allclose(hundredths, np.round(hundredths), atol=1e-7, err_msg=name)
        assert layer.geometry.is_valid.all(), name


def test_public_candidates_cover_the_exact_ones_with_whole_squares(joined, public):
    ranked = joined.candidates[joined.candidates["kind"] == "candidate"]
    exact = ranked.set_index("candidate").geometry
    coarse = public.layers["candidates"].set_index("candidate")
    for number, shape in exact.items():
        assert coarse.geometry[number].buffer(1e-9).covers(shape)
        squares = coarse.geometry[number].area / 0.01**2
        assert round(squares) == coarse["cells"][number]
        west, south, east, north = shape.bounds
        most = (np.ceil(east * 100 + 1) - np.floor(west * 100)) * (
            np.ceil(north * 100 + 1) - np.floor(south * 100)
        )
        assert squares <= most


def test_public_random_places_are_squares_that_the_map_does_not_suspect(joined, public):
    drawn = public.layers["candidates"].query("kind == 'random'")
    assert len(drawn) == (joined.candidates["kind"] == "random").sum() == 3
    places = gpd.sjoin(public.layers["cells"], drawn[["geometry"]], predicate="within")
    assert len(places) == 3 and (places["class"] == "unlikely").all()
    np.testing.assert_allclose(sorted(places["probability"]), sorted(drawn["probability"]))
    # Some cell below possible lies in a square with another above it, and none of these was drawn.
    kinds = joined.cells.groupby(grid.coarse_cell_of(joined.cells["cell"]))["class"].agg(set)
    assert any({"unlikely", "likely"} <= kind for kind in kinds)


def test_a_table_that_nobody_has_published_gives_the_public_map_no_site(joined, tmp_path):
    mapping = tmp_path / "own.toml"
    mapping.write_text('[columns]\npcode = "id"\n', encoding="utf-8")
    run = make_run()
    run = replace(run, config=run.config.with_keys(labels_mapping=str(mapping)))
    product = disclose(joined, run)
    assert product.held_back == len(joined.sites)
    assert not len(product.layers["sites"])
    assert (product.layers["cells"]["sites"] == 0).all()
    assert product.layers["cells"]["nearest_site_km"].isna().all()
    ranked = product.ranked
    assert {"known_sites", "nearest_site_km"}.isdisjoint(ranked)
    assert not ranked["reasons_en"].str.contains("site").any()
    # Clusters that only such sites explain are candidates: their absence would tell.
    known = find_candidates(
        joined.cells,
        Reach(
            joined.sites.geometry.x.to_numpy(),
            joined.sites.geometry.y.to_numpy(),
            np.full(len(joined.sites), 1.25),
            np.ones(len(joined.sites), bool),
        ),
        Search(0.6),
    )
    assert len(ranked) > len(known)
    mapping.write_text('published = "https://example.org"\n[columns]\npcode = "id"\n')
    assert disclose(joined, run).held_back == 0
    restricted = replace(run, config=run.config.with_keys(disclosure="restricted"))
    assert len(disclose(joined, restricted).layers["sites"]) == len(joined.sites)


def test_a_square_that_is_only_touched_is_not_part_of_a_candidate(joined):
    square = shapely.box(5.81, 2.01, 5.82, 2.02)
    one = joined.candidates.head(1).set_geometry([square], crs=grid.CRS)
    layer = disclose(replace_candidates(joined, one), make_run()).layers["candidates"]
    assert layer["cells"].tolist() == [1]
    assert layer.geometry.iloc[0].equals(shapely.MultiPolygon([square]))


def test_public_sites_say_only_place_mineral_and_year(public):
    columns = set(public.layers["sites"].columns) - {"geometry"}
    assert columns == {
        "pcode", "name", "mineral", "visit_year", "province", "matched", "probability", "simulated",
    }  # fmt: skip


def test_the_restricted_product_keeps_everything(joined):
    product = disclose(joined, make_run(disclosure="restricted"))
    assert set(joined.sites.columns) <= set(product.layers["sites"].columns)
    assert len(product.layers["cells"]) == len(joined.cells)
    np.testing.assert_array_equal(
        product.layers["cells"]["probability"], joined.cells["probability"]
    )


@pytest.mark.parametrize("created", ["2022-02-25T00:00:00Z", "2022-08-20T23:00:00Z"])
def test_young_imagery_is_refused_with_a_way_out(joined, created):
    with pytest.raises(DisclosureError) as caught:
        disclose(joined, make_run(created=created))
    assert "DISCLOSURE=restricted" in caught.value.next_step
    disclose(joined, make_run(created=created, disclosure="restricted"))


def test_imagery_of_exactly_six_months_is_old_enough(joined):
    product = disclose(joined, make_run(created="2022-08-21T00:00:00Z"))
    assert len(product.layers["cells"]) > 0


def test_a_young_scene_or_cell_counts_too(joined):
    run = make_run()
    young = [*run.scenes, run.scenes[0] | {"datetime": "2022-10-30T09:00:00Z"}]
    with pytest.raises(DisclosureError):
        disclose(joined, replace(run, scenes=young))
    cells = joined.cells.assign(last_image="2022-10-30")
    with pytest.raises(DisclosureError):
        disclose(replace(joined, cells=cells), run)


def test_young_visits_are_held_back_with_all_that_tells_of_them(joined):
    dates = joined.sites["visit_date"].tolist()
    dates[:5] = ["2022-10-01", "2022-01-01", None, "not a date", "2022-05-05"]
    years = joined.sites["visit_year"].astype("Int64").tolist()
    years[:5] = [2022, 2022, pd.NA, pd.NA, 2022]
    young = replace(joined, sites=joined.sites.assign(visit_date=dates, visit_year=years))
    product = disclose(young, make_run())
    # The first is young; 2022-01-01 may mean any day of 2022; two have no date; one is old enough.
    assert product.held_back == 4
    held = set(joined.sites["pcode"].iloc[:4])
    assert held.isdisjoint(product.layers["sites"]["pcode"])
    assert product.layers["cells"]["sites"].sum() == joined.cells["sites"].sum() - 4
    candidates = product.layers["candidates"]
    assert {"known_sites", "nearest_site_km"}.isdisjoint(candidates)
    assert (candidates["factor_novelty"] == 1).all()
    assert not candidates["reasons_en"].str.contains("site").any()


def test_coverage_strips_hold_every_cell_once(joined):
    for kind in ("public", "restricted"):
        product = disclose(joined, make_run(disclosure=kind))
        cells, strips = product.layers["cells"], product.layers["coverage"]
        assert strips["cells"].sum() == len(cells)
        assert shapely.area(strips.geometry).sum() == pytest.approx(len(cells) * product.square**2)
        unknown = strips[strips["cannot_tell"]]["cells"].sum()
        assert unknown == (cells["class"] == "cannot_tell").sum()


def test_coverage_strips_do_not_cross_the_antimeridian(joined):
    last = 100 * grid.CELL_COLUMNS - 1
    cells = joined.cells.head(2).assign(cell=[last, last + 1], clear_observations=3.0)
    strips = disclosure.coarsening.coverage_strips(cells.assign(**{"class": "unlikely"}), 0.005)
    assert len(strips) == 2 and shapely.area(strips.geometry).max() < 1e-4


def test_incomplete_tables_are_refused(joined):
    with pytest.raises(StoreCorruptError, match="probability"):
        disclose(replace(joined, cells=joined.cells.drop(columns="probability")), make_run())
    with pytest.raises(StoreCorruptError):
        disclose(replace(joined, cells=joined.cells.head(0)), make_run())


def test_a_run_without_sites_has_no_layer_of_sites(joined):
    product = disclose(replace(joined, sites=None), make_run())
    assert set(product.layers) == {"cells", "candidates", "coverage"}
    assert product.layers["cells"]["nearest_site_km"].isna().all()


def replace_candidates(joined, candidates):
    return replace(joined, candidates=candidates)
