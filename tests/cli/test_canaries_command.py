"""The words of `memoryd canaries`."""

from __future__ import annotations

import pytest

from memoryd_cli.canaries import NoSpan, read_span


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43_200), ("1d", 86_400), ("2w", 1_209_600)])
def test_a_span_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "d", "-1d", "1.5h", "1y", "99999999d"])
def test_what_is_no_span_says_how_to_write_one(text: str) -> None:
    with pytest.raises(NoSpan) as refused:
        read_span(text)
    assert refused.value.hint
