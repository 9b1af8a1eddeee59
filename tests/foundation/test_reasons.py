from __future__ import annotations

import pytest

from memoryd.foundation.reasons import REASON_LIMIT, ReasonMissing, checked_reason


def test_a_reason_is_kept_without_the_spaces_around_it_and_storable() -> None:
    assert checked_reason("  the author's mail\nof 3 March \n") == "the author's mail\nof 3 March"
    assert checked_reason("a\0b\ud800") == "a\ufffdb\ufffd"
    assert checked_reason("x" * REASON_LIMIT)


@pytest.mark.parametrize("reason", ["", " \n\t", "x" * (REASON_LIMIT + 1)])
def test_no_reason_and_too_long_a_reason_are_refused(reason: str) -> None:
    with pytest.raises(ReasonMissing):
        checked_reason(reason)
