"""Measure the kernels and the ridge against other ways: ``make bench``; see docs/benchmarks.md."""

from __future__ import annotations

import os

# Before NumPy and torch are loaded: every way has one thread.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

try:
    import torch
except ModuleNotFoundError:
    raise SystemExit("torch is missing: run `make bench`, which installs it into .venv") from None

import blocks
import images
import penalties
import predicting
from cases import CASES, Case
from machine import about
from memory import peak_of_process
from peers import BareProduct, TorchGeo, TunedTorch

torch.set_num_threads(1)
OUT = ROOT / "data" / "processed" / "bench" / "features.json"
PARTS = (*CASES, "E", "threads", "tile", "ridge", "predict")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    options.add_argument("--rounds", type=int, default=9, help="interleaved rounds, at least 7")
    options.add_argument("--out", type=Path, default=OUT, help="file of the figures")
    options.add_argument("--whole-tile", action="store_true", help="a whole tile, not a tenth")
    options.add_argument("--peak", nargs="+", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.peak:
        print(_peak(*given.peak))
        return
    parts = given.parts.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown or given.rounds < 7:
        options.error(f"parts are {','.join(PARTS)}; rounds are at least 7")
    found: list[dict[str, object]] = []
    for part in parts:
        found += _measure(part, given.rounds, given.whole_tile)
    ways = [row for row in found if "way" in row]
    others = {"machine": about(), "rows": [row for row in found if "way" not in row]}
    beside = given.out.with_name(f"{given.out.stem}-more.json")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for path, content in ((given.out, ways), (beside, others)):
        path.write_text(json.dumps(content, indent=1) + "\n")
    _print_table(found)
    print(f"\n{given.out}, {beside}")


def _measure(part: str, rounds: int, whole_tile: bool) -> list[dict[str, object]]:
    if part in CASES:
        return images.rows(part, rounds, _say)
    if part == "E":
        return blocks.block_rows(rounds, _say)
    if part == "threads":
        return [blocks.thread_row(rounds, _say)]
    if part == "tile":
        return [blocks.tile_row(whole_tile, _say)]
    if part == "predict":
        return predicting.rows(rounds, _say)
    # Minutes a round: the peer is slow.
    return [penalties.row(3, _say)]


def _peak(name: str, peer: str, *settings: str) -> float:
    case, chosen = CASES[name], tuple(int(number) for number in settings)
    kinds = {"torchgeo": TorchGeo, "tuned": TunedTorch, "product": BareProduct}
    kinds[peer](Case("small", case.bands, 40, 64, case.patch), chosen)()
    return peak_of_process(kinds[peer](case, chosen))


def _print_table(rows: list[dict[str, object]]) -> None:
    print(f"\n{'case':5}{'way':10}{'torchgeo':>10}{'torch':>8}{'sgemm':>8}{'error':>10}{'MiB':>8}")
    for row in rows:
        if "way" in row:
            sgemm = "" if row["vs_sgemm"] is None else f"{row['vs_sgemm']:.2f}"
            print(
                f"{row['case']:5}{row['way']:10}{row['vs_torchgeo']:10.1f}"
                f"{row['vs_torch_tuned']:8.2f}{sgemm:>8}{row['error']:10.1e}"
                f"{row['scratch_mib']:8.2f}"
            )
    for row in rows:
        if "way" not in row:
            print(json.dumps({key: value for key, value in row.items() if key != "rounds"}))


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
