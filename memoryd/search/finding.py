"""Finds assets, newest first, page by page, as far as the caller may see.

Two ways to the same answer: a walk through the newest, which is quick where many match; or the indexes of the words and
then a sort, which is quick where few do. The walk starts, and its density decides. Source: measured at a million rows,
where the planner's own choice took 0.9 s for words that only old assets have.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias
from uuid import UUID

from memoryd.access import people, projects
from memoryd.access.facts import Sees
from memoryd.catalog.column_limits import seed_from
from memoryd.catalog.faces import list_faces
from memoryd.catalog.sequences import find_sequences
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import STATEMENT_TIMEOUT_S, DBAPIError, Session
from memoryd.foundation.errors import NotFound, TooLarge
from memoryd.foundation.ids import AssetId, parse_id
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.search.facts import All, Any, Filter, Hit, Not, Part, Query, Term
from memoryd.search.queries import conditions, hits

WINDOW = 2_000
"""Assets of the first walk. Source: as above, 0.6 ms."""

WALK_LIMIT = 80_000
"""Assets walked at most before the indexes are asked."""

_WALK_FACTOR = 2.7e6
"""A walk is worth it for up to sqrt(rows wanted x this) assets. Source: as above."""

EXCERPT_LIMIT = 200
"""Characters of a hit's prompt."""

TIME_LIMIT_MS = 10_000
"""Milliseconds of one statement of a search. What takes longer is a search of everything for something rare and vague."""

_QUERY_CANCELED = "57014"
"""Source: Postgres 18, appendix A."""

_ALIKE = frozenset(
    {"project", "person", "kind", "type", "model", "lora", "vae", "tool", "workflow", "node", "job", "negative"}
    | {"sampler", "steps", "cfg", "size", "width", "height", "after", "before", "on", "made"}
)
"""Fields in which the frames of a sequence are alike; any other may mean a single one."""

_FRAME_NUMBER = re.compile(r"\d{2}")

Key: TypeAlias = tuple[datetime.datetime, UUID]


class SearchTooBroad(TooLarge):
    """This search takes too long."""


def find(session: Session, query: Query, sees: Sees, cursor: str | None = None, limit: int | None = None) -> Page[Hit]:
    """Return a page of what a query finds, newest first.

    Without `is:all` what was overwritten, copies, and what was removed stay out, and the numbered frames of one sequence
    are one hit: its first.

    Raises: BadCursor, BadPageSize, SearchTooBroad.
    """
    size = page_size(limit)
    after = None if cursor is None else _read_cursor(cursor)
    frame_by_frame = query.everything or _asks_for_frames(query.part)

    def ask(where: conditions.Condition) -> list[Key]:
        wanted = where if frame_by_frame else where & hits.is_alone_or_first(sees)
        return _newest(session, wanted, after, size + 1)

    keys = _keys(session, query, sees, ask)
    shown = keys[:size]
    return Page(
        rows=_hits(session, [asset for _, asset in shown], sees),
        next_cursor=encode_cursor(shown[-1][0].isoformat(), str(shown[-1][1])) if len(keys) > size else None,
    )


def find_all(session: Session, query: Query, sees: Sees, limit: int) -> list[AssetId]:
    """Return all assets that a query finds, newest first, at most `limit`. Raises: SearchTooBroad."""
    keys = _keys(session, query, sees, lambda where: hits.list_matches(session, where, None, limit))
    # What is done with them in this transaction is no search.
    hits.set_time_limit(session, STATEMENT_TIMEOUT_S * 1_000)
    return [AssetId(asset) for _, asset in keys]


def _keys(session: Session, query: Query, sees: Sees, ask: Callable[[conditions.Condition], list[Key]]) -> list[Key]:
    asked = conditions.Asked(
        sees=sees,
        now=datetime.datetime.now(datetime.UTC),
        projects=_meant(query, "project", lambda slug: projects.find_project(session, slug, sees)),
        people=_meant(query, "person", lambda login: people.find_person(session, login)),
    )
    where = conditions.condition(query.part, asked) & conditions.visible(sees)
    if not query.everything:
        where &= hits.is_head() & conditions.in_sight(query.part, asked)
    hits.set_time_limit(session, TIME_LIMIT_MS)
    try:
        return ask(where)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED:
            raise SearchTooBroad("it was stopped", hint="add a word, a project or a date such as after:30d") from None
        raise


def _newest(session: Session, where: conditions.Condition, after: Key | None, wanted: int) -> list[Key]:
    walk_limit = min(WALK_LIMIT, math.isqrt(int(wanted * _WALK_FACTOR)))
    found: list[Key] = []
    walked, window = 0, WINDOW
    while True:
        found += hits.list_in_window(session, where, after, window, wanted - len(found))
        walked += window
        if len(found) >= wanted:
            return found
        after = hits.find_window_end(session, after, window)
        if after is None:
            return found
        # How far would the rest be, if it came as thinly as until here?
        rest = (wanted - len(found)) * walked / len(found) if found else math.inf
        if rest > walk_limit or walked > walk_limit:
            return found + hits.list_matches(session, where, after, wanted - len(found))
        window = min(walk_limit, max(WINDOW, int(rest * 1.3)))


def _hits(session: Session, assets: list[UUID], sees: Sees) -> list[Hit]:
    if not assets:
        return []
    faces, details = list_faces(session, assets, sees), hits.list_details(session, assets, sees)
    frames = find_sequences(session, [AssetId(asset) for asset in assets], sees)
    found = []
    for asset in assets:
        if asset in faces and asset in details:
            row = details[asset]
            prompt = None if row.prompt is None else " ".join(row.prompt.split())[:EXCERPT_LIMIT]
            found.append(
                Hit(
                    face=faces[asset],
                    prompt=prompt,
                    models=tuple(dict.fromkeys(row.models or ())),
                    seed=seed_from(row.seed),
                    projects=tuple(row.projects or ()),
                    tags=tuple(row.tags or ()),
                    rating=row.rating,
                    approval=row.approval,
                    flags=tuple(row.flags or ()),
                    head=row.head,
                    sequence=frames.get(AssetId(asset)),
                )
            )
    return found


def _asks_for_frames(part: Part | None) -> bool:
    """Whether a query is met by single frames of a sequence: by what hangs on one, or by its number."""
    return any(
        one.field not in _ALIKE if isinstance(one, Filter) else _FRAME_NUMBER.search(one.text) is not None
        for one in _leaves(part)
    )


def _read_cursor(cursor: str) -> Key:
    made_at, asset = decode_cursor(cursor, 2)
    id_ = parse_id(asset) if isinstance(asset, str) else None
    moment = _moment(made_at)
    if moment is None or id_ is None:
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
    return moment, id_


def _moment(spelled: Json) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(spelled) if isinstance(spelled, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _meant(query: Query, field: str, find_one: Callable[[str], UUID]) -> dict[str, UUID | None]:
    """Return what names in a query mean; None for one that there is not, or that the caller does not see."""
    meant: dict[str, UUID | None] = {}
    for one in _filters(query.part):
        if one.field == field and one.value not in meant:
            try:
                meant[one.value] = find_one(one.value)
            except NotFound:
                meant[one.value] = None
    return meant


def _filters(part: Part | None) -> Iterator[Filter]:
    return (one for one in _leaves(part) if isinstance(one, Filter))


def _leaves(part: Part | None) -> Iterator[Filter | Term]:
    match part:
        case Filter() | Term():
            yield part
        case Not(part=inner):
            yield from _leaves(inner)
        case All(parts=parts) | Any(parts=parts):
            for one in parts:
                yield from _leaves(one)
        case _:
            return
