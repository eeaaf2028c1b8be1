"""``evaluate explain sample area``: how good a map is."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.verb import (
    IMAGERY,
    KNOWN_SITES,
    PREDICTED,
    REGION,
    RUN,
    WORKERS,
    Verb,
    config_of,
    option,
    optional_path,
    session_of,
    unlocked_session_of,
)


def _evaluate(options: argparse.Namespace) -> None:
    from pipeline.evaluation.evaluate import evaluate_region

    with session_of(options) as context:
        evaluate_region(context, options.truth, options.out)


def _explain(options: argparse.Namespace) -> None:
    from pipeline.evaluation.explain import explain_cell

    with unlocked_session_of(options) as context:
        explain_cell(context, options.cell, optional_path(options.out))


def _sample(options: argparse.Namespace) -> None:
    from pipeline.evaluation.sample import sample_region

    with session_of(options) as context:
        out = optional_path(options.out)
        sample_region(context, out, options.size, options.draw, options.cannot_tell)


def _area(options: argparse.Namespace) -> None:
    from pipeline.evaluation.area import area_region

    regions, out = optional_path(options.regions), optional_path(options.out)
    area_region(config_of(options), Path(options.sample), regions, out)


VERBS = (
    Verb(
        "evaluate",
        "compare a map with what is known to be true",
        _evaluate,
        ("evaluate demo", "evaluate east.geojson --config ituri.toml --truth polygons.gpkg"),
        # What is missing is made, up to the predictions.
        (*RUN, *IMAGERY, "labels.*", "features.*", "model.*"),
        (
            option(
                "--truth",
                metavar="FILE",
                help="label raster, polygons or points; default: the demo's truth",
            ),
            option("--out", metavar="FILE", help="for the figures, JSON"),
        ),
    ),
    Verb(
        "explain",
        "rebuild one cell from its scenes, and show its images (pictures: restricted)",
        _explain,
        (
            "explain demo --cell 5.8675,2.2825",
            "explain ituri --config ituri.toml --disclosure restricted --cell 28.4275,1.5625",
        ),
        (*REGION, *WORKERS, *IMAGERY, *PREDICTED, *KNOWN_SITES, "map.*"),
        (
            option(
                "--cell",
                required=True,
                help="longitude,latitude, or its number on the edition's map",
            ),
            option(
                "--out", metavar="FOLDER", help="folder to write; default: with the region's maps"
            ),
        ),
    ),
    Verb(
        "sample",
        "draw a random sample of cells to label (restricted)",
        _sample,
        (
            "sample demo --disclosure restricted",
            "sample ituri --config ituri.toml --disclosure restricted --size 400",
        ),
        (*RUN, *PREDICTED, "disclosure", "map_lang"),
        (
            option("--size", type=int, default=300, metavar="N", help="cells to label"),
            option(
                "--out",
                metavar="FILE",
                help="GeoPackage to label, new; default: in the region's folder",
            ),
            option(
                "--draw", type=int, default=1, metavar="N", help="another number, another sample"
            ),
            option(
                "--cannot-tell",
                action="store_true",
                help="sample cells that the imagery cannot show too",
            ),
        ),
    ),
    Verb(
        "area",
        "estimate areas with intervals from a labelled sample",
        _area,
        ("area sample.gpkg", "area sample.gpkg --regions districts.geojson --out areas.json"),
        ("workspace.*",),
        (
            option("sample", metavar="SAMPLE", help="the labelled GeoPackage"),
            option(
                "--regions", metavar="FILE", help="polygons (column name) to estimate one by one"
            ),
            option(
                "--out", metavar="FILE", help="for the figures, JSON, with a CSV of the same name"
            ),
        ),
    ),
)
