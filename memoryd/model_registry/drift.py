"""Drift: one name that stood for several contents, where and from when until when."""

from __future__ import annotations

import dataclasses
import datetime
from collections import defaultdict
from typing import Any

from memoryd.foundation.database import Session
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.texts import storable
from memoryd.model_registry.queries import names as queries


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """That a name had a content in a place, from when until when; None: it has it now."""

    worker: str
    root: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DriftedContent:
    """One of the contents of a name. No two of the intervals are of one place and time."""

    sha256: bytes
    intervals: tuple[Interval, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A name (`folder/path`) that had several contents, the one that was seen first before the others."""

    folder: str
    path: str
    contents: tuple[DriftedContent, ...]


def list_drift(session: Session, *, cursor: str | None = None, limit: int | None = None) -> Page[Drift]:
    """Return names that had several contents, by name. Raises: BadCursor, BadPageSize."""
    size, after = page_size(limit), None
    if cursor is not None:
        folder, path = decode_cursor(cursor, 2)
        if not isinstance(folder, str) or not isinstance(path, str):
            raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
        after = (storable(folder)[0], storable(path)[0])
    found = queries.list_drifted(session, after=after, limit=size + 1)
    names = [(row.folder, row.path) for row in found[:size]]
    intervals: dict[tuple[str, str], dict[bytes, list[Interval]]] = {name: defaultdict(list) for name in names}
    for row in queries.list_intervals(session, names) if names else ():
        intervals[row.folder, row.path][bytes(row.sha256)].append(_interval(row))
    return Page(
        rows=[
            Drift(
                folder=folder,
                path=path,
                contents=tuple(
                    DriftedContent(sha256=sha256, intervals=tuple(seen))
                    for sha256, seen in intervals[folder, path].items()
                ),
            )
            for folder, path in names
        ],
        next_cursor=encode_cursor(*names[-1]) if len(found) > size else None,
    )


def _interval(row: Any) -> Interval:
    return Interval(worker=row.worker, root=row.root, seen_from=row.seen_from, seen_to=row.seen_to)
