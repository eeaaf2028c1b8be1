"""Write the simulated imagery, its catalogue, the visits and the truth into one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import geopandas
import numpy as np
import pyogrio
import pystac
from numpy.typing import NDArray

from pipeline.demo.catalogue import COLLECTION, build_item, item_id, write_catalogue
from pipeline.demo.clouds import PASSES, Pass, Sky, build_skies
from pipeline.demo.frame import Frame
from pipeline.demo.landscape import Landscape, build_landscape
from pipeline.demo.sensor import SIMULATED, Ground, observe, project, weather, write_cog, zones
from pipeline.demo.visits import build_visits, to_degrees, write_visits

# Called with what is done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]

# Raised whenever the same seed would give other files.
GENERATOR = 4
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


def make_demo(
    folder: Path,
    seed: int = 1,
    *,
    progress: Progress | None = None,
    frame: Frame | None = None,
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

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder, frame = Path(folder), frame or Frame()
    if _is_made(folder, seed, frame):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _build(building, seed, frame, progress or (lambda *_: None))
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


def _is_made(folder: Path, seed: int, frame: Frame) -> bool:
    try:
        made = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    identity = _identity(seed, frame)
    return isinstance(made, dict) and {key: made.get(key) for key in identity} == identity


def _build(folder: Path, seed: int, frame: Frame, progress: Progress) -> None:
    land_seed, sky_seed, visit_seed, scene_seed = np.random.SeedSequence(seed).spawn(4)
    total = 2 + 2 * len(PASSES)
    progress("landscape", 0, total)
    land = build_landscape(frame, land_seed)
    progress("visits and truth", 1, total)
    rows, visited = build_visits(np.random.default_rng(visit_seed), frame, land.mines)
    write_visits(folder / "visits.csv", rows)
    _write_truth(folder / "truth.gpkg", frame, land, visited)
    (folder / "README.txt").write_text(_README, encoding="utf-8")
    hashes: dict[str, str] = {}
    items = _take_images(folder, frame, land, (sky_seed, scene_seed), hashes, progress)
    write_catalogue(folder, items)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in hashes:
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {**_identity(seed, frame), "sha256": dict(sorted(hashes.items()))}
    (folder / "demo.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _take_images(
    folder: Path,
    frame: Frame,
    land: Landscape,
    seeds: tuple[np.random.SeedSequence, np.random.SeedSequence],
    hashes: dict[str, str],
    progress: Progress,
) -> list[pystac.Item]:
    """Write the bands of every date and tile; return their items in order of date and tile."""
    skies = build_skies(frame, seeds[0])
    dates = [(child, *child.spawn(2)) for child in seeds[1].spawn(len(PASSES))]
    with ThreadPoolExecutor(_THREADS) as pool:
        grounds = list(pool.map(lambda zone: project(frame, land.reflectance, zone), zones(frame)))

        def shoot(task: tuple[int, int]) -> tuple[pystac.Item, dict[str, str]]:
            when, where = task
            return _take_image(
                folder, frame, grounds[where], PASSES[when], skies[when], when,
                dates[when][0], dates[when][1 + where],
            )  # fmt: skip

        tasks = [(when, where) for when in range(len(PASSES)) for where in range(len(grounds))]
        items = []
        for done, (item, written) in enumerate(pool.map(shoot, tasks)):
            items.append(item)
            hashes.update(written)
            progress("imagery", 2 + done + 1, 2 + len(tasks))
    return items


def _take_image(
    folder: Path,
    frame: Frame,
    ground: Ground,
    over: Pass,
    sky: Sky,
    when: int,
    shared: np.random.SeedSequence,
    own: np.random.SeedSequence,
) -> tuple[pystac.Item, dict[str, str]]:
    zone = ground.zone
    air = weather(frame, sky, zone)
    home = Path(COLLECTION) / item_id(over, zone)
    (folder / home).mkdir(parents=True)
    files: dict[str, tuple[str, int, str]] = {}
    season = when / (len(PASSES) - 1)
    for band, image, metres in observe(ground, air, over, season, shared, own):
        name = f"{band}.tif"
        tags = {"DATE": over.date, "BAND": band, "PROCESSING_BASELINE": over.baseline}
        files[band] = (name, metres, write_cog(folder / home / name, image, zone, metres, tags))
    hidden = np.maximum(air.cloud, air.cirrus)[air.seen] > 0.10
    item = build_item(over, zone, 100 * float(hidden.mean()) if hidden.size else 0.0, files)
    return item, {(home / name).as_posix(): digest for name, _, digest in files.values()}


def _write_truth(path: Path, frame: Frame, land: Landscape, visited: NDArray[np.bool_]) -> None:
    """Write the true outlines, for tests and for ``evaluate`` alone."""
    mines = geopandas.GeoDataFrame(
        {
            "id": np.arange(1, len(land.mines) + 1),
            "kind": [mine.kind for mine in land.mines],
            "area_ha": [round(mine.area_ha, 4) for mine in land.mines],
            "visited": visited,
        },
        geometry=[to_degrees(frame, mine.shape) for mine in land.mines],
        crs="EPSG:4326",
    )
    kinds = [kind for kind, _ in land.lookalikes]
    others = geopandas.GeoDataFrame(
        {"kind": kinds, "name": [f"{kind} {k}" for k, kind in enumerate(kinds, 1)]},
        geometry=[to_degrees(frame, shape) for _, shape in land.lookalikes],
        crs="EPSG:4326",
    )
    # A fixed time of writing: the same seed gives the same bytes.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2022-03-01T00:00:00.000Z"})
    try:
        for layer, table in (("mines", mines), ("lookalikes", others)):
            table.to_file(path, layer=layer, driver="GPKG", DESCRIPTION=SIMULATED)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
