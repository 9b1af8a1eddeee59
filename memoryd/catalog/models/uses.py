"""Which runs used a model, as far as the caller sees them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from memoryd.access.facts import Sees
from memoryd.catalog.queries import model_uses as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, GenerationId, JobId, parse_id
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size

LISTED_RUNS = 1_000
SHOWN_RUNS = 10_000
"""Runs of a model that are counted for a list, and for itself: of more it is said that there are more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UseOfModel:
    """A run that used a model, by which of its names, and the assets that it made."""

    generation_id: GenerationId
    job_id: JobId | None
    project: str | None
    started_at: datetime.datetime | None
    recorded_at: datetime.datetime
    names: tuple[str, ...]
    assets: tuple[AssetId, ...]


def count_uses(session: Session, sha256s: Sequence[bytes], sees: Sees, *, most: int = LISTED_RUNS) -> dict[bytes, int]:
    """Return how many runs used each of these models, `most` at most; those that no run used are left out."""
    return {bytes(row.sha256): row.runs for row in queries.count_uses(session, sha256s, sees, limit=most)}


def list_uses(
    session: Session, sha256: bytes, sees: Sees, *, cursor: str | None = None, limit: int | None = None
) -> Page[UseOfModel]:
    """Return a page of the runs that used a model, newest first. Raises: BadCursor; BadPageSize."""
    size, before = page_size(limit), None
    if cursor is not None:
        (told,) = decode_cursor(cursor, 1)
        before = parse_id(str(told))
        if before is None:
            raise BadCursor("the cursor names no run", hint="start again without a cursor")
    rows = queries.list_uses(session, sha256, sees, before=before, limit=size + 1)
    uses = [
        UseOfModel(
            generation_id=GenerationId(row.id),
            job_id=JobId(row.job_id) if row.job_id is not None else None,
            project=row.project,
            started_at=row.started_at,
            recorded_at=row.recorded_at,
            names=tuple(row.names),
            assets=tuple(AssetId(one) for one in row.assets),
        )
        for row in rows[:size]
    ]
    return Page(rows=uses, next_cursor=encode_cursor(str(uses[-1].generation_id)) if len(rows) > size else None)
