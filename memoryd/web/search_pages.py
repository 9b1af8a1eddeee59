"""The first page: one box, and what it finds, newest first, as far as one scrolls."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from memoryd.access.guards import Reader
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.search.finding import find
from memoryd.search.query_language import parse
from memoryd.web.rendering import is_part, page

SHOWN_HITS = 60

router = APIRouter()


@router.get("/")
def search(request: Request, work: Reader, q: str = "", cursor: str | None = None) -> Response:
    """What the query finds. A query that is not understood is answered on the page, where it can be mended."""
    try:
        found = find(work.session, parse(q), work.caller.sees, cursor, SHOWN_HITS)
    except (NotAcceptable, TooLarge) as error:
        return page(
            request,
            "search.html",
            status=error.status,
            caller=work.caller,
            query=q,
            problem=error,
            hits=(),
            cursor=None,
            next_cursor=None,
        )
    # A script asks for the next rows only; a person without one gets the whole page at the same address.
    template = "hits.html" if is_part(request) and cursor else "search.html"
    return page(
        request,
        template,
        caller=work.caller,
        query=q,
        problem=None,
        hits=found.rows,
        cursor=cursor,
        next_cursor=found.next_cursor,
    )
