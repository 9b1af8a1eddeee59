"""A changed licence or grant concerns what was made from the model, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from memoryd.foundation.database import Session
from memoryd.model_registry import licence_changes, origins
from memoryd.model_registry.licensing import queries

Said = Mapping[bytes, tuple[object, ...]]


def note_change(session: Session, *, licence_ids: Iterable[UUID] = (), models: Iterable[bytes] = ()) -> None:
    """Say, in the transaction that changes it, that verdicts on these licences, models and their descendants may be others."""
    told = set(models)
    parents = origins.count_children(session, sorted(told)) if told else {}
    told |= {descendant.sha256 for model in sorted(parents) for descendant in origins.descendants(session, model)}
    licence_changes.tell(session, licence_ids=licence_ids, models=told)


def what_is_said(session: Session, models: Sequence[bytes]) -> Said:
    """Return what these models say that may grant or restrict, to compare with later; silent ones are left out."""
    rows = queries.list_models(session, models) if models else ()
    said = {bytes(row.sha256): (row.base, row.base_name, row.sidecar) for row in rows}
    return {sha256: facts for sha256, facts in said.items() if facts != (None, None, None)}


def changed_since(session: Session, before: Said, models: Sequence[bytes]) -> list[bytes]:
    """Return those of these models that say something else than before."""
    now = what_is_said(session, models)
    return [model for model in models if before.get(model) != now.get(model)]
