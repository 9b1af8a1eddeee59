"""Do workers still make what they made: who is in doubt, since when, after which change; and what is decided."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from memoryd.access import projects
from memoryd.access.guards import Administrator, Reader, Submitter
from memoryd.catalog.faces import list_faces
from memoryd.dispatch.doubts import NOTE_LIMIT, Decision
from memoryd.foundation.ids import DoubtId
from memoryd.reproduction.canaries import decisions, due, policies, showing
from memoryd.web.queue_pages import done
from memoryd.web.rendering import is_part, page

router = APIRouter()

Project = Annotated[str, Form(max_length=200)]


@router.get("/canaries")
def show_canaries(request: Request, work: Reader) -> Response:
    """Workers in doubt, who keeps canaries, and the newest run of each worker and asset."""
    seen = showing.look(work.session, work.caller)
    assets = {run.asset_id for run in seen.runs} | {run.made_asset_id for run in seen.runs if run.made_asset_id}
    return page(
        request,
        "canaries_state.html" if is_part(request) else "canaries.html",
        caller=work.caller,
        seen=seen,
        faces=list_faces(work.session, assets, work.caller.sees),
        projects=projects.list_projects(work.session, work.caller.sees),
        assets_default=policies.ASSETS_DEFAULT,
        assets_limit=policies.ASSETS_LIMIT,
    )


@router.post("/canaries/doubts/{doubt}/decision")
def decide(
    doubt: UUID,
    request: Request,
    work: Administrator,
    decision: Annotated[Decision, Form()],
    note: Annotated[str, Form(max_length=NOTE_LIMIT)] = "",
) -> Response:
    """Decide about a worker in doubt."""
    decisions.decide(work.session, work.caller, DoubtId(doubt), decision, note or None)
    return done(request, "/canaries")


@router.post("/canaries/policies")
def set_policy(
    request: Request,
    work: Administrator,
    project: Project,
    every_s: Annotated[int, Form()] = 0,
    after_change: Annotated[bool, Form()] = False,
    assets: Annotated[int, Form()] = policies.ASSETS_DEFAULT,
    keep_out: Annotated[bool, Form()] = False,
) -> Response:
    """Let a project keep canaries so from now on. `every_s` 0: not on a schedule."""
    policies.set_policy(
        work.session,
        work.caller,
        project,
        every_s=every_s or None,
        after_change=after_change,
        assets=assets,
        keep_out=keep_out,
    )
    return done(request, "/canaries")


@router.post("/canaries/policies/{project}/off")
def drop_policy(project: str, request: Request, work: Administrator) -> Response:
    """Let a project keep no canaries any more."""
    policies.drop_policy(work.session, work.caller, project)
    return done(request, "/canaries")


@router.post("/canaries/policies/{project}/run")
def run_now(project: str, request: Request, work: Submitter) -> Response:
    """Let a project's canaries run now."""
    project_id = projects.find_project(work.session, project, work.caller.sees)
    due.ask_now(work.session, work.caller, project_id, None)
    return done(request, "/canaries")
