"""Every statement about the tenant's own terms of licences, and about what models say of themselves."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.model_registry.licensing.tables import LicenceTerms
from memoryd.model_registry.tables import Licence, LicenceGrant, Model


def list_present(session: Session) -> Sequence[LicenceTerms]:
    """Return the present version of each licence that a person added or changed."""
    return session.scalars(
        select(LicenceTerms).where(LicenceTerms.ended_at.is_(None)).execution_options(populate_existing=True)
    ).all()


def list_versions(session: Session, licence: str) -> Sequence[LicenceTerms]:
    """Return every version that people made of a licence, the latest first."""
    return session.scalars(
        select(LicenceTerms)
        .where(LicenceTerms.licence == licence)
        .order_by(LicenceTerms.version.desc())
        .execution_options(populate_existing=True)
    ).all()


def lock_licence(session: Session, licence: str) -> None:
    """Let one person change a licence at a time; another waits until this transaction ends."""
    session.execute(
        text(
            "select pg_advisory_xact_lock(hashtextextended("
            "concat_ws(chr(1), 'licence', current_schema(), cast(:licence as text)), 0))"
        ),
        {"licence": licence},
    )


def end_version(session: Session, licence: str) -> bool:
    """End the present version of a licence and tell whether there was one."""
    ended = (
        update(LicenceTerms)
        .where(LicenceTerms.licence == licence, LicenceTerms.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp())
        .returning(LicenceTerms.version)
        .execution_options(synchronize_session=False)
    )
    return session.execute(ended).first() is not None


def insert_version(session: Session, row: dict[str, object]) -> int:
    """Write the next version of a licence and return its number."""
    following = (
        select(func.coalesce(func.max(LicenceTerms.version), 0) + 1)
        .where(LicenceTerms.licence == row["licence"])
        .scalar_subquery()
    )
    made = insert(LicenceTerms).values({**row, "version": following}).returning(LicenceTerms.version)
    return session.execute(made).scalar_one()


def list_models(
    session: Session, sha256s: Sequence[bytes]
) -> Sequence[Row[bytes, str, str | None, str | None, dict[str, object] | None]]:
    """Return what is known of models: hash, kind, family, stated base, what lay beside them."""
    return session.execute(
        select(Model.sha256, Model.kind, Model.base, Model.base_name, Model.sidecar).where(Model.sha256.in_(sha256s))
    ).all()


def list_statements(
    session: Session, sha256s: Sequence[bytes]
) -> Sequence[Row[UUID, bytes, str, UUID | None, str | None, datetime.datetime, str, str | None, bytes | None]]:
    """Return standing statements about models with the licences that they name, the newest first."""
    return session.execute(
        select(
            LicenceGrant.id,
            LicenceGrant.model,
            LicenceGrant.source,
            LicenceGrant.person_id,
            LicenceGrant.reason,
            LicenceGrant.at,
            Licence.name,
            Licence.url,
            Licence.text_sha256,
        )
        .join(Licence, Licence.id == LicenceGrant.licence_id)
        .where(LicenceGrant.model.in_(sha256s), LicenceGrant.withdrawn_at.is_(None))
        .order_by(LicenceGrant.at.desc(), LicenceGrant.id.desc())
    ).all()
