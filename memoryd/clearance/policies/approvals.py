"""Asking for approval, and what is said to it.

An approval is for a project, a set of models and a judgement of it. It serves every later job with this set in this project,
until the policy, a licence or a fact that decides is another: the judgement is another then, and is asked about anew. What
was refused stays refused as long, unless somebody who may changes their mind. Whoever's jobs wait for a request may not
decide it, administrators of the whole studio excepted: a studio of one person must be able to work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from memoryd.access import audit
from memoryd.access.changes.noting import Changed, note_change
from memoryd.access.facts import Caller, Role, Scope, Sees
from memoryd.clearance.facts import Use, Verdict
from memoryd.clearance.policies import queries
from memoryd.clearance.policies.deciding import answered, decide
from memoryd.clearance.policies.facts import (
    DECIDES,
    Action,
    Decision,
    RequestState,
    RequestView,
    UsedModel,
    clause_json,
    models_digest,
)
from memoryd.dispatch import approvals as waiting_jobs
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import Conflict, NotAllowed, NotFound
from memoryd.foundation.ids import ProjectId, new_id, parse_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size
from memoryd.foundation.reasons import checked_reason


class RequestNotFound(NotFound):
    """There is no such request for approval."""


class NotYoursToDecide(NotAllowed):
    """Somebody else has to decide this."""


class RequestChanged(Conflict):
    """What is asked about is judged differently by now."""


def ask(session: Session, decision: Decision, caller: Caller | None) -> Decision:
    """Ask for the approval that a decision needs, or join whoever asked before; return it with the request's id.

    Nobody decides the request until this transaction ends: jobs that it writes are seen by whoever does.
    """
    assert decision.policy.project_id is not None
    asked = new_id()
    row = queries.ask(
        session,
        {
            "id": asked,
            "project_id": decision.policy.project_id,
            "policy_version": decision.policy.version,
            "models_sha256": models_digest(decision.models),
            "judged": decision.judged,
            "models": _text([model.as_json() for model in decision.models]),
            "use": decision.policy.use.value,
            "verdict": decision.verdict.value,
            "clauses": _text([clause_json(clause) for clause in decision.clauses]),
            "ask_role": decision.policy.ask_role.value,
            "asked_by": [caller.person_id] if caller is not None and caller.person_id is not None else [],
        },
    )
    if row.id == asked:
        facts = _facts(decision.policy.project_id, decision.verdict)
        audit.note(session, caller, "clearance.ask", str(asked), {**facts, "role": decision.policy.ask_role.value})
        outbox.announce(session, "clearance.asked", asked, facts)
    return answered(decision, row.id, RequestState(row.state), row.reason)


def approve(
    session: Session, scope: TenantScope, caller: Caller, ref: str, reason: str, *, judged: str | None = None
) -> RequestView:
    """Approve what is asked about, let its jobs go, and return the request. The same again changes nothing.

    `judged` (hex): the judgement that was looked at; without it, that of the request. Session as in submit.
    Raises: RequestNotFound, NotYoursToDecide, RequestChanged, ReasonMissing.
    """
    view = _locked(session, caller, ref)
    if view.state is RequestState.APPROVED:
        return view
    why = checked_reason(reason)
    present = decide(session, view.project_id, view.models)
    if present.recalls:
        told = "; ".join(one.in_words() for one in present.recalls)
        raise RequestChanged(told, hint=f"refuse it: `memoryd clearance refuse {view.id}`")
    if present.action is Action.REFUSE and present.request_state is not RequestState.REFUSED:
        raise RequestChanged(
            "the project's policy refuses these models now", hint="refuse the request, or change the policy"
        )
    looked_at = judged if judged is not None else view.judged.hex()
    # A policy that asks no longer, or milder terms, need no second look.
    if present.action in (Action.ASK, Action.REFUSE) and present.judged.hex() != looked_at:
        raise RequestChanged(
            f"licences, facts or the policy changed since it was asked: now {present.verdict.value}",
            hint=f"refuse it and submit again, or look (`memoryd clearance requests {view.id}`) and approve"
            f" --judged {present.judged.hex()}",
            judged=present.judged.hex(),
            clauses=[clause_json(clause) for clause in present.deciding],
        )
    newer = None
    if present.judged and present.judged != view.judged and present.action in (Action.ASK, Action.REFUSE):
        # It is this judgement that is approved, by whom the policy names today: later jobs ask for it.
        newer = _newer(session, caller, view, present)
    _write(session, caller, view, RequestState.APPROVED, why)
    _settle(session, scope, view.id, None)
    if newer is not None:
        _write(session, caller, newer, RequestState.APPROVED, why)
        _settle(session, scope, newer.id, None)
    return show(session, scope, None, str(view.id))


def _newer(session: Session, caller: Caller, view: RequestView, present: Decision) -> RequestView:
    """Return the request for the present judgement of what another asked about, locked, if the caller may decide it too."""
    if present.request is not None:
        return _locked(session, caller, str(present.request))
    if not may_decide(caller, replace(view, ask_role=present.policy.ask_role)):
        role = present.policy.ask_role.value
        raise NotYoursToDecide(f"the policy asks a {role} by now", hint=f"ask a {role} of {view.project}")
    asked = ask(session, present, caller)
    assert asked.request is not None
    return _find(session, caller.sees, str(asked.request))


def refuse(session: Session, scope: TenantScope, caller: Caller, ref: str, reason: str) -> RequestView:
    """Refuse what is asked about, cancel the jobs that wait for it, and return the request. The same again changes nothing.

    Raises: RequestNotFound, NotYoursToDecide, ReasonMissing.
    """
    view = _locked(session, caller, ref)
    if view.state is RequestState.REFUSED:
        return view
    why = checked_reason(reason)
    _write(session, caller, view, RequestState.REFUSED, why)
    _settle(session, scope, view.id, why)
    return show(session, scope, None, str(view.id))


def show(session: Session, scope: TenantScope, sees: Sees, ref: str) -> RequestView:
    """Return a request. Raises: RequestNotFound, also for one of a project that is not seen. Session as in submit."""
    return _counted(session, scope, [_find(session, sees, ref)])[0]


def judged_now(session: Session, view: RequestView) -> Decision | None:
    """Return what is decided about a request's models today, where that is another judgement than was asked about."""
    present = decide(session, view.project_id, view.models)
    return None if present.judged == view.judged else present


def list_requests(
    session: Session,
    scope: TenantScope,
    sees: Sees,
    *,
    project_id: ProjectId | None = None,
    state: RequestState | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[RequestView]:
    """Return requests of the projects that are seen, newest first. Raises: BadCursor, BadPageSize. Session as in submit."""
    size, before = page_size(limit), decode_id(cursor)
    seen = [project_id] if project_id is not None else None if sees is None else sorted(sees)
    rows = queries.list_requests(
        session, projects=seen, state=state.value if state else None, before=before, limit=size + 1
    )
    return Page(
        rows=_counted(session, scope, [_view(row) for row in rows[:size]]),
        next_cursor=encode_cursor(str(rows[size - 1].id)) if len(rows) > size else None,
    )


def may_decide(caller: Caller, view: RequestView) -> bool:
    """Tell whether a caller may decide a request: who has the role that is asked, in this project, and asked for nothing."""
    held = caller.everywhere | caller.in_project.get(view.project_id, frozenset())
    if Scope.ADMIN in caller.everywhere:
        return True
    return DECIDES[view.ask_role] in held and caller.person_id not in view.asked_by_ids


def _locked(session: Session, caller: Caller, ref: str) -> RequestView:
    """Return a request whose jobs and whose state stay as they are until commit, if the caller may decide it."""
    queries.lock_request(session, request_id=_find(session, caller.sees, ref).id)
    view = _find(session, caller.sees, ref)
    if not may_decide(caller, view):
        own = caller.person_id in view.asked_by_ids
        raise NotYoursToDecide(
            "one's own jobs wait for it" if own else f"{caller.name} is no {view.ask_role.value} of {view.project}",
            hint=f"ask another {view.ask_role.value} of the project" if own else f"ask a {view.ask_role.value} of it",
        )
    return view


def _write(session: Session, caller: Caller, view: RequestView, state: RequestState, reason: str) -> None:
    values = {"state": state.value, "decided_by": caller.person_id, "reason": reason}
    queries.decide_request(session, request_id=view.id, values=values)
    note_change(session, Changed.APPROVAL)
    facts = _facts(view.project_id, view.verdict)
    verb = "approve" if state is RequestState.APPROVED else "refuse"
    audit.note(session, caller, f"clearance.{verb}", str(view.id), {**facts, "reason": reason})
    outbox.announce(session, f"clearance.{state.value}", view.id, facts)


def _settle(session: Session, scope: TenantScope, request: UUID, refusal: str | None) -> None:
    take_farm(session)
    if refusal is None:
        waiting_jobs.give(session, request, tenant_id=scope.id)
    else:
        waiting_jobs.refuse(session, request, refusal, tenant_id=scope.id)
    take_tenant(session, scope)


def _facts(project_id: ProjectId, verdict: Verdict) -> dict[str, Json]:
    return {"project_id": str(project_id), "verdict": verdict.value}


def _find(session: Session, sees: Sees, ref: str) -> RequestView:
    id_ = parse_id(ref)
    row = None if id_ is None else queries.find_request(session, request_id=id_)
    if row is None or (sees is not None and row.project_id not in sees):
        raise RequestNotFound(f"request {ref[:80]!r}", hint="`memoryd clearance requests` lists them")
    return _view(row)


def _view(row: queries.AnyRow) -> RequestView:
    return RequestView(
        id=row.id,
        project_id=ProjectId(row.project_id),
        project=row.project,
        policy_version=row.policy_version,
        use=Use(row.use),
        verdict=Verdict(row.verdict),
        clauses=tuple(row.clauses),
        models=tuple(
            UsedModel(
                sha256=bytes.fromhex(one["sha256"]) if one["sha256"] else None, role=one["role"], name=one["name"]
            )
            for one in row.models
        ),
        ask_role=Role(row.ask_role),
        state=RequestState(row.state),
        asked_by=tuple(row.asked_names),
        asked_by_ids=frozenset(row.asked_by),
        asked_at=row.asked_at,
        decided_by=row.decided_name,
        decided_at=row.decided_at,
        reason=row.reason,
        judged=bytes(row.judged),
    )


def _counted(session: Session, scope: TenantScope, views: Sequence[RequestView]) -> list[RequestView]:
    take_farm(session)
    waiting = waiting_jobs.count_waiting(session, [view.id for view in views])
    take_tenant(session, scope)
    return [replace(view, waiting=waiting.get(view.id, 0)) for view in views]


def _text(value: list[dict[str, Json]]) -> str:
    return canonical_bytes(list(value)).decode("ascii")
