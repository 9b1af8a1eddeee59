"""Recipes done for what lacks them, or done again, when a person asks: queued as chores, with their progress."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog import enrichment
from memoryd.catalog.looking_up import find_asset
from memoryd.dispatch import chores
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import AssetId, new_id
from memoryd.imaging.recipes import Part, spelled_all
from memoryd.ingest.enriching import queries
from memoryd.ingest.enriching.work import ENRICH_AGAIN, ENRICH_LACKING
from memoryd.search.finding import find_all
from memoryd.search.query_language import parse

LISTED_AT_ONCE = 10_000
ORDER_LIMIT = 2_000_000
"""Assets of one order: their ids take 32 MB on their way to the queue."""
PRIORITY = -1
"""What came in just now is derived first, but for every other turn."""


class OrderNotFound(NotFound):
    """Nothing of the kind was asked for."""


class OrderTooLarge(NotAcceptable):
    """These are more assets than one order may name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked, and how far it is. `subjects` assets; `left` wait or are being done, `given_up` could not be."""

    id: UUID
    recipes: str
    again: bool
    subjects: int
    left: int
    given_up: int
    asked_at: datetime.datetime

    @property
    def done(self) -> int:
        """Assets that are done, whatever came of them."""
        return self.subjects - self.left - self.given_up


def place(
    session: Session,
    scope: TenantScope,
    caller: Caller,
    *,
    redo: Collection[Part] = (),
    assets: Sequence[str] = (),
    query: str | None = None,
) -> UUID:
    """Queue recipes and return the order's id.

    With `redo` those recipes are done again; without, all that is lacking. For `assets` (as `find_asset` reads them), for
    what a search finds, or for everything. `session` has the tenant, and has it again afterwards.
    Raises: AssetNotFound, AssetAmbiguous, BadQuery, OrderTooLarge.
    """
    parts = frozenset(redo) or frozenset(Part)
    again = bool(redo)
    subjects = _subjects(session, caller, parts, again=again, assets=assets, query=query)
    order_id = new_id()
    recipes = spelled_all(parts)
    audit.note(
        session,
        caller,
        "asset.enrich",
        f"enrichment:{order_id}",
        {"recipes": recipes, "again": again, "assets": len(subjects)},
    )
    take_farm(session)
    kind = ENRICH_AGAIN if again else ENRICH_LACKING
    ids = chores.add_all(session, scope.id, kind, recipes, subjects, PRIORITY)
    take_tenant(session, scope)
    queries.insert_order(
        session,
        id=order_id,
        recipes=recipes,
        again=again,
        subjects=len(subjects),
        chores=list(ids),
        person_id=caller.person_id,
    )
    return order_id


def show(session: Session, scope: TenantScope, order_id: UUID) -> Order:
    """Return what was asked and how far it is; `session` as in `place`. Raises: OrderNotFound."""
    row = queries.find_order(session, order_id)
    if row is None:
        raise OrderNotFound(str(order_id), hint="`memoryd enrich` asks for one")
    take_farm(session)
    left, given_up = chores.count_left(session, row.chores)
    take_tenant(session, scope)
    return Order(
        id=row.id,
        recipes=row.recipes,
        again=row.again,
        subjects=row.subjects,
        left=left,
        given_up=given_up,
        asked_at=row.asked_at,
    )


def _subjects(
    session: Session, caller: Caller, parts: frozenset[Part], *, again: bool, assets: Sequence[str], query: str | None
) -> list[AssetId]:
    if assets or query is not None:
        named = list(dict.fromkeys(find_asset(session, ref, caller.sees) for ref in assets))
        found = [] if query is None else _found(session, caller, query)
        chosen = list(dict.fromkeys((*named, *found)))
        return chosen if again else list(enrichment.list_lacking(session, chosen, parts))
    chosen = []
    before: AssetId | None = None
    while some := enrichment.list_to_enrich(session, parts, again=again, before=before, limit=LISTED_AT_ONCE):
        chosen += some
        before = some[-1]
        _check(len(chosen))
    return chosen


def _found(session: Session, caller: Caller, query: str) -> list[AssetId]:
    found = find_all(session, parse(query), caller.sees, ORDER_LIMIT + 1)
    _check(len(found))
    return found


def _check(count: int) -> None:
    if count > ORDER_LIMIT:
        raise OrderTooLarge(f"more than {ORDER_LIMIT} assets", hint="name a project or a date in a query")
