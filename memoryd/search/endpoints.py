"""Search: what people type, answered newest first, page by page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from memoryd.access.guards import Reader, ReaderCaller
from memoryd.foundation.paging import CURSOR_LIMIT, PAGE_DEFAULT, PAGE_LIMIT
from memoryd.search.fields import FIELDS
from memoryd.search.finding import find
from memoryd.search.query_language import parse
from memoryd.search.wire import FieldList, FieldShape, HitList, HitShape

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
