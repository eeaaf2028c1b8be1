"""All the labels that the configuration names, as one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import ConfigError, NoLabelsError
from pipeline.geo.regions import Region
from pipeline.sites.labels.inspections import label_inspections, label_sample
from pipeline.sites.labels.polygons import label_polygons
from pipeline.sites.labels.rows import Labels, combine
from pipeline.sites.labels.visits import label_visits
from pipeline.sites.visit_tables import looks_like_visits
from pipeline.sites.visits import read_visits
from pipeline.workflow.commands import make_command


def are_visits(path: Path, mapping: str = "") -> bool:
    """Say whether a file of labels is a table of visits, rather than polygons.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    mapping : str, optional
        The configured mapping of a table's columns: with one, it is.

    Returns
    -------
    bool
        Whether it is a CSV file, a GeoPackage with a table ``visits``, or has a mapping.
    """
    return bool(mapping) or looks_like_visits(path)


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
    visited = labels is not None and are_visits(labels, config.labels.mapping)
    if config.labels.searched and (labels is None or visited):
        raise ConfigError(
            "a searched area says where polygons are all the mines there are; visits never are",
            next_step="name polygons with LABELS=, or leave SEARCHED out",
        )
    parts = []
    if labels is not None and visited:
        about = f"visits in the IPIS form ({labels.name}), positives at GPS-placed visits"
        visits = label_visits(read_visits(labels, config.labels.mapping), region, season)
        parts.append(replace(visits, about=(about,)))
    elif labels is not None:
        parts.append(
            label_polygons(labels, region, season, config.labels.searched, config.labels.column)
        )
    if config.labels.inspections:
        parts.append(label_inspections(config.labels.inspections, region, season))
    if config.labels.use_sample:
        parts.append(label_sample(config.labels.use_sample, region, season))
    if not parts:
        raise NoLabelsError(
            "no labels were given",
            next_step=f"{make_command('train', config, region)} LABELS=visits.csv",
        )
    together = combine(parts)
    if together.positives.empty:
        raise NoLabelsError(
            f"no label in {region.name} is a mine",
            where="; ".join(together.about),
            next_step="add LABELS=: visits or polygons of mines",
        )
    return together
