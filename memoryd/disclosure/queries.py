"""Every statement of this room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from memoryd.disclosure.tables import Disclosure
from memoryd.foundation.database import Session


def insert_disclosure(session: Session, values: dict[str, Any]) -> bool:
    """Record a signed copy; tell whether this statement by this signer was new."""
    made = session.execute(
        insert(Disclosure)
        .values(values)
        .on_conflict_do_nothing(index_elements=["original_id", "statement_digest", "signer_fingerprint"])
        .returning(Disclosure.id)
    )
    return made.scalar_one_or_none() is not None


def find_same(session: Session, original: UUID, digest: bytes, fingerprint: bytes) -> Disclosure | None:
    """Return the disclosure that says the same of the same content by the same signer."""
    return session.scalars(
        select(Disclosure).where(
            Disclosure.original_id == original,
            Disclosure.statement_digest == digest,
            Disclosure.signer_fingerprint == fingerprint,
        )
    ).one_or_none()


def find_disclosure(session: Session, id_: UUID) -> Disclosure | None:
    """Return one disclosure."""
    return session.get(Disclosure, id_)


def list_disclosures(session: Session, assets: Sequence[UUID]) -> list[Disclosure]:
    """Return the disclosures of which one of these assets is the original or the signed copy, newest first."""
    return list(
        session.scalars(
            select(Disclosure)
            .where(or_(Disclosure.original_id.in_(assets), Disclosure.disclosed_id.in_(assets)))
            .order_by(Disclosure.id.desc())
        )
    )
