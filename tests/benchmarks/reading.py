"""A masked seasonal median against odc-stac and stackstac: ``make bench-imagery``.

Six dates of four bands, clouds by the scene classification, files from one local server, two
worker processes of one thread each. Each way has workers of its own; ways take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import dask
import numpy as np
import psutil
import pystac
from distributed import Client, LocalCluster
from rasterio.enums import Resampling
from scenes import BANDS, write_scenes
from timing import interleaved, spread, times_faster

from pipeline.composite import composite_blocks, read_composite
from pipeline.config import Config
from pipeline.geo.grid import BLOCK_PX, PIXEL
from pipeline.geo.regions import resolve_region
from pipeline.imagery.cloud_mask import UNCLEAR_SCL
from pipeline.runtime.cluster import workers
from pipeline.scenes import find_scenes
from pipeline.workflow.context import Context

# The peers are imported where they are used: every worker imports this file, ours too.
if TYPE_CHECKING:
    import xarray as xr

OUT = ROOT / "data" / "processed" / "bench" / "imagery.json"
# Two by two blocks.
WEST, NORTH, BLOCKS = 27.5, 2.4, 2
SIDE = BLOCKS * BLOCK_PX
CHUNK = 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--peers", default=",".join(_PEERS), help=f"of {','.join(_PEERS)}")
    options.add_argument("--out", type=Path, default=OUT)
    given = options.parse_args()
    if missing := [name for name in ("odc.stac", "stackstac") if not _installed(name)]:
        raise SystemExit(f"{' and '.join(missing)} missing: run `make bench-imagery`")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        address, server = stack.enter_context(_served(folder / "files"))
        items = write_scenes(folder / "files", address, WEST, NORTH, SIDE)
        # Ours last: what it sets for its workers must not reach the others'.
        ways: dict[str, _Ours | _Peer] = {
            name: _Peer(items, _PEERS[name]) for name in given.peers.split(",")
        }
        ways["ours"] = _Ours(folder, items, address)
        for way in ways.values():
            stack.callback(way.close)
        for name, way in ways.items():
            started = time.perf_counter()
            way.run()
            print(f"{name}: first run {time.perf_counter() - started:.1f} s", flush=True)
        apart = _agreement({name: way.picture() for name, way in ways.items()})
        memory = {name: _peak(way) for name, way in ways.items()}
        seconds = interleaved(
            {name: way.run for name, way in ways.items()}, given.rounds, time.perf_counter
        )
    ratios = {name: times_faster(seconds, "ours", name) for name in ways if name != "ours"}
    row = {
        "case": f"median of 6 dates x {len(BANDS)} bands, {SIDE} x {SIDE} px, masked by SCL",
        **{f"vs_{name.replace('-', '_')}": ratio["median"] for name, ratio in ratios.items()},
        "spread": ratios,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "memory_mib": memory,
        "difference_dn": apart,
        "server": server,
        "rounds": given.rounds,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps([row], indent=1) + "\n")
    print(json.dumps(row, indent=1))


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class _Ours:
    """The stages themselves: search the list, read, mask, blend, store."""

    def __init__(self, folder: Path, items: pystac.ItemCollection, address: str) -> None:
        self._folder, self._turn = folder, 0
        source = folder / "source" / "items.json"
        source.parent.mkdir()
        items.save_object(str(source))
        edge = SIDE * PIXEL
        self._config = Config().with_keys(
            # A little inside, so that no block beyond is touched.
            region=f"bbox:{WEST + 0.01:.3f},{NORTH - edge + 0.01:.3f},"
            f"{WEST + edge - 0.01:.3f},{NORTH - 0.01:.3f}",
            source=str(source),
            hosts=address.removeprefix("http://"),
            bands=",".join(BANDS),
            workspace=str(folder / "work"),
        )
        self._open = contextlib.ExitStack()
        self._pool = self._open.enter_context(workers("local", 2))

    def run(self) -> None:
        # A workspace of its own each time: nothing is found done.
        self._turn += 1
        home = self._folder / f"work-{self._turn}"
        config = self._config.with_keys(workspace=str(home))
        context = Context(
            config, resolve_region(config.run.region, config.run.max_blocks), self._pool
        )
        with contextlib.redirect_stdout(None):
            entries = composite_blocks(context, find_scenes(context), context.region.blocks)
        self._stored = {entry.unit: entry.path for entry in entries}

    def picture(self) -> np.ndarray:
        whole = np.full((len(BANDS), SIDE, SIDE), np.nan, np.float32)
        for path in self._stored.values():
            block = read_composite(path)
            left = int((float(block["x"][0]) - WEST) / PIXEL)
            top = int((NORTH - float(block["y"][0])) / PIXEL)
            inside = block["reflectance"].to_numpy()[:, :BLOCK_PX, :BLOCK_PX]
            whole[:, top : top + BLOCK_PX, left : left + BLOCK_PX] = inside * 1e4
        return whole

    def processes(self) -> list[int]:
        return [worker.pid for worker in self._pool._local.workers.values()]

    def close(self) -> None:
        self._open.close()


class _Peer:
    def __init__(
        self,
        items: pystac.ItemCollection,
        load: Callable[[pystac.ItemCollection], xr.DataArray],
    ) -> None:
        self._items, self._load = items, load
        with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
            self._cluster = LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                memory_limit="4GiB",
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs="ERROR",
            )
        self._client = Client(self._cluster, set_as_default=False)

    def run(self) -> None:
        lazy = self._load(self._items)
        self._found = self._client.compute(lazy).result()

    def picture(self) -> np.ndarray:
        return np.asarray(self._found.transpose("band", ...).to_numpy(), np.float32)

    def processes(self) -> list[int]:
        return [worker.pid for worker in self._cluster.workers.values()]

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


def _odc(items: pystac.ItemCollection) -> xr.DataArray:
    import odc.stac
    from odc.geo.geobox import GeoBox

    edge = SIDE * PIXEL
    box = GeoBox.from_bbox(
        (WEST, NORTH - edge, WEST + edge, NORTH), "EPSG:4326", shape=(SIDE, SIDE)
    )
    loaded = odc.stac.load(
        items,
        bands=[*BANDS, "SCL"],
        geobox=box,
        chunks={"x": CHUNK, "y": CHUNK},
        resampling={"SCL": "nearest", "*": "bilinear"},
        fail_on_error=True,
    )
    return _median(loaded[list(BANDS)].to_array("band"), loaded["SCL"], 0)


def _stackstac(items: pystac.ItemCollection, **numbers: object) -> xr.DataArray:
    import stackstac

    edge = SIDE * PIXEL
    about = numbers | {
        "epsg": 4326,
        "resolution": PIXEL,
        "bounds": (WEST, NORTH - edge, WEST + edge, NORTH),
        "snap_bounds": False,
        "chunksize": CHUNK,
    }
    bilinear = stackstac.stack(items, assets=list(BANDS), resampling=Resampling.bilinear, **about)
    classes = stackstac.stack(items, assets=["SCL"], **about)
    return _median(bilinear, classes.isel(band=0, drop=True), None)


def _median(values: xr.DataArray, classes: xr.DataArray, nodata: int | None) -> xr.DataArray:
    """Mask by class and nodata, and take the median over time, as people write it."""
    clear = ~classes.isin(UNCLEAR_SCL)
    if nodata is not None:
        clear = clear & (values != nodata)
    masked = values.where(clear).astype("float32")
    return masked.chunk({"time": -1}).median("time", skipna=True) - 1000


def _agreement(pictures: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """How far apart the ways' medians are, in digital numbers: at the median and for 99 of 100.

    GDAL takes a shortcut through straight lines when it warps, another one for each size of chunk:
    the ways differ by a tenth of a pixel at most.
    """
    found = {}
    ours = pictures.pop("ours")
    for name, other in pictures.items():
        seen = np.isfinite(ours) & np.isfinite(other)
        if seen.mean() < 0.9 or (np.isfinite(ours) != np.isfinite(other)).mean() > 0.01:
            raise SystemExit(f"ours and {name} do not see the same pixels")
        apart = np.abs(ours[seen] - other[seen])
        found[name] = [round(float(value), 3) for value in np.percentile(apart, [50, 99])]
        if found[name][0] > 3:
            raise SystemExit(f"ours and {name} differ by {found[name]} at the median and 99 %")
    return found


def _peak(way: _Ours | _Peer) -> float:
    """MiB that the workers of one way hold at most, together, during a run of their own."""
    most, done = [0.0], threading.Event()
    pids = way.processes()

    def watch() -> None:
        while not done.wait(0.02):
            total = 0
            for pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += psutil.Process(pid).memory_info().rss
            most[0] = max(most[0], total / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    way.run()
    done.set()
    watcher.join()
    return round(most[0], 1)


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a folder with ranges: nginx where there is one, else Python in a process of its own."""
    folder.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nginx = shutil.which("nginx")
    if nginx is None:
        raise SystemExit("nginx is missing: install Debian's package nginx-light")
    home = folder.parent
    settings = home / "nginx.conf"
    settings.write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log {home}/error;\n"
        "events {}\n"
        f"http {{ access_log off; sendfile on; client_body_temp_path {home}/body;\n"
        f"proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;\n"
        f"uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    process = subprocess.Popen([nginx, "-c", str(settings), "-e", str(home / "error")])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", "nginx"
    finally:
        process.terminate()
        process.wait()


def _stackstac_single(items: pystac.ItemCollection) -> xr.DataArray:
    """Half the bytes of its defaults, and no arithmetic."""
    return _stackstac(
        items, dtype=np.dtype("float32"), fill_value=np.float32(np.nan), rescale=False
    )


# stackstac as it comes, in double precision, and tuned.
_PEERS = {"odc-stac": _odc, "stackstac": _stackstac, "stackstac-single": _stackstac_single}

if __name__ == "__main__":
    main()
