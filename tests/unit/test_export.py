from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from imagery import EAST, WEST
from sample_cells import feature_entry
from sample_model import sample_bank

from pipeline.errors import ConfigError, NoClearPixelError
from pipeline.export import export_features
from pipeline.geo import grid
from pipeline.geo.regions import resolve_region
from pipeline.workflow.cells import read_coarse

BANK = sample_bank(patches=(3, 4), count=2)
# Half of the western block and a strip of the eastern one.
REGION = resolve_region("bbox:5.95,2.0,6.01,2.1", 10)


@pytest.fixture
def entries(tmp_path: Path) -> list:
    observed = np.ones(400, np.float32)
    observed[[50, 51, 70, 71]] = 0
    return [
        feature_entry(tmp_path, WEST, BANK, observed=observed),
        feature_entry(tmp_path, EAST, BANK),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_others_expect(entries, tmp_path, suffix) -> None:
    path = tmp_path / f"features{suffix}"
    count = export_features(entries, BANK, REGION, path)
    table = pd.read_csv(path) if suffix == ".csv" else gpd.read_parquet(path)
    names = [f"X_{column}" for column in range(BANK.columns)]
    assert list(table)[:3] == ["lon", "lat", "observed"]
    assert list(table)[3 : 3 + len(names)] == names
    # 6 x 10 coarse cells, of which one was not observed.
    assert len(table) == count == 59
    cell, features, _ = read_coarse(entries[0], BANK)
    row = table[(table.lon.round(3) == 5.965) & (table.lat.round(3) == 2.045)]
    place = cell.tolist().index(int(grid.coarse_cell_of(grid.cell_of(5.965, 2.045))))
    assert row[names].to_numpy()[0] == pytest.approx(features[place], rel=1e-5)
    assert "simulated" not in table


def test_the_geoparquet_says_what_it_is(entries, tmp_path) -> None:
    path = tmp_path / "features.parquet"
    export_features(entries, BANK, REGION, path, simulated=True)
    table = gpd.read_parquet(path)
    assert table.crs.to_epsg() == 4326 or table.crs.to_authority() == ("OGC", "CRS84")
    assert np.allclose(table.geometry.x, table.lon) and np.allclose(table.geometry.y, table.lat)
    assert table["simulated"].all()
    about = json.loads(pq.read_schema(path).metadata[b"asm_atlas"])
    assert about["bank"] == BANK.hash and about["simulated"] is True


def test_fine_cells(entries, tmp_path) -> None:
    path = tmp_path / "features.csv"
    assert export_features(entries, BANK, REGION, path, degrees=0.005) == 240 - 4
    table = pd.read_csv(path)
    assert REGION.contains(grid.cell_of(table.lon, table.lat)).all()


def test_what_cannot_be_written_is_refused_and_leaves_nothing(entries, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"not '\.xlsx'"):
        export_features(entries, BANK, REGION, tmp_path / "features.xlsx")
    with pytest.raises(ConfigError, match=r"0\.01 or 0\.005 degree, not 0\.02"):
        export_features(entries, BANK, REGION, tmp_path / "features.csv", degrees=0.02)
    blind = feature_entry(tmp_path, WEST, BANK, observed=np.zeros(400, np.float32), seed=4)
    with pytest.raises(NoClearPixelError, match="no cell of"):
        export_features([blind], BANK, REGION, tmp_path / "features.csv")
    assert not list(tmp_path.glob("*features*"))
