"""Cases A to D: one image, every window, torchgeo's columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from cases import CASES
from memory import peak_in_a_child, peak_of_numpy
from peers import BareProduct, TorchGeo, TunedTorch
from timing import interleaved, times_faster

from features.kernel import make_kernel

WAYS = ("direct", "winograd")
AGREEMENT = 1e-5


def rows(name: str, rounds: int, say: Callable[[str], None]) -> list[dict[str, object]]:
    """Compare both kernels with every peer on one case; a row for each kernel."""
    case = CASES[name]
    say(f"{name}  {case.title}: tuning the peers")
    ready, windows = case.ready()
    kernels = {way: make_kernel(case.filters, case.offsets, case.rectifiers, way) for way in WAYS}
    torchgeo, tuned, product = TorchGeo(case), TunedTorch(case), BareProduct(case)
    say(f"{name}  tuned torch: {tuned.about}; product: {product.about}")
    exact = _means(make_kernel(case.filters, case.offsets, case.rectifiers, "reference"), case)
    errors = {way: _error(_means(kernel, case), exact) for way, kernel in kernels.items()}
    errors |= {"torchgeo": _error(torchgeo(), exact), "tuned": _error(tuned(), exact)}
    few = slice(0, 512)
    off = np.abs(product.responses(few) - product.exact_responses(few)).max()
    errors["product"] = float(off)
    for way, error in errors.items():
        if not error <= AGREEMENT:
            raise SystemExit(
                f"case {name}: {way} is {error:.1e} of the mean feature away from double "
                f"precision, more than {AGREEMENT:.0e}: nothing is timed"
            )
    say(f"{name}  all agree: " + ", ".join(f"{way} {error:.0e}" for way, error in errors.items()))
    runs = {way: partial(kernel.sums, ready, windows) for way, kernel in kernels.items()}
    seconds = interleaved(runs | {"torchgeo": torchgeo, "tuned": tuned, "product": product}, rounds)
    peers = {
        who: peak_in_a_child(name, who, peer.settings)
        for who, peer in {"torchgeo": torchgeo, "tuned": tuned, "product": product}.items()
    }
    found = []
    for way in WAYS:
        kernel = make_kernel(case.filters, case.offsets, case.rectifiers, way)
        found.append(
            {
                "case": name,
                "title": case.title,
                "way": way,
                "vs_torchgeo": float(np.median(seconds["torchgeo"] / seconds[way])),
                "vs_torch_tuned": float(np.median(seconds["tuned"] / seconds[way])),
                "vs_sgemm": float(np.median(seconds["product"] / seconds[way])),
                "error": errors[way],
                "scratch_mib": peak_of_numpy(partial(kernel.sums, ready, windows)),
                "packed_filters_mib": packed_mib(kernel),
                "peers_scratch_mib": peers,
                "tuned": tuned.about,
                "product": product.about,
                "spread": {
                    peer: times_faster(seconds, way, peer)
                    for peer in ("torchgeo", "tuned", "product")
                },
                "cpu_seconds": {who: float(np.median(took)) for who, took in seconds.items()},
                "rounds": rounds,
            }
        )
    return found


def packed_mib(kernel: object) -> float:
    """Arrays that a kernel keeps and shares between threads."""
    kept = [value for value in vars(kernel).values() if isinstance(value, np.ndarray)]
    return round(sum(array.nbytes for array in kept) / 2**20, 3)


def _means(kernel: object, case: object) -> np.ndarray:
    ready, windows = case.ready()
    return kernel.sums(ready, windows).reshape(-1) / windows.size


def _error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found - exact).max() / exact.mean())
