from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.signal import correlate
from threadpoolctl import threadpool_limits

from features import direct, vector, winograd
from features.kernel import make_kernel, observed_windows, ready_pixels
from features.rectify import SIDES, Rectifiers
from features.vector import Machine

RECTIFIERS = Rectifiers((0.25, 1.0))
FAST = ("winograd", "direct")
# Those that need torch are tested in test_torch_path.py.
WAYS = ("auto", *FAST, "reference")


def sample(
    patch: int, count: int = 7, channels: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Filters whose response to noise of standard deviation 1 has one too, and offsets."""
    rng = np.random.default_rng(seed)
    filters = rng.normal(size=(count, channels, patch, patch)) / patch / channels**0.5
    return filters.astype(np.float32), rng.normal(0, 0.2, count).astype(np.float32)


def noise(channels: int, height: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, height, width)).astype(np.float32)


def plain_sums(
    pixels: np.ndarray,
    windows: np.ndarray,
    filters: np.ndarray,
    offsets: np.ndarray,
    rectifiers: Rectifiers,
) -> np.ndarray:
    """The same by scipy.signal, one filter at a time, written from the definition."""
    columns = []
    for bias in rectifiers.biases:
        falling = {"one": None, "two": lambda z, b=bias: -z - b, "shared": lambda z, b=bias: b - z}
        for side in (lambda z, b=bias: z - b, falling[rectifiers.sides]):
            if side is None:
                continue
            row = []
            for kernel, offset in zip(filters, offsets, strict=True):
                z = offset + sum(
                    correlate(band.astype(float), part.astype(float), "valid", "direct")
                    for band, part in zip(pixels, kernel, strict=True)
                )
                row.append(np.maximum(side(z), 0)[windows].sum())
            columns.append(row)
    return np.array(columns)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("patch", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.02, 0.0])
def test_every_way_equals_a_plain_convolution(way: str, patch: int, share: float) -> None:
    if way == "winograd" and patch not in winograd.POINTS:
        pytest.skip("Winograd's way is for some patch sizes only")
    filters, offsets = sample(patch)
    pixels = noise(3, 25 + patch - 1, 30 + patch - 1)
    windows = np.random.default_rng(patch).random((25, 30)) < share
    ready = ready_pixels(pixels, np.ones(pixels.shape[1:], bool))
    sums = make_kernel(filters, offsets, RECTIFIERS, way).sums(ready, windows)
    plain = plain_sums(pixels, windows, filters, offsets, RECTIFIERS)
    assert sums.shape == plain.shape == (4, 7)
    # Winograd's errors fade with the number of windows; `auto` leaves the few to the direct way.
    near = 1e-4 if way == "winograd" and share < 0.1 else 1e-5
    assert np.abs(sums - plain).max() <= near * max(plain.mean(), 1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sides", SIDES)
def test_sides(way: str, sides: str) -> None:
    filters, offsets = sample(3)
    pixels = noise(3, 20, 20)
    windows = np.ones((18, 18), bool)
    rectifiers = Rectifiers((-1.0, 0.0, 0.5), sides)
    ready = ready_pixels(pixels, np.ones((20, 20), bool))
    sums = make_kernel(filters, offsets, rectifiers, way).sums(ready, windows)
    plain = plain_sums(pixels, windows, filters, offsets, rectifiers)
    assert len(sums) == rectifiers.count == len(plain)
    assert sums == pytest.approx(plain, rel=1e-5, abs=1e-5 * plain.mean())


@pytest.mark.parametrize("way", FAST)
@pytest.mark.parametrize("count", [1, 16, 64, 65, 200])
@pytest.mark.parametrize("channels", [1, 10])
def test_any_number_of_filters_and_bands(way: str, count: int, channels: int) -> None:
    filters, offsets = sample(3, count, channels)
    pixels = ready_pixels(noise(channels, 30, 40), np.ones((30, 40), bool))
    windows = np.random.default_rng(count).random((28, 38)) < 0.8
    expected = make_kernel(filters, offsets, RECTIFIERS, "reference").sums(pixels, windows)
    sums = make_kernel(filters, offsets, RECTIFIERS, way).sums(pixels, windows)
    assert np.abs(sums - expected).max() <= 1e-5 * expected.mean()


@pytest.mark.parametrize("way", FAST)
def test_many_windows_keep_their_precision(way: str) -> None:
    filters, offsets = sample(3, 20)
    pixels = ready_pixels(noise(3, 402, 402), np.ones((402, 402), bool))
    windows = np.ones((400, 400), bool)
    expected = make_kernel(filters, offsets, RECTIFIERS, "reference").sums(pixels, windows)
    sums = make_kernel(filters, offsets, RECTIFIERS, way).sums(pixels, windows)
    assert np.abs(sums - expected).max() <= 1e-6 * expected.mean()


@pytest.mark.parametrize("way", WAYS)
def test_a_rectangle_anywhere_in_the_pixels(way: str) -> None:
    filters, offsets = sample(4)
    pixels = noise(3, 40, 50)
    ready = ready_pixels(pixels, np.ones((40, 50), bool))
    windows = np.random.default_rng(3).random((10, 13)) < 0.7
    kernel = make_kernel(filters, offsets, RECTIFIERS, way)
    part = ready_pixels(np.ascontiguousarray(pixels[:, 5:18, 9:25]), np.ones((13, 16), bool))
    sums = kernel.sums(ready, windows, 5, 9)
    # Winograd's tiles reach beyond a rectangle whose sides are not multiples of 4.
    assert sums == pytest.approx(kernel.sums(part, windows), rel=1e-5, abs=1e-4)
    even = windows[:8, :12]
    assert np.array_equal(kernel.sums(ready, even, 5, 9), kernel.sums(part, even))


@pytest.mark.parametrize("way", WAYS)
def test_windows_that_do_not_count_may_hold_anything(way: str) -> None:
    filters, offsets = sample(3)
    pixels = noise(3, 20, 24)
    observed = np.random.default_rng(4).random((20, 24)) < 0.9
    windows = observed_windows(observed, 3)
    kernel = make_kernel(filters, offsets, RECTIFIERS, way)
    results = []
    for filling in (np.nan, np.inf, 1e38, 0):
        holed = pixels.copy()
        holed[:, ~observed] = filling
        results.append(kernel.sums(ready_pixels(holed, observed), windows))
    assert np.isfinite(results[0]).all()
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("way", FAST)
def test_threads_share_a_kernel_and_give_the_same_bits(way: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    filters, offsets = sample(5, 40)
    kernel = make_kernel(filters, offsets, RECTIFIERS, way)
    windows = np.ones((60, 60), bool)
    images = [ready_pixels(noise(3, 64, 64, k), np.ones((64, 64), bool)) for k in range(8)]
    alone = [kernel.sums(image, windows) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: kernel.sums(image, windows), images))
    with threadpool_limits(2):
        limited = [kernel.sums(image, windows) for image in images]
    for one, two, three in zip(alone, together, limited, strict=True):
        assert np.array_equal(one, two) and np.array_equal(one, three)


@pytest.mark.parametrize("patch", winograd.POINTS)
def test_winograds_matrices_filter_exactly(patch: int) -> None:
    back, turn_filter, turn_pixels = winograd.matrices(patch)
    rng = np.random.default_rng(patch)
    taps, pixels = rng.normal(size=patch), rng.normal(size=patch + 3)
    filtered = back @ ((turn_filter @ taps) * (turn_pixels @ pixels))
    assert filtered == pytest.approx(np.correlate(pixels, taps, "valid"), abs=1e-12)


@pytest.mark.parametrize("lanes, registers", [(4, 16), (4, 32), (8, 16)])
@pytest.mark.parametrize("way", FAST)
def test_narrower_machines_give_the_same_numbers(
    way: str, lanes: int, registers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters, offsets = sample(3, 21)
    pixels = ready_pixels(noise(3, 30, 30), np.ones((30, 30), bool))
    windows = np.random.default_rng(7).random((28, 28)) < 0.9
    expected = make_kernel(filters, offsets, RECTIFIERS, way).sums(pixels, windows)
    machine = Machine(lanes, registers)
    if lanes > vector.this_machine().lanes:
        pytest.skip("this processor has no such vectors")
    for module in (direct, winograd):
        monkeypatch.setattr(module, "this_machine", lambda: machine)
    sums = make_kernel(filters, offsets, RECTIFIERS, way).sums(pixels, windows)
    assert np.abs(sums - expected).max() <= 1e-6 * expected.mean()


@pytest.mark.parametrize(
    "patch, count, way",
    [
        (2, 900, "direct"),
        (3, 900, "winograd"),
        (3, 255, "direct"),
        (3, 256, "winograd"),
        (7, 900, "direct"),
    ],
)
def test_winograd_is_taken_where_it_is_exact(patch: int, count: int, way: str) -> None:
    filters, offsets = sample(patch)
    pixels = ready_pixels(noise(3, 36, 36), np.ones((36, 36), bool))
    windows = (np.arange(900) < count).reshape(30, 30)
    sums = make_kernel(filters, offsets, RECTIFIERS).sums(pixels, windows)
    same = make_kernel(filters, offsets, RECTIFIERS, way).sums(pixels, windows)
    assert np.array_equal(sums, same)


def test_a_kernel_stays_in_its_process() -> None:
    with pytest.raises(TypeError, match="send the bank"):
        pickle.dumps(make_kernel(*sample(3), RECTIFIERS))


@pytest.mark.parametrize("patch", [1, 2, 3, 5])
def test_a_window_is_observed_where_all_of_its_pixels_are(patch: int) -> None:
    observed = np.random.default_rng(patch).random((14, 17)) < 0.85
    windows = observed_windows(observed, patch)
    assert windows.shape == (14 - patch + 1, 17 - patch + 1)
    for top, left in np.ndindex(windows.shape):
        assert windows[top, left] == observed[top : top + patch, left : left + patch].all()


def test_where_nothing_can_be_compiled_the_reference_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("no such target")

    monkeypatch.setattr(vector.Function, "compile", fail)
    # Columns that no other test asks for, so that nothing is compiled yet.
    rectifiers = Rectifiers((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
    with pytest.warns(UserWarning, match="features are slow: no such target"):
        kernel = make_kernel(*sample(3), rectifiers)
    assert type(kernel).__name__ == "ReferenceKernel"
    with pytest.raises(RuntimeError, match="no such target"):
        make_kernel(*sample(3), rectifiers, "direct")
