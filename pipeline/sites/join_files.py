"""Join any file of detections with known sites, without a run of our own."""

from __future__ import annotations

from pipeline.errors import ConfigError
from pipeline.runtime.console import say
from pipeline.sites.detections import join_detections, write_detection_join
from pipeline.sites.vectors import read_vector
from pipeline.sites.visits import read_visits


def join_files(
    detections: str, visits: str, tolerance_km: float, out: str | None, disclosure: str
) -> None:
    """Match detections and sites both ways and write the matched and unmatched of both sides.

    Parameters
    ----------
    detections : str
        File of points or polygons.
    visits : str
        Table in the IPIS form.
    tolerance_km : float
        How near counts as matched.
    out : str
        Folder for the results.
    disclosure : str
        ``public`` or ``restricted``.

    Raises
    ------
    ConfigError
        If the table of visits or the folder is not named.
    """
    if not visits or not out:
        raise ConfigError(
            "a join of files needs the table of visits and a folder",
            next_step="asm-atlas join --detections FILE --labels visits.csv --out FOLDER",
        )
    result = join_detections(read_vector(detections), read_visits(visits), tolerance_km)
    write_detection_join(result, out, disclosure)
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in result.counts().items()
    )
    say("join", f"within {tolerance_km:g} km: {counts}")
    say("", out)
