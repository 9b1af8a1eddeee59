"""Every statement about workers that are here: that they are heard, and what they prove to hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean

Found = Row[Any]

TOUCH_EVERY_S = 2
"""A sign of life is written at most this often: who calls twenty times a second is not twenty times as alive."""


def touch(session: Session, *, worker_id: UUID, vram_used_mb: int | None) -> Found | None:
    """Note a sign of life and return how the worker stands: state, incarnation; None where there is no such worker.

    Memory in use is noted where it is told (MiB).
    This transaction will not wait for the disk when it commits.
    """
    return session.execute(
        text(f"""
        with heard as (
            update worker set seen_at = clock_timestamp(), vram_used_mb = coalesce(cast(:used as integer), vram_used_mb)
             where id = :worker_id and (seen_at is null or seen_at < clock_timestamp() - interval '{TOUCH_EVERY_S} s'))
        select state, incarnation, set_config('synchronous_commit', 'off', true) from worker where id = :worker_id"""),
        {"worker_id": worker_id, "used": vram_used_mb},
    ).first()


_TOUCH_CLAIMERS = Lean(f"""
    with asked as materialized (
        select * from unnest(cast(:worker_ids as uuid[]), cast(:incarnations as uuid[]))
                      with ordinality a(id, incarnation, place)),
    heard as (
        -- Who is being touched by somebody else is touched.
        update worker set seen_at = clock_timestamp()
         where id = any(array(
            select w.id from worker w
             where w.id = any(cast(:worker_ids as uuid[]))
               and (w.seen_at is null or w.seen_at < clock_timestamp() - interval '{TOUCH_EVERY_S} s')
               for no key update skip locked)))
    select w.id as worker_id, w.label, w.state, w.incarnation, w.serves, served.pools,
           served.pool_ids || array(select o.id from pool o where o.owner_worker = w.id) as pool_ids,
           exists (select from lease l
                    where l.worker_id = w.id and l.incarnation is distinct from a.incarnation) as left_over
      from asked a left join worker w on w.id = a.id cross join lateral (
           select coalesce(array_agg(p.name order by p.name), '{{}}') as pools,
                  coalesce(array_agg(p.id order by p.name), '{{}}') as pool_ids
             from worker_pool x join pool p on p.id = x.pool_id where x.worker_id = w.id) served
     order by a.place""")


def touch_claimers(session: Session, *, worker_ids: Sequence[UUID], incarnations: Sequence[UUID]) -> list[Any]:
    """Note that workers ask for work: worker_id, label, state, incarnation, serves, pools, pool_ids, left_over of each.

    `worker_id` is null where there is none; `left_over`: whether another start of it holds a lease still.
    """
    return _TOUCH_CLAIMERS.all(session, {"worker_ids": list(worker_ids), "incarnations": list(incarnations)})


def find_wish_to_cancel(
    session: Session, *, job_id: UUID, fence: int, token_hash: bytes, worker_id: UUID
) -> bool | None:
    """Whether a leased job is to be cancelled; None where job, fence, token and worker name no lease (INV-4)."""
    found: bool | None = session.execute(
        text("""select j.cancel_requested from lease l join job j on j.id = l.job_id
                 where l.job_id = :job_id and l.fence = :fence and l.token_hash = :token_hash and l.worker_id = :worker_id"""),
        {"job_id": job_id, "fence": fence, "token_hash": token_hash, "worker_id": worker_id},
    ).scalar()
    return found
