"""Telling tenants what happened in the queue where no transaction of theirs was at hand.

What the leader does, and what workers do, happens in transactions of the farm. Each writes down whom it concerns; the
relay's process carries that to the tenants' outboxes, in one transaction each, so that it is told exactly once. A tenant
hears of its own jobs, and of the workers that serve it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from memoryd.access.directory import list_tenants
from memoryd.dispatch.queries import telling as statements
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import JobId, PoolId, ProjectId, TenantId, WorkerId

CARRY_BATCH = 2_000
REASON_LIMIT = 500
"""Characters of a reason that an event carries; the job's own page has all of it."""
KEPT_DAYS = 14


def tell_jobs(session: Session, kind: str, job_ids: Sequence[JobId], **facts: Json) -> None:
    """Tell each job's tenant that this happened to it; with its project, pool and group, and `facts`.

    `session` has taken the farm. Texts in `facts` are cut to REASON_LIMIT.
    """
    if job_ids:
        told = {name: value[:REASON_LIMIT] if isinstance(value, str) else value for name, value in facts.items()}
        statements.insert_of_jobs(session, kind=kind, job_ids=job_ids, facts=told)


def tell_workers(session: Session, kind: str, worker_ids: Sequence[WorkerId]) -> None:
    """Tell every tenant that these workers serve. `session` has taken the farm."""
    if worker_ids:
        statements.insert_of_workers(session, kind=kind, worker_ids=worker_ids)


def tell_tenant(
    session: Session, kind: str, subject: PoolId | ProjectId, *, tenant_id: TenantId, facts: Mapping[str, Json]
) -> None:
    """Tell one tenant of a pool or a project of its own. `session` has taken the farm."""
    statements.insert_of_tenant(session, kind=kind, tenant_id=tenant_id, subject=subject, facts=facts)


def tell_silences(session: Session, *, calm_since: datetime.datetime) -> int:
    """Tell of workers that fell silent, and of those that are heard again; return how many that were.

    Nobody falls silent while the queue has not been calm for as long: after an outage every worker looks so.
    """
    back = [WorkerId(worker_id) for worker_id in statements.mark_heard(session)]
    tell_workers(session, "worker.back", back)
    silent = [WorkerId(worker_id) for worker_id in statements.mark_silent(session, calm_since=calm_since)]
    tell_workers(session, "worker.silent", silent)
    return len(back) + len(silent)


def carry(database: Database) -> int:
    """Carry what is to be told to the tenants' outboxes, CARRY_BATCH each at most; return how much that was."""
    with database.farm_work() as session:
        addressed = set(statements.list_addressed(session))
        scopes = [scope for scope in list_tenants(session) if scope.id in addressed] if addressed else []
    return sum(_carry_to(database, scope) for scope in scopes)


def forget_unheard(session: Session) -> None:
    """Forget what nobody took within KEPT_DAYS: the tenants are no longer served."""
    statements.delete_unheard(session, kept_days=KEPT_DAYS)


def _carry_to(database: Database, scope: TenantScope) -> int:
    with database.tenant_work(scope) as session:
        take_farm(session)
        rows = statements.delete_of_tenant(session, tenant_id=scope.id, limit=CARRY_BATCH)
        take_tenant(session, scope)
        outbox.announce_many(
            session,
            [outbox.Announcement(kind=row.kind, subject=row.subject, body=row.facts, at=row.at) for row in rows],
        )
    return len(rows)
