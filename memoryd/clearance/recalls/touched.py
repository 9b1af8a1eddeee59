"""Lists what a model touched: lines newest first with all their assets, then what was derived from them.

A page at a time and a unit of work for each, so that a list of millions holds no more than a page.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Iterator
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.clearance.recalls import keeping
from memoryd.clearance.recalls.queries import counting
from memoryd.clearance.recalls.queries import listing as queries
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor

LINES_AT_ONCE = 500
"""Lines of one page of a stream."""
PAGES_EMPTY = 20
"""Pages without a derived line that one look goes through."""


class Relation(enum.StrEnum):
    """How an asset stands to the model."""

    MADE = "made"  # the model took part in making it
    COPY = "copy"  # a disclosed copy in the line of one that it took part in
    LINE = "line"  # another asset of such a line
    DERIVED = "derived"  # made from one of those lines, without the model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TouchedAsset:
    """An asset that a model touched."""

    id: UUID
    root_id: UUID
    sha256: bytes
    media_type: str
    made_at: datetime.datetime
    relation: Relation
    projects: tuple[str, ...]
    deliveries_frozen: tuple[str, ...]
    deliveries: tuple[str, ...]
    """Those that are not frozen."""


def list_touched(
    session: Session, sha256: bytes, sees: Sees, *, cursor: str | None = None, lines: int = LINES_AT_ONCE
) -> Page[TouchedAsset]:
    """Return the assets of the next `lines` lines that a model touched, and then of those derived from them.

    A page may be empty and yet have a next one. Raises: BadCursor.
    """
    if cursor is None:
        keeping.catch_up(session)
    derived, before = _place(cursor)
    kept = counting.find_sums(session, [sha256]).get(sha256)
    if kept is None:
        return Page(rows=[], next_cursor=None)
    if not derived:
        roots = queries.list_touched_lines(session, kept.no, sha256, sees, before=before, limit=lines)
        after = encode_cursor("t", str(roots[-1])) if len(roots) == lines else encode_cursor("d", "")
        return Page(rows=_assets(session, roots, kept.no, sha256, sees, derived=False), next_cursor=after)
    roots, last = [], before
    for _ in range(PAGES_EMPTY):
        roots, last = queries.list_derived_lines(session, kept.no, sha256, sees, before=last, limit=lines)
        if roots or last is None:
            break
    rows = _assets(session, roots, kept.no, sha256, sees, derived=True)
    return Page(rows=rows, next_cursor=None if last is None else encode_cursor("d", str(last)))


def stream_touched(database: Database, tenant: TenantScope, sha256: bytes, sees: Sees) -> Iterator[TouchedAsset]:
    """Yield every asset that a model touched, in constant memory."""
    cursor: str | None = None
    while True:
        with database.tenant_work(tenant) as session:
            page = list_touched(session, sha256, sees, cursor=cursor)
        yield from page.rows
        cursor = page.next_cursor
        if cursor is None:
            return


def _assets(
    session: Session, roots: list[UUID], no: int, sha256: bytes, sees: Sees, *, derived: bool
) -> list[TouchedAsset]:
    if not roots:
        return []
    return [
        TouchedAsset(
            id=row.id,
            root_id=row.root_id,
            sha256=bytes(row.sha256),
            media_type=row.media_type,
            made_at=row.made_at,
            relation=_relation(derived, row.touched, row.succession),
            projects=tuple(row.projects),
            deliveries_frozen=tuple(row.frozen),
            deliveries=tuple(row.open),
        )
        for row in queries.list_assets(session, roots, no, sha256, sees)
    ]


def _relation(derived: bool, touched: bool, succession: str | None) -> Relation:
    if derived:
        return Relation.DERIVED
    if touched:
        return Relation.MADE
    return Relation.COPY if succession == "disclosed" else Relation.LINE


def _place(cursor: str | None) -> tuple[bool, UUID | None]:
    if cursor is None:
        return False, None
    stage, last = decode_cursor(cursor, 2)
    try:
        if stage not in ("t", "d"):
            raise ValueError(stage)
        return stage == "d", UUID(str(last)) if last else None
    except ValueError:
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor") from None
