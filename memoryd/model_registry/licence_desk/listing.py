"""Licences in order, a page at a time."""

from __future__ import annotations

import dataclasses

from memoryd.foundation.database import Session
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.model_registry.licensing.effective import TermsTable
from memoryd.model_registry.licensing.names import plain_name
from memoryd.model_registry.licensing.terms import Terms


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListedLicence:
    """A licence, and whether a person of the tenant added or changed it."""

    terms: Terms
    local: bool


def list_licences(
    session: Session,
    *,
    words: str | None = None,
    local: bool = False,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[ListedLicence]:
    """Return licences by id; `words`: those whose id or title has them; `local`: those that people of the tenant changed.

    Raises: BadCursor, BadPageSize.
    """
    size, table = page_size(limit), TermsTable(session)
    after = "" if cursor is None else _place(cursor)
    wanted = plain_name(words) if words else ""
    found: list[ListedLicence] = []
    for id_ in table.ids:
        terms = table.find(id_)
        assert terms is not None
        named = not wanted or wanted in plain_name(id_) or wanted in plain_name(terms.title)
        if id_ > after and named and (table.is_local(id_) or not local):
            found.append(ListedLicence(terms=terms, local=table.is_local(id_)))
        if len(found) > size:
            break
    more = len(found) > size
    return Page(rows=found[:size], next_cursor=encode_cursor(found[size - 1].terms.id) if more else None)


def _place(cursor: str) -> str:
    (place,) = decode_cursor(cursor, 1)
    if not isinstance(place, str):
        raise BadCursor("the cursor is another list's", hint="start again without a cursor")
    return place
