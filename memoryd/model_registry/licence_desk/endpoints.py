"""Licences: listed, shown, brought, changed, taken back; what grants one to a model, and a person's own word on it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from memoryd.access.guards import Reader
from memoryd.foundation.database import Session
from memoryd.foundation.reasons import checked_reason
from memoryd.model_registry import licences, looking_up
from memoryd.model_registry.licence_desk.guards import Licensor
from memoryd.model_registry.licence_desk.listing import list_licences as list_page
from memoryd.model_registry.licence_desk.wire import (
    AddLicenceRequest,
    GrantList,
    GrantRequest,
    GrantShape,
    LicenceDetailShape,
    LicenceRow,
    LicenceRows,
    OverrideRequest,
    RestoredShape,
    RestoreRequest,
    TermsShape,
)
from memoryd.model_registry.licensing import overriding
from memoryd.model_registry.licensing.effective import find_licence, list_versions
from memoryd.model_registry.licensing.granting import grants_of

router = APIRouter(tags=["licences"])

Licence = Annotated[str, Path(description="an id, or any other name the licence goes by")]
Ref = Annotated[
    str, Path(description="a SHA-256 or its beginning, another stated hash, `folder/path`, or a file's name")
]


@router.get("/licences")
def list_licences(
    work: Reader,
    q: Annotated[str | None, Query(max_length=500, description="part of an id or title")] = None,
    local: Annotated[bool, Query(description="only those that people of the tenant added or changed")] = False,
    cursor: str | None = None,
    limit: int | None = None,
) -> LicenceRows:
    """List licences of which terms are known, by id."""
    found = list_page(work.session, words=q, local=local, cursor=cursor, limit=limit)
    rows = [LicenceRow.of(row.terms, local=row.local) for row in found.rows]
    return LicenceRows(items=rows, next_cursor=found.next_cursor)


@router.post("/licences", status_code=201)
def add_licence(request: AddLicenceRequest, work: Licensor) -> LicenceDetailShape:
    """Bring a licence, or another version of one, and return it as it counts from now on."""
    terms = overriding.add_licence(work.session, work.caller, request.document, request.reason)
    return _shown(work.session, terms.id)


@router.post("/licences/{licence:path}/overrides", status_code=201)
def override_licence(licence: Licence, request: OverrideRequest, work: Licensor) -> LicenceDetailShape:
    """Replace terms of a licence for this tenant, and return it as it counts from now on."""
    terms = overriding.override(work.session, work.caller, licence, request.terms, request.reason)
    return _shown(work.session, terms.id)


@router.post("/licences/{licence:path}/restore")
def restore_licence(licence: Licence, request: RestoreRequest, work: Licensor) -> RestoredShape:
    """Take back what people changed of a licence, or some terms of it."""
    terms = overriding.restore(work.session, work.caller, licence, request.reason, request.terms)
    return RestoredShape(terms=None if terms is None else TermsShape.of(terms))


@router.get("/licences/{licence:path}")
def show_licence(licence: Licence, work: Reader) -> LicenceDetailShape:
    """Show a licence with its clauses, and every version that people made of it."""
    return _shown(work.session, licence)


@router.get("/models/{ref:path}/grants")
def show_grants(ref: Ref, work: Reader) -> GrantList:
    """Show what grants a licence to a model, and what it inherits."""
    return _grants(work.session, looking_up.find_model(work.session, ref))


@router.post("/models/{ref:path}/grants", status_code=201)
def grant_licence(ref: Ref, request: GrantRequest, work: Licensor) -> GrantList:
    """State a licence for a model with a reason: it counts instead of what the file says; what is inherited stays."""
    sha256 = looking_up.find_model(work.session, ref)
    licences.state_licence(
        work.session,
        work.caller,
        sha256,
        request.name,
        version=request.version,
        url=request.url,
        reason=checked_reason(request.reason),
    )
    return _grants(work.session, sha256)


@router.delete("/models/{ref:path}/grants/{grant_id}")
def withdraw_grant(ref: Ref, grant_id: UUID, work: Licensor) -> GrantList:
    """Withdraw what a person stated (its id stands in `GET /v1/models/{ref}`), and return what counts then."""
    sha256 = looking_up.find_model(work.session, ref)
    licences.withdraw_licence(work.session, work.caller, sha256, grant_id)
    return _grants(work.session, sha256)


def _shown(session: Session, ref: str) -> LicenceDetailShape:
    table, terms = find_licence(session, ref)
    return LicenceDetailShape.of_licence(
        terms, table.document(terms.id), list_versions(session, terms.id), local=table.is_local(terms.id)
    )


def _grants(session: Session, sha256: bytes) -> GrantList:
    granted = grants_of(session, [sha256])[sha256]
    return GrantList(sha256=sha256.hex(), items=[GrantShape.of(grant) for grant in granted])
