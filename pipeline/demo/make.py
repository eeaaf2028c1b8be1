"""Write the simulated imagery, its catalogue, the visits and the truth into one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyogrio
import pystac
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.demo.clouds import PASSES, SECOND_PASSES, Fog, Pass, Sky, build_skies
from pipeline.demo.frame import Frame
from pipeline.demo.landscape import Landscape, develop, paint_landscape
from pipeline.demo.second_year import Change, change_landscape
from pipeline.demo.sensor import SIMULATED, Ground, observe, project, weather, write_cog, zones
from pipeline.demo.stac_items import COLLECTION, build_item, item_id, write_catalogue
from pipeline.demo.visits import build_visits, write_visits

# Called with what is done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]

# Raised whenever the same seed would give other files.
GENERATOR = 4
# The same of the second year, which is added when somebody asks for its dates.
SECOND_GENERATOR = 1
# A season that reaches beyond this date asks for them.
SECOND_YEAR = "2023-06-01"
# Radius of the fog over the first of the new mines, pixels.
FOG_RADIUS = 260.0
_THREADS = 2
_README = """\
SIMULATED. Everything in this folder is invented: no satellite took these images, nobody visited
these sites, and no such land exists (the coordinates lie in the open Gulf of Guinea).

catalog.json   a static STAC catalogue of Sentinel-2 L2A-like imagery: 6 dates, 2 UTM zones
visits.csv     visits to some of the mines, in the form of IPIS's open data
truth.gpkg     where the mines and the things that look like mines really are; only tests and
               `evaluate` may read it: nothing else changes when it is deleted
demo.json      generator version, seed and the sha256 of every file

Written by `asm-atlas demo` of the asm-atlas project.
"""
_SECOND_README = """
The catalogue also holds 6 dates two years later. In between, mines came, grew, were given up or
grew over, a road was cut and a river flooded its banks; fog hides one place on all later dates.

changes.gpkg   what of it is true: the planted changes with their hectares in each year, the mines
               worked in the second year, and what the fog hides; for tests only
"""


def make_demo(
    folder: Path,
    seed: int = 1,
    *,
    progress: Progress | None = None,
    frame: Frame | None = None,
    second: bool = False,
) -> None:
    """Write the simulated region into a folder, unless it is there already.

    Parameters
    ----------
    folder : pathlib.Path
        Where to. Written beside and renamed, so that it is complete or absent.
    seed : int
        The same seed gives the same files.
    progress : callable, optional
        Called with (what, done, total) as the work goes on.
    frame : Frame, optional
        Another extent, for tests; its tiles are named after the UTM zones that it lies in.
    second : bool, optional
        With imagery of a second year in the same catalogue. The first year's files stay the same.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder, frame = Path(folder), frame or Frame()
    if _is_made(folder, seed, frame, second):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _build(building, seed, frame, progress or (lambda *_: None), second)
        building.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _identity(seed: int, frame: Frame) -> dict[str, object]:
    extent = [frame.west, frame.south, frame.east, frame.north, frame.margin]
    return {"generator": GENERATOR, "seed": seed, "extent": extent, "simulated": True}


def _is_made(folder: Path, seed: int, frame: Frame, second: bool) -> bool:
    try:
        made = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    identity = _identity(seed, frame)
    if second:
        identity |= {"second_year": SECOND_GENERATOR}
    return isinstance(made, dict) and {key: made.get(key) for key in identity} == identity


def _build(folder: Path, seed: int, frame: Frame, progress: Progress, second: bool) -> None:
    # The first four are the first year's, however many follow.
    land_seed, sky_seed, visit_seed, scene_seed, *later = np.random.SeedSequence(seed).spawn(7)
    progress("landscape", 0, 2)
    painting = paint_landscape(frame, land_seed)
    land = develop(painting)
    progress("visits and truth", 1, 2)
    rows, visited = build_visits(np.random.default_rng(visit_seed), frame, land.mines)
    write_visits(folder / "visits.csv", rows)
    _write_truth(folder / "truth.gpkg", land, visited)
    (folder / "README.txt").write_text(_README + second * _SECOND_README, encoding="utf-8")
    hashes: dict[str, str] = {}
    skies = build_skies(frame, sky_seed)
    items = _take_images(folder, land, PASSES, skies, scene_seed, hashes, progress)
    if second:
        changed, changes = change_landscape(painting, later[0])
        del land  # each year's reflectance is 260 MB
        land = develop(changed)
        centre = changes[0].shape.centroid
        fog = Fog(centre.x, centre.y, FOG_RADIUS)
        _write_changes(folder / "changes.gpkg", land, changes, fog)
        skies = build_skies(frame, later[1], SECOND_PASSES, fog)
        items += _take_images(folder, land, SECOND_PASSES, skies, later[2], hashes, progress)
    write_catalogue(folder, items)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in hashes:
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    identity = _identity(seed, frame) | ({"second_year": SECOND_GENERATOR} if second else {})
    manifest = {**identity, "sha256": dict(sorted(hashes.items()))}
    (folder / "demo.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _take_images(
    folder: Path,
    land: Landscape,
    passes: Sequence[Pass],
    skies: list[Sky],
    seed: np.random.SeedSequence,
    hashes: dict[str, str],
    progress: Progress,
) -> list[pystac.Item]:
    """Write the bands of every date and tile; return their items in order of date and tile."""
    frame = land.frame
    dates = [(child, *child.spawn(2)) for child in seed.spawn(len(passes))]
    with ThreadPoolExecutor(_THREADS) as pool:
        grounds = list(pool.map(lambda zone: project(frame, land.reflectance, zone), zones(frame)))

        def shoot(task: tuple[int, int]) -> tuple[pystac.Item, dict[str, str]]:
            when, where = task
            return _take_image(
                folder, frame, grounds[where], passes[when], skies[when],
                when / (len(passes) - 1), dates[when][0], dates[when][1 + where],
            )  # fmt: skip

        tasks = [(when, where) for when in range(len(passes)) for where in range(len(grounds))]
        items = []
        for done, (item, written) in enumerate(pool.map(shoot, tasks)):
            items.append(item)
            hashes.update(written)
            progress("imagery", done + 1, len(tasks))
    return items


def _take_image(
    folder: Path,
    frame: Frame,
    ground: Ground,
    over: Pass,
    sky: Sky,
    season: float,
    shared: np.random.SeedSequence,
    own: np.random.SeedSequence,
) -> tuple[pystac.Item, dict[str, str]]:
    zone = ground.zone
    air = weather(frame, sky, zone)
    home = Path(COLLECTION) / item_id(over, zone)
    (folder / home).mkdir(parents=True)
    files: dict[str, tuple[str, int, str]] = {}
    for band, image, metres in observe(ground, air, over, season, shared, own):
        name = f"{band}.tif"
        tags = {"DATE": over.date, "BAND": band, "PROCESSING_BASELINE": over.baseline}
        files[band] = (name, metres, write_cog(folder / home / name, image, zone, metres, tags))
    hidden = np.maximum(air.cloud, air.cirrus)[air.seen > 0] > 0.10
    item = build_item(over, zone, 100 * float(hidden.mean()) if hidden.size else 0.0, files)
    return item, {(home / name).as_posix(): digest for name, _, digest in files.values()}


def _write_truth(path: Path, land: Landscape, visited: NDArray[np.bool_]) -> None:
    """Write the true outlines, for tests and for ``evaluate`` alone."""
    kinds = [kind for kind, _ in land.lookalikes]
    others = {"kind": kinds, "name": [f"{kind} {k}" for k, kind in enumerate(kinds, 1)]}
    layers = {
        "mines": _layer(
            land.frame,
            {"id": range(1, len(land.mines) + 1)} | _mine_columns(land) | {"visited": visited},
            [mine.shape for mine in land.mines],
        ),
        "lookalikes": _layer(land.frame, others, [shape for _, shape in land.lookalikes]),
    }
    _write_layers(path, layers)


def _write_changes(path: Path, land: Landscape, changes: list[Change], fog: Fog) -> None:
    """Write what was planted between the years; tests alone read it."""
    planted = {
        "kind": [change.kind for change in changes],
        "first_ha": [round(change.first_ha, 4) for change in changes],
        "second_ha": [round(change.second_ha, 4) for change in changes],
    }
    bank = shapely.Point(fog.col, fog.row).buffer(fog.reach)
    layers = {
        "changes": _layer(land.frame, planted, [change.shape for change in changes]),
        "mines": _layer(land.frame, _mine_columns(land), [mine.shape for mine in land.mines]),
        "hidden": _layer(land.frame, {"kind": ["fog"]}, [bank]),
    }
    _write_layers(path, layers)


def _mine_columns(land: Landscape) -> dict[str, Any]:
    return {
        "kind": [mine.kind for mine in land.mines],
        "area_ha": [round(mine.area_ha, 4) for mine in land.mines],
    }


def _layer(frame: Frame, columns: dict[str, Any], shapes: list[BaseGeometry]) -> GeoDataFrame:
    degrees = [frame.to_degrees(shape) for shape in shapes]
    return GeoDataFrame(columns, geometry=degrees, crs="EPSG:4326")


def _write_layers(path: Path, layers: dict[str, GeoDataFrame]) -> None:
    # A fixed time of writing: the same seed gives the same bytes.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2022-03-01T00:00:00.000Z"})
    try:
        for layer, table in layers.items():
            table.to_file(path, layer=layer, driver="GPKG", DESCRIPTION=SIMULATED)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
