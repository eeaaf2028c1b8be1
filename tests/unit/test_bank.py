from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_model import BANDS, sample_bank, sample_group

from features.bank import (
    VERSIONS,
    FilterBank,
    FilterGroup,
    bank_bytes,
    check_same_bank,
    load_bank,
)
from features.errors import BankError, BankMismatchError
from features.scaling import Scaling


def rewritten(content: bytes, **changes: Any) -> bytes:
    """The same file with some arrays changed, the description by a function."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def described(**changes: Any) -> Any:
    def change(description: np.ndarray) -> np.ndarray:
        about = json.loads(description.tobytes()) | changes
        return np.frombuffer(json.dumps(about).encode(), np.uint8)

    return change


def test_a_bank_survives_its_file(tmp_path: Path) -> None:
    bank = sample_bank()
    file = tmp_path / "bank.npz"
    file.write_bytes(bank_bytes(bank))
    again = load_bank(file)
    assert again.hash == bank.hash
    assert again.to_dict() == bank.to_dict()
    for mine, theirs in zip(again.groups, bank.groups, strict=True):
        assert np.array_equal(mine.filters, theirs.filters)
        assert np.array_equal(mine.offsets, theirs.offsets)


def test_the_same_seed_gives_the_same_bank_and_another_gives_another() -> None:
    assert sample_bank(3).hash == sample_bank(3).hash
    assert sample_bank(3).hash != sample_bank(4).hash


@pytest.mark.parametrize(
    "change",
    [
        {"bands": ("B02", "B03", "B04")},
        {"level": "L1C"},
        {"scaling": Scaling(clip=0.4)},
        {"scaling": Scaling(clip=0.5, steps=255)},
        {"biases": (0.25, 1.1)},
        {"sides": "one"},
        {"symmetric": False},
    ],
)
def test_the_hash_covers_all_that_features_depend_on(change: dict[str, Any]) -> None:
    bank = sample_bank()
    assert dataclasses.replace(bank, **change).hash != bank.hash


def test_the_hash_covers_every_filter_and_offset() -> None:
    bank = sample_bank()
    for field in ("filters", "offsets"):
        values = getattr(bank.groups[1], field).copy()
        values.flat[-1] = np.nextafter(values.flat[-1], np.float32(9))
        other = dataclasses.replace(bank.groups[1], **{field: values})
        assert dataclasses.replace(bank, groups=(bank.groups[0], other)).hash != bank.hash


def test_columns_count_both_sides_of_every_bias_and_filter() -> None:
    bank = sample_bank(patches=(3, 4), count=5)
    assert bank.columns == 2 * 2 * (5 + 5)
    assert bank.patch_max == 4


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("filters_0", lambda a: a * np.float32(1.001)),
        ("offsets_1", lambda a: a + np.float32(1e-3)),
        ("filters_0", lambda a: a.astype(np.float64) * (1 + 1e-12)),
        ("filters_0", lambda a: a[:, :2]),
        ("filters_0", lambda a: a.reshape(-1)),
        ("filters_0", lambda a: a * np.float32(np.nan)),
        ("offsets_0", lambda a: a[:-1]),
        ("description", described(level="L1C")),
        ("description", described(biases=[0.25, 1.5])),
        ("description", described(biases=[])),
        ("description", described(sides="three")),
        ("description", described(symmetric=False)),
        ("description", described(parts=2)),
        ("description", described(hash="0" * 64)),
        ("description", described(format=1)),
        ("description", described(patches=[3, 4, 5])),
        ("description", described(bands=None)),
        ("description", lambda a: np.frombuffer(b"[1, 2]", np.uint8)),
        ("description", lambda a: np.frombuffer(b"{", np.uint8)),
    ],
)
def test_a_tampered_bank_is_refused(name: str, change: Any) -> None:
    content = bank_bytes(sample_bank())
    load_bank(content)
    with pytest.raises(BankError):
        load_bank(rewritten(content, **{name: change}))


@pytest.mark.parametrize("parts", [0, 3, 2.0, "2"])
def test_a_cell_is_whole_or_has_quarters(parts: Any) -> None:
    with pytest.raises(BankError, match="1 part or 2 x 2"):
        dataclasses.replace(sample_bank(), parts=parts)


def test_every_flipped_byte_of_the_arrays_is_noticed() -> None:
    content = bank_bytes(sample_bank())
    whole = sample_bank().hash
    for place in range(60, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        with contextlib.suppress(BankError):
            # Zip has bytes without meaning, such as dates: then the bank is still the same.
            assert load_bank(bytes(damaged)).hash == whole


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a bank", b"\x93NUMPY"])
def test_files_that_are_no_banks_are_refused(content: bytes) -> None:
    with pytest.raises(BankError, match="not a filter bank"):
        load_bank(content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"nowhere\.npz"):
        load_bank(tmp_path / "nowhere.npz")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("trapped").touch, ())


def test_a_pickle_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trap = rewritten(
        bank_bytes(sample_bank()), filters_0=lambda a: np.array([Trap()], dtype=object)
    )
    with pytest.raises(BankError):
        load_bank(trap)
    assert not Path("trapped").exists()


def test_features_of_two_banks_are_never_mixed() -> None:
    check_same_bank("aa", "aa")
    with pytest.raises(BankMismatchError, match="aa and bb"):
        check_same_bank("aa", "bb")


def test_imagery_of_other_bands_or_level_is_refused() -> None:
    bank = sample_bank()
    bank.check_imagery(BANDS, "L2A")
    with pytest.raises(BankMismatchError, match=r"L2A B04 B03 B02.*L2A B02 B03 B04"):
        bank.check_imagery(BANDS[::-1], "L2A")
    with pytest.raises(BankMismatchError, match="imagery is L1C"):
        bank.check_imagery(BANDS, "L1C")


@pytest.mark.parametrize(
    "change",
    [{"groups": ()}, {"bands": ()}, {"biases": ()}, {"biases": (np.nan,)}, {"sides": "left"}],
)
def test_impossible_banks_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BankError):
        dataclasses.replace(sample_bank(), **change)


def test_versions_are_the_eight_symmetries() -> None:
    filters = np.arange(2 * 1 * 2 * 2, dtype=np.float32).reshape(2, 1, 2, 2)
    group = FilterGroup(filters, np.zeros(2, np.float32))
    turned = group.turned()
    assert turned.shape == (2 * VERSIONS, 1, 2, 2)
    columns = {tuple(version.reshape(-1)) for version in turned[:VERSIONS]}
    assert columns == {
        (0, 1, 2, 3), (1, 3, 0, 2), (3, 2, 1, 0), (2, 0, 3, 1),
        (1, 0, 3, 2), (0, 2, 1, 3), (2, 3, 0, 1), (3, 1, 2, 0),
    }  # fmt: skip
    # The versions of one filter follow one another.
    assert turned[VERSIONS:].min() == 4


def test_a_bank_is_named_by_its_filters_not_by_its_object() -> None:
    bank = sample_bank()
    copied = FilterBank(
        bank.bands,
        bank.level,
        bank.scaling,
        tuple(FilterGroup(g.filters.copy(), g.offsets.copy()) for g in bank.groups),
        bank.biases,
        bank.seed,
        bank.software,
    )
    assert copied.hash == bank.hash


def test_the_centre_is_an_image_that_filters_answer_least() -> None:
    group, patches = sample_group(np.random.default_rng(8), 3, 6, Scaling())
    image, offsets = group.centre(usual=-2.0)
    assert np.abs(offsets).max() < 1e-4 < np.abs(group.offsets).max()
    less = patches.reshape(len(patches), 3, 9) - image[:, None]
    filters = group.filters.reshape(6, -1).astype(float)
    same = less.reshape(len(patches), -1).astype(float) @ filters.T + offsets
    assert same == pytest.approx(patches.astype(float) @ filters.T + group.offsets, abs=1e-4)
    # All bands brighter by as many of their own deviations is answered as little: the nearest wins.
    assert np.abs(image + 2.0).max() < 2.0
    plain = FilterGroup(group.filters, np.zeros(6, np.float32))
    image, offsets = plain.centre(usual=0.0)
    assert np.abs(image).max() < 1e-6 and np.abs(offsets).max() < 1e-6
