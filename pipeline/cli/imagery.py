"""``catalogue``, ``score`` and ``features export``: imagery at hand, chips, and other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.verb import IMAGERY, RUN, STORED_ONLY, Verb, config_of, option, session_of


def _catalogue(options: argparse.Namespace) -> None:
    from pipeline.imagery.catalogue import catalogue_chips, catalogue_rasters

    if options.chips:
        catalogue_chips(Path(options.chips), Path(options.out))
    else:
        catalogue_rasters(
            [Path(file) for file in options.files],
            Path(options.out),
            bands=tuple(options.bands.split(",")) if options.bands else (),
            level=options.level,
            dates=options.dates,
            scale=options.scale,
            offset=options.offset,
            clip=options.clip,
            steps=options.steps,
        )


def _score(options: argparse.Namespace) -> None:
    from pipeline.evaluation.score import chip_imagery, score_chips, write_scores
    from pipeline.imagery.chips import read_chips
    from pipeline.training.model_choice import load_named

    config = config_of(options)
    model = load_named(config.workspace.home, config.model.name)
    imagery = chip_imagery(options.bands, options.level, options.clip, options.steps)
    chips = read_chips(Path(options.chips), imagery)
    found = score_chips(chips, model, config.model.prevalence or None)
    write_scores(found, Path(options.out))


def _export(options: argparse.Namespace) -> None:
    from pipeline.run import export_region

    with session_of(options) as context:
        export_region(context, Path(options.out), options.grid, options.only)


_PIXELS = (
    option("--bands", help="bands in their order, such as B04,B03,B02"),
    option("--level", help="L1C or L2A"),
    option("--clip", type=float, metavar="R", help="reflectance at which pixels saturate"),
    option("--steps", type=int, metavar="N", help="steps between 0 and there; 255 for 8 bits"),
)

VERBS = (
    Verb(
        "catalogue",
        "turn imagery at hand into a static catalogue",
        _catalogue,
        (
            "catalogue january.tif --level L2A --bands B04,B03,B02 --scale 0.0001 --offset -0.1 "
            "--dates 2024-01-15 --out my-catalogue",
            "catalogue --chips my-chips --out my-catalogue",
        ),
        (),
        (
            option("files", nargs="*", metavar="FILE", help="GeoTIFFs, one scene each"),
            option("--chips", metavar="FOLDER", help="an archive of chips: the located ones"),
            option("--out", required=True, metavar="FOLDER", help="of the catalogue, new"),
            option("--dates", help="YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD for a composite"),
            option("--scale", type=float, metavar="R", help="reflectance of one step"),
            option("--offset", type=float, default=0.0, metavar="R", help="reflectance of step 0"),
            *_PIXELS,
        ),
    ),
    Verb(
        "score",
        "score chips with a model",
        _score,
        (
            "score --model amazon-rgb --chips chips.npz --out scores.csv",
            "score --model my-model --chips chips.npz --level L1C --bands B04,B03,B02 "
            "--out scores.csv",
        ),
        ("workspace.*", "model", "prevalence"),
        (
            option("--chips", required=True, metavar="FILE", help="chips.npz"),
            option("--out", required=True, metavar="FILE", help="a row for each chip, CSV"),
            *_PIXELS,
        ),
    ),
    Verb(
        "features export",
        "write the features of a region as lon, lat, X_0 ... X_K, for other tools",
        _export,
        (
            "features export demo --out features.csv",
            "features export ituri --config ituri.toml --grid 0.005 --out features.parquet",
        ),
        (*RUN, *IMAGERY, "model", "filters", "patches", "recipe", "device", "feature_type"),
        (
            option("--out", required=True, metavar="FILE", help=".parquet (GeoParquet) or .csv"),
            option(
                "--grid",
                type=float,
                default=0.01,
                metavar="DEGREES",
                help="0.01 (as the MOSAIKS API) or 0.005",
            ),
            STORED_ONLY,
        ),
    ),
)
