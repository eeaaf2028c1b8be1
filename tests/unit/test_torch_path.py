from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sample_model import sample_bank, textured

from features import torch_path
from features.errors import BankError
from features.kernel import make_kernel, observed_windows, ready_pixels
from features.rcf import cell_features
from features.rectify import SIDES, Rectifiers

WHY = "torch is an extra: pip install 'asm-atlas[torch]'"


def devices() -> list[str]:
    """Ways that this machine has; without torch none, and the test is skipped."""
    torch = pytest.importorskip("torch", reason=WHY)
    return ["torch", "cuda"] if torch.cuda.is_available() else ["torch"]


def sample(patch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    filters = rng.normal(size=(9, 4, patch, patch)) / patch / 2
    return filters.astype(np.float32), rng.normal(0, 0.2, 9).astype(np.float32)


@pytest.mark.parametrize("patch", [1, 3, 4, 5])
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_torch_gives_the_same_sums(patch: int, sides: str, share: float) -> None:
    filters, offsets = sample(patch)
    rectifiers = Rectifiers((-0.5, 0.0, 0.25), sides)
    rng = np.random.default_rng(patch)
    pixels = ready_pixels(rng.normal(size=(4, 40, 45)).astype(np.float32), np.ones((40, 45), bool))
    windows = rng.random((20, 31)) < share
    expected = make_kernel(filters, offsets, rectifiers, "reference").sums(pixels, windows, 7, 5)
    for way in devices():
        sums = make_kernel(filters, offsets, rectifiers, way).sums(pixels, windows, 7, 5)
        assert sums.shape == expected.shape and sums.dtype == np.float64
        assert np.abs(sums - expected).max() <= 1e-5 * max(expected.mean(), 1e-9)


def test_strips_do_not_change_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    filters, offsets = sample(3)
    pixels = np.random.default_rng(1).normal(size=(4, 30, 30)).astype(np.float32)
    observed = np.random.default_rng(2).random((30, 30)) < 0.95
    ready, windows = ready_pixels(pixels, observed), observed_windows(observed, 3)
    for way in devices():
        whole = make_kernel(filters, offsets, Rectifiers((0.5,)), way).sums(ready, windows)
        monkeypatch.setattr(torch_path, "_STRIP_BYTES", 4 * (36 + 27) * 7)
        strips = make_kernel(filters, offsets, Rectifiers((0.5,)), way).sums(ready, windows)
        monkeypatch.undo()
        assert strips == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("sides", SIDES)
def test_features_agree_with_the_processors(sides: str) -> None:
    bank = dataclasses.replace(sample_bank(), sides=sides)
    side = 2 * 20 + bank.patch_max - 1
    pixels = textured(np.random.default_rng(1), 3, side, side)
    pixels[:, 5:15, 8:12] = np.nan
    expected, shares = cell_features(pixels, bank, 2, 20)
    for way in devices():
        features, same = cell_features(pixels, bank, 2, 20, way)
        assert np.abs(features - expected).max() <= 1e-4 * expected.mean()
        assert np.array_equal(shares, same)


def test_a_kernel_stays_with_its_device() -> None:
    for way in devices():
        with pytest.raises(TypeError, match="send the bank"):
            pickle.dumps(make_kernel(*sample(3), Rectifiers((1.0,)), way))


@pytest.mark.parametrize("way", ["torch", "cuda"])
def test_without_torch_the_error_names_the_extra(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BankError, match=r"asm-atlas\[torch\].*device = cpu"):
        make_kernel(*sample(3), Rectifiers((1.0,)), way)


def test_without_a_gpu_the_error_says_so() -> None:
    if "cuda" in devices():
        pytest.skip("this machine has a GPU")
    with pytest.raises(BankError, match="sees no GPU"):
        make_kernel(*sample(3), Rectifiers((1.0,)), "cuda")


def test_torch_is_not_imported_unless_asked_for() -> None:
    # None among the modules makes any import of it an error, whether torch is installed or not.
    code = "import sys; sys.modules['torch'] = None; import features.kernel, features.rcf"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
