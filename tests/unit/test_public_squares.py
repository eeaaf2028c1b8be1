"""The size of the public map's squares is one constant: with another, everything follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.geo import grid

PROGRAM = """
import sys, types
from pathlib import Path

import pipeline.geo
source = Path(sys.argv[2]).read_text()
assert source.count("PUBLIC_CELLS = 2\\n") == 1
changed = types.ModuleType("pipeline.geo.grid")
sys.modules["pipeline.geo.grid"] = pipeline.geo.grid = changed
exec(source.replace("PUBLIC_CELLS = 2\\n", f"PUBLIC_CELLS = {sys.argv[1]}\\n"), vars(changed))

import numpy as np
import pyogrio
import rasterio
import shapely
from sample_map import make_joined, make_run

from pipeline.map.folder import publish
from pipeline.map.page.report import write_report

side = changed.PUBLIC_DEGREES
folder = Path(sys.argv[3])
joined, run = make_joined(), make_run()
publish(joined, run, folder)
write_report(joined, run, folder)  # each holds what it wrote against the rules
for layer in ("cells", "candidates", "sites", "coverage"):
    shown = pyogrio.read_dataframe(folder / "map.gpkg", layer=layer)
    steps = shapely.get_coordinates(shown.geometry) / side
    assert np.allclose(steps, np.round(steps), atol=1e-6), layer
cells = pyogrio.read_dataframe(folder / "map.gpkg", layer="cells")
assert len(cells) == len(joined.cells) // int(sys.argv[1]) ** 2
assert np.allclose(shapely.area(cells.geometry), side**2)
with rasterio.open(folder / "probability.tif") as raster:
    assert np.allclose(raster.res, side)
"""


@pytest.mark.parametrize("cells", [2, 4, 5])
def test_the_public_squares_have_one_size(tmp_path: Path, cells: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(cells), grid.__file__, str(tmp_path / "map")],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_decimals() -> None:
    assert [grid.decimals_of(step) for step in (1.0, 0.1, 0.05, 0.025, 0.01, 0.005)] == [
        0, 1, 2, 3, 2, 3,
    ]  # fmt: skip
