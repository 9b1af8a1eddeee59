from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.foundation.canonical_json import JsonTooDeep, NotJson, read_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down: 1, 1.0 and True are three things in a graph."""
    return repr(one) == repr(other)


@given(values, st.booleans())
@settings(max_examples=150, deadline=None)
def test_it_reads_what_the_standard_reader_reads(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert same(read_json(text), json.loads(text))
    raw = text.encode("utf-8", "surrogatepass")
    try:
        expected = json.loads(raw)
    except UnicodeDecodeError:
        with pytest.raises(NotJson):
            read_json(raw)
    else:
        assert same(read_json(raw), expected)


@pytest.mark.parametrize(
    "text",
    [
        *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "[1e22, 1E5, -0, -0.0, 0.1e-400]"),
        *('{"a":1,"a":2}', "1e999", "[-1e999]", '"\\ud800"', '"\\ud83e\\udd8a"', '"\x7f"', " \n1 "),
        "1.7976931348623159e308",
    ],
)
def test_numbers_and_texts_at_the_edges_are_the_same(text: str) -> None:
    assert same(read_json(text), json.loads(text))


def test_what_writers_of_nan_write_is_read() -> None:
    value = read_json('{"a": NaN, "b": [Infinity, -Infinity]}')
    assert isinstance(value, dict)
    assert isinstance(value["a"], float)
    assert math.isnan(value["a"])


@pytest.mark.parametrize(
    "text", ["", "{", "01", "1.", "[1,]", "nul", '"\t"', "\ufeff1", "[1]\x00", b"\xff", "9" * 5_000]
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(NotJson):
        read_json(text)


def test_what_is_nested_beyond_the_parsers_is_refused() -> None:
    with pytest.raises((JsonTooDeep, NotJson)):
        read_json("[" * 100_000)
