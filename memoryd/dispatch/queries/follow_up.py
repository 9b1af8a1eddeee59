"""Every statement about chores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, text

from memoryd.dispatch.tables.upkeep import Chore
from memoryd.foundation.database import Session

Found = Row[Any]


def insert_chores(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Write chores."""
    session.execute(insert(Chore), [dict(row) for row in rows])


def lease_chores(session: Session, *, kinds: Sequence[str], token: UUID, lease_s: float, limit: int) -> Sequence[Found]:
    """Lease the next chores of these kinds, the greatest priority first, the oldest first within one."""
    return session.execute(
        text("""
        update chore set lease_token = :token, lease_until = clock_timestamp() + make_interval(secs => :lease_s),
               attempt = attempt + 1
         where id = any(array(
               select id from chore where gave_up_at is null and kind = any(cast(:kinds as text[]))
                  and not_before <= clock_timestamp() and (lease_until is null or lease_until < clock_timestamp())
                order by priority desc, id limit :limit for update skip locked))
        returning id, tenant_id, kind, recipe, subjects, attempt, lease_token, priority"""),
        {"kinds": list(kinds), "token": token, "lease_s": lease_s, "limit": limit},
    ).all()


def extend_chore(session: Session, *, chore_id: UUID, token: UUID, lease_s: float) -> bool:
    """Keep a chore for longer; False where its lease is lost."""
    kept = session.execute(
        text("""update chore set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
                 where id = :id and lease_token = :token returning 1"""),
        {"id": chore_id, "token": token, "lease_s": lease_s},
    )
    return kept.first() is not None


def delete_chore(session: Session, *, chore_id: UUID, token: UUID) -> bool:
    """A chore is done; False where its lease is lost."""
    done = session.execute(
        text("delete from chore where id = :id and lease_token = :token returning 1"), {"id": chore_id, "token": token}
    )
    return done.first() is not None


def postpone_chore(session: Session, *, chore_id: UUID, token: UUID, error: str, wait_s: float, give_up: bool) -> bool:
    """A try failed: wait for the next, or give up; False where the lease is lost."""
    put = session.execute(
        text("""update chore set lease_token = null, lease_until = null, error = :error,
                       not_before = clock_timestamp() + make_interval(secs => :wait_s),
                       gave_up_at = case when :give_up then clock_timestamp() end
                 where id = :id and lease_token = :token returning 1"""),
        {"id": chore_id, "token": token, "error": error, "wait_s": wait_s, "give_up": give_up},
    )
    return put.first() is not None


def list_given_up(session: Session, *, tenant_id: UUID, limit: int) -> Sequence[Found]:
    """A tenant's chores that were given up: id, kind, recipe, subjects, attempt, error, gave_up_at."""
    return session.execute(
        text("""select id, kind, recipe, subjects, attempt, error, gave_up_at from chore
                 where tenant_id = :tenant_id and gave_up_at is not null order by gave_up_at desc limit :limit"""),
        {"tenant_id": tenant_id, "limit": limit},
    ).all()


def retry_given_up(session: Session, *, tenant_id: UUID) -> int:
    """Let a tenant's given-up chores be tried again; return how many."""
    return len(
        session.execute(
            text("""update chore set gave_up_at = null, attempt = 0, not_before = clock_timestamp()
                     where tenant_id = :tenant_id and gave_up_at is not null returning 1"""),
            {"tenant_id": tenant_id},
        ).all()
    )


def count_left(session: Session, ids: Sequence[UUID]) -> tuple[int, int]:
    """How many subjects some chores have: (waiting or being done, given up)."""
    row = session.execute(
        text("""select coalesce(sum(cardinality(subjects)) filter (where gave_up_at is null), 0) as waiting,
                       coalesce(sum(cardinality(subjects)) filter (where gave_up_at is not null), 0) as given_up
                  from chore where id = any(cast(:ids as uuid[]))"""),
        {"ids": list(ids)},
    ).one()
    return int(row.waiting), int(row.given_up)


def count_chores(session: Session) -> Sequence[Found]:
    """How many chores wait, by kind: kind, waiting, given_up."""
    return session.execute(
        text("""select kind, count(*) filter (where gave_up_at is null) as waiting,
                       count(*) filter (where gave_up_at is not null) as given_up
                  from chore group by kind order by kind""")
    ).all()
