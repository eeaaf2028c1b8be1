"""The command line: the verbs in the order of the flow, and exit codes. No logic lives here."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import Config, known_keys, load_config
from pipeline.errors import (
    FILE_ACCESS_EXIT_CODE,
    INTERRUPTED_EXIT_CODE,
    MODEL_FILE_EXIT_CODE,
    NOTHING_EXIT_CODE,
    AsmAtlasError,
)
from pipeline.options import shared_options
from pipeline.runtime.journal import journal
from pipeline.runtime.redact import redact

if TYPE_CHECKING:
    from pipeline.context import Context


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: the process's own.

    Returns
    -------
    int
        0 when all was done; otherwise the exit code of the named error, see ``pipeline.errors``.
    """
    from features.errors import BankError
    from models.errors import ModelError

    options = _parser().parse_args(arguments)
    try:
        result: int | None = options.run(options)
        if getattr(options, "detailed_exit_code", False) and not journal.worked:
            return NOTHING_EXIT_CODE
        return result or 0
    except AsmAtlasError as error:
        return _fail(type(error).__name__, str(error), error.exit_code)
    except (BankError, ModelError) as error:
        return _fail(type(error).__name__, str(error), MODEL_FILE_EXIT_CODE)
    except OSError as error:
        hint = f"{error}\n  next:  check the path, its permissions and the space left"
        return _fail("FileAccessError", hint, FILE_ACCESS_EXIT_CODE)
    except KeyboardInterrupt:
        return _fail("Interrupted", "finished blocks are kept", INTERRUPTED_EXIT_CODE)
    except Exception:
        # A defect: its traceback may hold addresses with what opens them.
        print(redact(traceback.format_exc()), file=sys.stderr)
        return 1


def _fail(name: str, text: str, code: int) -> int:
    print(f"{name}: {redact(text)}", file=sys.stderr)
    return code


def _config(options: argparse.Namespace) -> Config:
    given = {key: getattr(options, key) for key in known_keys()}
    if given["region"] is None:
        given["region"] = options.place
    return load_config(options.config, options=given)


def _regions(options: argparse.Namespace) -> None:
    from pipeline.regions import region_names, resolve_region
    from pipeline.runtime.console import console, say

    config = _config(options)
    if not config.region:
        console.print("\n".join(region_names()), markup=False)
        return
    region = resolve_region(config.region, config.max_blocks)
    west, south, east, north = region.geometry.bounds
    say("regions", f"{region.name}: {region.title}; {len(region.blocks)} blocks of 0.1 degree")
    say(
        "",
        f"bbox:{west:g},{south:g},{east:g},{north:g}" + (f"; {region.note}" if region.note else ""),
    )


def _stage(name: str) -> Callable[[argparse.Namespace], None]:
    def run(options: argparse.Namespace) -> None:
        from pipeline.run import map_region

        with _context(options) as context:
            # ``predict`` is the main job: it runs whatever is missing, up to the report.
            chain = name == "predict" and not options.only
            map_region(context, "report" if chain else name, only=not chain)

    return run


def _publish(options: argparse.Namespace) -> None:
    from pipeline.map.sheets import check_qgis
    from pipeline.run import map_region

    if options.pdf:
        check_qgis()
    with _context(options) as context:
        map_region(context, "publish", only=True, sheets=options.pdf)


def _features(options: argparse.Namespace) -> None:
    from pipeline.run import export_region

    with _context(options) as context:
        export_region(context, Path(options.out), options.grid, options.only)


def _dataset(options: argparse.Namespace) -> None:
    from pipeline.run import dataset_region

    with _context(options) as context:
        dataset_region(context, only=True)


def _train(options: argparse.Namespace) -> None:
    from pipeline.run import train_region
    from pipeline.train_chips import train_chips

    if options.chips:
        train_chips(
            Path(options.chips),
            options.name,
            _config(options),
            leave_out=options.leave_out,
            without=options.without,
            weights=dict(options.weight),
            data=options.data,
            licence=options.licence,
            kind=options.kind or "",
        )
        return
    with _context(options) as context:
        train_region(context, only=options.only)


def _tune(options: argparse.Namespace) -> None:
    from pipeline.tune import tune_chips

    tune_chips(
        Path(options.chips),
        Path(options.out),
        _config(options),
        without=options.without,
        weights=dict(options.weight),
        easy=options.easy,
    )


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError("a number of sheets, 1 to 1000")
    return int(text)


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def _demo(options: argparse.Namespace) -> None:
    from pipeline.demo import make_demo
    from pipeline.runtime.console import say

    config = _config(options)
    folder = config.raw / "demo" / f"seed-{config.seed}"
    make_demo(folder, config.seed)
    say("demo", f"the simulated landscape of seed {config.seed}: {folder}")


def _catalogue(options: argparse.Namespace) -> None:
    from pipeline.catalogue import catalogue_chips, catalogue_rasters

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
    from pipeline.choose import load_named
    from pipeline.imagery.chips import read_chips
    from pipeline.score import chip_imagery, score_chips, write_scores

    config = _config(options)
    model = load_named(config.workspace, config.model)
    imagery = chip_imagery(options.bands, options.level, options.clip, options.steps)
    chips = read_chips(Path(options.chips), imagery)
    found = score_chips(chips, model, config.prevalence or None)
    write_scores(found, Path(options.out))


def _evaluate(options: argparse.Namespace) -> None:
    from pipeline.evaluate import evaluate_region

    with _context(options) as context:
        evaluate_region(context, options.truth, options.out)


def _plan(options: argparse.Namespace) -> None:
    from pipeline.plan import Prices, plan_region

    # No pixel is read: a region that is too large to map at once can be planned.
    with _beside(options, largest=10_000_000) as context:
        prices = Prices(options.core_hour, options.gb_read, options.gb_month)
        plan_region(context, prices)


def _explain(options: argparse.Namespace) -> None:
    from pipeline.explain import explain_cell

    with _beside(options) as context:
        explain_cell(context, options.cell, Path(options.out) if options.out else None)


def _monitor(options: argparse.Namespace) -> None:
    from pipeline.monitor import monitor_region

    with _context(options) as context:
        monitor_region(context, options.first, options.last, options.every, options.rerun)


def _sample(options: argparse.Namespace) -> None:
    from pipeline.sample import sample_region

    with _context(options) as context:
        out = Path(options.out) if options.out else None
        sample_region(context, out, options.size, options.draw, options.cannot_tell)


def _area(options: argparse.Namespace) -> None:
    from pipeline.area import area_region

    config = _config(options)
    area_region(
        config,
        Path(options.sample),
        Path(options.regions) if options.regions else None,
        Path(options.out) if options.out else None,
    )


def _join(options: argparse.Namespace) -> None:
    if not options.detections:
        _stage("join")(options)
        return
    from pipeline.sites.join_files import join_files

    join_files(options.detections, _config(options), options.tolerance_km, options.out)


def _layers(options: argparse.Namespace) -> None:
    from pipeline.sites.layers.templates import list_layers, write_templates

    if options.templates:
        write_templates(Path(options.templates), _config(options))
    else:
        list_layers(_config(options))


def _models(options: argparse.Namespace) -> None:
    from pipeline.models import list_models
    from pipeline.runtime.console import console

    console.print("\n".join(list_models(_config(options).workspace)), markup=False)


def _status(options: argparse.Namespace) -> None:
    from pipeline.regions import resolve_region
    from pipeline.runtime.console import console
    from pipeline.status import status_lines

    config = _config(options)
    region = resolve_region(config.region, config.max_blocks)
    console.print("\n".join(status_lines(config, region)), markup=False)


def _submit(options: argparse.Namespace) -> None:
    from pipeline.regions import resolve_region
    from pipeline.submit import submit_region

    config = _config(options)
    region = resolve_region(config.region, config.max_blocks)
    submit_region(config, region, options.verb, options.dry_run)


def _hash(options: argparse.Namespace) -> None:
    from pipeline.content import content_hashes, whole_hash
    from pipeline.runtime.console import console

    found = content_hashes(Path(options.folder))
    lines = [f"{digest}  {name}" for name, digest in found.items()] if options.parts else []
    console.print("\n".join([*lines, whole_hash(found)]), markup=False)


def _context(options: argparse.Namespace) -> AbstractContextManager[Context]:
    from pipeline.session import session

    return session(_config(options), options.verb_name, getattr(options, "retry_failed", False))


def _beside(options: argparse.Namespace, largest: int = 0) -> AbstractContextManager[Context]:
    from pipeline.session import beside

    return beside(_config(options), largest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asm-atlas", description="Map artisanal mining from Sentinel imagery."
    )
    parser.add_argument("--version", action="version", version=f"asm-atlas {version('asm-atlas')}")
    verbs = parser.add_subparsers(title="verbs, in the order of the flow", required=True)
    shared, placeless = shared_options(place=True), shared_options(place=False)

    def verb(
        name: str, text: str, run: Callable[[argparse.Namespace], int | None], place: bool = True
    ) -> argparse.ArgumentParser:
        options = shared if place else placeless
        added = verbs.add_parser(name, help=text, description=text, parents=[options])
        added.set_defaults(run=run, place=None, verb_name=name)
        return added

    verb("regions", "show a region, or list the names", _regions)
    text = "say what a run will need: blocks, scenes, gigabytes, core-hours, room, cost"
    plan = verb("plan", text, _plan)
    plan.add_argument("--core-hour", type=float, default=0.0, help="price of an hour of a core")
    plan.add_argument("--gb-read", type=float, default=0.0, help="price of reading a gigabyte")
    plan.add_argument("--gb-month", type=float, default=0.0, help="price of keeping one a month")
    for name, text in (
        ("scenes", "find the scenes of a region and season"),
        ("composite", "blend them into cloud-free blocks"),
        ("featurize", "compute the features of every cell"),
    ):
        stage = verb(name, text, _stage(name))
        if name == "composite":
            _retry_option(stage)
    table = verbs.add_parser("features", help="hand features on to other tools")
    actions = table.add_subparsers(title="actions", required=True)
    text = "write the features of a region as lon, lat, X_0 ... X_K"
    export = actions.add_parser("export", help=text, description=text, parents=[shared])
    export.set_defaults(run=_features, place=None, verb_name="features export")
    export.add_argument("--out", required=True, help="features.parquet (GeoParquet) or .csv")
    export.add_argument(
        "--grid", type=float, default=0.01, help="degrees: 0.01 (as the MOSAIKS API) or 0.005"
    )
    export.add_argument("--only", action="store_true", help="from what is stored")
    verb("dataset", "join features with visits to a training table", _dataset)
    train = verb("train", "train and register models on visits, or on an archive of chips", _train)
    train.add_argument("--only", action="store_true", help="from what is stored")
    train.add_argument("--chips", help="folder with chips.npz and chips.csv")
    train.add_argument("--name", default="chips", help="name of the models trained on chips")
    train.add_argument(
        "--kind",
        choices=("ridge", "forest", "mean"),
        help="of chips: one model, called NAME",
    )
    train.add_argument(
        "--leave-out", action="append", default=[], help="a square (column cell) not to be seen"
    )
    _subset_options(train)
    train.add_argument("--data", default="", help="what the chips are, for the card")
    train.add_argument("--licence", default="", help="licence and credit of the chips")
    predict = verb(
        "predict", "map a region: whatever is missing, up to the report", _stage("predict")
    )
    predict.add_argument(
        "--only", action="store_true", help="apply the model to stored features only"
    )
    _retry_option(predict)
    predict.add_argument(
        "--detailed-exit-code",
        action="store_true",
        help=f"end with {NOTHING_EXIT_CODE} where nothing was left to do",
    )
    join = verb("join", "join predictions, or any detections, with known sites", _join)
    join.add_argument(
        "--detections", help="points or polygons (GeoJSON, GeoPackage, shapefile, CSV)"
    )
    join.add_argument("--tolerance-km", type=float, default=1.0, help="how near is matched")
    join.add_argument("--out", help="folder for what is matched and unmatched")
    publish = verb("publish", "write the styled map", _publish)
    publish.add_argument(
        "--pdf",
        type=_count,
        nargs="?",
        const=50,
        default=0,
        metavar="N",
        help="print field sheets of the first N candidates (50) with QGIS",
    )
    verb("report", "write the page that explains it", _stage("report"))
    text = "rebuild one cell from its scenes, and show its images (pictures: restricted)"
    explain = verb("explain", text, _explain)
    explain.add_argument("--cell", required=True, help="its number, or longitude,latitude")
    explain.add_argument("--out", help="folder to write; default: with the region's maps")
    evaluate = verb("evaluate", "compare a map with what is known to be true", _evaluate)
    evaluate.add_argument(
        "--truth", help="label raster, polygons or points; default: the demo's truth"
    )
    evaluate.add_argument("--out", help="file for the figures, JSON")
    monitor = verb("monitor", "compare two seasons, and keep a series of them", _monitor)
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
    sample = verb("sample", "draw a random sample of cells to label (restricted)", _sample)
    sample.add_argument("--size", type=int, default=300, help="cells to label")
    sample.add_argument("--out", help="GeoPackage to label, new; default: in the region's folder")
    sample.add_argument("--draw", type=int, default=1, help="another number, another sample")
    sample.add_argument(
        "--cannot-tell", action="store_true", help="sample cells that the imagery cannot show too"
    )
    area = verb("area", "estimate areas with intervals from a labelled sample", _area, place=False)
    area.add_argument("sample", help="the labelled GeoPackage")
    area.add_argument("--regions", help="polygons (column name) to estimate one by one")
    area.add_argument("--out", help="file for the figures, JSON; a CSV goes beside it")
    text = "list the context layers and check their files, or write empty forms for them"
    layers = verb("context", text, _layers, place=False)
    layers.add_argument("--templates", metavar="FOLDER", help="folder for the empty forms")
    verb("models", "compare the registered models", _models, place=False)
    text = "search for the best setting of bank and model on chips, whole regions held out"
    tune = verb("tune", text, _tune, place=False)
    tune.add_argument("--chips", required=True, help="folder with chips.npz and chips.csv")
    tune.add_argument("--out", required=True, help="the table, CSV")
    tune.add_argument(
        "--easy", action="append", default=[], help="a subset whose negatives do not judge"
    )
    _subset_options(tune)
    score = verb("score", "score chips with a model", _score, place=False)
    score.add_argument("--chips", required=True, help="chips.npz")
    score.add_argument("--out", required=True, help="a row for each chip, CSV")
    _imagery_options(score)
    catalogue = verb(
        "catalogue", "turn imagery at hand into a static catalogue", _catalogue, place=False
    )
    catalogue.add_argument("files", nargs="*", help="GeoTIFFs, one scene each")
    catalogue.add_argument("--chips", help="folder with an archive of chips: the located ones")
    catalogue.add_argument("--out", required=True, help="folder of the catalogue, new")
    catalogue.add_argument("--dates", help="YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD for a composite")
    catalogue.add_argument("--scale", type=float, help="reflectance of one step")
    catalogue.add_argument("--offset", type=float, default=0.0, help="reflectance of step 0")
    _imagery_options(catalogue)
    verb("demo", "write the simulated landscape", _demo, place=False)
    verb("status", "show how far the last run of a region has come, and its pace", _status)
    submit = verb("submit", "write a batch script for a region and submit it to Slurm", _submit)
    submit.add_argument("--verb", choices=("predict", "train"), default="predict")
    submit.add_argument("--dry-run", action="store_true", help="print the script only")
    text = "print the hash of what a run's folder says, clocks and names of runs aside"
    digest = verbs.add_parser("hash", help=text, description=text)
    digest.set_defaults(run=_hash)
    digest.add_argument("folder", help="a run's folder, such as data/processed/demo/latest")
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


if __name__ == "__main__":
    sys.exit(main())
