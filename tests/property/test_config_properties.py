"""Seasons are dates in order, fingerprints know nothing of order, errors never crash the reader."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import fingerprint, known_keys, load_config
from pipeline.errors import ConfigError
from pipeline.geo.seasons import season_months

months = st.tuples(st.integers(1000, 2999), st.integers(1, 12))
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


@given(months, months)
def test_a_season_is_whole_months_in_order(one: tuple[int, int], two: tuple[int, int]) -> None:
    (y0, m0), (y1, m1) = sorted([one, two])
    first, after = season_months(f"{y0:04d}-{m0:02d}..{y1:04d}-{m1:02d}")
    assert dt.date.fromisoformat(first) == dt.date(y0, m0, 1)
    last = dt.date.fromisoformat(after) - dt.timedelta(days=1)
    assert (last.year, last.month) == (y1, m1)


@given(st.text(max_size=20))
def test_any_text_is_a_season_or_refused(text: str) -> None:
    try:
        first, after = season_months(text)
    except ConfigError:
        return
    assert dt.date.fromisoformat(first) < dt.date.fromisoformat(after)


@given(st.dictionaries(st.text(), json_values))
def test_a_fingerprint_knows_no_order(value: dict[str, Any]) -> None:
    turned = dict(reversed(list(value.items())))
    assert fingerprint(turned) == fingerprint(value)
    assert fingerprint(value | {"more": 1}) != fingerprint(value | {"more": 2})


@given(st.dictionaries(st.sampled_from([*known_keys(), "other"]), values))
def test_any_option_is_taken_or_refused_by_name(options: dict[str, Any]) -> None:
    try:
        config = load_config(environment={}, options=options)
    except ConfigError as error:
        assert error.what
        return
    for key, value in options.items():
        if value is not None:
            assert type(config.value(known_keys()[key])) is type(known_keys()[key].default)
