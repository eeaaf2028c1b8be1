"""What a verb of the command line is, and the configuration and workers that it asks for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.runtime.settings import Key
    from pipeline.workflow.context import Context

Option = tuple[tuple[str, ...], dict[str, Any]]

# Keys by what reads them; ``group.*`` is every key of a group.
REGION = ("region", "max_blocks", "workspace.*")
WORKERS = ("cluster.*", "slurm.*", "tls.*")
# A command that is alone on its region and keeps a journal.
RUN = (*REGION, *WORKERS, "log")
SCENES = ("season", "seed", "source", "collection", "bands", "max_cloud")
# To read from services: tables, layers.
SERVICES = ("read_seconds", "read_timeout")
SEARCH = (*SCENES, *SERVICES, "hosts", "read_tries", "backoff")
# To find what composite stored, and what featurize and predict made of it.
STORED = (*SCENES, "blend", "scl_unclear", "cloud_dilation", "failed_scenes")
PREDICTED = (*STORED, "model.*", "device", "feature_type")
# To read imagery and make everything.
IMAGERY = ("season", "seed", "imagery.*", "reading.*")
# Groups of keys that say where and how a run works.
_MACHINES = ("cluster", "slurm", "tls")
KNOWN_SITES = ("labels", "labels_mapping", "layers", *SERVICES)


@dataclass(frozen=True)
class Verb:
    """One verb.

    Parameters
    ----------
    name : str
        One word, or two: ``features export``.
    text : str
        What it does, in a line.
    run : callable
        What it calls; returns nothing, or an exit code.
    examples : tuple of str
        Two commands, without the program's name.
    keys : tuple of str, optional
        The keys of the configuration that it uses, ``group.*`` for all of a group.
    options : tuple, optional
        Options of its own, as :func:`option` returns them.
    shown : tuple of str, optional
        Those of its keys that its help shows, besides those that many verbs use.
    """

    name: str
    text: str
    run: Callable[[argparse.Namespace], int | None]
    examples: tuple[str, str]
    keys: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    shown: tuple[str, ...] = ()

    def uses(self) -> list[Key]:
        """Return the keys that it uses, group by group."""
        from pipeline.config import known_keys

        return [key for key in known_keys().values() if {key.name, f"{key.group}.*"} & {*self.keys}]

    def tolerates(self) -> list[Key]:
        """Return the keys that it takes without using them: all that belong to a map.

        One set of options may then serve all commands of one map; where and how a run works is
        asked of those verbs only that work so.
        """
        from pipeline.config import known_keys

        used = self.uses()
        rest = [key for key in known_keys().values() if key not in used] if used else []
        own = {name for names, _ in self.options for name in names}
        return [key for key in rest if key.group not in _MACHINES and flag(key) not in own]

    def shows(self, key: Key) -> bool:
        """Return whether ``--help`` shows a key, and not ``--help-all`` alone."""
        return key.common or key.name in self.shown


def flag(key: Key) -> str:
    """Return the option of a key."""
    return "--" + re.sub("[_.]", "-", key.name)


def option(*names: str, **about: Any) -> Option:
    """Declare an option of one verb.

    Parameters
    ----------
    *names : str
        As :meth:`argparse.ArgumentParser.add_argument` takes them.
    **about : object
        The same.

    Returns
    -------
    tuple
        Both.
    """
    return names, about


RETRY_FAILED = option(
    "--retry-failed",
    action="store_true",
    help="work on those blocks alone that failed, or lack scenes, in an earlier run",
)
STORED_ONLY = option("--only", action="store_true", help="from what is stored")


def optional_path(text: str | None) -> Path | None:
    """Return the path that an option names, if any."""
    return Path(text) if text else None


def config_of(options: argparse.Namespace) -> Config:
    """Return the configuration of a command, its workspace ready.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed, with the verb.

    Returns
    -------
    Config
        Of the file, the environment and the options.
    """
    from pipeline.config import load_config

    verb = options.verb
    given = {key.name: getattr(options, key.name) for key in verb.uses() + verb.tolerates()}
    if given["region"] is None:
        given["region"] = getattr(options, "place", None)
    config = load_config(options.config, options=given)
    if "workspace" in given:
        config.workspace.open()
    return config


def session_of(options: argparse.Namespace) -> AbstractContextManager[Context]:
    """Return a command's surroundings, alone on its region."""
    from pipeline.workflow.session import session

    retry = getattr(options, "retry_failed", False)
    return session(config_of(options), options.verb.name, retry)


def unlocked_session_of(
    options: argparse.Namespace, largest: int = 0
) -> AbstractContextManager[Context]:
    """Return the surroundings of a command that changes nothing of its region's run.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed, with the verb.
    largest : int, optional
        Most blocks of the region; 0: as configured.

    Returns
    -------
    context manager
        Of the region, the configuration and the workers.
    """
    from pipeline.workflow.session import beside

    return beside(config_of(options), largest)
