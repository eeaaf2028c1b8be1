"""Hand a region to Slurm: a batch script, and the configuration that it was asked for with."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from pipeline.config import Config, known_keys
from pipeline.geo.regions import Region
from pipeline.runtime.atomic import local_file
from pipeline.runtime.cluster_settings import bytes_of
from pipeline.runtime.console import console, say
from pipeline.runtime.slurm import ask_slurm

# Of the configuration, what names a file or a folder: a job may start elsewhere. These always do:
_FOLDERS = ("workspace", "mirror", "tls.ca", "tls.cert", "tls.key")
# and these do where there is one of that name.
_PATHS = (
    "labels", "layers", "removals", "searched", "inspections", "use_sample", "log",
    "labels_mapping", "source", "region", "model",
)  # fmt: skip


def submit_region(config: Config, region: Region, verb: str, dry_run: bool) -> str:
    """Write a batch script for a region and submit it.

    With ``cluster = local`` the job does all the work on the cores of one node; with ``cluster =
    slurm`` it is small and submits the jobs of the workers.

    Parameters
    ----------
    config : Config
        What the job is to do, and the table ``[slurm]``: how jobs are asked for.
    region : Region
        Of the configuration, checked.
    verb : str
        The verb that the job runs.
    dry_run : bool
        Whether to print the script only.

    Returns
    -------
    str
        The job's number; empty after a dry run.

    Raises
    ------
    DependencyError
        If there is no ``sbatch``.
    ClusterError
        If Slurm refuses the job.
    """
    folder = (config.workspace.interim / "submit").resolve()
    settings = folder / f"{region.name}.toml"
    script = batch_script(config, region, verb, settings)
    if dry_run:
        console.print(script, markup=False, end="")
        return ""
    with local_file(settings) as beside:
        beside.touch(mode=0o600)  # an address in it may hold somebody's key
        beside.write_text(settings_text(config), encoding="utf-8")
    path = folder / f"{region.name}.sh"
    with local_file(path) as beside:
        beside.write_text(script, encoding="utf-8")
    (folder / "logs").mkdir(exist_ok=True)
    told = ask_slurm("sbatch", "--parsable", "--chdir", str(Path.cwd()), str(path))
    job = told.strip().partition(";")[0]
    say("submit", f"job {job} maps {region.name}; {path}, logs in {folder / 'logs'}")
    return job


def batch_script(config: Config, region: Region, verb: str, settings: Path) -> str:
    """Return the script of the job.

    Parameters
    ----------
    config : Config
        With the table ``[slurm]``.
    region : Region
        What it is about.
    verb : str
        What it does.
    settings : pathlib.Path
        The file that will hold the configuration.

    Returns
    -------
    str
        For bash and sbatch.
    """
    slurm, alone = config.slurm, config.cluster.kind != "slurm"
    cores = slurm.cores if alone else 1
    memory = bytes_of(slurm.memory if alone else slurm.driver_memory) >> 20
    options = {
        "job-name": f"asm-atlas-{region.name}",
        "partition": slurm.partition,
        "account": slurm.account,
        "time": slurm.driver_walltime,
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(cores),
        "mem": f"{memory}M",
        "output": str(settings.parent / "logs" / f"{region.name}-%j.log"),
        # Two minutes before the end: workers are ended, the journal gets its last line.
        "signal": "B:TERM@120",
        # A job that ran into a failed node is queued again, and goes on where it was.
        "requeue": None,
        "open-mode": "append",
    }
    lines = [
        f"#SBATCH --{name}" + ("" if value is None else f"={value}")
        for name, value in options.items()
        if value != ""
    ]
    lines += [f"#SBATCH {word}" for word in slurm.directives.split()]
    command = [sys.executable, "-m", "pipeline.cli", verb, "--config", str(settings)]
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "export PYTHONUNBUFFERED=1",
            f"export PYTHONPATH={shlex.quote(os.pathsep.join(_found_by()))}" if _found_by() else "",
            # The job's own process, so that it gets the signal.
            f"exec {shlex.join(command)}",
            "",
        ]
    )


def settings_text(config: Config) -> str:
    """Return a configuration as TOML, with what differs from the defaults; paths absolute."""
    lines, group = [], ""
    for name, key in known_keys().items():
        value = config.value(key)
        always = name in _FOLDERS and value and "://" not in value
        if always or (name in _PATHS and _is_place(value)):
            value = str(Path(value).resolve())
        if value != key.default:
            lines += [] if key.group == group else ["", f"[{key.group}]"]
            lines.append(f"{key.field} = {_toml(value)}")
            group = key.group
    return "\n".join([*lines, ""])


def _is_place(value: str) -> bool:
    return bool(value) and "://" not in value and Path(value).exists()


def _toml(value: Any) -> str:
    # A JSON string is a TOML string once the one control character that JSON leaves is escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _found_by() -> list[str]:
    """Return what of PYTHONPATH this process was started with: a job has the same modules."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
