from __future__ import annotations

import datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.foundation.copy_lines import copy_line, copy_lines
from memoryd.foundation.copying import RowExists, copy_ready
from memoryd.foundation.database import Session

storable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20) | st.sampled_from(
    ["\\N", "\\.", "\\x00", "a\tb", "a\nb", "a\r\nb", "\\", ""]
)
moments = st.integers(-(10**15), 10**16).map(
    lambda microseconds: (
        datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=microseconds)
    )
)
rows = st.tuples(
    st.none() | storable,
    st.none() | st.binary(max_size=12),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.booleans(),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.uuids(),
    st.none() | moments,
)
COLUMNS = ("t", "b", "i", "f", "d", "u", "m")


@given(st.lists(rows, min_size=1, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_comes_back_from_the_database_as_it_was(session: Session, given_rows: list[tuple[object, ...]]) -> None:
    session.execute(
        text(
            "create temp table if not exists line (n serial, t text, b bytea, i bigint, f boolean, d float8, u uuid,"
            " m timestamptz)"
        )
    )
    session.execute(text("truncate line"))
    copy_ready(session, "line", COLUMNS, [copy_lines(given_rows)])
    back = session.execute(text(f"select {', '.join(COLUMNS)} from line order by n"))
    assert [tuple(row) for row in back] == given_rows


def test_a_row_that_is_there_is_told() -> None:
    assert issubclass(RowExists, Exception)
    assert copy_line((None, "a\\b", b"\x01", UUID(int=1))) == "\\N\ta\\\\b\t\\\\x01\t" + "0" * 31 + "1\n"


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        copy_line((object(),))
