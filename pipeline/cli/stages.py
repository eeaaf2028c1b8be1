"""The stages that map a region: ``scenes composite featurize predict publish report``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pipeline.cli.verb import (
    IMAGERY,
    KNOWN_SITES,
    PREDICTED,
    RETRY_FAILED,
    RUN,
    SEARCH,
    STORED,
    Verb,
    option,
    session_of,
)
from pipeline.errors import NOTHING_EXIT_CODE

# ``visit_years`` is part of the name of a map.
PUBLISHED = (*RUN, *PREDICTED, *KNOWN_SITES, "map.*", "visit_years")


def only_stage(name: str) -> Callable[[argparse.Namespace], None]:
    """Return a verb that runs one stage, from what the stages before it stored."""

    def run(options: argparse.Namespace) -> None:
        from pipeline.run import map_region

        with session_of(options) as context:
            map_region(context, name, only=True)

    return run


def _predict(options: argparse.Namespace) -> int | None:
    from pipeline.run import map_region
    from pipeline.runtime.journal import journal

    with session_of(options) as context:
        # The main job: it runs whatever is missing, up to the report.
        map_region(context, "predict" if options.only else "report", only=options.only)
    return NOTHING_EXIT_CODE if options.detailed_exit_code and not journal.worked else None


def _publish(options: argparse.Namespace) -> None:
    from pipeline.map.files.sheets import check_qgis
    from pipeline.run import map_region

    if options.pdf:
        check_qgis()
    with session_of(options) as context:
        map_region(context, "publish", only=True, sheets=options.pdf)


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError("a number of sheets, 1 to 1000")
    return int(text)


VERBS = (
    Verb(
        "scenes",
        "find the scenes of a region and season",
        only_stage("scenes"),
        (
            "scenes demo",
            "scenes ituri --source planetary-computer --season 2023-12..2024-02",
        ),
        (*RUN, *SEARCH),
    ),
    Verb(
        "composite",
        "blend the scenes into cloud-free blocks",
        only_stage("composite"),
        ("composite demo", "composite ituri --config ituri.toml --retry-failed"),
        (*RUN, *IMAGERY),
        (RETRY_FAILED,),
    ),
    Verb(
        "featurize",
        "compute the features of every cell",
        only_stage("featurize"),
        ("featurize demo", "featurize ituri --config ituri.toml --device cuda"),
        (*RUN, *STORED, "model", "device", "feature_type"),
        shown=("device",),
    ),
    Verb(
        "predict",
        "map a region: whatever is missing, up to the report",
        _predict,
        (
            "predict demo",
            "predict ituri --source planetary-computer --season 2023-12..2024-02",
        ),
        # The region may name a training ground, whose models are trained first.
        (*RUN, *IMAGERY, "labels.*", "features.*", "model.*", "map.*"),
        (
            option(
                "--only", action="store_true", help="apply the model to stored features, no more"
            ),
            RETRY_FAILED,
            option(
                "--detailed-exit-code",
                action="store_true",
                help=f"end with {NOTHING_EXIT_CODE} where nothing was left to do",
            ),
        ),
    ),
    Verb(
        "publish",
        "write the styled map and the inspection list",
        _publish,
        ("publish demo", "publish ituri --config ituri.toml --disclosure restricted --pdf 20"),
        PUBLISHED,
        (
            option(
                "--pdf",
                type=_count,
                nargs="?",
                const=50,
                default=0,
                metavar="N",
                help="print field sheets of the first N candidates (50) with QGIS",
            ),
        ),
    ),
    Verb(
        "report",
        "write the page that explains the map",
        only_stage("report"),
        ("report demo", "report ituri --config ituri.toml --map-lang fr"),
        PUBLISHED,
    ),
)
