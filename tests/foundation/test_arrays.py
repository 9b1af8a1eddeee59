"""Arrays spelled as texts come back as they were."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, DateTime, Float, LargeBinary, Text, Uuid, bindparam, column, func, select
from sqlalchemy.types import TypeEngine

from memoryd.foundation.arrays import Array, array_text
from memoryd.foundation.database import Session

TEXTS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def returned(session: Session, values: list[object], kind: TypeEngine[Any]) -> list[object]:
    rows = func.unnest(bindparam(None, values, Array(kind))).table_valued(column("v", kind)).render_derived()
    return list(session.scalars(select(rows.c.v)))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS), contents=st.lists(st.none() | st.binary()), numbers=st.lists(st.floats(allow_nan=False)))
def test_what_is_given_comes_back(
    session: Session, texts: list[object], contents: list[object], numbers: list[object]
) -> None:
    assert returned(session, texts, Text()) == texts
    assert returned(session, contents, LargeBinary()) == contents
    assert returned(session, numbers, Float(53)) == numbers


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["NULL", "null", "", " ", "{}", '"', "\\", "a,b", "\\x00", '{a,\\"b}'], Text()),
        ([uuid.UUID(int=1), None, uuid.UUID(int=2**128 - 1)], Uuid()),
        ([0, -1, 2**63 - 1, None], BigInteger()),
        ([True, False, None], Boolean()),
        ([datetime.datetime(2026, 1, 2, 3, 4, 5, 678, datetime.UTC), None], DateTime(timezone=True)),
        ([], LargeBinary()),
    ],
)
def test_values_of_every_kind_come_back(session: Session, values: list[object], kind: TypeEngine[Any]) -> None:
    assert returned(session, values, kind) == values


def test_what_is_of_no_plain_type_is_left_to_the_driver() -> None:
    values = [bytearray(b"x"), b"y"]
    assert array_text(values) is values
