"""Licences: which are known, what one of them says and where, what people here changed of it; one stated for a model."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response

from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Reader
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.reasons import REASON_LIMIT, checked_reason
from memoryd.model_registry import licences, looking_up
from memoryd.model_registry.licence_desk.guards import Licensor
from memoryd.model_registry.licence_desk.listing import list_licences
from memoryd.model_registry.licence_desk.wire import TermsShape
from memoryd.model_registry.licensing.documents import clause_terms, read_value
from memoryd.model_registry.licensing.effective import find_licence, list_versions
from memoryd.model_registry.licensing.granting import grants_of
from memoryd.model_registry.licensing.overriding import override, restore
from memoryd.web.queue_pages import done
from memoryd.web.rendering import page

router = APIRouter()

SHOWN_LICENCES = 200
OVERRIDABLE = (*sorted(clause_terms()), "confidence", "notes", "url")

Reason = Annotated[str, Form(max_length=2 * REASON_LIMIT)]
Words = Annotated[str, Form(max_length=2_000)]


@router.get("/licences")
def show_licences(
    request: Request,
    work: Reader,
    q: Annotated[str, Query(max_length=500)] = "",
    model: Annotated[str, Query(max_length=5_000)] = "",
    cursor: str | None = None,
) -> Response:
    """The page of all licences; with `model`, what grants one to it."""
    found = list_licences(work.session, words=q or None, cursor=cursor, limit=SHOWN_LICENCES)
    sha256 = looking_up.find_model(work.session, model) if model.strip() else None
    return page(
        request,
        "licences.html",
        caller=work.caller,
        rows=found.rows,
        next_cursor=found.next_cursor,
        q=q,
        model=model,
        sha256=None if sha256 is None else sha256.hex(),
        grants=() if sha256 is None else grants_of(work.session, [sha256])[sha256],
        may_change=may_change(work.caller),
        reason_limit=REASON_LIMIT,
    )


@router.post("/licences/grants")
def state(request: Request, work: Licensor, model: Words, name: Words, reason: Reason) -> Response:
    """State a licence for a model, with a reason."""
    sha256 = looking_up.find_model(work.session, model)
    licences.state_licence(work.session, work.caller, sha256, name, reason=checked_reason(reason))
    return done(request, f"/licences?model={sha256.hex()}")


@router.get("/licences/{licence}")
def show_licence(licence: str, request: Request, work: Reader) -> Response:
    """The page of one licence: its terms with the clauses that say them, and every version that people here made."""
    table, terms = find_licence(work.session, licence)
    shown = TermsShape.of(terms).model_dump(mode="json")
    return page(
        request,
        "licence.html",
        caller=work.caller,
        terms=terms,
        local=table.is_local(terms.id),
        rows=[
            {"name": name, "value": spelled(shown[name]), "clause": terms.clauses.get(name)}
            for name in TermsShape.model_fields
            if name in clause_terms() and (shown[name] not in (None, False, []) or name in terms.clauses)
        ],
        versions=list_versions(work.session, terms.id),
        may_change=may_change(work.caller) and table.document(terms.id) is not None,
        overridable=OVERRIDABLE,
        reason_limit=REASON_LIMIT,
    )


@router.post("/licences/{licence}/overrides")
def change(licence: str, request: Request, work: Licensor, term: Words, value: Words, reason: Reason) -> Response:
    """Replace one term of a licence for this studio."""
    terms = override(work.session, work.caller, licence, {term: read_value(value)}, reason)
    return done(request, f"/licences/{quote(terms.id, safe='')}")


@router.post("/licences/{licence}/restore")
def take_back(licence: str, request: Request, work: Licensor, reason: Reason, term: Words = "") -> Response:
    """Take back what was changed of a licence, or one term of it."""
    terms = restore(work.session, work.caller, licence, reason, [term] if term else [])
    return done(request, "/licences" if terms is None else f"/licences/{quote(terms.id, safe='')}")


def may_change(caller: Caller) -> bool:
    """Tell whether somebody answers for licences: whoever holds the right in the whole tenant."""
    return bool(caller.everywhere & {Scope.INGEST, Scope.DISCLOSE})


def spelled(value: Json) -> str:
    """Return a term's value in words of one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {part}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
