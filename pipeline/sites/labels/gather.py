"""All the labels that the configuration names, as one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import ConfigError, NoLabelsError
from pipeline.geo.regions import Region
from pipeline.sites.labels.inspections import INSPECTIONS, SAMPLE
from pipeline.sites.labels.polygons import POLYGONS
from pipeline.sites.labels.rows import LabelKind, Labels, combine
from pipeline.sites.labels.visits import VISITS
from pipeline.workflow.commands import make_command

KINDS: tuple[LabelKind, ...] = (VISITS, POLYGONS, INSPECTIONS, SAMPLE)


def gather_labels(config: Config, labels: Path | None, region: Region, season: str) -> Labels:
    """Read every source of labels.

    Parameters
    ----------
    config : Config
        Names the sources.
    labels : pathlib.Path or None
        Visits or polygons, if there are any.
    region : Region
        Where labels are wanted.
    season : str
        The season whose shifts the rows are given.

    Returns
    -------
    Labels
        Rows of known labels only; ``with_background`` adds the others.

    Raises
    ------
    ConfigError
        If a searched area is named without polygons.
    NoLabelsError
        If no source is named, or none gives a mine.
    AsmAtlasError
        Whatever reading a source raises.
    """
    if config.labels.searched and POLYGONS.file(config.labels, labels) is None:
        raise ConfigError(
            "a searched area says where polygons are all the mines there are; visits never are",
            next_step="name polygons with LABELS=, or leave SEARCHED out",
        )
    parts = []
    for kind in KINDS:
        path = kind.file(config.labels, labels)
        if path is not None:
            credit = kind.credit(path, config.labels)
            part = kind.read(path, region, season, config.labels)
            parts.append(replace(part, credits=(credit,) if credit else ()))
    if not parts:
        raise NoLabelsError(
            "no labels were given",
            next_step=f"{make_command('train', config, region)} LABELS=visits.csv",
        )
    together = combine(parts)
    if together.positives.empty:
        raise NoLabelsError(
            f"no label in {region.name} is a mine",
            where="; ".join(told.text for told in together.about),
            next_step="add LABELS=: visits or polygons of mines",
        )
    return together
