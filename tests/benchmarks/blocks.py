"""Case E and beyond: a block with clouds, two threads, a whole Sentinel-2 tile."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import dask
import numpy as np
from cases import CELL_PX, block_bank, clouded_block, plain_bank
from memory import peak_of_numpy
from peers import MaskedTorch
from timing import interleaved, spread, times_faster

from features.kernel import make_kernel, observed_windows, ready_pixels
from features.rcf import cell_features

CELLS = 20
EVERY = 10
TILE_PX, TILE_BANDS = 10_980, 10


def block_rows(rounds: int, say: Callable[[str], None]) -> list[dict[str, object]]:
    """Time whole blocks with ours, and every tenth cell of one with torch beside ours."""
    bank = block_bank()
    pixels = clouded_block(CELLS * CELL_PX + bank.patch_max - 1)
    observed = np.isfinite(pixels).all(axis=0)
    ready = ready_pixels(bank.scaling.apply(pixels), observed)
    ways: dict[str, list[object]] = {"direct": [], "auto": [], "torch maps": [], "tuned": []}
    masks = []
    for group in bank.groups:
        filters, offsets = group.turned(), np.repeat(group.offsets, 8)
        for way in ("direct", "auto"):
            ways[way].append(make_kernel(filters, offsets, bank.rectifiers, way))
        for way in ("torch maps", "tuned"):
            thresholds = bank.rectifiers.thresholds()
            ways[way].append(MaskedTorch(filters, offsets, thresholds, way == "torch maps"))
        masks.append(observed_windows(observed, group.patch))
    places = [(CELL_PX * row, CELL_PX * column) for row, column in np.ndindex(CELLS, CELLS)]

    def run(kernels: list[object], some: list[tuple[int, int]]) -> np.ndarray:
        sums = []
        for kernel, windows in zip(kernels, masks, strict=True):
            for top, left in some:
                counted = windows[top : top + CELL_PX, left : left + CELL_PX]
                if counted.any():
                    sums.append(kernel.sums(ready, counted, top, left) / counted.sum())
        return np.array(sums)

    some = places[::EVERY]
    say("E  tuning")
    for kernel in ways["tuned"]:
        best = np.inf
        for at_once in (64, 128, 256, 512, 1024, 4096):
            before, kernel.at_once = kernel.at_once, at_once
            window = np.ones((CELL_PX, CELL_PX), bool)
            took = min(_seconds(partial(kernel.sums, ready, window, 0, 0)) for _ in range(5))
            best, kernel.at_once = (took, at_once) if took < best else (best, before)
    exact = run(
        [
            make_kernel(g.turned(), np.repeat(g.offsets, 8), bank.rectifiers, "reference")
            for g in bank.groups
        ],
        some[:4],
    )
    errors = {}
    for way, kernels in ways.items():
        errors[way] = float(np.abs(run(kernels, some[:4]) - exact).max() / exact.mean())
        if not errors[way] <= 1e-5:
            raise SystemExit(f"case E: {way} is {errors[way]:.1e} of the mean feature away")
    say(f"E  {len(some)} of {len(places)} cells, interleaved")
    seconds = interleaved(
        {way: partial(run, kernels, some) for way, kernels in ways.items()}, rounds
    )
    found = []
    for way in ("direct", "auto"):
        say(f"E  whole blocks, {way}")
        whole = partial(cell_features, pixels, bank, CELLS, CELL_PX, way)
        took = interleaved({way: whole}, 3)[way]
        top, left = some[1]
        one = masks[1][top : top + CELL_PX, left : left + CELL_PX]
        found.append(
            {
                "case": "E",
                "title": "block of 1,200 x 1,200 px, 6 bands, 64 filters x 8, p 3 and 5, 6 columns "
                f"a filter, {1 - observed.mean():.0%} masked",
                "way": "winograd" if way == "auto" else way,
                "vs_torchgeo": float(np.median(seconds["torch maps"] / seconds[way])),
                "vs_torch_tuned": float(np.median(seconds["tuned"] / seconds[way])),
                "vs_sgemm": None,
                "error": errors[way],
                "scratch_mib": peak_of_numpy(
                    partial(
                        make_kernel(
                            bank.groups[1].turned(),
                            np.repeat(bank.groups[1].offsets, 8),
                            bank.rectifiers,
                            way,
                        ).sums,
                        ready,
                        one,
                        top,
                        left,
                    )
                ),
                "block_cpu_seconds": spread(took),
                "spread": {
                    "torchgeo": times_faster(seconds, way, "torch maps"),
                    "tuned": times_faster(seconds, way, "tuned"),
                },
                "rounds": rounds,
            }
        )
    return found


def thread_row(rounds: int, say: Callable[[str], None]) -> dict[str, object]:
    """Whole blocks, the unit of work, a second with two of Dask's threads against one.

    NumPy's matrix products are run the same way beside them: they share nothing, so where they
    do not get twice as fast, the second core was not free.
    """
    say("threads  8 blocks by one thread and by two")
    bank = block_bank()
    pixels = clouded_block(CELLS * CELL_PX + bank.patch_max - 1)
    cell_features(pixels, bank, CELLS, CELL_PX)
    matrix = np.ones((256, 256), np.float32)

    def block() -> None:
        cell_features(pixels, bank, CELLS, CELL_PX)

    def products() -> None:
        for _ in range(2_000):
            matrix @ matrix

    def run(work: Callable[[], None], threads: int) -> None:
        tasks = [dask.delayed(work)() for _ in range(8)]
        dask.compute(*tasks, scheduler="threads", num_workers=threads)

    works = {"ours": block, "products": products}
    runs = {
        f"{name} {threads}": partial(run, work, threads)
        for name, work in works.items()
        for threads in (1, 2)
    }
    seconds = interleaved(runs, rounds, time.perf_counter)
    return {
        "case": "threads",
        "two_vs_one": times_faster(seconds, "ours 2", "ours 1"),
        "two_vs_one_products": times_faster(seconds, "products 2", "products 1"),
    }


def tile_row(whole: bool, say: Callable[[str], None]) -> dict[str, object]:
    """Wall time of a tile's features on two cores, pixels in memory; by default of a tenth."""
    cells = TILE_PX // CELL_PX
    rows = cells if whole else -(-cells // 10)
    say(f"tile  {rows} of {cells} rows of cells")
    bank = plain_bank(TILE_BANDS, 3, 512)
    halo = bank.patch_max - 1
    rng = np.random.default_rng(6)
    strip = rng.random((TILE_BANDS, CELL_PX + halo, TILE_PX + halo), np.float32) * 0.5
    # Every row of cells has pixels of its own: none stays in a cache for the next.
    pixels = np.stack([np.roll(strip, row, axis=2) for row in range(rows if not whole else 8)])
    kernel = make_kernel(bank.groups[0].filters, bank.groups[0].offsets, bank.rectifiers)

    def row_of_cells(row: int) -> np.ndarray:
        part = pixels[row % len(pixels)]
        observed = np.isfinite(part).all(axis=0)
        ready = ready_pixels(bank.scaling.apply(part), observed)
        windows = observed_windows(observed, 3)
        return np.stack(
            [
                kernel.sums(ready, windows[:CELL_PX, left : left + CELL_PX], 0, left)
                for left in range(0, TILE_PX, CELL_PX)
            ]
        )

    row_of_cells(0)
    took = []
    for _ in range(1 if whole else 3):
        tasks = [dask.delayed(row_of_cells)(row) for row in range(rows)]
        begin = time.perf_counter()
        dask.compute(*tasks, scheduler="threads", num_workers=2)
        took.append((time.perf_counter() - begin) * cells / rows)
    return {
        "case": "tile",
        "title": "10,980 x 10,980 px, 10 bands, 1,024 columns, p 3, 2 threads",
        "seconds": spread(np.array(took)),
        "measured_share": rows / cells,
        "scaled": not whole,
    }


def _seconds(run: Callable[[], object]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin
