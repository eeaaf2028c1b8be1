"""A joined run with visits and context layers, through the real join."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shapely
from sample_layers import AREAS, REPORTS, SCHEMES, box, declare, layer
from sample_map import make_joined, make_run
from sample_visits import write_visits

from pipeline.geo.regions import Region
from pipeline.sites.join import Joined, join_cells
from pipeline.sites.visits import read_visits

SECRET = "Zorro Kabila-Nobody"
HELD = "A holder nobody may name"


def make_known(folder: Path) -> Joined:
    """Return the invented landscape of ``make_joined`` with all that is known about it."""
    base = make_joined()
    predictions = base.cells.drop(columns=["class", "sites", "nearest_site_km"])
    known: Any = base.sites
    rows = [
        {"pcode": f"p{n:02d}", "name": f"Site {n}", "vid": str(n),
         "longitude": f"{point.x:.6f}", "latitude": f"{point.y:.6f}",
         "visit_date": f"{2012 + n % 9}-03-02", "workers_numb": str(n * 40),
         "armed_group1": SECRET, "presence": "1", "interference": str(n % 2),
         "type_armed_group1": "Groupe armé local", "childunder15": str(n % 2), "village": SECRET,
         "territoire": "T", "mercury": "1", "women": "1"}
        for n, point in enumerate(known.geometry)
    ]  # fmt: skip
    old = [{**row, "vid": f"1{row['vid']}", "visit_date": "2010-02-03"} for row in rows[:7]]
    visits = read_visits(write_visits(folder / "v.csv", *rows, *old))
    named = known.geometry.iloc[0]
    layers = [
        layer(folder, declare(AREAS), [box(5.8031, 2.0117, 0.21), box(6.0, 2.0, 0.3)],
              holder=[HELD, "=2+2"]),
        layer(folder, declare(REPORTS), [shapely.Point(5.9132, 2.1357), shapely.Point(5.95, 2.2)],
              since=["2021-03-01", "2022-11-01"], holder=[SECRET, SECRET]),
        layer(folder, declare(SCHEMES), [named], holder=[SECRET]),
        layer(folder, declare(AREAS, name="pits", industrial=True), [box(5.8, 2.2, 0.1)]),
    ]  # fmt: skip
    region = Region("demo", "Demo", shapely.box(5.8, 2.0, 6.2, 2.3), simulated=True)
    thresholds = make_run().model.thresholds
    return join_cells(predictions, visits, region, thresholds, layers=layers)
