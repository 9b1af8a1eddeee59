"""Statements about licences, and about who named them for which model."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Row, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id
from memoryd.model_registry.tables import Licence, LicenceGrant


def ensure_licence(session: Session, name: str, *, version: str = "", url: str | None = None) -> UUID:
    """Return the id of the licence with this name and version whose text is not known, made if there is none."""
    same = and_(Licence.name == name, Licence.version == version, Licence.text_sha256.is_(None))
    values = {"id": new_id(), "name": name, "version": version, "url": url}
    session.execute(insert(Licence).values(values).on_conflict_do_nothing())
    if url is not None:
        session.execute(
            update(Licence)
            .where(same, Licence.url.is_(None))
            .values(url=url)
            .execution_options(synchronize_session=False)
        )
    return session.scalars(select(Licence.id).where(same)).one()


def insert_grants(session: Session, rows: Sequence[Mapping[str, object]]) -> set[bytes]:
    """Write statements of licences and return the models of which something new is said; a new reason replaces the old one."""
    if not rows:
        return set()
    statement = insert(LicenceGrant).values([{"id": new_id(), "reason": None, **row} for row in rows])
    said = statement.on_conflict_do_update(
        index_elements=[LicenceGrant.model, LicenceGrant.licence_id, LicenceGrant.source],
        index_where=LicenceGrant.withdrawn_at.is_(None),
        set_={"reason": statement.excluded.reason, "person_id": statement.excluded.person_id},
        where=and_(
            statement.excluded.reason.is_not(None), LicenceGrant.reason.is_distinct_from(statement.excluded.reason)
        ),
    ).returning(LicenceGrant.model)
    return {bytes(model) for model in session.scalars(said)}


def withdraw_grant(session: Session, grant_id: UUID, sha256: bytes, source: str) -> bool:
    """End a statement of this source and tell whether it stood."""
    withdrawn = (
        update(LicenceGrant)
        .where(
            LicenceGrant.id == grant_id,
            LicenceGrant.model == sha256,
            LicenceGrant.source == source,
            LicenceGrant.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=func.clock_timestamp())
        .returning(LicenceGrant.id)
        .execution_options(synchronize_session=False)
    )
    return session.execute(withdrawn).first() is not None


def list_grants(
    session: Session, sha256s: Sequence[bytes]
) -> Sequence[Row[UUID, bytes, str, UUID | None, datetime.datetime, str, str, str | None, bytes | None]]:
    """Return standing statements with their licences: a person's before the file's, the newest first."""
    return session.execute(
        select(
            LicenceGrant.id,
            LicenceGrant.model,
            LicenceGrant.source,
            LicenceGrant.person_id,
            LicenceGrant.at,
            Licence.name,
            Licence.version,
            Licence.url,
            Licence.text_sha256,
        )
        .join(Licence, Licence.id == LicenceGrant.licence_id)
        .where(LicenceGrant.model.in_(sha256s), LicenceGrant.withdrawn_at.is_(None))
        .order_by(LicenceGrant.source.desc(), LicenceGrant.at.desc(), LicenceGrant.id.desc())
    ).all()
