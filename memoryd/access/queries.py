"""Every statement of this room."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, create_engine, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from memoryd.access.tables import (
    ApiKey,
    AuditCheckpoint,
    AuditEntry,
    AuditPending,
    KeyIndex,
    Membership,
    Person,
    PersonKey,
    Project,
    SignIn,
    Tenant,
    WebSession,
)
from memoryd.foundation.database import EXTENSION_SCHEMA, SERVER_ROLE, Session, checked_name, down
from memoryd.foundation.lean_statements import Lean

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row whose columns are read by name."""

# --- as the owner


@contextlib.contextmanager
def owner_work(owner_url: str, schema: str) -> Iterator[Session]:
    """One unit of work with the owner's rights in one schema: making tenants, and nothing that serves a request."""
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            path = f"{checked_name(schema)}, {EXTENSION_SCHEMA}"
            session.execute(text("select set_config('search_path', :path, true)"), {"path": path})
            yield session
    except OperationalError as error:
        raise down(error) from error
    finally:
        engine.dispose()


def make_tenant_role(session: Session, role: str) -> None:
    """Create a tenant's role, which nobody logs in as, and let the server take it (never inherit it)."""
    checked_name(role)
    if session.execute(text("select 1 from pg_roles where rolname = :role"), {"role": role}).first() is None:
        session.execute(text(f"create role {role} nologin"))
    session.execute(text(f"grant {role} to {SERVER_ROLE} with inherit false, set true"))


# --- the farm: directory and key index


def find_tenant(session: Session, slug: str) -> AnyRow | None:
    return session.execute(select(*Tenant.__table__.c).where(Tenant.slug == slug)).one_or_none()


def list_tenants(session: Session) -> Sequence[AnyRow]:
    return session.execute(select(*Tenant.__table__.c).order_by(Tenant.slug)).all()


def insert_tenant(session: Session, **columns: object) -> bool:
    """Return whether it was inserted; False where slug, schema or role is taken."""
    statement = insert(Tenant).values(**columns).on_conflict_do_nothing().returning(Tenant.id)
    return session.execute(statement).first() is not None


def set_tenant_state(session: Session, tenant_id: UUID, state: str) -> None:
    session.execute(update(Tenant).where(Tenant.id == tenant_id).values(state=state))


def find_key_index(session: Session, prefix: str) -> AnyRow | None:
    """Return the tenant of a key's prefix, with the key's id."""
    statement = (
        select(KeyIndex.key_id, *Tenant.__table__.c)
        .join(Tenant, Tenant.id == KeyIndex.tenant_id)
        .where(KeyIndex.prefix == prefix)
    )
    return session.execute(statement).one_or_none()


def insert_key_index(session: Session, *, prefix: str, tenant_id: UUID, key_id: UUID) -> None:
    session.execute(insert(KeyIndex).values(prefix=prefix, tenant_id=tenant_id, key_id=key_id))


# --- projects


def insert_project(session: Session, *, project_id: UUID, slug: str, name: str) -> bool:
    """Return whether it was inserted; False where the slug is taken."""
    statement = insert(Project).values(id=project_id, slug=slug, name=name).on_conflict_do_nothing()
    return session.execute(statement.returning(Project.id)).first() is not None


def find_project(session: Session, slug: str) -> UUID | None:
    return session.execute(select(Project.id).where(Project.slug == slug)).scalar_one_or_none()


def update_project(session: Session, project_id: UUID, values: Mapping[str, object]) -> None:
    """Change where a project's jobs may run (`pools`, `regions`), or its `policy_version`."""
    session.execute(update(Project).where(Project.id == project_id).values(dict(values)))


def list_projects(session: Session, only: Sequence[UUID] | None) -> Sequence[AnyRow]:
    """`only` None lists all."""
    statement = select(*Project.__table__.c)
    if only is not None:
        statement = statement.where(Project.id.in_(only))
    return session.execute(statement.order_by(Project.slug)).all()


# --- people


def insert_person(session: Session, *, person_id: UUID, login: str, display_name: str) -> bool:
    """Return whether they were inserted; False where the login is taken."""
    statement = insert(Person).values(id=person_id, login=login, display_name=display_name).on_conflict_do_nothing()
    return session.execute(statement.returning(Person.id)).first() is not None


def find_person(session: Session, login: str) -> AnyRow | None:
    statement = select(Person.id, Person.login, Person.display_name, Person.created_at)
    return session.execute(statement.where(Person.login == login, Person.erased_at.is_(None))).one_or_none()


def find_person_by_id(session: Session, person_id: UUID) -> AnyRow | None:
    statement = select(Person.id, Person.login, Person.display_name, Person.created_at)
    return session.execute(statement.where(Person.id == person_id, Person.erased_at.is_(None))).one_or_none()


def list_people(session: Session) -> Sequence[AnyRow]:
    statement = select(Person.id, Person.login, Person.display_name, Person.created_at)
    return session.execute(statement.where(Person.erased_at.is_(None)).order_by(Person.login)).all()


def list_memberships(session: Session, people: Sequence[UUID]) -> Sequence[AnyRow]:
    statement = (
        select(Membership.person_id, Membership.role, Membership.project_id, Project.slug)
        .outerjoin(Project, Project.id == Membership.project_id)
        .where(Membership.person_id.in_(people))
        .order_by(Membership.person_id, Project.slug.nulls_first())
    )
    return session.execute(statement).all()


def upsert_membership(
    session: Session, *, membership_id: UUID, person_id: UUID, project_id: UUID | None, role: str
) -> None:
    statement = insert(Membership).values(id=membership_id, person_id=person_id, project_id=project_id, role=role)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Membership.person_id, Membership.project_id], set_={"role": statement.excluded.role}
        )
    )


def delete_membership(session: Session, *, person_id: UUID, project_id: UUID | None) -> bool:
    statement = delete(Membership).where(
        Membership.person_id == person_id, Membership.project_id.is_not_distinct_from(project_id)
    )
    return session.execute(statement.returning(Membership.id)).first() is not None


def lock_tenant_wide_memberships(session: Session, role: str) -> list[UUID]:
    """Return who holds a role in the whole tenant; nobody else changes those rows until the transaction ends."""
    statement = select(Membership.person_id).where(Membership.project_id.is_(None), Membership.role == role)
    return list(session.execute(statement.order_by(Membership.id).with_for_update()).scalars())


def set_email(session: Session, person_id: UUID, sealed: bytes) -> None:
    session.execute(update(Person).where(Person.id == person_id).values(email_sealed=sealed))


def erase_person(session: Session, person_id: UUID, *, login: str, display_name: str) -> None:
    """Take the names and every proof of identity away. The person's key is destroyed by destroy_person_key."""
    session.execute(
        update(Person)
        .where(Person.id == person_id)
        .values(login=login, display_name=display_name, email_sealed=None, erased_at=func.clock_timestamp())
    )
    for table in (Membership, SignIn, WebSession):
        session.execute(delete(table).where(table.person_id == person_id))
    session.execute(
        update(ApiKey)
        .where(ApiKey.person_id == person_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
    )


def list_person_keys(session: Session, people: Sequence[UUID]) -> Sequence[AnyRow]:
    statement = select(PersonKey.person_id, PersonKey.wrapped, PersonKey.destroyed_at)
    return session.execute(statement.where(PersonKey.person_id.in_(people))).all()


def insert_person_key(session: Session, *, person_id: UUID, wrapped: bytes) -> None:
    """Insert a key where the person has none yet, not even a destroyed one."""
    session.execute(insert(PersonKey).values(person_id=person_id, wrapped=wrapped).on_conflict_do_nothing())


def destroy_person_key(session: Session, person_id: UUID) -> None:
    """Destroy the key, and leave a destroyed one where there was none, so that no later sealing makes one."""
    statement = insert(PersonKey).values(person_id=person_id, wrapped=None, destroyed_at=func.clock_timestamp())
    gone = {"wrapped": None, "destroyed_at": func.clock_timestamp()}
    session.execute(statement.on_conflict_do_update(index_elements=[PersonKey.person_id], set_=gone))


# --- keys


def insert_key(session: Session, **columns: object) -> None:
    session.execute(insert(ApiKey).values(**columns))


def find_key(session: Session, key_id: UUID) -> AnyRow | None:
    """Return a key that is neither revoked nor expired, with its secret's hash and its person (None: a worker's)."""
    statement = (
        select(
            ApiKey.id,
            ApiKey.name,
            ApiKey.secret_hash,
            ApiKey.scopes,
            ApiKey.person_id,
            Person.login,
            (ApiKey.last_used_on.is_distinct_from(func.current_date())).label("first_today"),
        )
        .outerjoin(Person, Person.id == ApiKey.person_id)
        .where(
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            ApiKey.expires_at.is_(None) | (ApiKey.expires_at > func.clock_timestamp()),
        )
    )
    return session.execute(statement).one_or_none()


def touch_key(session: Session, key_id: UUID) -> None:
    """Note that the key was used today."""
    today = func.current_date()
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.last_used_on.is_distinct_from(today))
        .values(last_used_on=today)
    )


def list_keys(session: Session) -> Sequence[AnyRow]:
    statement = select(*(c for c in ApiKey.__table__.c if c.name != "secret_hash"), Person.login)
    return session.execute(
        statement.outerjoin(Person, Person.id == ApiKey.person_id).order_by(ApiKey.created_at, ApiKey.id)
    ).all()


def revoke_key(session: Session, prefix: str) -> UUID | None:
    """Return the key's id; None where no live key has the prefix."""
    statement = update(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
    return session.execute(
        statement.values(revoked_at=func.clock_timestamp()).returning(ApiKey.id)
    ).scalar_one_or_none()


# --- sessions


def insert_sign_in(session: Session, *, token_hash: bytes, person_id: UUID, expires_at: datetime.datetime) -> None:
    session.execute(insert(SignIn).values(token_hash=token_hash, person_id=person_id, expires_at=expires_at))


def use_sign_in(session: Session, token_hash: bytes) -> UUID | None:
    """Use a link up; return its person, or None where it is unknown, used or expired."""
    statement = (
        update(SignIn)
        .where(SignIn.token_hash == token_hash, SignIn.used_at.is_(None), SignIn.expires_at > func.clock_timestamp())
        .values(used_at=func.clock_timestamp())
        .returning(SignIn.person_id)
    )
    return session.execute(statement).scalar_one_or_none()


def insert_web_session(session: Session, *, token_hash: bytes, person_id: UUID, expires_at: datetime.datetime) -> None:
    session.execute(insert(WebSession).values(token_hash=token_hash, person_id=person_id, expires_at=expires_at))


def find_web_session(session: Session, token_hash: bytes) -> AnyRow | None:
    """Return the person of a session that has not expired."""
    statement = (
        select(Person.id, Person.login, Person.display_name)
        .join(WebSession, WebSession.person_id == Person.id)
        .where(
            WebSession.token_hash == token_hash,
            WebSession.expires_at > func.clock_timestamp(),
            Person.erased_at.is_(None),
        )
    )
    return session.execute(statement).one_or_none()


def delete_web_session(session: Session, token_hash: bytes) -> None:
    session.execute(delete(WebSession).where(WebSession.token_hash == token_hash))


def delete_expired_sessions(session: Session) -> None:
    for table in (SignIn, WebSession):
        session.execute(delete(table).where(table.expires_at < func.clock_timestamp()))


# --- the audit trail

SEALER_LOCK = 0x6D656D61
"""First half of the advisory lock's number; the second is the tenant's. Any number that nobody else uses."""


_INSERT_PENDING = Lean("""
    insert into audit_pending (action, subject, via, key_id, person_id, facts, personal)
    values (:action, :subject, :via, :key_id, :person_id, :facts, :personal)""")


def insert_pending(session: Session, **columns: object) -> None:
    _INSERT_PENDING.run(session, columns)


def try_sealer_lock(session: Session, schema: str) -> bool:
    """Return whether this transaction is now the one that may seal or relay for the tenant."""
    statement = text("select pg_try_advisory_xact_lock(:first, hashtext(:schema))")
    return bool(session.execute(statement, {"first": SEALER_LOCK, "schema": schema}).scalar_one())


def list_pending(session: Session, limit: int) -> Sequence[AnyRow]:
    return session.execute(select(*AuditPending.__table__.c).order_by(AuditPending.id).limit(limit)).all()


def delete_pending(session: Session, ids: Sequence[int]) -> None:
    session.execute(delete(AuditPending).where(AuditPending.id.in_(ids)))


def count_pending(session: Session) -> int:
    return session.execute(select(func.count()).select_from(AuditPending)).scalar_one()


def insert_entries(session: Session, entries: Sequence[dict[str, object]]) -> None:
    session.execute(insert(AuditEntry), entries)


def find_last_entry(session: Session) -> AnyRow | None:
    return session.execute(
        select(AuditEntry.seq, AuditEntry.hash).order_by(AuditEntry.seq.desc()).limit(1)
    ).one_or_none()


def list_entries(session: Session, *, after: int, limit: int) -> Sequence[AnyRow]:
    """Return sealed entries in their order."""
    statement = select(*AuditEntry.__table__.c).where(AuditEntry.seq > after)
    return session.execute(statement.order_by(AuditEntry.seq).limit(limit)).all()


def list_latest_entries(
    session: Session, *, before: int | None, action: str | None, subject: str | None, limit: int
) -> Sequence[AnyRow]:
    """Return sealed entries, newest first. `action` is a whole action, or a room's (`asset.`) by its dot at the end."""
    statement = select(*AuditEntry.__table__.c)
    if before is not None:
        statement = statement.where(AuditEntry.seq < before)
    if action is not None:
        whole = AuditEntry.action == action
        statement = statement.where(
            AuditEntry.action.startswith(action, autoescape=True) if action[-1:] == "." else whole
        )
    if subject is not None:
        statement = statement.where(AuditEntry.subject == subject)
    return session.execute(statement.order_by(AuditEntry.seq.desc()).limit(limit)).all()


def insert_checkpoint(session: Session, **columns: object) -> None:
    session.execute(insert(AuditCheckpoint).values(**columns).on_conflict_do_nothing())


def list_checkpoints(session: Session) -> Sequence[AnyRow]:
    return session.execute(select(*AuditCheckpoint.__table__.c).order_by(AuditCheckpoint.seq)).all()


def find_last_checkpoint(session: Session) -> AnyRow | None:
    statement = select(*AuditCheckpoint.__table__.c).order_by(AuditCheckpoint.seq.desc()).limit(1)
    return session.execute(statement).one_or_none()
