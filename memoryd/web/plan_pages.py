"""What making a picture again would need, on its page; and what of a project can no longer be made, for producers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from memoryd.access.guards import Office, Reader, ReaderCaller
from memoryd.access.projects import list_projects
from memoryd.catalog.looking_up import check_seen
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import AssetId
from memoryd.foundation.paging import CURSOR_LIMIT
from memoryd.reproduction.matching import with_workers
from memoryd.reproduction.planning import make_plan
from memoryd.reproduction.plans.facts import Outlook, Show
from memoryd.reproduction.plans.outlook import Asked, look_ahead
from memoryd.web.rendering import is_part, page

ROWS = 50
"""Pictures of one page of an outlook."""

router = APIRouter()


@router.get("/assets/{asset}/plan")
def show_plan(asset: UUID, request: Request, work: Reader) -> Response:
    """What making it again needs, who could do it, and what is missing: as a part of its page, or as a page."""
    check_seen(work.session, AssetId(asset), work.caller.sees)
    plan = with_workers(work.session, make_plan(work.session, AssetId(asset), work.caller.sees), work.caller.tenant)
    template = "plan.html" if is_part(request) else "plan_page.html"
    return page(request, template, caller=work.caller, plan=plan, view_id=asset)


@router.get("/outlook")
def show_outlook(
    request: Request,
    caller: ReaderCaller,
    office: Office,
    project: Annotated[str, Query(max_length=80)] = "",
    q: Annotated[str, Query(max_length=4_000)] = "",
    approved: bool = False,
    show: Show = Show.HINDERED,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT)] = None,
) -> Response:
    """What of a project or a search can no longer be made, and why; a question that cannot be answered is shown so."""
    with office.database.tenant_work(caller.tenant) as session:
        projects = [one.slug for one in list_projects(session, caller.sees)]
    outlook: Outlook | None = None
    problem: MemorydError | None = None
    if project or q:
        asked = Asked(project=project or None, search=q or None, approved=approved)
        try:
            outlook = look_ahead(office.database, caller, asked, show=show, cursor=cursor, limit=ROWS)
        except MemorydError as error:
            problem = error
    return page(
        request,
        "outlook.html",
        caller=caller,
        outlook=outlook,
        problem=problem,
        projects=projects,
        project=project,
        q=q,
        approved=approved,
        show=show,
        shows=tuple(Show),
    )
