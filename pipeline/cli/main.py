"""The command line: what each verb calls, and exit codes. No logic lives here."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.parser import make_parser
from pipeline.config import Config, known_keys, load_config
from pipeline.errors import (
    FILE_ACCESS_EXIT_CODE,
    INTERRUPTED_EXIT_CODE,
    MODEL_FILE_EXIT_CODE,
    NOTHING_EXIT_CODE,
    AsmAtlasError,
)
from pipeline.redaction import redact
from pipeline.runtime.journal import journal

if TYPE_CHECKING:
    from pipeline.workflow.context import Context


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

    options = parser().parse_args(arguments)
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
    config = load_config(options.config, options=given)
    config.workspace.open()
    return config


def _regions(options: argparse.Namespace) -> None:
    from pipeline.geo.regions import region_names, resolve_region
    from pipeline.runtime.console import console, say

    config = _config(options)
    if not config.run.region:
        console.print("\n".join(region_names()), markup=False)
        return
    region = resolve_region(config.run.region, config.run.max_blocks)
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
    from pipeline.map.files.sheets import check_qgis
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
    from pipeline.train import dataset_region

    with _context(options) as context:
        dataset_region(context, only=True)


def _train(options: argparse.Namespace) -> None:
    from pipeline.train import train_region
    from pipeline.training.train_chips import train_chips

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
    from pipeline.training.tuning import tune_chips

    tune_chips(
        Path(options.chips),
        Path(options.out),
        _config(options),
        without=options.without,
        weights=dict(options.weight),
        easy=options.easy,
    )


def _demo(options: argparse.Namespace) -> None:
    from pipeline.demo import make_demo
    from pipeline.runtime.console import say

    config = _config(options)
    folder = config.workspace.raw / "demo" / f"seed-{config.run.seed}"
    make_demo(folder, config.run.seed)
    say("demo", f"the simulated landscape of seed {config.run.seed}: {folder}")


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

    config = _config(options)
    model = load_named(config.workspace.home, config.model.name)
    imagery = chip_imagery(options.bands, options.level, options.clip, options.steps)
    chips = read_chips(Path(options.chips), imagery)
    found = score_chips(chips, model, config.model.prevalence or None)
    write_scores(found, Path(options.out))


def _evaluate(options: argparse.Namespace) -> None:
    from pipeline.evaluation.evaluate import evaluate_region

    with _context(options) as context:
        evaluate_region(context, options.truth, options.out)


def _plan(options: argparse.Namespace) -> None:
    from pipeline.plan import Prices, plan_region

    # No pixel is read: a region that is too large to map at once can be planned.
    with _beside(options, largest=10_000_000) as context:
        prices = Prices(options.core_hour, options.gb_read, options.gb_month)
        plan_region(context, prices)


def _explain(options: argparse.Namespace) -> None:
    from pipeline.evaluation.explain import explain_cell

    with _beside(options) as context:
        explain_cell(context, options.cell, Path(options.out) if options.out else None)


def _monitor(options: argparse.Namespace) -> None:
    from pipeline.monitor import monitor_region

    with _context(options) as context:
        monitor_region(context, options.first, options.last, options.every, options.rerun)


def _sample(options: argparse.Namespace) -> None:
    from pipeline.evaluation.sample import sample_region

    with _context(options) as context:
        out = Path(options.out) if options.out else None
        sample_region(context, out, options.size, options.draw, options.cannot_tell)


def _area(options: argparse.Namespace) -> None:
    from pipeline.evaluation.area import area_region

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
    from pipeline.runtime.console import console
    from pipeline.training.model_table import list_models

    console.print("\n".join(list_models(_config(options).workspace.home)), markup=False)


def _status(options: argparse.Namespace) -> None:
    from pipeline.cli.status import status_lines
    from pipeline.geo.regions import resolve_region
    from pipeline.runtime.console import console

    config = _config(options)
    region = resolve_region(config.run.region, config.run.max_blocks)
    console.print("\n".join(status_lines(config, region)), markup=False)


def _submit(options: argparse.Namespace) -> None:
    from pipeline.cli.submit import submit_region
    from pipeline.geo.regions import resolve_region

    config = _config(options)
    region = resolve_region(config.run.region, config.run.max_blocks)
    submit_region(config, region, options.verb, options.dry_run)


def _hash(options: argparse.Namespace) -> None:
    from pipeline.map.files.content_hash import content_hashes, whole_hash
    from pipeline.runtime.console import console
    from pipeline.runtime.mirror import fetched_run

    remote = "://" in options.folder
    found = content_hashes(fetched_run(options.folder) if remote else Path(options.folder))
    lines = [f"{digest}  {name}" for name, digest in found.items()] if options.parts else []
    console.print("\n".join([*lines, whole_hash(found)]), markup=False)


def _context(options: argparse.Namespace) -> AbstractContextManager[Context]:
    from pipeline.workflow.session import session

    return session(_config(options), options.verb_name, getattr(options, "retry_failed", False))


def _beside(options: argparse.Namespace, largest: int = 0) -> AbstractContextManager[Context]:
    from pipeline.workflow.session import beside

    return beside(_config(options), largest)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with what each verb calls."""
    return make_parser(
        {name: _stage(name) for name in ("scenes", "composite", "featurize", "predict", "report")}
        | {
            "regions": _regions,
            "plan": _plan,
            "features": _features,
            "dataset": _dataset,
            "train": _train,
            "join": _join,
            "publish": _publish,
            "explain": _explain,
            "evaluate": _evaluate,
            "monitor": _monitor,
            "sample": _sample,
            "area": _area,
            "layers": _layers,
            "models": _models,
            "tune": _tune,
            "score": _score,
            "catalogue": _catalogue,
            "demo": _demo,
            "status": _status,
            "submit": _submit,
            "hash": _hash,
        }
    )
