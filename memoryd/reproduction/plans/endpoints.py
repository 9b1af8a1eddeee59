"""Plans over HTTP: of one asset, and of all that a project or a search has."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from memoryd.access.guards import Office, Reader, ReaderCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.foundation.paging import CURSOR_LIMIT, PAGE_DEFAULT, PAGE_LIMIT
from memoryd.reproduction.matching import with_workers
from memoryd.reproduction.planning import make_plan
from memoryd.reproduction.plans.facts import Show
from memoryd.reproduction.plans.outlook import Asked, look_ahead
from memoryd.reproduction.plans.wire import OutlookShape, PlanShape

router = APIRouter(tags=["reproduction"])


@router.get("/assets/{ref}/plan")
def show_plan(ref: str, work: Reader) -> PlanShape:
    """What making an asset again needs, which workers match, and what is missing. Nothing is run."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    plan = with_workers(work.session, make_plan(work.session, asset_id, work.caller.sees), work.caller.tenant)
    return PlanShape.of(asset_id, plan)


@router.get("/plans")
def list_plans(
    caller: ReaderCaller,
    office: Office,
    project: Annotated[str | None, Query(max_length=80, description="A project's short name.")] = None,
    q: Annotated[str | None, Query(max_length=4_000, description="A search, as in /assets.")] = None,
    approved: Annotated[bool, Query(description="Only what was approved.")] = False,
    show: Annotated[
        Show, Query(description="hindered, noticed (also what may come out otherwise), all")
    ] = Show.HINDERED,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE_DEFAULT,
) -> OutlookShape:
    """What of a project or a search can no longer be made, and why, with counts by cause. Nothing is run."""
    asked = Asked(project=project, search=q, approved=approved)
    return OutlookShape.of(look_ahead(office.database, caller, asked, show=show, cursor=cursor, limit=limit))
