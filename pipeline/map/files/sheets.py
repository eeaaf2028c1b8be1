"""The field sheets: what the project's print layout says, and the PDF that QGIS makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DependencyError, QgisError
from pipeline.map.editions import PLACE_DECIMALS
from pipeline.runtime.files import whole_file
from pipeline.words.catalogue import entry, say
from pipeline.words.notices import notices

if TYPE_CHECKING:
    from pipeline.map.files.views import LayerView

PYTHON = Path("/usr/bin/python3")
SCRIPT = Path(__file__).with_name("qgis_sheets.py")
MOST_SHEETS = 50
_START_SECONDS, _SHEET_SECONDS = 90, 10
_ON_THE_SHEET = ("sites", "candidates", "cells")
# Drawn by us, inside the project: no file of an installation is asked for.
_ARROW = (
    "base64:"
    "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAyMCAyNiI+PHBhdGgg"
    "ZD0iTTEwIDlMMTYgMjVMMTAgMjFMNCAyNXoiIGZpbGw9IiMxMTEiLz48cGF0aCBkPSJNNyA4VjFMMTMgOFYxIiBm"
    "aWxsPSJub25lIiBzdHJva2U9IiMxMTEiIHN0cm9rZS13aWR0aD0iMS42Ii8+PC9zdmc+"
)


@dataclass(frozen=True)
class Sheet:
    """What the template ``layout.xml`` asks for.

    Texts may hold QGIS expressions between ``[%`` and ``%]``; what comes from outside must not.

    Parameters
    ----------
    name : str
        Of the layout.
    title, edition, heading, place, facts, reasons, form, words : str
        Its texts.
    restricted : bool
        Whether the edition is the restricted one.
    layers, inset : sequence of LayerView
        Drawn on the map, and on the small one beside, top first.
    coverage : LayerView
        Gives a page for each of its features.
    around : tuple of float
        What the small map shows; west, south, east, north.
    north : str
        Picture of the arrow that points north, as QGIS takes it.
    """

    name: str
    title: str
    edition: str
    heading: str
    place: str
    facts: str
    reasons: str
    form: str
    words: str
    restricted: bool
    layers: Sequence[LayerView]
    inset: Sequence[LayerView]
    coverage: LayerView
    around: tuple[float, float, float, float]
    north: str = _ARROW

    @property
    def scale(self) -> str:
        """QGIS expression of the map's scale: the candidate and as much again, 1:25,000 at most."""
        wide, high = (
            f"({axis}_max(@atlas_geometry) - {axis}_min(@atlas_geometry)) / {side}"
            for axis, side in (("x", 0.18), ("y", 0.113))
        )
        return f"max(25000, 200000 * max({wide}, {high}))"

    def framed(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Widen what is shown to the shape of a frame; QGIS would reshape the frame otherwise.

        Parameters
        ----------
        width, height : float
            Of the frame, in any unit.

        Returns
        -------
        tuple of float
            West, south, east, north.
        """
        west, south, east, north = self.around
        x, y = (west + east) / 2, (south + north) / 2
        half = max((east - west) / width, (north - south) / height) / 2
        return x - half * width, y - half * height, x + half * width, y + half * height

    def key(self, name: str) -> str:
        """Return an item's identifier, the same in every run."""
        return f"{{{uuid.uuid5(uuid.NAMESPACE_URL, f'asm-atlas/sheet/{name}')}}}"


def sheet_of(
    views: Sequence[LayerView],
    bounds: Sequence[float],
    title: str,
    about: str,
    edition: str,
    simulated: bool,
    lang: str,
) -> Sheet | None:
    """Describe the field sheets of a map.

    Parameters
    ----------
    views : sequence of LayerView
        The map's layers.
    bounds : sequence of float
        West, south, east, north of the map.
    title : str
        The map's title, without expressions.
    about : str
        Credit, run, model and dates, without expressions.
    edition : str
        ``public`` or ``restricted``.
    simulated : bool
        Whether the landscape is invented.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    Sheet or None
        None if the map has no layer of candidates.
    """
    by_name = {view.name: view for view in views}
    if "candidates" not in by_name:
        return None
    view = by_name["candidates"]

    mark = entry("numbers.decimal", lang)

    def column(name: str, digits: int | None = None) -> str:
        value = f'"{name}"' if digits is None else f'round("{name}", {digits})'
        value = f"nullif({value}, 0)" if name == "part_of" else value
        text = f"coalesce(to_string({value}), '–')"
        text = f"replace({text}, '.', '{mark}')" if digits and mark != "." else text
        return f"[% {text} %]"

    def pair(name: str, value: str) -> str:
        return say("punctuation.pair", lang, name=name, value=value)

    shown = ("priority", *(c for c in view.columns if c.startswith("factor_")), "low", "high",
             "mean_probability", "cells", "area_km2", "part_of", "nearest_site_km",
             "clear_observations")  # fmt: skip
    whole = ("cells", "part_of")
    facts = [
        pair(view.aliases[name], column(name, None if name in whole else 3))
        for name in shown
        if name in view.columns
    ]
    random, known = say("map.kind_random", lang), say("map.kind_candidate", lang)
    kind = "'{}'".format(known.capitalize().replace("'", "''"))
    chance = "'{}'".format(random.capitalize().replace("'", "''"))
    west, south, east, north = bounds
    margin = max(0.05 * max(east - west, north - south), 0.005)
    invented = [say("notices.simulated", lang)] if simulated else []
    return Sheet(
        name=say("inspection.sheets", lang),
        title=title,
        edition=say(f"editions.{edition}", lang),
        heading=f"[% if(\"kind\" = 'random', {chance}, {kind}) || ' – ' || "
        f"'{say('map.rank', lang)} ' || \"rank\" %]",
        place=f"{say('map.latitude', lang)} {column('latitude', PLACE_DECIMALS[edition])}   "
        f"{say('map.longitude', lang)} {column('longitude', PLACE_DECIMALS[edition])}   (WGS 84)   "
        + pair(view.aliases["probability"], column("probability", 2)),
        facts="\n".join(facts),
        reasons=pair(say("map.reasons", lang), f'[% "reasons_{lang}" %]'),
        form=say("inspection.sheet_form", lang),
        words="\n".join(
            [*invented, *notices(lang, False), say(f"editions.{edition}_note", lang), about]
        ),
        restricted=edition == "restricted",
        layers=[by_name[name] for name in _ON_THE_SHEET if name in by_name],
        inset=[by_name[name] for name in ("regions", "cells") if name in by_name],
        coverage=view,
        around=(west - margin, south - margin, east + margin, north + margin),
    )


def write_sheets(project: Path, path: Path, most: int = MOST_SHEETS) -> int:
    """Let QGIS print the field sheets of a map.

    Parameters
    ----------
    project : pathlib.Path
        A map's ``map.qgz``, its GeoPackage beside it.
    path : pathlib.Path
        The PDF to write.
    most : int, optional
        Candidates to print, the first by rank; the places drawn at random come besides.

    Returns
    -------
    int
        Pages.

    Raises
    ------
    DependencyError
        If QGIS is not installed.
    QgisError
        If QGIS fails, complains or takes too long; an earlier PDF stays.
    """
    check_qgis()
    limit = _START_SECONDS + _SHEET_SECONDS * (most + 50)
    with tempfile.TemporaryDirectory() as home, whole_file(path) as beside:
        told = _run([str(project.resolve()), str(beside), str(most)], home, limit, project)
        if told["pages"] == 0:
            beside.write_bytes(b"")
        elif not beside.is_file() or told["error"] or told["said"]:
            what = told["error"] or "; ".join(told["said"]) or "no file came"
            raise QgisError(f"QGIS could not print the field sheets: {what}", where=str(project))
        pages: int = told["pages"]
    if not pages:
        path.unlink()
    return pages


def check_qgis() -> None:
    """Raise ``DependencyError`` if the system's Python knows no QGIS."""
    found = PYTHON.exists() and subprocess.run(
        [str(PYTHON), "-I", "-c", "import importlib.util as u; assert u.find_spec('qgis')"],
        capture_output=True, timeout=60, check=False,
    ).returncode == 0  # fmt: skip
    if not found:
        raise DependencyError(
            f"the field sheets are printed by QGIS, which {PYTHON} does not know",
            next_step="install qgis and python3-qgis (Debian, Ubuntu: apt-get install qgis "
            "python3-qgis), or open map.qgz elsewhere and print its layout as an atlas",
        )


def _run(arguments: list[str], home: str, limit: float, project: Path) -> dict[str, Any]:
    environment = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "QT_QPA_PLATFORM": "offscreen", "HOME": home,
        "XDG_RUNTIME_DIR": home, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }  # fmt: skip
    try:
        done = subprocess.run(
            [str(PYTHON), "-I", str(SCRIPT), *arguments],
            capture_output=True, text=True, timeout=limit, env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise QgisError(
            f"QGIS did not print the field sheets within {limit:.0f} seconds",
            where=str(project),
            next_step="ask for fewer: --pdf 10",
        ) from None
    lines = done.stdout.strip().splitlines()
    try:
        told: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:300]
        raise QgisError(f"QGIS failed: {reason}", where=str(project)) from None
    return told
