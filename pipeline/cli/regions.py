"""``regions``, ``plan`` and ``demo``: what there is to map, and what it takes."""

from __future__ import annotations

import argparse

from pipeline.cli.verb import (
    REGION,
    SEARCH,
    WORKERS,
    Verb,
    config_of,
    option,
    unlocked_session_of,
)


def _regions(options: argparse.Namespace) -> None:
    from pipeline.geo.regions import region_names, resolve_region
    from pipeline.runtime.console import console, say

    run = config_of(options).run
    if not run.region:
        console.print("\n".join(region_names()), markup=False)
        return
    region = resolve_region(run.region, run.max_blocks)
    west, south, east, north = region.geometry.bounds
    say("regions", f"{region.name}: {region.title}; {len(region.blocks)} blocks of 0.1 degree")
    note = f"; {region.note}" if region.note else ""
    say("", f"bbox:{west:g},{south:g},{east:g},{north:g}{note}")


def _plan(options: argparse.Namespace) -> None:
    from pipeline.plan import Prices, plan_region

    # No pixel is read: a region that is too large to map at once can be planned.
    with unlocked_session_of(options, largest=10_000_000) as context:
        plan_region(context, Prices(options.core_hour, options.gb_read, options.gb_month))


def _demo(options: argparse.Namespace) -> None:
    from pipeline.demo import make_demo
    from pipeline.runtime.console import say

    config = config_of(options)
    folder = config.workspace.raw / "demo" / f"seed-{config.run.seed}"
    make_demo(folder, config.run.seed)
    say("demo", f"the simulated landscape of seed {config.run.seed}: {folder}")


VERBS = (
    Verb(
        "regions",
        "show a region, or list the names",
        _regions,
        ("regions", "regions bbox:29.5,1.2,30.4,2.0"),
        ("region", "max_blocks"),
    ),
    Verb(
        "plan",
        "say what a run will need: blocks, scenes, gigabytes, core-hours, room, cost",
        _plan,
        (
            "plan ituri --source planetary-computer --season 2023-12..2024-02",
            "plan country.geojson --core-hour 0.04 --gb-month 0.02",
        ),
        (*REGION, *WORKERS, *SEARCH, "model", "disclosure", "filters", "patches", "recipe",
         "feature_type"),
        (
            option("--core-hour", type=float, default=0.0, help="price of an hour of a core"),
            option("--gb-read", type=float, default=0.0, help="price of reading a gigabyte"),
            option("--gb-month", type=float, default=0.0, help="price of keeping one a month"),
        ),
    ),
    Verb(
        "demo",
        "write the simulated landscape",
        _demo,
        ("demo", "demo --seed 7 --workspace /tmp/atlas"),
        ("seed", "workspace.*"),
    ),
)  # fmt: skip
