"""Garbage is searched for rarely while a backlog is taken in, and as before afterwards."""

from __future__ import annotations

import gc

from memoryd.ingest.collecting import COLLECT_AFTER, seldom_collecting


def test_the_search_is_rare_inside_and_as_before_afterwards() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with seldom_collecting():
        with seldom_collecting():
            assert gc.get_threshold()[0] == COLLECT_AFTER
        assert gc.get_threshold()[0] == COLLECT_AFTER
        assert gc.get_freeze_count() > frozen
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
