from __future__ import annotations

import logging
from pathlib import Path

from watchdog.events import (
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
)

from memoryd.ingest.hearing import Heard, OverflowEar, understand
from memoryd.ingest.settling import Happening

ROOT = Path("/out")


def test_a_close_and_a_move_say_that_a_file_is_finished_and_others_do_not() -> None:
    (closed,) = understand(FileClosedEvent("/out/a.png"), ROOT)
    assert closed == Heard(path=b"a.png", happening=Happening.WRITTEN)
    moved = list(understand(FileMovedEvent("/out/a.tmp", "/out/deep/a.png"), ROOT))
    assert moved == [Heard(path=b"deep/a.png", happening=Happening.WRITTEN)]
    for event in (FileCreatedEvent("/out/a.png"), FileModifiedEvent("/out/a.png"), FileDeletedEvent("/out/a.png")):
        assert [told.happening for told in understand(event, ROOT)] == [Happening.SEEN]


def test_hidden_and_other_files_are_passed_by() -> None:
    for name in (".a.png", "a.txt", "a.png.part"):
        assert not list(understand(FileClosedEvent(f"/out/{name}"), ROOT))


def test_what_lies_in_a_trash_or_another_hidden_folder_is_passed_by() -> None:
    for place in (".memoryd-trash/1/a.png", "shots/.cache/a.png"):
        assert not list(understand(FileClosedEvent(f"/out/{place}"), ROOT))
    left = list(understand(FileMovedEvent("/out/a.png", "/out/.memoryd-trash/1/a.png"), ROOT))
    assert [told.path for told in left] == [b"a.png"]
    assert not list(understand(DirMovedEvent("/out/.memoryd-trash/1", "/out/.memoryd-trash/2"), ROOT))


def test_a_moved_folder_names_both_its_places() -> None:
    told = list(understand(DirMovedEvent("/out/a", "/out/b"), ROOT))
    assert [(one.path, one.folder) for one in told] == [(b"a", True), (b"b", True)]


def test_an_overflow_is_heard_in_the_log() -> None:
    told: list[bool] = []
    ear = OverflowEar(lambda: told.append(True))
    record = logging.LogRecord(
        "watchdog", logging.WARNING, "", 0, "Inotify queue overflowed; events were lost", (), None
    )
    ear.handle(record)
    assert told == [True]
