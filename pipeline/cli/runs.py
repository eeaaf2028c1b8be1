"""``status submit hash``: runs that work, runs to come, and what a run said."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.verb import IMAGERY, REGION, RUN, Verb, config_of, option


def _status(options: argparse.Namespace) -> None:
    from pipeline.cli.status import status_lines
    from pipeline.geo.regions import resolve_region
    from pipeline.runtime.console import console

    config = config_of(options)
    region = resolve_region(config.run.region, config.run.max_blocks)
    console.print("\n".join(status_lines(config, region)), markup=False)


def _submit(options: argparse.Namespace) -> None:
    from pipeline.cli.submit import submit_region
    from pipeline.geo.regions import resolve_region

    config = config_of(options)
    region = resolve_region(config.run.region, config.run.max_blocks)
    submit_region(config, region, options.job, options.dry_run)


def _hash(options: argparse.Namespace) -> None:
    from pipeline.map.files.content_hash import content_hashes, whole_hash
    from pipeline.runtime.console import console
    from pipeline.runtime.mirror import fetched_run

    remote = "://" in options.folder
    found = content_hashes(fetched_run(options.folder) if remote else Path(options.folder))
    lines = [f"{digest}  {name}" for name, digest in found.items()] if options.parts else []
    console.print("\n".join([*lines, whole_hash(found)]), markup=False)


VERBS = (
    Verb(
        "status",
        "show how far the last run of a region has come, and its pace",
        _status,
        ("status demo", "status ituri --workspace s3://mining/atlas"),
        REGION,
    ),
    Verb(
        "submit",
        "write a batch script for a region and submit it to Slurm",
        _submit,
        (
            "submit ituri --config cluster.toml --dry-run",
            "submit ituri --config cluster.toml --verb train --slurm-partition night",
        ),
        # The job's keys too: they go into its file.
        (*RUN, *IMAGERY, "labels.*", "features.*", "model.*", "map.*"),
        (
            option(
                "--verb",
                dest="job",
                choices=("predict", "train"),
                default="predict",
                help="what the job does",
            ),
            option("--dry-run", action="store_true", help="print the script only"),
        ),
        ("slurm.partition", "slurm.account", "slurm.cores", "slurm.memory", "slurm.jobs"),
    ),
    Verb(
        "hash",
        "print the hash of what a run's folder says, clocks and names of runs aside",
        _hash,
        (
            "hash data/processed/demo/latest",
            "hash s3://mining/atlas/processed/ituri/latest --parts",
        ),
        (),
        (
            option("folder", metavar="FOLDER", help="a run's folder, or its address in a bucket"),
            option("--parts", action="store_true", help="of every layer, table and file too"),
        ),
    ),
)
