"""Models: which there are and where, what one is, what it was made from and what was made with it; drifted names."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from memoryd.access.guards import Office, Reader
from memoryd.catalog.models import drifting, uses
from memoryd.clearance.recalls.standing import recalled
from memoryd.model_registry import looking_up
from memoryd.model_registry.keeping import copies
from memoryd.model_registry.licensing.granting import grants_of, shown_of
from memoryd.submission.stored_models.room import needs_of
from memoryd.web.rendering import page
from memoryd.weights.kinds import ModelKind

router = APIRouter()

RUNS_SHOWN = 20
STATED_SHOWN = 40
VALUE_LIMIT = 300
"""Characters of a value that are shown: what a file says of itself may be long."""


@router.get("/models")
def list_models(
    request: Request, work: Reader, q: str = "", kind: str = "", unlicensed: bool = False, cursor: str | None = None
) -> Response:
    """The page of all models, newest first."""
    found = looking_up.list_models(
        work.session, kind=kind or None, licensed=False if unlicensed else None, search=q or None, cursor=cursor
    )
    sha256s = [model.sha256 for model in found.rows]
    return page(
        request,
        "models.html",
        caller=work.caller,
        models=found.rows,
        used=uses.count_uses(work.session, sha256s, work.caller.sees),
        counted=uses.LISTED_RUNS,
        granted={sha256: shown_of(grants) for sha256, grants in grants_of(work.session, sha256s).items()},
        stopped=recalled(work.session, sha256s),
        kept=copies.find_copies(work.session, sha256s),
        next_cursor=found.next_cursor,
        q=q,
        kind=kind,
        unlicensed=unlicensed,
        kinds=[each.value for each in ModelKind],
    )


@router.get("/models/drift")
def list_drift(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """The page of names that stood for several contents."""
    found = drifting.list_drift(work.session, work.caller.sees, cursor=cursor)
    return page(
        request,
        "models_drift.html",
        caller=work.caller,
        drifts=found.rows,
        counted=uses.LISTED_RUNS,
        next_cursor=found.next_cursor,
    )


@router.get("/models/stored")
def list_stored(request: Request, work: Reader, office: Office, cursor: str | None = None) -> Response:
    """The page of the model store: what lies there, how large, when it was last used, and what holds it."""
    found = copies.list_copies(work.session, cursor=cursor)
    count, size = copies.sum_sizes(work.session)
    needs = needs_of(work.session, work.caller.tenant, [copy.sha256 for copy in found.rows], work.caller.sees)
    return page(
        request,
        "models_stored.html",
        caller=work.caller,
        copies=[(copy, needs.why(copy.sha256)) for copy in found.rows],
        count=count,
        size=size,
        limit=office.settings.model_store_limit,
        next_cursor=found.next_cursor,
    )


@router.get("/models/{ref:path}")
def show_model(ref: str, request: Request, work: Reader) -> Response:
    """The page of one model."""
    sha256 = looking_up.find_model(work.session, ref)
    detail = looking_up.show_model(work.session, sha256)
    metadata = detail.stated.get("metadata")
    stated = metadata.items() if isinstance(metadata, dict) else ()
    copy = copies.find_copies(work.session, [sha256]).get(sha256)
    needs = needs_of(work.session, work.caller.tenant, [sha256], work.caller.sees) if copy is not None else None
    return page(
        request,
        "model.html",
        caller=work.caller,
        detail=detail,
        model=detail.model,
        copy=copy,
        needed_by=needs.why(sha256) if needs is not None else None,
        grants=grants_of(work.session, [sha256])[sha256],
        stopped=recalled(work.session, [sha256]).get(sha256),
        used=uses.count_uses(work.session, [sha256], work.caller.sees, most=uses.SHOWN_RUNS).get(sha256, 0),
        counted=uses.SHOWN_RUNS,
        runs=uses.list_uses(work.session, sha256, work.caller.sees, limit=RUNS_SHOWN).rows,
        stated=[(name, str(value)[:VALUE_LIMIT]) for name, value in stated][:STATED_SHOWN],
    )
