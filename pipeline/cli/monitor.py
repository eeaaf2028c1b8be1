"""``monitor``: what changed between seasons."""

from __future__ import annotations

import argparse

from pipeline.cli.verb import IMAGERY, KNOWN_SITES, RUN, Verb, option, session_of


def _monitor(options: argparse.Namespace) -> None:
    from pipeline.monitor import monitor_region

    with session_of(options) as context:
        monitor_region(context, options.first, options.last, options.every, options.rerun)


VERBS = (
    Verb(
        "monitor",
        "compare two seasons, and keep a series of them",
        _monitor,
        (
            "monitor demo --from 2023-12..2024-02 --to 2024-12..2025-02",
            "monitor ituri --config ituri.toml --from 2021-12..2022-02 --to 2024-12..2025-02 "
            "--every year",
        ),
        # The seasons are its own options.
        (*(key for key in (*RUN, *IMAGERY) if key != "season"), *KNOWN_SITES, "labels.*",
         "features.*", "model.*", "disclosure", "map_lang", "removals"),
        (
            option("--from", dest="first", required=True, metavar="SEASON",
                   help="the first season, YYYY-MM..YYYY-MM"),
            option("--to", dest="last", required=True, metavar="SEASON", help="the last season"),
            option("--every", choices=("year", "quarter"), default="",
                   help="keep the first season moved on by so much too, up to the last"),
            option("--rerun", action="store_true",
                   help="make every season that is kept once more, with this model"),
        ),
    ),
)  # fmt: skip
