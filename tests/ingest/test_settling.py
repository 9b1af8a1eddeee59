from __future__ import annotations

from memoryd.ingest.facts import Seen
from memoryd.ingest.settling import (
    CUT_OFF_AFTER_S,
    LINGER_S,
    STABLE_FOR_S,
    Happening,
    heard,
    is_cut_off,
    is_settled,
    looked,
)

SMALL = Seen(size=1, mtime_ns=1, inode=1, device=1)
GROWN = Seen(size=2, mtime_ns=2, inode=1, device=1)


def test_a_file_its_writer_closed_is_settled_at_once() -> None:
    written = looked(heard(None, Happening.WRITTEN, 0.0), SMALL, 0.0)
    assert not is_settled(written, LINGER_S / 2)
    assert is_settled(written, LINGER_S)


def test_a_file_that_merely_appeared_must_stand_still() -> None:
    seen = looked(heard(None, Happening.SEEN, 0.0), SMALL, 0.0)
    assert not is_settled(seen, STABLE_FOR_S * 0.9)
    assert is_settled(seen, STABLE_FOR_S)


def test_a_file_that_grows_starts_waiting_anew() -> None:
    seen = looked(looked(heard(None, Happening.SEEN, 0.0), SMALL, 0.0), GROWN, 0.9)
    assert not is_settled(seen, 1.0)
    assert is_settled(seen, 1.0 + STABLE_FOR_S)


def test_a_write_after_the_close_takes_the_close_back() -> None:
    again = heard(looked(heard(None, Happening.WRITTEN, 0.0), SMALL, 0.0), Happening.SEEN, 0.05)
    assert not is_settled(again, LINGER_S * 2)


def test_a_file_that_is_gone_waits_for_its_other_half_of_a_move() -> None:
    gone = heard(None, Happening.WRITTEN, 0.0)
    assert not is_settled(gone, LINGER_S)
    assert is_settled(gone, STABLE_FOR_S)


def test_a_file_cut_off_long_ago_is_not_waited_for() -> None:
    assert not is_cut_off(changed_at=100.0, now=100.0 + CUT_OFF_AFTER_S - 1)
    assert is_cut_off(changed_at=100.0, now=100.0 + CUT_OFF_AFTER_S)
    assert is_cut_off(changed_at=1000.0, now=100.0)
