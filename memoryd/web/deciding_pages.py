"""What people say and decide of a picture: how it was made, what it was made from, and whether it is to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Annotator, AnnotatorCaller, Office, Reader, person_with
from memoryd.access.roles import narrowed, sees_with
from memoryd.catalog import attesting, declaring, proposals, removal, trashing
from memoryd.catalog.annotations import BadAnnotation
from memoryd.catalog.column_limits import SEED_LIMIT
from memoryd.catalog.looking_up import check_seen, find_asset
from memoryd.catalog.removal import RemovalKind
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.web.asset_body import after_change, asset_page
from memoryd.web.rendering import is_part, page

SHOWN_PROPOSALS = 30
SHOWN_REMOVED = 60

router = APIRouter()

Project = Annotated[str, Form(max_length=200)]
Words = Annotated[str, Form(max_length=60_000)]


@router.post("/assets/{asset}/attestations")
def attest(
    asset: UUID,
    request: Request,
    work: Annotator,
    made_by: Annotated[str, Form(max_length=200)],
    project: Project,
    prompt: Words = "",
    negative: Words = "",
    model: Annotated[str, Form(max_length=400)] = "",
    seed: Annotated[str, Form(max_length=40)] = "",
    note: Words = "",
) -> Response:
    """Declare how the picture was made; what is left empty is not said."""
    said = attesting.Declaration(
        made_by=made_by,
        prompt=prompt or None,
        negative=negative or None,
        model=model or None,
        seed=_seed(seed),
        note=note or None,
    )
    attesting.attest(work.session, work.caller, AssetId(asset), said, project)
    return after_change(request, work.session, work.caller, AssetId(asset), said="Recorded, as declared by you.")


@router.post("/assets/{asset}/attestations/{attestation}/withdraw")
def withdraw(asset: UUID, attestation: UUID, request: Request, work: Annotator) -> Response:
    """Take a declaration back."""
    attesting.withdraw(work.session, work.caller, AssetId(asset), attestation)
    return after_change(request, work.session, work.caller, AssetId(asset), said="The declaration was withdrawn.")


@router.post("/assets/{asset}/parents")
def link(
    asset: UUID,
    request: Request,
    work: Annotator,
    parent: Annotated[str, Form(max_length=5_000)],
    how: Annotated[str, Form(max_length=80)],
    project: Project,
) -> Response:
    """Say that the picture was made from another, named by id, SHA-256 or path."""
    other = find_asset(work.session, parent.strip(), sees_with(work.caller, Scope.READ))
    declaring.link(work.session, work.caller, AssetId(asset), other, how, project=project)
    return after_change(request, work.session, work.caller, AssetId(asset), said="Its parent was recorded.")


@router.post("/assets/{asset}/removal")
def remove(
    asset: UUID,
    request: Request,
    caller: AnnotatorCaller,
    office: Office,
    kind: Annotated[RemovalKind, Form()],
    project: Project,
) -> Response:
    """Take the picture out of the project's sight; trashing moves its files, and needs the right to approve."""
    days = office.settings.removal_days
    if kind is RemovalKind.TRASHED:
        who = person_with(caller, Scope.APPROVE)
        with office.database.tenant_work(who.tenant) as session:
            check_seen(session, AssetId(asset), who.sees)
        moved = trashing.trash(office.database, who, AssetId(asset), days=days, project=project)
        said = f"Trashed: {moved.files} file(s) moved, {len(moved.left)} left where they lie; back within {days} days."
    else:
        with office.database.tenant_work(caller.tenant) as session:
            removal.remove(session, caller, [AssetId(asset)], kind, days=days, project=project)
        said = f"Out of sight in {project}: {kind.value}. It can be brought back from its page."
    return _after(request, office, caller, AssetId(asset), said)


@router.post("/assets/{asset}/restoration")
def restore(asset: UUID, request: Request, caller: AnnotatorCaller, office: Office, project: Project) -> Response:
    """Bring the picture back into sight, and its files out of the trash."""
    with office.database.tenant_work(caller.tenant) as session:
        check_seen(session, AssetId(asset), caller.sees)
    trashing.restore(office.database, caller, AssetId(asset), project)
    return _after(request, office, caller, AssetId(asset), f"Back in sight in {project}.")


@router.get("/decisions")
def show_proposals(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """Likenesses that wait for a person's word, newest first."""
    found = proposals.list_proposals(work.session, work.caller, cursor=cursor, limit=SHOWN_PROPOSALS)
    return _proposals(request, work.caller, found.rows, found.next_cursor)


@router.post("/decisions/{proposal}/{decision}")
def decide(proposal: UUID, decision: str, request: Request, work: Annotator) -> Response:
    """Accept a likeness, which records the parent; or refuse it, and it is never asked again."""
    if decision not in ("accept", "refuse"):
        raise BadAnnotation(f"{decision[:40]!r} is no decision", hint="accept or refuse")
    (proposals.accept if decision == "accept" else proposals.refuse)(work.session, work.caller, proposal)
    if not is_part(request):
        return RedirectResponse("/decisions", status_code=303)
    found = proposals.list_proposals(work.session, narrowed(work.caller, Scope.READ), limit=SHOWN_PROPOSALS)
    return _proposals(request, work.caller, found.rows, found.next_cursor)


@router.get("/removed")
def show_removed(
    request: Request, work: Reader, kind: RemovalKind | None = None, cursor: str | None = None
) -> Response:
    """What projects took out of sight, newest first, each with its way back."""
    found = removal.list_removed(work.session, work.caller.sees, kind, cursor, SHOWN_REMOVED)
    return page(
        request,
        "removed.html",
        caller=work.caller,
        removed=found.rows,
        kind=kind,
        kinds=tuple(RemovalKind),
        next_cursor=found.next_cursor,
    )


def _proposals(
    request: Request, caller: Caller, rows: Sequence[proposals.ProposalView], next_cursor: str | None
) -> Response:
    template = "decisions_list.html" if is_part(request) else "decisions.html"
    return page(request, template, caller=caller, proposals=rows, next_cursor=next_cursor)


def _after(request: Request, office: Office, caller: Caller, asset: AssetId, said: str) -> Response:
    if not is_part(request):
        return RedirectResponse(f"/assets/{asset}", status_code=303)
    with office.database.tenant_work(caller.tenant) as session:
        return _body(request, session, caller, asset, said)


def _body(request: Request, session: Session, caller: Caller, asset: AssetId, said: str) -> Response:
    return asset_page(request, session, narrowed(caller, Scope.READ), asset, said=said)


def _seed(text: str) -> int | None:
    clean = text.strip()
    if not clean:
        return None
    if not (clean.isascii() and clean.isdigit()) or len(clean) > 20 or int(clean) > SEED_LIMIT:
        raise BadAnnotation(f"{clean[:40]!r} is no seed", hint=f"a whole number from 0 to {SEED_LIMIT}")
    return int(clean)
