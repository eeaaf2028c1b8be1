"""What the page carries comes out as it went in; what was meddled with is an error."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.map.page.packed import (
    PLACE_DIGITS,
    pack_column,
    pack_numbers,
    pack_shapes,
    pack_squares,
    unpack_column,
    unpack_numbers,
    unpack_places,
)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=50))
def test_numbers(numbers: list[int]) -> None:
    assert unpack_numbers(pack_numbers(numbers)).tolist() == numbers


@given(st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), min_size=1, max_size=30))
def test_columns_of_numbers(values: list[float | None]) -> None:
    column = pack_column(pd.Series(values, dtype=float, name="x"))
    got = unpack_column(column)
    if column["kind"] == "text":
        # Too large for int32: told as text rather than wrongly.
        assert max(abs(v) for v in values if v is not None) > 2**31 - 1
        return
    step = 0.5 * 10.0 ** -column["digits"] + 1e-9
    for before, after in zip(values, got, strict=True):
        assert (before is None) == (after is None)
        assert before is None or abs(before - after) <= step * (1 + 1e-9) + abs(before) * 1e-12


@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), min_size=1, max_size=30))
def test_columns_of_texts(values: list[str | None]) -> None:
    assert unpack_column(pack_column(pd.Series(values, dtype=object, name="x"))) == values


def test_truths_and_dates() -> None:
    truths = pd.Series([True, None, False], dtype="boolean", name="x")
    assert unpack_column(pack_column(truths)) == [True, None, False]
    days = pd.Series(pd.to_datetime(["2022-01-02", None]), name="x")
    assert unpack_column(pack_column(days)) == ["2022-01-02", None]
    assert unpack_column(pack_column(pd.Series([np.inf, 2.0], name="x"))) == [None, 2.0]


def test_places_keep_five_decimals_or_two() -> None:
    shapes = np.array([shapely.Point(29.123456, -2.5), shapely.box(1, 2, 3, 4), shapely.Point()])
    places = unpack_places(pack_shapes(shapes, PLACE_DIGITS))
    assert places[0].tolist() == [29.12346, -2.5] and len(places) == 6


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        base64.b64encode(b"not deflated").decode(),
        base64.b64encode(zlib.compress(b"12345")).decode(),
        base64.b64encode(zlib.compress(b"12345678")[:-3]).decode(),
        base64.b64encode(zlib.compress(bytes(210_000_000), 1)).decode(),
    ],
)
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unpack_numbers(text)


@pytest.mark.parametrize("stream", [[1, 5, 0], [1], [1, -3, 0], [2, 1, 0, 0]])
def test_shapes_that_do_not_come_out_even_are_refused(stream: list[int]) -> None:
    with pytest.raises(ValueError):
        unpack_places({"digits": 2, "data": pack_numbers(stream)})


def test_squares_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        pack_squares(pd.Series([5, 4]), 100)
