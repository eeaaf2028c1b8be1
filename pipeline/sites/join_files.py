"""Join any file of detections with known sites, without a run of our own."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.geo.vector_files import read_vector
from pipeline.runtime.console import say
from pipeline.sites.detections import join_detections, write_detection_join
from pipeline.sites.service import is_address
from pipeline.sites.visits import read_visits, visits_file


def join_files(detections: str, config: Config, tolerance_km: float, out: str | None) -> None:
    """Match detections and sites both ways and write the matched and unmatched of both sides.

    Parameters
    ----------
    detections : str
        File of points or polygons.
    config : Config
        Names the table of visits, and says ``public`` or ``restricted``.
    tolerance_km : float
        How near counts as matched.
    out : str
        Folder for the results.

    Raises
    ------
    ConfigError
        If the table of visits or the folder is not named.
    """
    if not config.labels.file or not out:
        raise ConfigError(
            "a join of files needs the table of visits and a folder",
            next_step="asm-atlas join --detections FILE --labels visits.csv --out FOLDER",
        )
    table = visits_file(config) if is_address(config.labels.file) else Path(config.labels.file)
    visits = read_visits(table, config.labels.mapping)
    result = join_detections(read_vector(detections), visits, tolerance_km)
    write_detection_join(result, out, config.map.disclosure)
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in result.counts().items()
    )
    say("join", f"within {tolerance_km:g} km: {counts}")
    say("", out)
