"""What somebody decides about a worker in doubt."""

from __future__ import annotations

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.dispatch import doubts
from memoryd.dispatch.doubts import Decision, Doubt
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.ids import DoubtId, TenantId
from memoryd.reproduction.canaries import queries


def decide(session: Session, caller: Caller, doubt_id: DoubtId, decision: Decision, note: str | None) -> Doubt:
    """Write a decision, and return the doubt as it stands then.

    With ACCEPT, what the worker made last of each drifted asset is its baseline from now on.
    `session` is a unit of work of the caller's tenant, and is one again afterwards. Raises: DoubtNotFound, DoubtClosed.
    """
    scope, tenant_id = caller.tenant, TenantId(caller.tenant.id)
    take_farm(session)
    doubts.decide(session, doubt_id, decision, tenant_id=tenant_id, by=caller.person_id, note=note)
    doubt = doubts.find_doubt(session, doubt_id, tenant_id=tenant_id)
    take_tenant(session, scope)
    accepted = 0
    if decision is Decision.ACCEPT:
        accepted = queries.accept_latest(session, worker_id=doubt.worker_id, project_id=doubt.project_id)
    facts: dict[str, Json] = {
        "project_id": str(doubt.project_id),
        "worker_id": str(doubt.worker_id),
        "worker": doubt.label,
        "doubt": str(doubt_id),
        "decision": decision.value,
        "baselines": accepted,
    }
    audit.note(session, caller, "canary.decide", f"worker:{doubt.worker_id}", facts)
    outbox.announce(session, "canary.decided", doubt.worker_id, facts)
    return doubt
