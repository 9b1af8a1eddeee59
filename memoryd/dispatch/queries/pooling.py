"""Every statement about pools as people set them up, and about weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, String, bindparam, text, update

from memoryd.dispatch.tables.pools import NOBODY, Pool
from memoryd.foundation.database import Session

Found = Row[Any]


def list_pools(session: Session, *, tenant_id: UUID, name: str | None = None) -> Sequence[Found]:
    """The pools a tenant may use, by name; only `name` if given. All columns, and backs_off_until."""
    return session.execute(
        text(f"""
        select p.*, (select s.until from setback s where s.pool_id = p.id and s.worker_id = '{NOBODY}'
                        and s.until > clock_timestamp()) as backs_off_until
          from pool p
         where p.owner_worker is null
           and (p.shared or exists (select from pool_grant g where g.pool_id = p.id and g.tenant_id = :tenant_id))
           and (:name is null or p.name = :name) order by p.name""").bindparams(bindparam("name", type_=String())),
        {"tenant_id": tenant_id, "name": name},
    ).all()


def update_pool(session: Session, *, pool_id: UUID, values: Mapping[str, object]) -> None:
    """Change a pool's columns."""
    if values:
        session.execute(update(Pool).where(Pool.id == pool_id).values(**values))


def set_paused(session: Session, *, pool_id: UUID, paused: bool) -> None:
    """Pause a pool, or end its pause and all its setbacks."""
    session.execute(
        text("""update pool set paused_at = case when :paused then coalesce(paused_at, clock_timestamp()) end
                 where id = :id"""),
        {"id": pool_id, "paused": paused},
    )
    if not paused:
        session.execute(text("delete from setback where pool_id = :id"), {"id": pool_id})


def has_other_users(session: Session, *, pool_id: UUID, tenant_id: UUID) -> bool:
    """Whether any other tenant may use a pool."""
    return bool(
        session.execute(
            text("""
            select exists (select from tenant t join pool p on p.id = :pool_id where t.id <> :tenant_id
                              and (p.shared or exists (select from pool_grant g
                                                        where g.pool_id = p.id and g.tenant_id = t.id)))"""),
            {"pool_id": pool_id, "tenant_id": tenant_id},
        ).scalar_one()
    )


# --- weights


def upsert_tenant_weight(session: Session, *, tenant_id: UUID, weight: float) -> None:
    """Write a tenant's weight."""
    session.execute(
        text("""insert into tenant_weight (tenant_id, weight) values (:tenant_id, :weight)
                on conflict (tenant_id) do update set weight = excluded.weight"""),
        {"tenant_id": tenant_id, "weight": weight},
    )


def upsert_project_weight(session: Session, *, tenant_id: UUID, project_id: UUID, weight: float) -> None:
    """Write a project's weight."""
    session.execute(
        text("""insert into project_weight (tenant_id, project_id, weight) values (:tenant_id, :project_id, :weight)
                on conflict (tenant_id, project_id) do update set weight = excluded.weight"""),
        {"tenant_id": tenant_id, "project_id": project_id, "weight": weight},
    )


def find_tenant_weight(session: Session, *, tenant_id: UUID) -> float:
    """A tenant's weight."""
    weight: float | None = session.execute(
        text("select weight from tenant_weight where tenant_id = :tenant_id"), {"tenant_id": tenant_id}
    ).scalar()
    return 1.0 if weight is None else weight


def list_project_weights(session: Session, *, tenant_id: UUID) -> dict[UUID, float]:
    """The weights of a tenant's projects, of those that have another than 1."""
    rows = session.execute(
        text("select project_id, weight from project_weight where tenant_id = :tenant_id"), {"tenant_id": tenant_id}
    )
    return {row.project_id: row.weight for row in rows}
