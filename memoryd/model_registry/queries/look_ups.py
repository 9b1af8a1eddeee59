"""Statements about what public services answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from memoryd.foundation.database import Session


def replace_look_up(
    session: Session, *, sha256: bytes, service: str, found: bool, answer: Mapping[str, object], person_id: UUID | None
) -> None:
    """Keep what a service answered about a model, instead of what it answered before."""
    session.execute(
        text("""
        insert into model_look_up (sha256, service, found, answer, person_id)
        values (:sha256, :service, :found, cast(:answer as jsonb), :person_id)
            on conflict (sha256, service) do update set found = excluded.found, answer = excluded.answer,
               person_id = excluded.person_id, at = clock_timestamp()"""),
        {
            "sha256": sha256,
            "service": service,
            "found": found,
            "answer": json.dumps(dict(answer)),
            "person_id": person_id,
        },
    )
