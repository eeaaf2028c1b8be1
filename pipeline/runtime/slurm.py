"""Slurm's own commands, and what it means when one of them fails."""

from __future__ import annotations

import subprocess

from pipeline.errors import ClusterError, DependencyError

_ANSWER_WITHIN_S = 120


def ask_slurm(*command: str) -> str:
    """Run a command of Slurm.

    Parameters
    ----------
    *command : str
        Such as ``squeue`` and its options.

    Returns
    -------
    str
        What it prints.

    Raises
    ------
    DependencyError
        If it is not installed here.
    ClusterError
        If Slurm does not answer, or refuses.
    """
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=_ANSWER_WITHIN_S, check=False
        )
    except FileNotFoundError:
        raise DependencyError(
            f"there is no {command[0]} here",
            next_step="run it where Slurm's commands are, such as a login node; or CLUSTER=local",
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError("Slurm does not answer", where=command[0]) from None
    if told.returncode:
        raise ClusterError(f"Slurm refuses: {told.stderr.strip()}", where=" ".join(command))
    return told.stdout
