"""What every stage is given: the configuration, the region and the workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config import Config
from pipeline.geo.regions import Region, resolve_region
from pipeline.runtime.cluster import Workers


@dataclass(frozen=True)
class Context:
    """One command's surroundings.

    Parameters
    ----------
    config : Config
        As merged from file, environment and command line.
    region : Region
        Where.
    workers : Workers
        Who works.
    retry_failed : bool
        Whether to work on those blocks alone that were tried before, and failed.
    only : str
        The one stage that may make anything, from what is stored of those before it; empty: every
        stage makes what is missing.
    """

    config: Config
    region: Region
    workers: Workers
    retry_failed: bool = False
    only: str = ""

    def makes(self, stage: str) -> bool:
        """Whether a stage may make what is missing."""
        return self.only in ("", stage)

    @property
    def season(self) -> str:
        """The season asked for, else the region's own; empty: every date."""
        return self.config.run.season or self.region.season

    def store(self, stage: str) -> Path:
        """Folder of a stage's store."""
        return self.config.workspace.interim / stage

    def at(self, region: str) -> Context:
        """Return the same surroundings for another region."""
        return replace(self, region=resolve_region(region, self.config.run.max_blocks))

    def during(self, season: str) -> Context:
        """Return the same surroundings for another season."""
        return replace(self, config=self.config.with_keys(season=season))
