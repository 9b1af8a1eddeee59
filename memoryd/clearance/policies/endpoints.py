"""Policies of projects, and what somebody is asked to approve."""

from __future__ import annotations

from fastapi import APIRouter

from memoryd.access import projects
from memoryd.access.guards import Reader
from memoryd.clearance.policies import approvals, setting
from memoryd.clearance.policies.facts import RequestState
from memoryd.clearance.policies.wire import (
    Answer,
    JudgedNow,
    PolicyList,
    PolicyRequest,
    PolicyShape,
    RequestDetail,
    RequestList,
    RequestShape,
)

router = APIRouter(tags=["clearance"])


@router.get("/projects/{slug}/policy")
def show_policy(slug: str, work: Reader) -> PolicyShape:
    """What a project does with the verdicts on its jobs' models."""
    return PolicyShape.of(setting.show_policy(work.session, work.caller, slug))


@router.put("/projects/{slug}/policy")
def set_policy(slug: str, asked: PolicyRequest, work: Reader) -> PolicyShape:
    """Write the next version of a project's policy: an administrator, or an officer of the project."""
    named = asked.model_dump(exclude={"reason"})
    return PolicyShape.of(setting.set_policy(work.session, work.caller, slug, reason=asked.reason, **named))


@router.get("/projects/{slug}/policy/versions")
def list_versions(slug: str, work: Reader, cursor: str | None = None, limit: int | None = None) -> PolicyList:
    """Every version of a project's policy, with who set it and why, the newest first."""
    page = setting.list_versions(work.session, work.caller, slug, cursor=cursor, limit=limit)
    return PolicyList(items=[PolicyShape.of(one) for one in page.rows], next_cursor=page.next_cursor)


@router.get("/clearance/requests")
def list_requests(
    work: Reader,
    project: str | None = None,
    state: RequestState | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> RequestList:
    """What was asked to be approved in the projects one sees, the newest first."""
    sees = work.caller.sees
    page = approvals.list_requests(
        work.session,
        work.caller.tenant,
        sees,
        project_id=projects.find_project(work.session, project, sees) if project else None,
        state=state,
        cursor=cursor,
        limit=limit,
    )
    return RequestList(items=[RequestShape.of(one, work.caller) for one in page.rows], next_cursor=page.next_cursor)


@router.get("/clearance/requests/{request}")
def show_request(request: str, work: Reader) -> RequestDetail:
    """One request, with its models and every clause, then and now."""
    view = approvals.show(work.session, work.caller.tenant, work.caller.sees, request)
    now = approvals.judged_now(work.session, view)
    shape = RequestDetail.of(view, work.caller)
    assert isinstance(shape, RequestDetail)
    return shape.model_copy(update={"now": JudgedNow.of(now) if now is not None else None})


@router.post("/clearance/requests/{request}/approve")
def approve(request: str, asked: Answer, work: Reader) -> RequestShape:
    """Approve: the jobs that wait for it go on, and later ones with these models pass until something changes."""
    scope = work.caller.tenant
    view = approvals.approve(work.session, scope, work.caller, request, asked.reason, judged=asked.judged)
    return RequestShape.of(view, work.caller)


@router.post("/clearance/requests/{request}/refuse")
def refuse(request: str, asked: Answer, work: Reader) -> RequestShape:
    """Refuse: the jobs that wait for it are cancelled, and say why."""
    view = approvals.refuse(work.session, work.caller.tenant, work.caller, request, asked.reason)
    return RequestShape.of(view, work.caller)
