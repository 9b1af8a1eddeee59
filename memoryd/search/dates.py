"""Dates as people write them in a search: `2026`, `2026-11`, `2026-11-21`, `today`, `yesterday`, `7d`, `12h`, `3w`. Pure."""

from __future__ import annotations

import datetime
import re

_AGO = re.compile(r"(\d{1,5})([hdwmy])", re.ASCII)
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "m": 24 * 30, "y": 24 * 365}
DATE_HINT = "2026, 2026-11, 2026-11-21, today, yesterday, or back from now: 12h, 7d, 3w, 2m, 1y"


def span(text: str, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Return the beginning and the end (not included) that a date means, UTC; None where it is none.

    A time back from `now` (`7d`) is the instant: beginning and end are the same. A month is 30 days, a year 365.
    """
    if ago := _AGO.fullmatch(text):
        try:
            instant = now - datetime.timedelta(hours=int(ago[1]) * _HOURS[ago[2]])
        except OverflowError:
            return None
        return instant, instant
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    day = datetime.timedelta(days=1)
    if text in ("today", "yesterday"):
        start = today if text == "today" else today - day
        return start, start + day
    return _calendar(text)


def _calendar(text: str) -> tuple[datetime.datetime, datetime.datetime] | None:
    written = _DATE.fullmatch(text)
    if written is None:
        return None
    year, month, day = (int(part) if part else None for part in written.groups())
    assert year is not None
    try:
        start = datetime.datetime(year, month or 1, day or 1, tzinfo=datetime.UTC)
        if day is not None:
            return start, start + datetime.timedelta(days=1)
        if month is not None:
            return start, start.replace(year=year + month // 12, month=month % 12 + 1)
        return start, start.replace(year=year + 1)
    except (ValueError, OverflowError):
        return None
