"""The verbs of the command line, in the order of the flow, and their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib.metadata import version

from models.classifiers import CLASSIFIERS
from pipeline.cli.options import shared_options
from pipeline.errors import NOTHING_EXIT_CODE

Verb = Callable[[argparse.Namespace], int | None]


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError("a number of sheets, 1 to 1000")
    return int(text)


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def make_parser(run: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Parameters
    ----------
    run : mapping of str to callable
        What each verb calls with its options.

    Returns
    -------
    argparse.ArgumentParser
        Sets ``run`` to what is to be called.
    """
    parser = argparse.ArgumentParser(
        prog="asm-atlas", description="Map artisanal mining from Sentinel imagery."
    )
    parser.add_argument("--version", action="version", version=f"asm-atlas {version('asm-atlas')}")
    verbs = parser.add_subparsers(title="verbs, in the order of the flow", required=True)
    shared, placeless = shared_options(place=True), shared_options(place=False)

    def verb(name: str, text: str, called: Verb, place: bool = True) -> argparse.ArgumentParser:
        options = shared if place else placeless
        added = verbs.add_parser(name, help=text, description=text, parents=[options])
        added.set_defaults(run=called, place=None, verb_name=name)
        return added

    verb("regions", "show a region, or list the names", run["regions"])
    text = "say what a run will need: blocks, scenes, gigabytes, core-hours, room, cost"
    plan = verb("plan", text, run["plan"])
    plan.add_argument("--core-hour", type=float, default=0.0, help="price of an hour of a core")
    plan.add_argument("--gb-read", type=float, default=0.0, help="price of reading a gigabyte")
    plan.add_argument("--gb-month", type=float, default=0.0, help="price of keeping one a month")
    for name, text in (
        ("scenes", "find the scenes of a region and season"),
        ("composite", "blend them into cloud-free blocks"),
        ("featurize", "compute the features of every cell"),
    ):
        stage = verb(name, text, run[name])
        if name == "composite":
            _retry_option(stage)
    table = verbs.add_parser("features", help="hand features on to other tools")
    actions = table.add_subparsers(title="actions", required=True)
    text = "write the features of a region as lon, lat, X_0 ... X_K"
    export = actions.add_parser("export", help=text, description=text, parents=[shared])
    export.set_defaults(run=run["features"], place=None, verb_name="features export")
    export.add_argument("--out", required=True, help="features.parquet (GeoParquet) or .csv")
    export.add_argument(
        "--grid", type=float, default=0.01, help="degrees: 0.01 (as the MOSAIKS API) or 0.005"
    )
    export.add_argument("--only", action="store_true", help="from what is stored")
    verb("dataset", "join features with visits to a training table", run["dataset"])
    train = verb(
        "train", "train and register models on visits, or on an archive of chips", run["train"]
    )
    train.add_argument("--only", action="store_true", help="from what is stored")
    train.add_argument("--chips", help="folder with chips.npz and chips.csv")
    train.add_argument("--name", default="chips", help="name of the models trained on chips")
    train.add_argument(
        "--kind",
        choices=tuple(CLASSIFIERS),
        help="of chips: one model, called NAME",
    )
    train.add_argument(
        "--leave-out", action="append", default=[], help="a square (column cell) not to be seen"
    )
    _subset_options(train)
    train.add_argument("--data", default="", help="what the chips are, for the card")
    train.add_argument("--licence", default="", help="licence and credit of the chips")
    predict = verb("predict", "map a region: whatever is missing, up to the report", run["predict"])
    predict.add_argument(
        "--only", action="store_true", help="apply the model to stored features only"
    )
    _retry_option(predict)
    predict.add_argument(
        "--detailed-exit-code",
        action="store_true",
        help=f"end with {NOTHING_EXIT_CODE} where nothing was left to do",
    )
    join = verb("join", "join predictions, or any detections, with known sites", run["join"])
    join.add_argument(
        "--detections", help="points or polygons (GeoJSON, GeoPackage, shapefile, CSV)"
    )
    join.add_argument("--tolerance-km", type=float, default=1.0, help="how near is matched")
    join.add_argument("--out", help="folder for what is matched and unmatched")
    publish = verb("publish", "write the styled map", run["publish"])
    publish.add_argument(
        "--pdf",
        type=_count,
        nargs="?",
        const=50,
        default=0,
        metavar="N",
        help="print field sheets of the first N candidates (50) with QGIS",
    )
    verb("report", "write the page that explains it", run["report"])
    text = "rebuild one cell from its scenes, and show its images (pictures: restricted)"
    explain = verb("explain", text, run["explain"])
    explain.add_argument(
        "--cell", required=True, help="longitude,latitude, or its number on the edition's map"
    )
    explain.add_argument("--out", help="folder to write; default: with the region's maps")
    evaluate = verb("evaluate", "compare a map with what is known to be true", run["evaluate"])
    evaluate.add_argument(
        "--truth", help="label raster, polygons or points; default: the demo's truth"
    )
    evaluate.add_argument("--out", help="file for the figures, JSON")
    monitor = verb("monitor", "compare two seasons, and keep a series of them", run["monitor"])
    for flag, name, text in (
        ("--from", "first", "the first season, YYYY-MM..YYYY-MM"),
        ("--to", "last", "the last season"),
    ):
        monitor.add_argument(flag, dest=name, required=True, help=text)
    monitor.add_argument(
        "--every",
        choices=("year", "quarter"),
        default="",
        help="keep the first season moved on by so much too, up to the last",
    )
    monitor.add_argument(
        "--rerun", action="store_true", help="make every season kept anew with this model"
    )
    sample = verb("sample", "draw a random sample of cells to label (restricted)", run["sample"])
    sample.add_argument("--size", type=int, default=300, help="cells to label")
    sample.add_argument("--out", help="GeoPackage to label, new; default: in the region's folder")
    sample.add_argument("--draw", type=int, default=1, help="another number, another sample")
    sample.add_argument(
        "--cannot-tell", action="store_true", help="sample cells that the imagery cannot show too"
    )
    area = verb(
        "area", "estimate areas with intervals from a labelled sample", run["area"], place=False
    )
    area.add_argument("sample", help="the labelled GeoPackage")
    area.add_argument("--regions", help="polygons (column name) to estimate one by one")
    area.add_argument("--out", help="file for the figures, JSON; a CSV goes beside it")
    text = "list the context layers and check their files, or write empty forms for them"
    layers = verb("context", text, run["layers"], place=False)
    layers.add_argument("--templates", metavar="FOLDER", help="folder for the empty forms")
    verb("models", "compare the registered models", run["models"], place=False)
    text = "search for the best setting of bank and model on chips, whole regions held out"
    tune = verb("tune", text, run["tune"], place=False)
    tune.add_argument("--chips", required=True, help="folder with chips.npz and chips.csv")
    tune.add_argument("--out", required=True, help="the table, CSV")
    tune.add_argument(
        "--easy", action="append", default=[], help="a subset whose negatives do not judge"
    )
    _subset_options(tune)
    score = verb("score", "score chips with a model", run["score"], place=False)
    score.add_argument("--chips", required=True, help="chips.npz")
    score.add_argument("--out", required=True, help="a row for each chip, CSV")
    _imagery_options(score)
    catalogue = verb(
        "catalogue", "turn imagery at hand into a static catalogue", run["catalogue"], place=False
    )
    catalogue.add_argument("files", nargs="*", help="GeoTIFFs, one scene each")
    catalogue.add_argument("--chips", help="folder with an archive of chips: the located ones")
    catalogue.add_argument("--out", required=True, help="folder of the catalogue, new")
    catalogue.add_argument("--dates", help="YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD for a composite")
    catalogue.add_argument("--scale", type=float, help="reflectance of one step")
    catalogue.add_argument("--offset", type=float, default=0.0, help="reflectance of step 0")
    _imagery_options(catalogue)
    verb("demo", "write the simulated landscape", run["demo"], place=False)
    verb("status", "show how far the last run of a region has come, and its pace", run["status"])
    submit = verb(
        "submit", "write a batch script for a region and submit it to Slurm", run["submit"]
    )
    submit.add_argument("--verb", choices=("predict", "train"), default="predict")
    submit.add_argument("--dry-run", action="store_true", help="print the script only")
    text = "print the hash of what a run's folder says, clocks and names of runs aside"
    digest = verbs.add_parser("hash", help=text, description=text)
    digest.set_defaults(run=run["hash"])
    digest.add_argument(
        "folder", help="a run's folder, such as data/processed/demo/latest, or s3://..."
    )
    digest.add_argument("--parts", action="store_true", help="of every layer, table and file too")
    return parser


def _retry_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="work on those blocks alone that failed, or lack scenes, in an earlier run",
    )


def _subset_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--without", action="append", default=[], help="a subset not to train on")
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        type=_weight,
        help="SUBSET=3: its rows count 3-fold",
    )


def _imagery_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--level", help="L1C or L2A")
    parser.add_argument("--clip", type=float, help="reflectance at which pixels saturate")
    parser.add_argument("--steps", type=int, help="steps between 0 and there; 255 for 8 bits")
