from __future__ import annotations

import datetime

from memoryd.web.rendering import shown_hint, shown_name, shown_size, shown_time


def test_sizes_are_said_as_people_say_them() -> None:
    assert [shown_size(size) for size in (0, 1023, 16_162, 5 << 30, 3 << 40)] == [
        "0 B",
        "1023 B",
        "15.8 KB",
        "5.0 GB",
        "3.0 TB",
    ]


def test_an_unknown_time_is_unknown() -> None:
    assert shown_time(None) == "unknown"
    east = datetime.timezone(datetime.timedelta(hours=9))
    assert shown_time(datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=east)) == "2026-01-01 18:04:05"


def test_a_name_cannot_turn_or_hide_its_end() -> None:
    assert shown_name("exe\u202egnp.scr\n") == "exe\\u202egnp.scr\\u000a"
    assert shown_name("ملف 图片 é.png") == "ملف 图片 é.png"


def test_commands_in_a_hint_are_code_and_nothing_else_is_markup() -> None:
    assert shown_hint("run `memoryd <x>` & wait") == "run <code>memoryd &lt;x&gt;</code> &amp; wait"
