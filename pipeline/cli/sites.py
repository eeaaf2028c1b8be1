"""``join`` and ``context``: known sites, and the layers around them."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.stages import only_stage
from pipeline.cli.verb import KNOWN_SITES, PREDICTED, RUN, SERVICES, Verb, config_of, option


def _join(options: argparse.Namespace) -> None:
    if not options.detections:
        return only_stage("join")(options)
    from pipeline.sites.detections import join_files

    return join_files(options.detections, config_of(options), options.tolerance_km, options.out)


def _layers(options: argparse.Namespace) -> None:
    from pipeline.sites.layers.templates import list_layers, write_templates

    if options.templates:
        write_templates(Path(options.templates), config_of(options))
    else:
        list_layers(config_of(options))


VERBS = (
    Verb(
        "join",
        "join predictions, or any detections, with known sites",
        _join,
        (
            "join ituri --config ituri.toml --labels visits.csv",
            "join --detections detections.geojson --labels visits.csv --out joined",
        ),
        (*RUN, *PREDICTED, *KNOWN_SITES, "map_lang", "random_places", "disclosure"),
        (
            option(
                "--detections",
                metavar="FILE",
                help="points or polygons (GeoJSON, GeoPackage, shapefile, CSV)",
            ),
            option(
                "--tolerance-km", type=float, default=1.0, metavar="KM", help="how near is matched"
            ),
            option("--out", metavar="FOLDER", help="for what is matched and unmatched"),
        ),
    ),
    Verb(
        "context",
        "list the context layers and check their files, or write empty forms for them",
        _layers,
        ("context", "context --templates data/layers"),
        ("layers", "workspace.*", *SERVICES),
        (option("--templates", metavar="FOLDER", help="for the empty forms"),),
        ("layers",),
    ),
)
