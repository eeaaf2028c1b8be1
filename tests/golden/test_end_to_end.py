"""From scenes and visits to a map in a folder, on a small landscape with mines planted in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from imagery import ZONES, clear_scl, make_context, make_item, save_items, texture, utm_corner
from PIL import Image
from sample_labels import draw_labels
from sample_visits import write_visits
from scipy.ndimage import gaussian_filter

from pipeline import featurize
from pipeline.composite import composite_blocks
from pipeline.errors import CellError, InputFileError
from pipeline.evaluation import explain
from pipeline.evaluation.evaluate import evaluate_region
from pipeline.evaluation.explain import explain_cell
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.map.removals import COLUMNS
from pipeline.predict import read_predictions
from pipeline.run import export_region, map_region, predict_region
from pipeline.runtime.cluster import workers
from pipeline.runtime.journal import journal
from pipeline.scenes import find_scenes
from pipeline.train import train_region

REGION = "bbox:5.965,2.025,6.035,2.07"
SHAPE = (520, 480)
TILES = {"31NHA": 5.962, "32NKF": 5.999}
NORTH = 2.0705
SEASON = "2021-12..2022-02"
DAYS = {"2021-12-05": "03.01", "2022-01-14": "03.01", "2022-02-08": "05.09"}
FILES = (
    "map.gpkg", "map.qgz", "probability.tif", "report.html", "manifest.json", "item.json",
)  # fmt: skip


def mine_cells() -> np.ndarray:
    """Two rows of cells in the north, seven either side of lon 6.0."""
    lon, lat = np.meshgrid(5.9675 + 0.005 * np.arange(13), [2.0675, 2.0625])
    return grid.cell_of(lon.ravel(), lat.ravel())


def landscape(tile: str, seed: int) -> dict[str, np.ndarray]:
    """Smooth ground, and rough and bright where there is a mine."""
    epsg = ZONES[tile]
    x0, y0 = utm_corner(TILES[tile], NORTH, epsg)
    rows, cols = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    to_degrees = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    lon, lat = to_degrees.transform(x0 + 10 * cols + 5, y0 - 10 * rows - 5)
    mine = np.isin(grid.cell_of(lon, lat), mine_cells())
    rough = np.random.default_rng(seed).standard_normal(SHAPE)
    pits = 900 * gaussian_filter(rough, 0.8)
    bands = {}
    for index, band in enumerate(("B02", "B03", "B04")):
        ground = texture(seed + index, SHAPE, mean=1200 + 200 * index).astype(float)
        bands[band] = np.where(mine, ground + pits, ground).clip(50, 9_000).astype(np.uint16)
    return bands


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landscape")
    items = []
    for number, tile in enumerate(TILES):
        bands = landscape(tile, 10 * number + 1)
        for day, baseline in DAYS.items():
            scl = clear_scl((SHAPE[0] // 2, SHAPE[1] // 2))
            if day == "2022-01-14":
                scl[:60, :80] = 9
            raised = 1000 if baseline >= "04.00" else 0
            seen = {name: values + np.uint16(raised) for name, values in bands.items()}
            items.append(
                make_item(
                    folder / "source",
                    seen | {"SCL": scl},
                    date=day,
                    baseline=baseline,
                    tile=tile,
                    lon=TILES[tile],
                    lat=NORTH,
                )
            )
    save_items(folder / "source", items)
    lon, lat = grid.cell_centres(mine_cells())
    write_visits(
        folder / "visits.csv",
        *(
            {"pcode": f"m{i:03d}", "longitude": x, "latitude": y, "visit_date": "2022-01-10"}
            for i, (x, y) in enumerate(zip(lon, lat, strict=True))
        ),
    )
    return folder


def context_in(work: Path, source: Path, **keys: Any) -> Any:
    return make_context(
        source,
        region=REGION,
        workspace=str(work),
        season=SEASON,
        labels=str(source / "visits.csv"),
        **keys,
    )


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The workspace and the run's folder after training and mapping once."""
    work = tmp_path_factory.mktemp("work")
    context = context_in(work, source)
    train_region(context)
    folder = map_region(context)
    assert folder is not None
    return work, folder


def test_the_runs_folder_holds_everything(run: tuple[Path, Path]) -> None:
    work, folder = run
    assert set(FILES) <= {path.name for path in folder.iterdir()}
    latest = work / "processed" / folder.parent.name / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == folder.resolve()
    layers = {str(name) for name, _ in pyogrio.list_layers(folder / "map.gpkg")}
    assert {"cells", "candidates", "sites", "coverage", "provenance"} <= layers
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["run"] == folder.name
    assert len(manifest["scenes"]) == 6
    item = json.loads((folder / "item.json").read_text())
    assert item["type"] == "Feature"
    assert "<html" in (folder / "report.html").read_text().lower()
    with rasterio.open(folder / "probability.tif") as raster:
        assert raster.crs.to_string() == "EPSG:4326"
        values = raster.read(1)
    assert np.isfinite(values).any()
    assert not [path for path in work.rglob(".*") if path.is_file()], "nothing half-written"


def test_mines_score_higher_than_ground_far_from_them(run: tuple[Path, Path], source: Path) -> None:
    predicted = predict_region(context_in(run[0], source))
    assert predicted is not None
    cells = read_predictions(predicted.entry.path).set_index("cell")["probability"]
    region = context_in(run[0], source).region
    assert len(cells) == sum(len(region.cells(block)) for block in region.blocks)
    mines = cells[mine_cells()]
    others = cells.drop(mine_cells())
    assert mines.notna().all()
    assert mines.median() > others.quantile(0.95)


def test_offsets_of_both_baselines_are_recorded(run: tuple[Path, Path]) -> None:
    manifest = json.loads((run[1] / "manifest.json").read_text())
    offsets = {row["processing_baseline"]: row["offset"] for row in manifest["scenes"]}
    assert offsets == {"03.01": 0.0, "05.09": pytest.approx(-0.1)}


def test_a_second_run_redoes_nothing_and_says_so(
    run: tuple[Path, Path], source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, folder = run
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    context = context_in(work, source)
    train_region(context)
    assert map_region(context) == folder
    said = capsys.readouterr().out
    for words in (
        "0 made, 2 reused",
        "(reused): AUC",
        "nothing to do",
        "anything it was trained on) (reused)",
    ):
        assert words in said
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before


def test_each_stage_runs_alone_from_what_is_stored(run: tuple[Path, Path], source: Path) -> None:
    context = context_in(run[0], source)
    for stage in ("scenes", "composite", "featurize", "predict", "join"):
        assert map_region(context, stage, only=True) is None
    assert map_region(context, "publish", only=True) == run[1]


def test_latest_stays_with_the_newest_map_that_has_its_page(
    run: tuple[Path, Path], source: Path
) -> None:
    context = context_in(run[0], source, disclosure="restricted")
    for _ in range(2):
        folder = map_region(context, "publish", only=True)
        assert folder is not None and folder != run[1]
        assert (folder.parent / "latest").resolve() == run[1].resolve()


def test_a_verdict_is_work_done(
    run: tuple[Path, Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the model learned from takes no part: there must be mines beside.
    mines = gpd.GeoDataFrame(geometry=[shapely.box(5.9, 2.0, 6.1, 2.1)], crs=4326)
    mines.to_file(tmp_path / "truth.gpkg")
    monkeypatch.setattr(journal, "worked", False)
    evaluate_region(context_in(run[0], source), str(tmp_path / "truth.gpkg"), None)
    assert journal.worked, "or its last line would say that there was nothing to do"


def test_a_cell_is_rebuilt_from_its_scenes(
    run: tuple[Path, Path], source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lon, lat = (float(value) for value in grid.cell_centres(mine_cells()[3]))
    context = context_in(run[0], source, disclosure="restricted")
    folder = explain_cell(context, f"{lon},{lat}", tmp_path / "one")
    facts = json.loads((folder / "cell.json").read_text())
    assert facts["same"] and facts["differences"] == []
    assert facts["stored"]["cell"] == facts["rebuilt"]["cell"] == int(mine_cells()[3])
    assert facts["rebuilt"]["probability"] == pytest.approx(facts["stored"]["probability"])
    assert facts["bounds"] == pytest.approx(grid.cell_bounds(mine_cells()[3]), abs=1e-9)
    assert {s["processing_baseline"] for s in facts["scenes"]} == {"03.01", "05.09"}
    with Image.open(folder / "looks.png") as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 500, "ground is drawn"
    # The block has two tiles, of which one alone reaches this cell.
    assert "3 of 6 scenes are shown" in " ".join(capsys.readouterr().out.split())
    again = explain_cell(context, str(mine_cells()[3]), tmp_path / "one")
    assert json.loads((again / "cell.json").read_text()) == facts


def test_the_public_edition_tells_of_a_square_and_shows_no_place(
    run: tuple[Path, Path], source: Path
) -> None:
    context = context_in(run[0], source, disclosure="public")
    folder = explain_cell(context, str(int(grid.coarse_cell_of(mine_cells()[3]))))
    lon, lat = (float(value) for value in grid.cell_centres(mine_cells()[3]))
    assert explain_cell(context, f"{lon},{lat}") == folder
    assert [path.name for path in folder.iterdir()] == ["cell.json"]
    facts = json.loads((folder / "cell.json").read_text())
    square = int(grid.coarse_cell_of(mine_cells()[3]))
    assert facts["same"] and facts["stored"]["cell"] == square and str(square) in folder.name
    assert all(round(edge, 2) == edge for edge in facts["bounds"])
    assert str(mine_cells()[3]) not in (folder / "cell.json").read_text()
    assert "labels" not in facts["stored"]


def test_what_was_asked_to_leave_the_map_is_not_explained(
    run: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    lon, lat = (float(value) for value in grid.cell_centres(mine_cells()[3]))
    table = f"{','.join(COLUMNS)}\n,{lon},{lat},,,,,2026-01-05,safety\n"
    (tmp_path / "removals.csv").write_text(table)
    context = context_in(run[0], source, removals=str(tmp_path / "removals.csv"))
    with pytest.raises(CellError, match="public map does not show"):
        explain_cell(context, f"{lon},{lat}", tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_a_cell_that_came_out_otherwise_is_named(
    run: tuple[Path, Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampered(path: Any) -> pd.DataFrame:
        table = read_predictions(path)
        return table.assign(probability=table["probability"] / 2) if len(table) > 1 else table

    monkeypatch.setattr(explain, "read_predictions", tampered)
    context = context_in(run[0], source, disclosure="restricted")
    folder = explain_cell(context, str(mine_cells()[3]), tmp_path / "one")
    facts = json.loads((folder / "cell.json").read_text())
    assert not facts["same"] and "probability" in facts["differences"]


@pytest.mark.parametrize("cell", ["12,1", "190,2", "x", "-5", "5.97,2.04;rm", "9" * 13])
def test_what_is_no_cell_of_the_region_is_refused(
    run: tuple[Path, Path], source: Path, cell: str
) -> None:
    with pytest.raises(CellError):
        explain_cell(context_in(run[0], source), cell)


def test_a_folder_with_other_things_is_left_alone(
    run: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")
    context = context_in(run[0], source, disclosure="restricted")
    with pytest.raises(InputFileError, match="something else"):
        explain_cell(context, str(mine_cells()[3]), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "chapter 1"


def test_results_do_not_depend_on_workers_or_on_the_order_of_blocks(
    run: tuple[Path, Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = context_in(run[0], source)
    second = context_in(tmp_path, source)
    with workers("local", 2) as two:
        backwards = second.region.blocks[::-1]
        blended = composite_blocks(replace(second, workers=two), find_scenes(second), backwards)
    train_region(second)
    predicted = predict_region(second)
    assert predicted is not None
    expected = predict_region(first)
    assert expected is not None
    assert predicted.model.bank.hash == expected.model.bank.hash
    again = featurize.featurize_blocks(first, blended[::-1], expected.model.bank)
    assert all(entry.reused for entry in again), "the composites are the same to the last byte"
    pd.testing.assert_frame_equal(
        read_predictions(predicted.entry.path), read_predictions(expected.entry.path)
    )


def test_a_model_may_look_at_the_cells_around(source: Path, tmp_path: Path) -> None:
    def predicted(region: str) -> pd.Series:
        found = predict_region(replace(context, region=resolve_region(region, 10)))
        assert found is not None and found.model.manifest.neighbourhood == 3
        return read_predictions(found.entry.path).set_index("cell")["probability"]

    context = context_in(tmp_path, source, context=3)
    manifests = train_region(context)
    assert [manifest.neighbourhood for manifest in manifests] == [3, 3, 3]
    whole = predicted(REGION)
    # A smaller region in one block: its cells' surroundings lie in blocks that it has no part of.
    part = predicted("bbox:5.985,2.025,6.0,2.07")
    assert part.notna().sum() > 20
    pd.testing.assert_series_equal(part, whole[part.index], rtol=1e-6)


def test_a_season_that_was_clouded_all_through_is_left_out(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "landscape"
    shutil.copytree(source, folder)
    clouded = {**landscape("31NHA", 1), "SCL": clear_scl((SHAPE[0] // 2, SHAPE[1] // 2), 9)}
    added = make_item(
        folder / "source", clouded, date="2019-12-20", lon=TILES["31NHA"], lat=NORTH
    ).to_dict(include_self_link=False, transform_hrefs=False)
    every = json.loads((folder / "source" / "items.json").read_text())
    every["features"].append(added)
    (folder / "source" / "items.json").write_text(json.dumps(every))
    visits = pd.read_csv(folder / "visits.csv", dtype=str)
    visits.loc[:2, "visit_date"] = "2020-01-10"
    visits.to_csv(folder / "visits.csv", index=False)
    manifests = train_region(context_in(tmp_path / "work", folder))
    assert "3 labelled cells of 2019-12..2020-02 left out" in " ".join(
        capsys.readouterr().out.split()
    )
    assert {manifest.data.positives for manifest in manifests} == {23}


def test_polygons_inspections_and_a_sample_train_together(source: Path, tmp_path: Path) -> None:
    cells = mine_cells()
    lon, lat = grid.cell_centres(cells)
    west, south, east, north = grid.cell_bounds(cells[:20])
    drawn = shapely.box(west + 0.001, south + 0.001, east - 0.001, north - 0.001)
    gpd.GeoSeries(drawn, crs="EPSG:4326").to_file(tmp_path / "mines.gpkg")
    searched = shapely.box(5.96, 2.02, 6.0, 2.08)
    gpd.GeoSeries([searched], crs="EPSG:4326").to_file(tmp_path / "area.gpkg")
    inspected = {"longitude": [*lon[20:22], 6.0125], "latitude": [*lat[20:22], 2.0425]}
    table = pd.DataFrame(inspected).assign(label=["mine", "mine", "no mine"], date="2022-01-10")
    table.to_csv(tmp_path / "inspected.csv", index=False)
    sample = draw_labels(tmp_path / "sample.gpkg", cells[22:24], ["mine", "no mine"])
    keys = {
        "labels": str(tmp_path / "mines.gpkg"),
        "searched": str(tmp_path / "area.gpkg"),
        "inspections": str(tmp_path / "inspected.csv"),
        "use_sample": str(sample),
    }
    context = context_in(tmp_path / "work", source)
    context = replace(context, config=context.config.with_keys(**keys))
    manifests = train_region(context)
    stored = next((tmp_path / "work" / "interim" / "dataset").rglob("*.parquet"))
    rows = pd.read_parquet(stored, columns=["cell", "label", "what", "source", "date", "fold"])
    assert not rows.duplicated("cell").any()
    kinds = rows.groupby(["what", "label"]).size().to_dict()
    assert kinds["polygon", 1] == 20
    assert (kinds["inspection", 1], kinds["inspection", 0]) == (3, 2)
    assert kinds["polygon", 0] > 20 and kinds["background", -1] > 10
    ridge = next(manifest for manifest in manifests if manifest.kind == "ridge")
    assert ridge.data.samples == ["abc123"]
    assert ridge.data.unlabelled.rows == kinds["background", -1]
    assert "mines.gpkg: not stated" in ridge.data.licence
    assert ridge.scores.pooled.auc > 0.9
    folder = tmp_path / "work" / "models" / ridge.name
    sensitivity = pd.read_csv(folder / "sensitivity.csv")
    assert sensitivity.to_dict("records") == ridge.sensitivity
    assert "## What it hangs on" in (folder / "card.md").read_text(encoding="utf-8")


def test_features_are_exported_with_the_models_bank(
    run: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    work, _ = run
    path = tmp_path / "features.parquet"
    rows = export_region(context_in(work, source), path, 0.01)
    table = gpd.read_parquet(path)
    assert len(table) == rows > 20
    about = json.loads(pq.read_schema(path).metadata[b"asm_atlas"])
    manifest = json.loads(next((work / "models").glob("*-ridge/manifest.json")).read_text())
    assert about["bank"] == manifest["bank_hash"]


def test_features_are_exported_where_no_model_fits(source: Path, tmp_path: Path) -> None:
    context = context_in(tmp_path, source, filters=4, patches="3")
    path = tmp_path / "features.csv"
    assert export_region(context, path, 0.005) > 50
    table = pd.read_csv(path)
    assert table.filter(like="X_").shape[1] == 4 * 6
    again = tmp_path / "again.csv"
    export_region(context, again, 0.005, only=True)
    assert again.read_bytes() == path.read_bytes()


def test_features_in_half_the_room_are_near(source: Path, tmp_path: Path) -> None:
    tables, sizes = [], []
    for kind in ("float32", "float16"):
        context = context_in(tmp_path, source, filters=16, patches="3", feature_type=kind)
        path = tmp_path / f"{kind}.csv"
        export_region(context, path, 0.005)
        tables.append(pd.read_csv(path).filter(like="X_").to_numpy())
        stored = list((tmp_path / "interim" / "features").rglob("*.parquet"))
        sizes.append(sum(file.stat().st_size for file in stored) - sum(sizes))
    assert np.abs(tables[1] - tables[0]).max() <= 1e-3 * np.abs(tables[0]).max()
    assert not np.array_equal(*tables)
    assert sizes[1] < 0.75 * sizes[0]
