"""Recalls: what a model touched, before anybody decides; recalled models, how far their marks are; and lifting that."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.guards import Discloser, Reader, Work
from memoryd.clearance.recalls import deciding
from memoryd.clearance.recalls.facts import RecallKind, RecallView
from memoryd.clearance.recalls.radius import blast_radius
from memoryd.clearance.recalls.touched import list_touched
from memoryd.foundation.reasons import REASON_LIMIT
from memoryd.web.queue_pages import done
from memoryd.web.rendering import page

router = APIRouter()

LINES_SHOWN = 25
Reason = Annotated[str, Form(max_length=REASON_LIMIT)]


@router.get("/recalls")
def list_recalls(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """The page of all recalls, newest first."""
    found = deciding.list_recalls(work.session, work.caller, cursor=cursor)
    return page(request, "recalls.html", caller=work.caller, recalls=found.rows, next_cursor=found.next_cursor)


@router.get("/recalls/look")
def look(request: Request, work: Reader, model: str, cursor: str | None = None) -> Response:
    """The page of what a model touched, with the form to recall it."""
    return _shown(request, work, deciding.find_weights(work.session, model), None, cursor)


@router.get("/recalls/{recall_id}")
def show_recall(request: Request, recall_id: UUID, work: Reader, cursor: str | None = None) -> Response:
    """The page of one recall."""
    recall = deciding.find_recall(work.session, work.caller, recall_id)
    return _shown(request, work, recall.model, recall, cursor)


@router.post("/recalls")
def recall(
    work: Discloser,
    model: Annotated[str, Form(max_length=200)],
    reason: Reason,
    kind: Annotated[RecallKind, Form()] = RecallKind.WITHDRAWN,
) -> Response:
    """Recall a model."""
    sha256 = deciding.find_weights(work.session, model)
    made = deciding.recall(work.session, work.caller, sha256, kind, reason)
    return RedirectResponse(f"/recalls/{made}", status_code=303)


@router.post("/recalls/{recall_id}/lift")
def lift(request: Request, recall_id: UUID, work: Discloser, reason: Reason) -> Response:
    """Lift a recall."""
    deciding.unrecall(work.session, work.caller, recall_id, reason)
    return done(request, f"/recalls/{recall_id}")


def _shown(request: Request, work: Work, sha256: bytes, recall: RecallView | None, cursor: str | None) -> Response:
    listed = list_touched(work.session, sha256, work.caller.sees, cursor=cursor, lines=LINES_SHOWN)
    return page(
        request,
        "recall.html",
        caller=work.caller,
        recall=recall,
        radius=blast_radius(work.session, sha256, work.caller.sees),
        assets=listed.rows,
        next_cursor=listed.next_cursor,
        decides=deciding.answers_for_all(work.caller),
        kinds=[each.value for each in RecallKind],
        reason_limit=REASON_LIMIT,
    )
