"""Verdicts asked for and listed; the facts that they rest on; clients and deliveries."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from memoryd.access import audit, projects
from memoryd.access.clients import deliveries, known
from memoryd.access.clients.facts import PartyFacts
from memoryd.access.guards import AdministratorCaller, Approver, Office, Reader
from memoryd.clearance import asking, standing, verdicts
from memoryd.clearance.facts import Kind, VerdictState
from memoryd.clearance.occasions import check_studio_wide, party_changes, state_studio, studio_facts
from memoryd.clearance.reopening import note_facts
from memoryd.clearance.wire import (
    AddedShape,
    CheckRequest,
    ClientList,
    ClientRequest,
    ClientShape,
    DeliveryItems,
    DeliveryList,
    DeliveryShape,
    NewClient,
    NewDelivery,
    PartyRequest,
    PartyShape,
    RefreshShape,
    VerdictList,
    VerdictShape,
)
from memoryd.foundation.ids import ProjectId

router = APIRouter(tags=["clearance"])

ClientRef = Annotated[str, Path(description="a client's name or id")]
DeliveryRef = Annotated[str, Path(description="a delivery's name or id")]


@router.post("/clearance/checks")
def check(asked: CheckRequest, work: Reader) -> VerdictShape:
    """May it be used so? The verdict with every clause that decided, kept with the licence texts as of now."""
    question = asking.Question(**dict(asked))
    cleared = asking.answer(work.session, work.caller, question)
    told = {"kind": cleared.kind.value, "verdict": cleared.judgement.verdict.value, "use": cleared.occasion.use.value}
    audit.note(work.session, work.caller, "clearance.check", cleared.subject.hex(), told)
    return VerdictShape.of(cleared)


@router.get("/clearance/verdicts")
def list_verdicts(
    work: Reader,
    state: VerdictState | None = None,
    kind: Kind | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> VerdictList:
    """Kept verdicts of what the caller sees, the last changed first."""
    page = verdicts.list_kept(work.session, work.caller.sees, state=state, kind=kind, cursor=cursor, limit=limit)
    return VerdictList(items=[VerdictShape.of(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/clearance/reopened")
def list_reopened(work: Reader, cursor: str | None = None, limit: int | None = None) -> VerdictList:
    """Verdicts under which a licence, a grant or a fact changed, with why and what they come to now.

    Of kind `set`: pictures by the models behind them, with how many the caller sees.
    """
    page = verdicts.list_kept(work.session, work.caller.sees, state=VerdictState.REOPENED, cursor=cursor, limit=limit)
    return VerdictList(items=[VerdictShape.of(row) for row in page.rows], next_cursor=page.next_cursor)


@router.post("/clearance/refresh", status_code=202)
def refresh(
    caller: AdministratorCaller,
    office: Office,
    project: Annotated[str | None, Query(description="only this project's assets")] = None,
) -> RefreshShape:
    """Work out the verdicts of all assets anew, by and by: of what was recorded before there were verdicts, or re-read."""
    with office.database.tenant_work(caller.tenant) as session:
        wanted = None if project is None else projects.find_project(session, project, caller.sees)
        audit.note(session, caller, "clearance.refresh", "all" if wanted is None else str(wanted), {})
    return RefreshShape(assets=standing.follow(office.database, caller.tenant, wanted, standing.ASSETS))


@router.get("/clearance/facts")
def show_facts(work: Reader) -> PartyShape:
    """What the studio says of itself."""
    return PartyShape.of(studio_facts(work.session))


@router.patch("/clearance/facts")
def set_facts(asked: PartyRequest, work: Reader) -> PartyShape:
    """Change what the studio says of itself; an administrator's, or an officer's of the whole studio."""
    facts = state_studio(work.session, work.caller, _changes(asked))
    note_facts(work.session, work.caller.tenant, None)
    return PartyShape.of(facts)


@router.get("/clients")
def list_clients(work: Reader) -> ClientList:
    """The clients of which the caller sees a project or a delivery."""
    return ClientList(items=[ClientShape.of(each) for each in known.list_clients(work.session, work.caller.sees)])


@router.post("/clients", status_code=201)
def add_client(asked: NewClient, work: Reader) -> ClientShape:
    """Record a client; an administrator's, or an officer's of the whole studio."""
    check_studio_wide(work.caller)
    facts = PartyFacts(**_changes(asked))  # type: ignore[arg-type]
    made = known.add_client(work.session, work.caller, asked.name, facts)
    return ClientShape.of(known.find_client(work.session, str(made)))


@router.get("/clients/{ref}")
def show_client(ref: ClientRef, work: Reader) -> ClientShape:
    """A client with what is told of it."""
    return ClientShape.of(known.find_client(work.session, ref, work.caller.sees))


@router.patch("/clients/{ref}")
def set_client(ref: ClientRef, asked: ClientRequest, work: Reader) -> ClientShape:
    """Change what is told of a client, or let a project work for it; verdicts for it are looked at again."""
    check_studio_wide(work.caller)
    client = known.find_client(work.session, ref)
    project = None if asked.project is None else projects.find_project(work.session, asked.project)
    known.set_facts(work.session, work.caller, client, _changes(asked))
    if project is not None:
        known.set_client_of(work.session, work.caller, project, client)
        standing.add_chores(work.session, work.caller.tenant, standing.PROJECTS, [project])
    note_facts(work.session, work.caller.tenant, client.id)
    return ClientShape.of(known.find_client(work.session, str(client.id)))


@router.get("/deliveries")
def list_deliveries(
    work: Reader, project: str | None = None, cursor: str | None = None, limit: int | None = None
) -> DeliveryList:
    """Deliveries of the projects that the caller sees, newest first."""
    sees = work.caller.sees
    only: ProjectId | None = None if project is None else projects.find_project(work.session, project, sees)
    page = deliveries.list_deliveries(work.session, sees, project=only, cursor=cursor, limit=limit)
    return DeliveryList(items=[DeliveryShape.of(row) for row in page.rows], next_cursor=page.next_cursor)


@router.post("/deliveries", status_code=201)
def create_delivery(asked: NewDelivery, work: Approver) -> DeliveryShape:
    """Begin a delivery of a project."""
    session, caller = work.session, work.caller
    project = projects.find_project(session, asked.project, caller.sees)
    client = None if asked.client is None else known.find_client(session, asked.client, caller.sees).id
    made = deliveries.create_delivery(session, caller, project, asked.name, client)
    return DeliveryShape.of(deliveries.find_delivery(session, str(made), caller.sees))


@router.get("/deliveries/{ref}")
def show_delivery(ref: DeliveryRef, work: Reader) -> DeliveryShape:
    """A delivery; what it may be used for: POST /clearance/checks."""
    return DeliveryShape.of(deliveries.find_delivery(work.session, ref, work.caller.sees))


@router.post("/deliveries/{ref}/items")
def add_items(ref: DeliveryRef, asked: DeliveryItems, work: Approver) -> AddedShape:
    """Add assets of the delivery's project."""
    delivery = deliveries.find_delivery(work.session, ref, work.caller.sees)
    return AddedShape(added=asking.add_to_delivery(work.session, work.caller, delivery, asked.assets, asked.query))


@router.post("/deliveries/{ref}/freeze")
def freeze_delivery(ref: DeliveryRef, work: Approver) -> DeliveryShape:
    """Note that it was handed over: nothing is added any more."""
    delivery = deliveries.find_delivery(work.session, ref, work.caller.sees)
    deliveries.freeze_delivery(work.session, work.caller, delivery)
    return DeliveryShape.of(deliveries.find_delivery(work.session, str(delivery.id), work.caller.sees))


def _changes(asked: PartyRequest) -> dict[str, object]:
    return party_changes(
        revenue_usd=asked.revenue_usd,
        users=asked.users,
        seats=asked.seats,
        registered=asked.registered,
        forget=asked.forget,
    )
