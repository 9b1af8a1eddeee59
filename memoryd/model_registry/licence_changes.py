"""Telling that what models are licensed by has changed: at once to whoever remembers a judgement, and as follow-up work."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from memoryd.access import directory
from memoryd.access.changes.noting import Changed, note_change
from memoryd.dispatch import chores
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.model_registry.queries import changes as queries

CHORE_KIND = "reopen-clearances"
LICENCES_RECIPE = "licences"
"""The chore's subjects are ids of licences (`Terms.key`)."""
MODELS_RECIPE = "models"
"""The chore's subjects are keys of models; `models_of` says which."""


def tell(session: Session, *, licence_ids: Iterable[UUID] = (), models: Iterable[bytes] = ()) -> None:
    """Say, in the transaction that changes it, that verdicts on these licences and models are to be looked at again."""
    licences, keys = sorted(set(licence_ids)), sorted({model_key(model) for model in models})
    if not licences and not keys:
        return
    if licences:
        note_change(session, Changed.LICENCE)
    if keys:
        note_change(session, Changed.GRANT)
    schema = queries.present_schema(session)
    take_farm(session)
    tenant = next(scope for scope in directory.list_tenants(session) if scope.schema == schema)
    chores.add(session, tenant, CHORE_KIND, LICENCES_RECIPE, licences)
    chores.add(session, tenant, CHORE_KIND, MODELS_RECIPE, keys)
    take_tenant(session, tenant)


def model_key(sha256: bytes) -> UUID:
    """Return the first half of a model's hash as what a chore can name."""
    return UUID(bytes=sha256[:16])


def models_of(session: Session, keys: Iterable[UUID]) -> list[bytes]:
    """Return the models that these keys name; one that is not known any more is left out."""
    return queries.find_by_keys(session, sorted({key.bytes for key in keys}))
