"""Ten thousand digital numbers across baselines and providers: reflectance to one step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pystac
import pytest

from pipeline.imagery.offsets import optical
from pipeline.imagery.providers import PROVIDERS, UNKNOWN, Provider

PIXELS = 10_000
ROWS = {provider.name: provider for provider in PROVIDERS} | {"": UNKNOWN}


def offset_of(baseline: str) -> int:
    """What ESA adds to the digital numbers, in steps of 1/10000."""
    return 1000 if int(baseline.split(".")[0]) >= 4 else 0


def cases() -> list[tuple[Provider, dict[str, Any], dict[str, Any], int]]:
    """Provider, properties, asset fields, and what the numbers really carry."""
    found = []
    for baseline in ("02.07", "03.01", "04.00", "05.11", "5.09"):
        added = offset_of(baseline)
        said = {"s2:processing_baseline": baseline}
        declared = {"scale": 1e-4, "offset": -added / 1e4}
        pc, es, cdse, none = (
            ROWS[name] for name in ("planetary-computer", "earth-search", "copernicus", "")
        )
        found += [
            (pc, said, {}, added),
            # Its own rule, whatever an item declares.
            (pc, said, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}, added),
            (es, said | {"earthsearch:boa_offset_applied": True}, {"raster:bands": [declared]}, 0),
            (es, said | {"earthsearch:boa_offset_applied": False}, {}, added),
            (es, said, {"raster:bands": [declared]}, added),
            (
                cdse,
                {"processing:version": baseline},
                {
                    "bands": [
                        {"name": "B04"}
                        | {f"raster:{key}": value for key, value in declared.items()}
                    ]
                },
                added,
            ),
            (cdse, said, {f"raster:{key}": value for key, value in declared.items()}, added),
            (none, {}, {"bands": [declared]}, added),
            (none, said, {}, added),
        ]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_reflectance_of_generated_pixels(seed) -> None:
    rng = np.random.default_rng(seed)
    some = cases()
    truth = rng.integers(0, 12_000, PIXELS)
    chosen = rng.integers(0, len(some), PIXELS)
    for index, (provider, properties, fields, added) in enumerate(some):
        steps = truth[chosen == index]
        # A reflectance of 0 without an offset would be the number that means no data.
        numbers = np.maximum(steps + added, 1)
        item = pystac.Item.from_dict(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": "i", "geometry": None,
                "properties": {"datetime": "2023-01-01T00:00:00Z"} | properties, "links": [],
                "assets": {"B04": {"href": "x.tif"} | fields},
            }
        )  # fmt: skip
        decoding = optical(item, item.assets["B04"], "B04", 1, provider)
        found = numbers * decoding.scale + decoding.offset
        assert np.abs(found * 1e4 - steps).max() <= 1.0, (provider.name, properties, fields)
        assert decoding.nodata == 0
        assert decoding.rule
