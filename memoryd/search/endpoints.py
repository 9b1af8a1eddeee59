"""Search: what people type, answered newest first, page by page."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from memoryd.access.guards import Approver, Reader, ReaderCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.reattributing import ASSETS_LIMIT, reattribute, undo
from memoryd.foundation.paging import CURSOR_LIMIT, PAGE_DEFAULT, PAGE_LIMIT
from memoryd.search.fields import FIELDS
from memoryd.search.finding import find, find_all
from memoryd.search.query_language import QueryNotUnderstood, parse
from memoryd.search.wire import (
    AttributionRequest,
    AttributionShape,
    FieldList,
    FieldShape,
    HitList,
    HitShape,
    Undone,
)

router = APIRouter(tags=["search"])


@router.get("/assets")
def search(
    work: Reader,
    q: Annotated[str, Query(description='Words, "phrases", -word, OR, field:value; see /search/fields.')] = "",
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE_DEFAULT,
) -> HitList:
    """What a search finds of all that you may see, newest first."""
    page = find(work.session, parse(q), work.caller.sees, cursor, limit)
    return HitList(items=[HitShape.of(hit) for hit in page.rows], next_cursor=page.next_cursor)


@router.get("/search/fields")
def list_fields(caller: ReaderCaller) -> FieldList:
    """The fields that a search may name, and what they take."""
    return FieldList(
        items=[FieldShape(field=name, takes=field.looks, ordered=field.ordered) for name, field in FIELDS.items()]
    )


@router.post("/attributions")
def attribute(asked: AttributionRequest, work: Approver) -> AttributionShape:
    """Give pictures to another project or person. You need the right to approve in both projects."""
    if (asked.query is None) == (asked.refs is None):
        raise QueryNotUnderstood(
            "either query or refs", hint='name pictures, or say which: {"query": "person:ada after:30d"}'
        )
    sees = work.caller.sees
    if asked.refs is not None:
        assets = [find_asset(work.session, ref, sees) for ref in asked.refs]
    else:
        # One more than may be: too many are refused, never a part of them done.
        assets = find_all(work.session, parse(asked.query or ""), sees, ASSETS_LIMIT + 1)
    done = reattribute(work.session, work.caller, assets, asked.wish(), dry_run=asked.dry_run)
    return AttributionShape.model_validate(done)


@router.delete("/attributions/{attribution_id}")
def undo_attribution(attribution_id: UUID, work: Approver) -> Undone:
    """Take a re-attribution back, whole. `audit list` names it: `attribution:<id>`."""
    return Undone(assets=undo(work.session, work.caller, attribution_id))
