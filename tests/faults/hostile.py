"""Hundreds of hostile inputs through every door; none may run, escape, hang or end in a traceback.

Each goes through the real reader in a process of its own, with a limit on time and memory, in a
folder that is looked at afterwards. ``python tests/faults/hostile.py`` prints the table.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")]

import pyogrio
import shapely
from hostile_files import NAMES, archives, geojson, geopackages, point, rasters, strange, texts
from sample_known import make_known
from sample_map import make_run
from sample_visits import write_visits

from features.errors import BankError
from models.errors import ModelError
from pipeline.config import Config
from pipeline.errors import AsmAtlasError
from pipeline.evaluation.score import chip_imagery
from pipeline.geo.regions import Region, resolve_region
from pipeline.imagery.catalogue import catalogue_chips, catalogue_rasters
from pipeline.imagery.chips import read_chips
from pipeline.map import removals
from pipeline.map.folder import publish
from pipeline.map.page.report import write_report
from pipeline.sites.detections import join_files
from pipeline.sites.labels.inspections import label_inspections, label_sample
from pipeline.sites.labels.polygons import label_polygons
from pipeline.sites.layers.declare import parse
from pipeline.sites.layers.read import read_layer
from pipeline.sites.visits import read_visits

SECONDS, MEMORY, AT_LEAST = 30, 3 * 2**30, 300
SEASON = "2021-12..2022-02"
REGION = Region("demo", "Demo", shapely.box(5.8, 2.0, 6.2, 2.3), simulated=True)
LAYER = {
    "name": "zones", "english": "Zones", "french": "Zones", "kind": "polygon", "how": "within",
    "public": "none", "credit": "nobody", "licence": "none", "along": [],
    "columns": [{"name": "label", "type": "text", "english": "L", "french": "L"}],
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One hostile input at one door."""

    door: str
    kind: str
    act: Callable[[], object]


def cases(folder: Path) -> Iterator[Case]:
    """Yield every case; their files are written first."""
    good = write_visits(folder / "visits.csv", {"longitude": "5.9", "latitude": "2.1"})
    plain = folder / "plain.geojson"
    plain.write_text(geojson(point(5.9, 2.1)))
    config = Config().with_keys(labels=str(good), workspace=str(folder / "ws"))
    layer = parse(LAYER, "hostile")
    doors: dict[str, Callable[[Path], object]] = {
        "join": lambda p: join_files(str(p), config, 1.0, str(folder / "joined")),
        "visits": read_visits,
        "labels": lambda p: label_polygons(p, REGION, SEASON),
        "inspections": lambda p: label_inspections(p, REGION, SEASON),
        "sample": lambda p: label_sample(p, REGION, SEASON),
        "region": lambda p: resolve_region(str(p), 50_000),
        "context": lambda p: read_layer(layer, p),
        "removals": lambda p: removals.read_removals(config.with_keys(removals=str(p))),
        "catalogue": lambda p: catalogue_rasters(
            [p], folder / "catalogue", bands=("B04",), level="L1C", dates="2024-01-01", scale=1e-4),
        "score": lambda p: read_chips(p, chip_imagery("B04,B03,B02", "L1C", 0.3, 255)),
        "catalogue of chips": lambda p: catalogue_chips(p.parent, folder / "catalogue"),
    }  # fmt: skip
    by_suffix = {
        ".geojson": ("join", "labels", "region", "context"),
        ".gpkg": ("join", "visits", "labels", "sample", "region", "context"),
        ".csv": ("join", "visits", "inspections", "removals"),
        ".tif": ("catalogue",),
        ".npz": ("score", "catalogue of chips"),
    }
    files: list[tuple[str, Path]] = []
    for number, (kind, suffix, content) in enumerate(texts()):
        path = folder / f"t{number}{suffix}"
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        path.write_bytes(raw)
        files.append((kind, path))
    files += geopackages(folder)
    for suffix in by_suffix:
        room = folder / f"strange{suffix}"
        room.mkdir()
        files += strange(room, suffix)
    for number, (kind, content) in enumerate(archives()):
        room = folder / f"chips{number}"
        room.mkdir()
        (room / "chips.csv").write_text("chip,label\n0,0\n1,1\n")
        (room / "chips.npz").write_bytes(content)
        files.append((kind, room / "chips.npz"))
    for number, (kind, content) in enumerate(rasters()):
        path = folder / f"r{number}.tif"
        path.write_bytes(content)
        files.append((kind, path))
    for kind, path in files:
        for door in by_suffix[path.suffix]:
            yield Case(door, kind, lambda p=path, d=door: doors[d](p))  # type: ignore[misc]
    for start in range(0, len(NAMES), 8):
        some = NAMES[start : start + 8]
        yield Case("publish and page", f"{len(some)} names", lambda n=some: names(folder, n))  # type: ignore[misc]


def names(folder: Path, some: tuple[str, ...]) -> None:
    """Publish a map whose sites are called so, and see that each name stayed a text."""
    room = folder / f"names{abs(hash(some))}"
    room.mkdir()
    joined = make_known(room)
    sites: Any = joined.sites
    called = [some[n % len(some)] for n in range(len(sites))]
    run = make_run()
    title = next(n for n in some if n.strip())
    run = replace(run, region=replace(run.region, title=title[:200]))
    joined = replace(joined, sites=sites.assign(name=called, mineral=called))
    publish(joined, run, room / "run")
    page = write_report(joined, run, room / "run").read_text(encoding="utf-8")
    for mark in ("<script>alert", "<img src=x", "</script><script>a"):
        assert mark not in page, mark
    written = pyogrio.read_dataframe(room / "run" / "map.gpkg", layer="sites")["name"]
    assert written.tolist() == called, "names came back changed"


def run_case(case: Case, folder: Path) -> str:
    """Run a case in a process of its own; return how it ended."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.chdir(folder / "cwd")
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            case.act()
            told = "harmless"
        except (AsmAtlasError, BankError, ModelError) as error:
            told = f"named {type(error).__name__}"
        except OSError as error:
            told = "named FileAccessError" if error.errno else f"TRACEBACK {error!r}"
        except BaseException as error:
            told = f"TRACEBACK {error!r}"
        os.write(write, told.encode("utf-8", "replace")[:4000])
        os._exit(0)
    os.close(write)
    ready, _, _ = select.select([read], [], [], SECONDS)
    told = os.read(read, 5000).decode() if ready else "HANGS"
    os.close(read)
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told or "DIED"


def traces(folder: Path) -> list[str]:
    """Return what a case that ran or escaped would have left."""
    left = [str(path) for path in (folder / "cwd").iterdir()]
    return left + [str(p) for p in (*folder.glob("**/pwned*"), Path("/tmp/pwned")) if p.exists()]


def main() -> int:
    started = time.monotonic()
    table: dict[str, Counter[str]] = {}
    wrong, slowest, count = [], 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cwd").mkdir()
        for case in cases(folder):
            begun = time.monotonic()
            told = run_case(case, folder)
            slowest = max(slowest, time.monotonic() - begun)
            how = told.partition(" ")[0]
            size = int(case.kind.split()[0]) if case.door == "publish and page" else 1
            table.setdefault(case.door, Counter())[how] += size
            count += size
            seconds = time.monotonic() - begun
            if seconds > 5:
                print(f"{seconds:5.1f} s  {case.door}, {case.kind}", file=sys.stderr, flush=True)
            if how not in ("harmless", "named"):
                wrong.append(f"{case.door}, {case.kind}: {told[:300]}")
            if found := traces(folder):
                wrong.append(f"{case.door}, {case.kind}: left {found}")
                break
    print(f"{'door':20}{'harmless':>10}{'named':>8}{'else':>6}")
    for door, ends in table.items():
        other = sum(ends.values()) - ends["harmless"] - ends["named"]
        print(f"{door:20}{ends['harmless']:10}{ends['named']:8}{other:6}")
    print(f"{count} inputs, {time.monotonic() - started:.0f} s, the slowest {slowest:.1f} s")
    for complaint in wrong:
        print(f"MISSED  {complaint}")
    if count < AT_LEAST:
        wrong.append(f"only {count} inputs")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
