"""May it be used? On an asset's page; deliveries with a verdict for each item; clients and the studio's own facts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access import projects
from memoryd.access.clients import deliveries, known
from memoryd.access.clients.facts import PartyFacts
from memoryd.access.guards import Approver, Reader
from memoryd.catalog.looking_up import check_seen
from memoryd.clearance import asking, standing, verdicts
from memoryd.clearance.facts import Use, VerdictState
from memoryd.clearance.occasions import check_studio_wide, party_changes, state_studio, studio_facts
from memoryd.clearance.reopening import note_facts
from memoryd.foundation.ids import AssetId
from memoryd.web.rendering import is_part, page

router = APIRouter()

ITEMS_SHOWN = 200
"""Items of a delivery that its page lists, the strictest first; the API and the command line tell all."""

Text = Annotated[str, Form(max_length=4_000)]


@router.get("/assets/{asset}/clearance")
def asset_clearance(
    asset: UUID,
    request: Request,
    work: Reader,
    use: Annotated[Use | None, Query()] = None,
    territory: Annotated[str, Query(max_length=400)] = "",
    client: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The verdict on an asset: for what its project is for, or kept for what is asked."""
    session, caller = work.session, work.caller
    check_seen(session, AssetId(asset), caller.sees)
    if use is None:
        cleared = asking.verdict_shown(session, caller, AssetId(asset))
    else:
        asked = asking.Question(
            asset=str(asset), use=use, territories=[territory] if territory.strip() else None, client=client or None
        )
        cleared = asking.answer(session, caller, asked)
    return page(
        request,
        "clearance_verdict.html" if is_part(request) else "clearance_asset.html",
        caller=caller,
        cleared=cleared,
        asset=asset,
        uses=list(Use),
        action=f"/assets/{asset}/clearance",
    )


@router.get("/clearance/reopened")
def reopened(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """Verdicts under which something changed."""
    found = verdicts.list_kept(work.session, work.caller.sees, state=VerdictState.REOPENED, cursor=cursor)
    return page(request, "clearance_reopened.html", caller=work.caller, found=found)


@router.get("/deliveries")
def list_deliveries(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """Deliveries, and the form that begins one."""
    found = deliveries.list_deliveries(work.session, work.caller.sees, cursor=cursor)
    return page(
        request,
        "deliveries.html",
        caller=work.caller,
        found=found,
        projects=projects.list_projects(work.session, work.caller.sees),
    )


@router.post("/deliveries")
def create_delivery(work: Approver, name: Text, project: Text) -> Response:
    """Begin a delivery."""
    found = projects.find_project(work.session, project, work.caller.sees)
    made = deliveries.create_delivery(work.session, work.caller, found, name, None)
    return RedirectResponse(f"/deliveries/{made}", status_code=303)


@router.get("/deliveries/{delivery}")
def show_delivery(
    delivery: UUID,
    request: Request,
    work: Reader,
    use: Annotated[Use | None, Query()] = None,
    territory: Annotated[str, Query(max_length=400)] = "",
) -> Response:
    """A delivery with the verdict on each item."""
    session, caller = work.session, work.caller
    found = deliveries.find_delivery(session, str(delivery), caller.sees)
    asked = asking.Question(delivery=str(found.id), use=use, territories=[territory] if territory.strip() else None)
    cleared = asking.answer(session, caller, asked) if found.items else None
    return page(
        request,
        "delivery.html",
        caller=caller,
        delivery=found,
        cleared=cleared,
        shown=() if cleared is None else cleared.items[:ITEMS_SHOWN],
        uses=list(Use),
        action=f"/deliveries/{found.id}",
    )


@router.post("/deliveries/{delivery}/items")
def add_items(delivery: UUID, work: Approver, refs: Text = "", query: Text = "") -> Response:
    """Add assets, named line by line or found by a search."""
    found = deliveries.find_delivery(work.session, str(delivery), work.caller.sees)
    asking.add_to_delivery(work.session, work.caller, found, refs.split(), query.strip() or None)
    return RedirectResponse(f"/deliveries/{found.id}", status_code=303)


@router.post("/deliveries/{delivery}/freeze")
def freeze_delivery(delivery: UUID, work: Approver) -> Response:
    """Note that it was handed over."""
    found = deliveries.find_delivery(work.session, str(delivery), work.caller.sees)
    deliveries.freeze_delivery(work.session, work.caller, found)
    return RedirectResponse(f"/deliveries/{found.id}", status_code=303)


@router.get("/clients")
def list_clients(request: Request, work: Reader) -> Response:
    """Clients with what is told of them, and the studio's own facts."""
    return page(
        request,
        "clients.html",
        caller=work.caller,
        clients=known.list_clients(work.session, work.caller.sees),
        studio=studio_facts(work.session),
        projects=projects.list_projects(work.session, work.caller.sees),
    )


@router.post("/clients")
def add_client(work: Reader, name: Text, revenue: Text = "", users: Text = "", seats: Text = "") -> Response:
    """Record a client."""
    check_studio_wide(work.caller)
    facts = PartyFacts(**_told(revenue, users, seats))  # type: ignore[arg-type]
    known.add_client(work.session, work.caller, name, facts)
    return RedirectResponse("/clients", status_code=303)


@router.post("/clients/studio")
def set_studio(work: Reader, revenue: Text = "", users: Text = "", seats: Text = "", registered: Text = "") -> Response:
    """Change what the studio says of itself; an empty field is not told."""
    changes = _told(revenue, users, seats) | {"registered": tuple(sorted(set(registered.replace(",", " ").split())))}
    state_studio(work.session, work.caller, changes)
    note_facts(work.session, work.caller.tenant, None)
    return RedirectResponse("/clients", status_code=303)


@router.post("/clients/{client}")
def set_client(
    client: UUID, work: Reader, revenue: Text = "", users: Text = "", seats: Text = "", project: Text = ""
) -> Response:
    """Change what is told of a client (an empty field is not told), or let a project work for it."""
    check_studio_wide(work.caller)
    found = known.find_client(work.session, str(client))
    known.set_facts(work.session, work.caller, found, _told(revenue, users, seats))
    if project:
        for_whom = projects.find_project(work.session, project)
        known.set_client_of(work.session, work.caller, for_whom, found)
        standing.add_chores(work.session, work.caller.tenant, standing.PROJECTS, [for_whom])
    note_facts(work.session, work.caller.tenant, found.id)
    return RedirectResponse("/clients", status_code=303)


def _told(revenue: str, users: str, seats: str) -> dict[str, object]:
    """Return what a form says, all of it: what is empty or no number is not told."""
    nothing = {"revenue_usd": None, "users": None, "seats": ()}
    return nothing | party_changes(
        revenue_usd=_number(revenue), users=_number(users), seats=seats.split() if seats.strip() else None
    )


def _number(text: str) -> int | None:
    digits = text.strip().replace(",", "").replace("_", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None
