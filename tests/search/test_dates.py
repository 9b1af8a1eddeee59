from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.search.dates import span

NOW = datetime.datetime(2026, 11, 21, 15, 30, tzinfo=datetime.UTC)


def day(year: int, month: int = 1, of_month: int = 1) -> datetime.datetime:
    return datetime.datetime(year, month, of_month, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", day(2026), day(2027)),
        ("2026-11", day(2026, 11), day(2026, 12)),
        ("2026-12", day(2026, 12), day(2027, 1)),
        ("2026-2-28", day(2026, 2, 28), day(2026, 3, 1)),
        ("today", day(2026, 11, 21), day(2026, 11, 22)),
        ("yesterday", day(2026, 11, 20), day(2026, 11, 21)),
        ("7d", NOW - datetime.timedelta(days=7), NOW - datetime.timedelta(days=7)),
        ("12h", NOW - datetime.timedelta(hours=12), NOW - datetime.timedelta(hours=12)),
    ],
)
def test_a_date_means_from_when_to_when(text: str, start: datetime.datetime, end: datetime.datetime) -> None:
    assert span(text, NOW) == (start, end)


@pytest.mark.parametrize("text", ["", "soon", "2026-13", "2026-02-30", "99999y", "9999", "0000", "9999-12-31", "٣d"])
def test_what_is_no_date_is_none_or_refused_quietly(text: str) -> None:
    assert span(text, NOW) is None


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789-dhwmytoday", max_size=12))
def test_no_text_breaks_it(text: str) -> None:
    dates = span(text, NOW)
    assert dates is None or dates[0] <= dates[1]
