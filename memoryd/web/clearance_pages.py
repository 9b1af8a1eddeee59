"""What waits for an approval, with the clauses that decided; and what a project does with licence verdicts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from memoryd.access import projects
from memoryd.access.clients.known import list_clients
from memoryd.access.guards import Reader
from memoryd.access.roles import read_role
from memoryd.clearance.facts import Use
from memoryd.clearance.policies import approvals, setting
from memoryd.clearance.policies.facts import DECIDES, Action, RequestState, clause_json
from memoryd.foundation.reasons import REASON_LIMIT
from memoryd.web.queue_pages import done
from memoryd.web.rendering import is_part, page

router = APIRouter()

Reason = Annotated[str, Form(max_length=REASON_LIMIT)]
TERRITORIES_LIMIT = 2_000
"""Characters of a list of territories: every country there is, by its code."""


@router.get("/clearance")
def show_requests(request: Request, work: Reader, state: RequestState = RequestState.ASKED) -> Response:
    """What waits for somebody, and what was said before."""
    caller = work.caller
    found = approvals.list_requests(work.session, caller.tenant, caller.sees, state=state)
    return page(
        request,
        "clearance_requests.html" if is_part(request) else "clearance.html",
        caller=caller,
        requests=found.rows,
        more=found.next_cursor is not None,
        state=state,
        states=RequestState,
        projects=projects.list_projects(work.session, caller.sees),
    )


@router.get("/clearance/requests/{ref}")
def show_request(ref: str, request: Request, work: Reader) -> Response:
    """One request: its models, every clause, and the two answers."""
    view = approvals.show(work.session, work.caller.tenant, work.caller.sees, ref)
    now = approvals.judged_now(work.session, view)
    return page(
        request,
        "clearance_request.html",
        caller=work.caller,
        one=view,
        now=now,
        clauses=view.clauses if now is None else [clause_json(clause) for clause in now.clauses],
        may_decide=approvals.may_decide(work.caller, view),
    )


@router.post("/clearance/requests/{ref}/answer")
def answer(
    ref: str,
    request: Request,
    work: Reader,
    said: Annotated[RequestState, Form()],
    judged: Annotated[str, Form(max_length=64)] = "",
    reason: Reason = "",
) -> Response:
    """Approve or refuse, as one looked at it."""
    scope, caller = work.caller.tenant, work.caller
    if said is RequestState.APPROVED:
        approvals.approve(work.session, scope, caller, ref, reason, judged=judged or None)
    else:
        approvals.refuse(work.session, scope, caller, ref, reason)
    return done(request, f"/clearance/requests/{ref}")


@router.get("/projects/{slug}/policy")
def show_policy(slug: str, request: Request, work: Reader) -> Response:
    """What a project does with the verdicts on its jobs, every version of it, and the form for the next."""
    caller = work.caller
    found = setting.show_policy(work.session, caller, slug)
    return page(
        request,
        "project_policy.html",
        caller=caller,
        slug=slug,
        policy=found,
        versions=setting.list_versions(work.session, caller, slug).rows,
        clients=list_clients(work.session, caller.sees),
        may_set=setting.may_set(caller, found.project_id),
        uses=Use,
        actions=Action,
        roles=list(DECIDES),
    )


@router.post("/projects/{slug}/policy")
def set_policy(
    slug: str,
    request: Request,
    work: Reader,
    use: Annotated[Use, Form()],
    on_review: Annotated[Action, Form()],
    on_unknown: Annotated[Action, Form()],
    on_block: Annotated[Action, Form()],
    ask_role: Annotated[str, Form(max_length=20)],
    territories: Annotated[str, Form(max_length=TERRITORIES_LIMIT)] = "",
    client: Annotated[str, Form(max_length=200)] = "",
    reason: Reason = "",
) -> Response:
    """Write the next version of a project's policy."""
    setting.set_policy(
        work.session,
        work.caller,
        slug,
        reason=reason,
        use=use,
        territories=[territories],
        client=client,
        on_review=on_review,
        on_unknown=on_unknown,
        on_block=on_block,
        ask_role=read_role(ask_role),
    )
    return done(request, f"/projects/{slug}/policy")
