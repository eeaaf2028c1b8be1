"""A small table of visits in the IPIS form, built in code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

BASE = {
    "vid": "1", "source": "IPIS", "project": "IPIS - Madini", "pcode": "codmine00001",
    "name": "Mayi-Tatu", "visit_date": "2021-06-01", "visit_onsite": "1", "longitude": "28.1",
    "latitude": "-2.1", "location_origin": "GPS", "province": "Sud-Kivu", "workers_numb": "",
    "is_3t_mine": "0", "is_gold_mine": "1", "mineral1": "Or", "mercury": "", "interference": "",
    "taxation_armed_group1": "", "pit_ownership_armed_group1": "dontknow", "childunder15": "0",
}  # fmt: skip


def visits_table(*rows: dict[str, Any]) -> pd.DataFrame:
    """One row for each mapping of what differs from ``BASE``, all as text."""
    return pd.DataFrame([{**BASE, **{k: str(v) for k, v in row.items()}} for row in rows])


def write_visits(path: Path, *rows: dict[str, Any]) -> Path:
    """Write such a table as CSV."""
    visits_table(*rows).to_csv(path, index=False)
    return path
