"""Which runs used a model, as far as the caller sees them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from memoryd.access.facts import Sees
from memoryd.catalog.queries import model_uses as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, GenerationId, JobId
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size

LISTED_RUNS = 500
SHOWN_RUNS = 2_000
"""The latest runs of a model that are looked at to count those that the caller sees: for a list, and for itself."""
NAMED_RUNS = 1_000
"""Runs of one content of a drifted name that are counted."""
LOOKED_RUNS = 20_000
"""Runs that are looked at for one page: who sees few projects gets pages that are not full, and the cursor goes on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """How many runs used a model; `more`: at least so many, since not all of them were looked at."""

    runs: int = 0
    more: bool = False


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


def count_uses(session: Session, sha256s: Sequence[bytes], sees: Sees, *, most: int = LISTED_RUNS) -> dict[bytes, Uses]:
    """Return how many of the latest `most` runs of each model the caller sees; models that no run used are left out."""
    rows = queries.count_uses(session, sha256s, sees, limit=most)
    return {bytes(row.sha256): Uses(runs=row.runs, more=row.looked >= most) for row in rows}


def list_uses(
    session: Session, sha256: bytes, sees: Sees, *, cursor: str | None = None, limit: int | None = None
) -> Page[UseOfModel]:
    """Return a page of the runs that used a model, newest first; LOOKED_RUNS are looked at for it.

    Raises: BadCursor; BadPageSize.
    """
    size, before = page_size(limit), decode_id(cursor)
    rows = queries.list_uses(session, sha256, sees, before=before, looked=LOOKED_RUNS, limit=size + 1)
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
    after = (
        uses[-1].generation_id
        if len(rows) > size
        else queries.find_last(session, sha256, before=before, looked=LOOKED_RUNS)
    )
    return Page(rows=uses, next_cursor=encode_cursor(str(after)) if after is not None else None)
