"""Drift with what it did: the runs that used each content of a name by that name."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from memoryd.access.facts import Sees
from memoryd.catalog.models.uses import NAMED_RUNS
from memoryd.catalog.queries import model_uses as queries
from memoryd.foundation.database import Session
from memoryd.foundation.paging import Page
from memoryd.model_registry import drift
from memoryd.model_registry.drift import Drift


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunsMade:
    """Runs that the caller sees, NAMED_RUNS at most, and when the first and the last of these were."""

    runs: int
    first_at: datetime.datetime
    last_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DriftUsed:
    """A name that had several contents, with the runs of each (by SHA-256); those without runs are left out."""

    drift: Drift
    runs: Mapping[bytes, RunsMade]


def list_drift(session: Session, sees: Sees, *, cursor: str | None = None, limit: int | None = None) -> Page[DriftUsed]:
    """Return names that had several contents, by name. Raises: BadCursor, BadPageSize."""
    page = drift.list_drift(session, cursor=cursor, limit=limit)
    names = [(one.folder, one.path, content.sha256) for one in page.rows for content in one.contents]
    rows = queries.count_named(session, names, sees, limit=NAMED_RUNS) if names else ()
    made = {
        (row.folder, row.path, bytes(row.sha256)): RunsMade(runs=row.runs, first_at=row.first_at, last_at=row.last_at)
        for row in rows
    }
    return Page(
        rows=[
            DriftUsed(
                drift=one,
                runs={
                    content.sha256: made[one.folder, one.path, content.sha256]
                    for content in one.contents
                    if (one.folder, one.path, content.sha256) in made
                },
            )
            for one in page.rows
        ],
        next_cursor=page.next_cursor,
    )
