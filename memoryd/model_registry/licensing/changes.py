"""A changed licence or grant concerns what was made from the model, too."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from memoryd.foundation.database import Session
from memoryd.model_registry import licence_changes, origins


def note_change(session: Session, *, licence_ids: Iterable[UUID] = (), models: Iterable[bytes] = ()) -> None:
    """Say, in the transaction that changes it, that verdicts on these licences, models and their descendants may be others."""
    told = set(models)
    told |= {descendant.sha256 for model in sorted(told) for descendant in origins.descendants(session, model)}
    licence_changes.tell(session, licence_ids=licence_ids, models=told)
