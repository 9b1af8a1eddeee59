"""Every statement about weights that lie in the store. The session has taken the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.model_registry.keeping.tables import ModelCopy

Found: TypeAlias = Any
"""A row of the columns that the statement names."""


def upsert_copy(session: Session, values: Mapping[str, object]) -> None:
    """Write that weights lie in the store; of those that do already, what they are called."""
    statement = insert(ModelCopy).values(**values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[ModelCopy.sha256],
            set_={
                "folder": statement.excluded.folder,
                "name": statement.excluded.name,
                "last_used_at": func.clock_timestamp(),
            },
        )
    )


def find_copies(session: Session, sha256s: Sequence[bytes]) -> Sequence[Found]:
    """Return those of these weights that lie in the store: all columns."""
    return session.execute(select(ModelCopy.__table__).where(ModelCopy.sha256.in_(list(sha256s)))).all()


def list_copies(session: Session, *, after: bytes | None, limit: int) -> Sequence[Found]:
    """Return what lies in the store, by hash: all columns."""
    wanted = select(ModelCopy.__table__).order_by(ModelCopy.sha256).limit(limit)
    return session.execute(wanted if after is None else wanted.where(ModelCopy.sha256 > after)).all()


def find_named(session: Session, uses: Sequence[tuple[str, str]]) -> Sequence[Found]:
    """Return what lies in the store under these (folder, name): folder, name, sha256."""
    return session.execute(
        select(ModelCopy.folder, ModelCopy.name, ModelCopy.sha256).where(
            tuple_(ModelCopy.folder, ModelCopy.name).in_(list(uses))
        )
    ).all()


def sum_sizes(session: Session) -> tuple[int, int]:
    """Return how many copies there are, and their bytes."""
    row = session.execute(select(func.count(), func.coalesce(func.sum(ModelCopy.size), 0))).one()
    return int(row[0]), int(row[1])


def list_oldest(session: Session, *, skip: int, limit: int) -> Sequence[Found]:
    """Return copies, those used longest ago first, locked: sha256, size, folder, name."""
    return session.execute(
        select(ModelCopy.sha256, ModelCopy.size, ModelCopy.folder, ModelCopy.name)
        .order_by(ModelCopy.last_used_at, ModelCopy.sha256)
        .offset(skip)
        .limit(limit)
        .with_for_update()
    ).all()


def delete_copies(session: Session, sha256s: Sequence[bytes]) -> Sequence[Found]:
    """Forget copies; return those there were: sha256, size, folder, name."""
    gone = delete(ModelCopy).where(ModelCopy.sha256.in_(list(sha256s)))
    return session.execute(gone.returning(ModelCopy.sha256, ModelCopy.size, ModelCopy.folder, ModelCopy.name)).all()


def touch(session: Session, sha256s: Sequence[bytes], *, each_s: float) -> None:
    """Note that copies were used, where that was not noted in the last `each_s` seconds."""
    session.execute(
        update(ModelCopy)
        .where(
            ModelCopy.sha256.in_(list(sha256s)),
            ModelCopy.last_used_at < func.clock_timestamp() - text("make_interval(secs => :each_s)"),
        )
        .values(last_used_at=func.clock_timestamp(), uses=ModelCopy.uses + 1),
        {"each_s": each_s},
    )


def lock_store(session: Session) -> None:
    """Let nobody else make room or add a copy in this tenant until this transaction ends."""
    session.execute(text("select pg_advisory_xact_lock(hashtext('memoryd.model-store'), hashtext(current_schema()))"))
