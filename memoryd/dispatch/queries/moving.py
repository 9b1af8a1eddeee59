"""Every statement that gives waiting jobs other places in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from memoryd.dispatch.queries.ready_rows import IN_ORDER, at_key, between_tags, by
from memoryd.foundation.database import Session

Found = Row[Any]


def lock_own_ready(session: Session, values: Mapping[str, object], *, limit: int) -> Sequence[Found]:
    """A person's waiting jobs in one order, from one place to another, `limit` at most: job_id, vtag.

    Those that a claim has in hand at this moment are left out.
    """
    return session.execute(
        text(f"""
        with low as materialized (
            select greatest(:first_vtag, coalesce((select low from mark where pool_id = :pool_id and class_id = :class_id),
                                                  -1)) as tag)
        select r.job_id, r.vtag from ready r
         where {between_tags("tenant_id", ":tenant_id", ":pool_id", ":class_id", "(select tag from low)", ":last_vtag")}
           and r.person_id is not distinct from :person_id
           and (r.vtag, r.job_id) >= (:first_vtag, :first_id) and (r.vtag, r.job_id) <= (:last_vtag, :last_id)
         {by("tenant_id")} limit :limit for update skip locked""").bindparams(
            *(bindparam(name, type_=Uuid()) for name in ("person_id", "first_id", "last_id"))
        ),
        {**values, "limit": limit},
    ).all()


_REPLACE = text(f"""
    with wanted as (select * from unnest(:job_ids, :olds, :vtags) x(job_id, old, vtag)),
    moved as (
        update job j set vtag = w.vtag from wanted w where j.id = w.job_id returning j.*),
    gone as (
        delete from ready where ctid = any(array(
            select x.ctid from wanted w cross join lateral (
                select r.ctid from ready r where r.pool_id = :pool_id and r.class_id = :class_id
                   and {at_key("w.old", "w.job_id")} {IN_ORDER} limit 1) x)) returning job_id, enqueued_at)
    insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, project_id, person_id, avoid_worker, cost_ms,
                       enqueued_at, expires_at)
    select m.pool_id, m.class_id, m.vtag, m.id, m.model_set, m.tenant_id, m.project_id, m.person_id, m.avoid_worker,
           m.cost_ms, g.enqueued_at, m.expires_at from moved m join gone g on g.job_id = m.id""").bindparams(
    bindparam("job_ids", type_=ARRAY(Uuid())),
    bindparam("olds", type_=ARRAY(BigInteger)),
    bindparam("vtags", type_=ARRAY(BigInteger)),
)


def replace_tags(session: Session, *, pool_id: UUID, class_id: int, changes: Sequence[tuple[UUID, int, int]]) -> None:
    """Give waiting jobs, locked by this transaction, other tags: (job, old, new). Call lock_order_shared first."""
    job_ids, olds, vtags = zip(*changes, strict=True)
    session.execute(
        _REPLACE,
        {
            "pool_id": pool_id,
            "class_id": class_id,
            "job_ids": list(job_ids),
            "olds": list(olds),
            "vtags": list(vtags),
        },
    )
