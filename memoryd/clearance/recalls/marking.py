"""Marks the lines that a recalled model touched, newest first, and takes the marks away when the recall is lifted.

A batch of lines is a unit of work that notes how far it came, so that whoever is killed is followed by one that goes on.
Only marks are written, never search documents. What comes later is marked as it comes (keeping.py).
"""

from __future__ import annotations

import time
from uuid import UUID

from memoryd.catalog import marks
from memoryd.clearance.recalls import keeping
from memoryd.clearance.recalls.facts import FLAG_DERIVED, FLAG_RECALLED, MarkingState
from memoryd.clearance.recalls.queries import marking as queries
from memoryd.clearance.recalls.queries import recalls
from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database, Session, TenantScope

LINES_AT_ONCE = 1_000
"""Lines that one unit of work marks: some tenths of a second, which other writers of those lines wait."""
DERIVED_AT_ONCE = 10_000
"""Lines made from a batch that are marked with it; more hang on one batch only where somebody imports a catalogue."""
EXTENDED_EVERY_S = 20.0


def do_chore(means: chores.Means, chore: Chore) -> None:
    """Do the chore of marking, to its end. Raises: ChoreLost."""
    for subject in chore.subjects:
        keeping.tend(means.database, means.tenant, wait=True)
        extended = time.monotonic()
        while mark_some(means.database, means.tenant, subject):
            if time.monotonic() - extended > EXTENDED_EVERY_S:
                with means.database.farm_work() as session:
                    chores.extend(session, chore)
                extended = time.monotonic()


def mark_some(database: Database, tenant: TenantScope, recall_id: UUID) -> bool:
    """Do one batch of a recall's marks in a unit of work of its own; return whether there may be more."""
    with database.tenant_work(tenant) as session:
        row = recalls.lock_marking(session, recall_id)
        if row is None:
            return False
        match MarkingState(row.marking):
            case MarkingState.MARKING:
                return _mark(session, recall_id, row.mark_cursor)
            case MarkingState.LIFTING:
                return _lift(session, recall_id, row.mark_cursor)
            case MarkingState.LIFTING_DERIVED:
                return _lift_derived(session, recall_id, row.mark_cursor)
            case MarkingState.MARKED | MarkingState.LIFTED:
                return False


def _mark(session: Session, recall_id: UUID, cursor: UUID | None) -> bool:
    roots = queries.list_lines(session, recall_id, before=cursor, limit=LINES_AT_ONCE)
    marks.set_marks(session, roots, add=[FLAG_RECALLED])
    if roots:
        marks.set_marks(session, queries.list_made_from(session, roots, DERIVED_AT_ONCE), add=[FLAG_DERIVED])
    return _note(session, recall_id, roots, MarkingState.MARKING, MarkingState.MARKED, len(roots))


def _lift(session: Session, recall_id: UUID, cursor: UUID | None) -> bool:
    roots = queries.list_lines(session, recall_id, before=cursor, limit=LINES_AT_ONCE)
    free = set(roots) - queries.list_recalled_otherwise(session, roots)
    marks.set_marks(session, free, remove=[FLAG_RECALLED])
    return _note(session, recall_id, roots, MarkingState.LIFTING, MarkingState.LIFTING_DERIVED, -len(roots)) or True


def _lift_derived(session: Session, recall_id: UUID, cursor: UUID | None) -> bool:
    rows = queries.list_derived_marked(session, before=cursor, limit=LINES_AT_ONCE)
    marks.set_marks(session, [root for root, still in rows if not still], remove=[FLAG_DERIVED])
    roots = [root for root, _ in rows]
    return _note(session, recall_id, roots, MarkingState.LIFTING_DERIVED, MarkingState.LIFTED, 0)


def _note(
    session: Session, recall_id: UUID, roots: list[UUID], present: MarkingState, following: MarkingState, lines: int
) -> bool:
    more = len(roots) == LINES_AT_ONCE
    recalls.update_marking(
        session,
        recall_id,
        marking=(present if more else following).value,
        cursor=roots[-1] if more else None,
        lines=lines,
    )
    return more
