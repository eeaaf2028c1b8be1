"""What a map was made from: one record that travels into every product."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.manifest import Manifest
from models.statement import Statement
from pipeline.config import Config
from pipeline.geo.regions import Region


@dataclass(frozen=True)
class RunInfo:
    """One run of the pipeline over one region.

    Parameters
    ----------
    run_id : str
        Name of the run's folder.
    region : Region
        The ground that was asked for.
    model : Manifest
        Of the model.
    choice : Statement
        Why this model.
    config : Config
        Everything that the run was told.
    config_hash : str
        Fingerprint of the configuration that the results depend on.
    code_version, code_commit : str
        Version of this program, and its commit (``pipeline.runtime.code``).
    created : str
        When the run was made; ISO 8601, UTC.
    tables : list of dict
        The tables and layers that the map was joined with: ``name, sha256``, and ``service`` and
        ``fetched`` where a service sent them.
    scenes : list of dict
        The imagery: ``id, datetime, platform, processing_baseline, offset, collection``.
    simulated : bool
        True if the landscape is invented.
    counts : dict of str to int
        What the stages counted.
    images : tuple of str
        First and last image date, ISO.
    area : dict
        Area estimates from a labelled sample (``pipeline.map.area_layer``); empty: there are none.
    """

    run_id: str
    region: Region
    model: Manifest
    choice: Statement
    config: Config
    config_hash: str
    code_version: str
    code_commit: str
    created: str
    tables: list[dict[str, str]]
    scenes: list[dict[str, Any]]
    simulated: bool
    counts: dict[str, int]
    images: tuple[str, str]
    area: dict[str, Any] = field(default_factory=dict)

    @property
    def model_record(self) -> dict[str, Any]:
        """What is recorded of the model: its whole manifest, and why it was chosen."""
        return self.model.record | self.choice.record("choice")
