"""Every statement about policies and approvals. The session has taken the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, update

from memoryd.clearance.policies.tables import ApprovalRequest, ProjectPolicy
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

_POLICY = """
    select p.*, c.name as client, coalesce(w.display_name, w.login) as by_name from project_policy p
      left join client c on c.id = p.client_id left join person w on w.id = p.by_person"""


def find_present_policy(session: Session, *, project_id: UUID) -> AnyRow | None:
    """A project's present policy; None where it never had one."""
    return session.execute(
        text(
            f"{_POLICY} join project o on o.id = p.project_id and o.policy_version = p.version::text where o.id = :id"
        ),
        {"id": project_id},
    ).first()


def list_policies(session: Session, *, project_id: UUID, before: int | None, limit: int) -> Sequence[AnyRow]:
    """A project's policies, the newest first, before a version."""
    return session.execute(
        text(f"""{_POLICY} where p.project_id = :id and (cast(:before as int) is null or p.version < :before)
                 order by p.version desc limit :limit"""),
        {"id": project_id, "before": before, "limit": limit},
    ).all()


def lock_newest_version(session: Session, *, project_id: UUID) -> int:
    """The greatest version of a project's policy, which stays so until commit; 0 where there is none."""
    session.execute(text("select id from project where id = :id for no key update"), {"id": project_id})
    newest: int = session.execute(
        text("select coalesce(max(version), 0) from project_policy where project_id = :id"), {"id": project_id}
    ).scalar_one()
    return newest


def insert_policy(session: Session, values: Mapping[str, object]) -> None:
    """Write a version."""
    session.execute(insert(ProjectPolicy), [dict(values)])


_ASK = text("""
    insert into approval_request as r (id, project_id, policy_version, models_sha256, judged, models, use, verdict, clauses,
                                       ask_role, state, asked_by)
    select :id, :project_id, :policy_version, :models_sha256, :judged, cast(:models as jsonb), :use, :verdict,
           cast(:clauses as jsonb), :ask_role, 'asked', cast(:asked_by as uuid[])
    on conflict (project_id, models_sha256, judged) do update
       set asked_by = case when r.state = 'asked' and not r.asked_by @> excluded.asked_by
                           then r.asked_by || excluded.asked_by else r.asked_by end
    returning id, state, reason""")


def ask(session: Session, values: Mapping[str, object]) -> AnyRow:
    """Ask for an approval, or find the request that asks for it: id, state, reason. Nobody decides it until commit."""
    return session.execute(_ASK, dict(values)).one()


def find_about(session: Session, *, project_id: UUID, models_sha256: bytes, judged: bytes) -> AnyRow | None:
    """What was asked about a set of models under a judgement: id, state, reason."""
    return session.execute(
        select(ApprovalRequest.id, ApprovalRequest.state, ApprovalRequest.reason).where(
            ApprovalRequest.project_id == project_id,
            ApprovalRequest.models_sha256 == models_sha256,
            ApprovalRequest.judged == judged,
        )
    ).first()


_REQUEST = """
    select r.*, o.slug as project, coalesce(d.display_name, d.login) as decided_name,
           array(select coalesce(a.display_name, a.login) from person a where a.id = any(r.asked_by)
                  order by 1) as asked_names
      from approval_request r join project o on o.id = r.project_id left join person d on d.id = r.decided_by"""


def find_request(session: Session, *, request_id: UUID) -> AnyRow | None:
    """A request for approval."""
    return session.execute(text(f"{_REQUEST} where r.id = :id"), {"id": request_id}).first()


def list_requests(
    session: Session,
    *,
    projects: Sequence[UUID] | None,
    state: str | None,
    before: UUID | None,
    limit: int,
) -> Sequence[AnyRow]:
    """Requests of these projects (None: all) in a state, newest first, before one."""
    return session.execute(
        text(f"""{_REQUEST} where (cast(:projects as uuid[]) is null or r.project_id = any(cast(:projects as uuid[])))
                    and (cast(:state as text) is null or r.state = :state)
                    and (cast(:before as uuid) is null or r.id < :before)
                  order by r.id desc limit :limit"""),
        {"projects": None if projects is None else list(projects), "state": state, "before": before, "limit": limit},
    ).all()


def lock_request(session: Session, *, request_id: UUID) -> None:
    """Let whoever is queuing jobs that wait for this request commit first, and hold off others until commit."""
    session.execute(text("select id from approval_request where id = :id for update"), {"id": request_id})


def decide_request(session: Session, *, request_id: UUID, values: Mapping[str, object]) -> None:
    """Write what was said to a request, now."""
    said = update(ApprovalRequest).where(ApprovalRequest.id == request_id)
    session.execute(said.values(**values, decided_at=func.clock_timestamp()))
