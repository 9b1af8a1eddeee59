"""What approved pictures hold: seen by whoever sees them, let go by whoever may approve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from memoryd.access.guards import Approver, Reader
from memoryd.catalog import holding
from memoryd.catalog.holds.wire import HeldAgain, HeldList, HeldPictureShape, HoldersShape, Released, ReleaseRequest
from memoryd.foundation.paging import CURSOR_LIMIT, PAGE_DEFAULT, PAGE_LIMIT

router = APIRouter(tags=["curation"])


@router.get("/holds")
def list_holds(
    work: Reader,
    project: Annotated[str | None, Query(max_length=80, description="Only what this project approved.")] = None,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE_DEFAULT,
) -> HeldList:
    """Approved pictures with what each holds: its own bytes, sources, inputs and models."""
    page = holding.list_holds(work.session, work.caller.sees, project=project, cursor=cursor, limit=limit)
    return HeldList(items=[HeldPictureShape.of(one) for one in page.rows], next_cursor=page.next_cursor)


@router.get("/holds/{sha256}")
def who_holds(sha256: str, work: Reader) -> HoldersShape:
    """Which approved pictures hold a content (a picture, an input, a model); where none does, it may go."""
    return HoldersShape.of(holding.who_holds(work.session, holding.digest_of(sha256), work.caller.sees))


@router.post("/holds/{sha256}/release")
def release(sha256: str, asked: ReleaseRequest, work: Approver) -> Released:
    """Let go of a content: its last copy may be removed. Audited; approvals that come later hold it again."""
    digest = holding.digest_of(sha256)
    gone = holding.release(work.session, work.caller, [digest], asked.reason)
    return Released(sha256=digest.hex(), released=bool(gone))


@router.delete("/holds/{sha256}/release")
def hold_again(sha256: str, work: Approver) -> HeldAgain:
    """Take back that a content was let go. What is already removed does not come back by it."""
    digest = holding.digest_of(sha256)
    return HeldAgain(sha256=digest.hex(), changed=holding.hold_again(work.session, work.caller, digest))
